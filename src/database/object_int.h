/* Inside of the objects half of the folder: how a request's objects become stored bytes and back.
 *
 * A write runs in four steps, the same for one object and for a batch: prepare (validate.c: class,
 * shard, properties, vectors), lock the stripes of its UUIDs, store (write.c: old object, dims, one
 * kv batch), sync. Everything a request allocates is its arena's or an item's and goes with it. */
#ifndef SL_DATABASE_OBJECT_INT_H
#define SL_DATABASE_OBJECT_INT_H

#include "base/json.h"
#include "database/database_int.h"

/* ---- write.c: one request ---- */

/* A shard this request touches. Slot 0 stands for the unnamed vector, slot n for vectors[n - 1]. */
struct sli_target {
    struct sli_class *class;
    struct sli_shard *shard;
    uint32_t *dims;    /* per slot; 0 = no vector was ever written */
    bool *is_dims_set; /* per slot: this request records them */
    int64_t doc_count; /* objects this request puts, each with a doc id of its own */
    int64_t new_count; /* of those, how many were not there before */
    struct sli_target *next;
};

/* A vector of an item. Its bytes lie in the item's data in the form of struct sl_object. */
struct sli_vec {
    uint32_t slot;
    uint32_t dims;
    uint32_t row_count; /* of a multi-vector; 0 for a single one */
    size_t at, len;
};

/* Which step refused an item: decides the words in front of its sentence. */
enum sli_stage { SLI_AT_ROUTE, SLI_AT_VALIDATE, SLI_AT_STORE };

struct sli_item {
    struct sli_target *target;
    uint8_t uuid[SL_UUID_SIZE];
    int64_t create_ms, update_ms;
    struct sl_buf data; /* owned; vectors and properties */
    size_t properties_at, properties_len;
    struct sli_vec *vecs; /* room for one per slot, ascending by slot */
    uint32_t vec_count;
    bool needs_schema;  /* class or a property is missing */
    bool needs_tenant;  /* the tenant must be made or activated first */
    bool is_superseded; /* a later item of the request has the same UUID and shard */
    enum sli_stage stage;
    sl_rc rc;
    const char *error; /* arena; NULL while rc is SL_OK */
};

/* What a request says about one object; JSON and vectors are borrowed. */
struct sli_input {
    json_t *object;
    struct sl_str class_name, tenant, id; /* empty id: a new one is made */
    const struct sl_db_vector *vectors;   /* as bytes; with them the JSON has none */
    uint32_t vector_count;
};

struct sli_request {
    struct sl_db *db;
    struct sl_arena arena;
    struct sli_target *targets;
    struct sl_kv_batch *batch;
    struct sl_object *object; /* scratch: fields of the object at hand */
    struct sl_buf stored;     /* scratch: its bytes */
    struct sl_buf old;        /* scratch: the stored bytes before this request */
    uint64_t changed_count;   /* objects in `batch` that wait for the commit */
    int64_t now_ms;
    bool has_schema_lock, has_stripes;
    bool checks_references; /* targets of references must exist */
    uint64_t stripes[SLI_STRIPE_COUNT / 64];
};

/* Does not take locks yet. SL_EINVAL when is_write and the database is read-only. */
sl_rc sli_request_init(struct sli_request *req, struct sl_db *db, bool is_write,
                       struct sl_err *err);
void sli_request_fini(struct sli_request *req); /* gives back locks and memory */
void sli_request_lock(struct sli_request *req); /* the schema, shared */
void sli_request_unlock(struct sli_request *req);

/* The class by its name, first letter raised as Weaviate does; NULL when absent. */
struct sli_class *sli_request_class(struct sli_request *req, struct sl_str name);
/* The target of a UUID; sentences of multi-tenancy as sli_shard_route. */
sl_rc sli_request_target(struct sli_request *req, struct sli_class *c, struct sl_str tenant,
                         const uint8_t uuid[SL_UUID_SIZE], struct sli_target **ret,
                         bool *ret_needs_auto, struct sl_err *err);
