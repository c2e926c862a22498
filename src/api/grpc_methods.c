/* The calls of the gRPC API: which there are, who answers them, and what others are told. */
#include "api/grpc_int.h"

const char sli_rpc_refusal[] =
    "Sluice stores, lists and exports collections; it does not search vectors or text. It serves "
    "Health, BatchObjects, BatchReferences, BatchStream, BatchDelete, TenantsGet, Search (without "
    "a vector or text query) and Aggregate (objects_count)";

static const struct sli_rpc_method methods[] = {
    {"/grpc.health.v1.Health/Check", sli_rpc_health, sli_rpc_health, false, true},
    {"/weaviate.v1.Weaviate/BatchObjects", sli_rpc_batch_objects, NULL, false, false},
    {"/weaviate.v1.Weaviate/BatchReferences", sli_rpc_batch_references, NULL, false, false},
    {"/weaviate.v1.Weaviate/BatchStream", sli_rpc_batch_stream, NULL, true, false},
    {"/weaviate.v1.Weaviate/BatchDelete", sli_rpc_batch_delete, NULL, false, false},
    {"/weaviate.v1.Weaviate/Search", sli_rpc_search, NULL, false, false},
    {"/weaviate.v1.Weaviate/TenantsGet", sli_rpc_tenants_get, sli_rpc_foreign_tenants, false,
     false},
    {"/weaviate.v1.Weaviate/Aggregate", sli_rpc_aggregate, NULL, false, false},
};

const struct sli_rpc_method *sli_rpc_method(struct sl_str path)
{
    for (size_t i = 0; i < SL_COUNT_OF(methods); i++) {
        if (sl_str_is(path, methods[i].path)) {
            return &methods[i];
        }
    }
    return NULL;
}
