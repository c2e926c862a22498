/* Messages of gRPC, as the handlers get them: the first byte chooses the method, the rest is the
 * message. The handlers run over a small database in memory; the server around them is left out,
 * what they call of it stands here. Whatever the bytes: a reply that can be packed, or a
 * failure with its sentence that is no fault of this program. */
#include "api/api_int.h"
#include "api/grpc_int.h"
#include "base/json.h"
#include "base/mem.h"
#include "contract/weaviate.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    sli_rpc_handler *handler;
    bool is_write;
} methods[] = {
    {sli_rpc_batch_objects, true}, {sli_rpc_batch_references, true}, {sli_rpc_batch_stream, true},
    {sli_rpc_batch_delete, true},  {sli_rpc_search, false},          {sli_rpc_tenants_get, false},
    {sli_rpc_aggregate, false},
};

static void *arena_take(void *arena, size_t size)
{
    return sl_arena_alloc(arena, size);
}
static void arena_leave(void *arena SL_UNUSED, void *ptr SL_UNUSED)
{
    /* goes with the arena */
}

sl_rc sli_rpc_read(struct sli_rpc *c, const ProtobufCMessageDescriptor *type, void *ret,
                   struct sl_err *err)
{
    ProtobufCAllocator from = {
        .alloc = arena_take, .free = arena_leave, .allocator_data = &c->arena};
    void *message = protobuf_c_message_unpack(type, &from, c->in.len, c->in.ptr);
    if (message == NULL) {
        return SL_FAIL(err, SL_EBADREQ, "the message is not a %s", type->short_name);
    }
    *(void **)ret = message;
    return SL_OK;
}

sl_rc sli_rpc_reply(struct sli_rpc *c SL_UNUSED, const ProtobufCMessage *reply, struct sl_err *err)
{
    size_t size = protobuf_c_message_get_packed_size(reply);
    uint8_t *packed = sl_alloc(size + 1);
    if (packed == NULL) {
        return SL_NOMEM(err);
    }
    sl_assert(protobuf_c_message_pack(reply, packed) == size);
    sl_free(packed);
    return SL_OK;
}

float sli_rpc_took(const struct sli_rpc *c SL_UNUSED)
{
    return 0;
}

sl_rc sli_foreign_tenants_list(struct sl_source *source SL_UNUSED,
                               struct sl_str class_name SL_UNUSED, struct sl_buf *out SL_UNUSED,
                               struct sl_err *err)
{
    return SL_FAIL(err, SL_EUNSUPPORTED, "there is no foreign data here");
}

/* Names as in the recorded calls, so that the seeds find something. */
static void fill(struct sl_db *db)
{
    static const char *const classes[] = {
        "{\"class\":\"PlainProps\",\"vectorizer\":\"none\",\"properties\":[{\"name\":\"title\","
        "\"dataType\":[\"text\"]},{\"name\":\"year\",\"dataType\":[\"int\"]},{\"name\":\"tags\","
        "\"dataType\":[\"text[]\"]},{\"name\":\"o\",\"dataType\":[\"object\"],\"nestedProperties\":"
        "[{\"name\":\"x\",\"dataType\":[\"number[]\"]}]}]}",
        "{\"class\":\"RefFrom\",\"properties\":[{\"name\":\"to\",\"dataType\":[\"PlainProps\"]}],"
        "\"vectorConfig\":{\"m\":{\"vectorizer\":{\"none\":{}},\"vectorIndexType\":\"hnsw\","
        "\"vectorIndexConfig\":{\"multivector\":{\"enabled\":true}}}}}",
        "{\"class\":\"Ten\",\"multiTenancyConfig\":{\"enabled\":true,\"autoTenantCreation\":true}}",
    };
    static const char object[] =
        "{\"class\":\"PlainProps\",\"id\":\"00000000-0000-4000-8000-000000000001\",\"vector\":[1,2]"
        ","
        "\"properties\":{\"title\":\"m1 x\",\"year\":-0,\"tags\":[\"\"],\"o\":{\"x\":[1.5]}}}";
    struct sl_err err = {0};
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    for (size_t i = 0; i < SL_COUNT_OF(classes); i++) {
        json_t *body = json_loads(classes[i], 0, NULL);
        sl_rc rc = sl_db_class_create(db, body, &out, &err);
        sl_assert(rc == SL_OK);
        json_decref(body);
    }
    json_t *body = json_loads(object, 0, NULL);
    sl_rc rc = sl_db_object_add(db, body, &out, &err);
    sl_assert(rc == SL_OK);
    json_decref(body);
}

struct node {
    struct sl_kv *kv;
    struct sl_db *db;
    struct sl_auth *auth;
};

static void serve(const struct node *n, sli_rpc_handler *handler, struct sl_bytes message)
{
    struct sl_err err = {0};
    const struct sl_api_opts opts = {.db = n->db, .auth = n->auth, .body_budget = 1 << 20};
    const atomic_bool is_ready = true;
    struct sli_rpc c = {.opts = &opts,
                        .is_ready = &is_ready,
                        .arena = SL_ARENA_EMPTY,
                        .asker = {.auth = n->auth},
                        .in = message,
                        .is_started = true};
    sl_rc rc = handler(&c, &err);
    sl_assert(rc == SL_OK || err.text[0] != '\0');
    sl_assert(rc != SL_EINTERNAL && rc != SL_ECORRUPT && rc != SL_EIO);
    sl_arena_fini(&c.arena);
}

static struct node open_node(void)
{
    struct node n = {0};
    struct sl_err err = {0};
    struct sl_clock *clock = sl_clock_real();
    const struct sl_db_opts db_opts = {
        .clock = clock, .is_auto_schema = true, .limit_default = 10, .limit_max = 100};
    const struct sl_auth_opts auth_opts = {.anonymous = "true", .clock = clock};
    sl_rc rc = sl_kv_mem_open(&n.kv, &err);
    sl_assert(rc == SL_OK);
    rc = sl_db_open(n.kv, &db_opts, &n.db, &err);
    sl_assert(rc == SL_OK);
    rc = sl_auth_open(&auth_opts, &n.auth, &err);
    sl_assert(rc == SL_OK);
    fill(n.db);
    return n;
}

static void close_node(struct node *n)
{
    sl_auth_close(n->auth);
    sl_db_close(n->db);
    sl_kv_close(n->kv);
}

/* Readers share one database, which is faster; each writer has its own, so that inputs do not
 * depend on each other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct node shared;
    if (size == 0) {
        return 0;
    }
    size_t which = data[0] % SL_COUNT_OF(methods);
    struct node own = {0};
    struct node *n = methods[which].is_write ? &own : &shared;
    if (n->db == NULL) {
        *n = open_node();
    }
    serve(n, methods[which].handler, SL_BYTES(data + 1, size - 1));
    if (methods[which].is_write) {
        close_node(n);
    }
    return 0;
}