/* Marks an item as refused; text is copied. Faults of the machine (no memory, no disk) are
 * returned instead, because they end the whole request. */
sl_rc sli_item_refuse(struct sli_request *req, struct sli_item *item, enum sli_stage stage,
                      sl_rc rc, const struct sl_err *cause, struct sl_err *err);
void sli_items_fini(struct sli_item *items, uint32_t count);

/* Locks the stripes of all items that are not refused, ascending, and of dims not recorded yet. */
sl_rc sli_request_lock_stripes(struct sli_request *req, struct sli_item *items, uint32_t count,
                               struct sl_err *err);
/* The stored bytes of an object in req->old, its fields in req->object. SL_ENOTFOUND. */
sl_rc sli_request_read(struct sli_request *req, const struct sli_shard *shard,
                       const uint8_t uuid[SL_UUID_SIZE], struct sl_err *err);
enum sli_must { SLI_MAY_EXIST, SLI_MUST_NOT_EXIST, SLI_MUST_EXIST };
/* Puts all items that are not refused into the kv batch; stripes are held until the commit. Refuses
 * single items (dims, existence). MUST_EXIST keeps the creation time of the old object. */
sl_rc sli_request_store(struct sli_request *req, struct sli_item *items, uint32_t count,
                        enum sli_must must, struct sl_err *err);
/* Adds the removal of an object that is there to the kv batch; stripes are held. */
sl_rc sli_request_remove(struct sli_request *req, const struct sli_shard *shard,
                         const uint8_t uuid[SL_UUID_SIZE], struct sl_err *err);
/* Commits what waits, if anything. Replies are written before, so that running out of memory for
 * one cannot refuse a request that was carried out. */
sl_rc sli_request_commit(struct sli_request *req, struct sl_err *err);
/* Commits, gives all locks back and makes everything durable. */
sl_rc sli_request_finish(struct sli_request *req, struct sl_err *err);
/* Views of an item as the fields of a stored object, in req->object. */
void sli_item_fields(struct sli_request *req, const struct sli_item *item);

/* ---- validate.c: from request JSON to items ---- */

/* Fills items (count, zeroed) from inputs; takes the schema lock and keeps it. Runs auto-schema and
 * tenant making once where an input needs them. Refused inputs are marked in their items. */
sl_rc sli_items_prepare(struct sli_request *req, const struct sli_input *inputs,
                        struct sli_item *items, uint32_t count, struct sl_err *err);
/* class, tenant and id of a request object; empty views where absent. */
struct sli_input sli_input_of(json_t *object);
/* SL_EINVAL with the sentence of a bad id; `where` is "body" or "path". */
sl_rc sli_uuid_check(struct sl_str text, const char *where, uint8_t ret_uuid[SL_UUID_SIZE],
                     struct sl_err *err);

/* ---- values.c: property values ---- */
struct sli_values {
    struct sli_request *req;
    const struct sli_class *class;
    struct sl_str tenant;
    bool needs_schema; /* out: an unknown property was met */
};
/* Appends the stored properties JSON of a request's `properties` (NULL = none). */
sl_rc sli_properties_write(struct sli_values *ctx, json_t *properties, struct sl_buf *out,
                           struct sl_err *err);
const struct sl_db_property *sli_property_find(const struct sl_db_property *list, uint32_t count,
                                               struct sl_str name);
/* Keys of an object in byte order, in the arena; NULL when memory is refused. */
const char **sli_keys_sorted(struct sl_arena *arena, json_t *object, size_t *ret_count);

/* ---- walk.c: objects of a class or tenant in UUID order ---- */
/* SL_END ends the walk early. obj lives until the visit returns; it is req->object. */
typedef sl_rc sli_visit_fn(void *arg, const struct sli_class *c, const struct sl_object *obj,
                           struct sl_err *err);
