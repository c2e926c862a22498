/* Inside of the gRPC half of the API: one call on its way from the wire to its replies. */
#ifndef SL_API_GRPC_INT_H
#define SL_API_GRPC_INT_H

#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>

#include "api/access.h"
#include "api/api.h"
#include "base/arena.h"

/* A call: one request message, or one of a stream at a time. A worker owns it while its handler
 * runs. */
struct sli_rpc {
    const struct sl_api_opts *opts;
    const atomic_bool *is_ready;
    struct sl_arena arena; /* of the message at work: the request and what is made of it */
    struct sli_asker asker;
    struct sl_bytes in; /* the message; empty at the end of a stream */
    bool is_end;        /* the client sends no more messages */
    bool is_started;    /* streams: `start` was seen */
    bool is_finished;   /* set by a stream's handler: the call ends after the replies */
    int64_t begun_ns;   /* when the message was taken up */
};

typedef sl_rc sli_rpc_handler(struct sli_rpc *c, struct sl_err *err);

/* A row of the table of methods. */
struct sli_rpc_method {
    const char *path;
    sli_rpc_handler *handler;
    sli_rpc_handler *foreign; /* of a node that reads Weaviate's data; NULL: it only exports it */
    bool is_stream;
    bool is_open; /* to callers without a key; the others ask for what their message names */
};
/* grpc_methods.c: the method of that path, or NULL, and what is told then. */
const struct sli_rpc_method *sli_rpc_method(struct sl_str path);
extern const char sli_rpc_refusal[];

/* The request in `in`, in the arena. SL_EBADREQ when it is not such a message. */
sl_rc sli_rpc_read(struct sli_rpc *c, const ProtobufCMessageDescriptor *type, void *ret,
                   struct sl_err *err);
/* Adds a reply, packed at once. */
sl_rc sli_rpc_reply(struct sli_rpc *c, const ProtobufCMessage *reply, struct sl_err *err);
/* Packed: the message of a stream that says that the node stops. */
void sli_rpc_shutting_down(struct sl_buf *out);
/* Seconds since the message was taken up. */
float sli_rpc_took(const struct sli_rpc *c);

/* grpc_filter.c: a filter of the wire as one of the database, in the arena. */
struct Weaviate__V1__Filters;
struct Weaviate__V1__PropertiesRequest;
struct Weaviate__V1__PropertiesResult;
sl_rc sli_rpc_filter(struct sl_arena *arena, const struct Weaviate__V1__Filters *from,
                     struct sl_db_filter *ret, struct sl_err *err);
/* grpc_value.c: stored properties as values of the wire, in the arena. `names` chooses (nested ones
 * by what lies below them); NULL: all but blobs and references, absent ones as null. */
sl_rc sli_rpc_properties(struct sl_arena *arena, const struct sl_db_found *found,
                         const struct Weaviate__V1__PropertiesRequest *names,
                         struct Weaviate__V1__PropertiesResult *ret, struct sl_err *err);

/* grpc_batch.c, grpc_read.c, grpc_meta.c */
sli_rpc_handler sli_rpc_health, sli_rpc_batch_objects, sli_rpc_batch_references,
    sli_rpc_batch_stream, sli_rpc_batch_delete, sli_rpc_tenants_get, sli_rpc_foreign_tenants,
    sli_rpc_search, sli_rpc_aggregate;

#endif