sl_rc sli_walk(struct sli_request *req, struct sli_class *c, struct sl_str tenant,
               struct sl_str after, sli_visit_fn *visit, void *arg, struct sl_err *err);
/* list.c: limit, offset and cursor of a page, as counts of objects to give and to skip. */
sl_rc sli_page_check(const struct sl_db *db, const struct sl_db_list_opts *opts, uint64_t *ret_left,
                     uint64_t *ret_skip, struct sl_err *err);

/* ---- filter.c: one object against a filter ---- */
struct sli_match;
/* Checks properties, operators and values against the class; everything lives in the arena. */
sl_rc sli_match_new(struct sl_arena *arena, const struct sli_class *c,
                    const struct sl_db_filter *filter, const struct sli_match **ret,
                    struct sl_err *err);
/* scratch: memory of one object's values; the caller empties it between objects. */
sl_rc sli_match_run(const struct sli_match *m, const struct sl_object *obj,
                    struct sl_arena *scratch, bool *ret, struct sl_err *err);
/* The ids outside of which nothing matches, sorted and without repeats; false: any id may. */
bool sli_match_ids(const struct sli_match *m, struct sl_arena *arena,
                   const uint8_t (**ret)[SL_UUID_SIZE], uint32_t *ret_count);

/* ---- gotext.c: Go's words for a JSON value, used in sentences ---- */
void sli_go_value(struct sl_buf *out, json_t *v);   /* %v */
void sli_go_strings(struct sl_buf *out, json_t *v); /* %s of a list */
const char *sli_go_type(const json_t *v);           /* %T */

/* ---- vectors.c: vectors of a request ---- */
sl_rc sli_vectors_write(struct sli_request *req, struct sli_item *item, const struct sli_class *c,
                        const struct sli_input *in, struct sl_err *err);
/* Adds the vectors of a stored object whose slot the item does not fill. SL_EINVAL: no such slot.
 */
sl_rc sli_vectors_keep(struct sli_request *req, struct sli_item *item, const struct sl_object *old,
                       struct sl_err *err);

/* ---- members.c: the top level of stored properties JSON, without parsing it ---- */
struct sli_member {
    struct sl_str name, json; /* views of the text; an empty json removes the member in a merge */
};
struct sli_members {
    struct sli_member *list; /* sorted by name, as stored */
    uint32_t count;
};
sl_rc sli_members_split(struct sl_arena *arena, struct sl_str json, struct sli_members *ret,
                        struct sl_err *err);
struct sl_str sli_members_get(const struct sli_members *m, struct sl_str name);
/* Appends the object of both lists; a name of `over` wins. */
void sli_members_merge(const struct sli_members *under, const struct sli_members *over,
                       struct sl_buf *out);

/* ---- reply.c: stored objects as REST replies ---- */
struct sli_reply_opts {
    bool with_vectors;
    bool with_weights; /* GET replies carry "vectorWeights":null */
};
/* Writes the members of an object that the caller has opened. */
void sli_reply_members(struct sl_json *w, const struct sli_class *c, const struct sl_object *obj,
                       struct sl_str tenant, struct sli_reply_opts opts);
/* A value of a request, keys sorted, numbers as Go prints them. */
void sli_reply_json(struct sl_json *w, struct sl_arena *arena, json_t *v);

/* ---- reference.c: beacons ---- */
struct sli_beacon {
    struct sl_str class_name; /* empty in the old form without class */
    uint8_t uuid[SL_UUID_SIZE];
};
sl_rc sli_beacon_parse(struct sl_str text, struct sli_beacon *ret, struct sl_err *err);
/* "weaviate://localhost/Class/uuid", or without the class when it is not known. */
void sli_beacon_add(struct sl_buf *out, const struct sli_beacon *b);
/* Parses a beacon of property p: fills in the class of a single target and checks that the object
 * exists when the request checks references. */
sl_rc sli_beacon_resolve(struct sli_values *ctx, const struct sl_db_property *p, struct sl_str text,
                         struct sli_beacon *ret, struct sl_err *err);

#endif
