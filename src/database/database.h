/* The embedded collection database: classes, tenants, objects over the kv seam.
 *
 * Speaks JSON: requests come as jansson values, replies leave as exact JSON text (Go's form) in a
 * caller's buffer, and failures carry the sentences of Weaviate's REST API, so REST and gRPC share
 * one behaviour. A write call returns only after what it wrote is durable (one sync per request,
 * shared by concurrent requests). Reads see every acknowledged write.
 *
 * All calls: @threads any. Lock order: schema lock (rwlock) -> object stripes -> kv.
 * Writers of objects hold the schema lock shared for the duration of one request, schema changes
 * hold it alone. Errors: SL_EINVAL (422), SL_ENOTFOUND (404), SL_ECONFLICT, SL_EREFUSED (500:
 * vector does not fit the index), plus those of kv. Source: docs of Weaviate's REST API 1.37-1.39.
 */
#ifndef SL_DATABASE_DATABASE_H
#define SL_DATABASE_DATABASE_H

#include <jansson.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "kv/kv.h"
#include "lsm/storobj.h"

/* Some refusals come from the reference's schema validation, whose replies carry a code of their
 * own. SL_EINVAL then has it in err->sys_errno. */
#define SL_DB_SWAGGER_TYPE     601
#define SL_DB_SWAGGER_REQUIRED 602
#define SL_DB_SWAGGER_ENUM     606

struct sl_backend;
struct sl_db_opts {
    struct sl_clock *clock;     /* borrowed */
    struct sl_backend *offload; /* borrowed: where OFFLOADED tenants live; NULL: none ever is */
    /* A tenant did not move to or from there; it is tried again. On the mover's thread; may be
     * NULL. */
    void (*offload_failed)(void *arg, struct sl_str class_name, struct sl_str tenant, sl_rc rc,
                           const struct sl_err *err);
    void *offload_arg;
    bool is_auto_schema;    /* AUTOSCHEMA_ENABLED */
    bool is_read_only;      /* no background work, every write fails with SL_EINVAL */
    uint32_t limit_default; /* QUERY_DEFAULTS_LIMIT, 10 */
    uint32_t limit_max;     /* QUERY_MAXIMUM_RESULTS, 10000 */
};

struct sl_db;
/* Loads the catalog and starts the one background thread that moves tenants to and from offload
 * (also finishing moves a killed process left). kv is borrowed and outlives the database. */
sl_rc sl_db_open(struct sl_kv *kv, const struct sl_db_opts *opts, struct sl_db **ret,
                 struct sl_err *err);
void sl_db_close(struct sl_db *db); /* waits for background work at its next safe point */
SL_DEFINE_FREEP(sl_db, sl_db_close)

/* ---- classes (collection.c, catalog.c) ---- */
/* out: the complete class JSON with all defaults. */
sl_rc sl_db_class_create(struct sl_db *db, json_t *body, struct sl_buf *out, struct sl_err *err);
sl_rc sl_db_class_get(struct sl_db *db, struct sl_str name, struct sl_buf *out, struct sl_err *err);
sl_rc sl_db_class_list(struct sl_db *db, struct sl_buf *out,
                       struct sl_err *err); /* {"classes":[...]} */
/* body loses its shardingConfig: a class keeps its own. */
sl_rc sl_db_class_update(struct sl_db *db, struct sl_str name, json_t *body, struct sl_buf *out,
                         struct sl_err *err);
sl_rc sl_db_class_delete(struct sl_db *db, struct sl_str name,
                         struct sl_err *err); /* absent: SL_OK */
sl_rc sl_db_property_add(struct sl_db *db, struct sl_str name, json_t *body, struct sl_buf *out,
                         struct sl_err *err);
/* [{"name","status","vectorQueueSize"}] */
sl_rc sl_db_class_shards(struct sl_db *db, struct sl_str name, struct sl_buf *out,
                         struct sl_err *err);

/* Properties of a class, as its descriptor has them. */
enum sl_db_type {
    SL_DB_TEXT,
    SL_DB_INT,
    SL_DB_NUMBER,
    SL_DB_BOOLEAN,
    SL_DB_DATE,
    SL_DB_UUID,
    SL_DB_BLOB,
    SL_DB_GEO,
    SL_DB_PHONE,
    SL_DB_OBJECT,
    SL_DB_REFERENCE,
};
/* How filters see a text: as words of letters and digits in lower case, as what blanks divide in
 * lower case or as it is, or as a whole. */
enum sl_db_tokens { SL_DB_WORD, SL_DB_LOWERCASE, SL_DB_WHITESPACE, SL_DB_FIELD };
struct sl_db_property {
    struct sl_str name;
    enum sl_db_type type;
    bool is_array;                 /* text[] ...; references are always lists */
    enum sl_db_tokens tokens;      /* SL_DB_TEXT */
    struct sl_str type_name;       /* "text[]" as in the schema, for error texts */
    struct sl_db_property *nested; /* SL_DB_OBJECT: nested_count properties */
    uint32_t nested_count;
    struct sl_str *targets; /* SL_DB_REFERENCE: target class names */
    uint32_t target_count;
};

/* ---- tenants (tenant.c) ---- body: array of {"name","activityStatus"?}; delete: array of names */
sl_rc sl_db_tenants_add(struct sl_db *db, struct sl_str class_name, json_t *body,
                        struct sl_buf *out, struct sl_err *err);
sl_rc sl_db_tenants_update(struct sl_db *db, struct sl_str class_name, json_t *body,
                           struct sl_buf *out, struct sl_err *err);
sl_rc sl_db_tenants_delete(struct sl_db *db, struct sl_str class_name, json_t *body,
                           struct sl_err *err);
sl_rc sl_db_tenants_list(struct sl_db *db, struct sl_str class_name, struct sl_buf *out,
                         struct sl_err *err);
sl_rc sl_db_tenant_get(struct sl_db *db, struct sl_str class_name, struct sl_str tenant,
                       struct sl_buf *out, struct sl_err *err);

/* ---- objects (object.c, validate.c, reply.c, reference.c) ----
 * tenant is empty for classes without multi-tenancy. Reply JSON is the REST form of an object
 * (keys class, creationTimeUnix, id, lastUpdateTimeUnix, properties, tenant?, vector?, vectors?).
 */
struct sl_db_where {
    struct sl_str class_name;
    struct sl_str tenant;
};
sl_rc sl_db_object_add(struct sl_db *db, json_t *object, struct sl_buf *out, struct sl_err *err);
/* replace: SL_ENOTFOUND when absent. */
sl_rc sl_db_object_put(struct sl_db *db, struct sl_db_where where, struct sl_str id, json_t *object,
                       struct sl_buf *out, struct sl_err *err);
sl_rc sl_db_object_patch(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                         json_t *object, struct sl_err *err);
sl_rc sl_db_object_delete(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_err *err);
sl_rc sl_db_object_exists(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_err *err); /* SL_OK or SL_ENOTFOUND */
struct sl_db_read_opts {
    bool with_vector; /* include=vector */
};
sl_rc sl_db_object_get(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                       struct sl_db_read_opts opts, struct sl_buf *out, struct sl_err *err);
struct sl_db_list_opts {
    struct sl_db_where where; /* class_name may be empty: all classes (limit and offset only) */
    int64_t limit;            /* -1 = default */
    int64_t offset;           /* >= 0 */
    struct sl_str after;      /* UUID text; empty = from the start */
    bool has_after;           /* after given, even empty: cursor API (needs class and limit) */
    bool with_vector;
};
/* {"deprecations":[],"objects":[...],"totalResults":N} */
sl_rc sl_db_object_list(struct sl_db *db, const struct sl_db_list_opts *opts, struct sl_buf *out,
                        struct sl_err *err);
/* {"objects":[...]} -> array of objects each with "result":{"status","errors"?}; one sync. */
sl_rc sl_db_batch_objects(struct sl_db *db, json_t *body, struct sl_buf *out, struct sl_err *err);
/* The same for callers that hold vectors as bytes (gRPC). A vector is little-endian float32; a
 * multi-vector has its dimensions as uint16 before the rows. Without a name it is the plain
 * `vector`. All views are borrowed for the call. */
struct sl_db_vector {
    struct sl_str name;
    struct sl_bytes bytes;
    bool is_multi;
};
struct sl_db_batch_object {
    json_t *object; /* class, id?, tenant?, properties */
    const struct sl_db_vector *vectors;
    uint32_t vector_count;
};
/* errors: one slot per object. An object whose slot is filled is left alone; of the others the
 * slots of those that were refused are filled, from the arena. NULL: stored, and durable. */
sl_rc sl_db_batch_store(struct sl_db *db, const struct sl_db_batch_object *objects, uint32_t count,
                        struct sl_arena *arena, const char **errors, struct sl_err *err);

/* ---- reading by filter (search.c, filter.c) ----
 * Without an index: a filter is tried on every object of the collection or tenant, except that one
 * that allows only certain ids reads those. */
enum sl_db_op {
    SL_DB_AND, /* of all children */
    SL_DB_OR,  /* of any child */
    SL_DB_NOT, /* of the one child */
    SL_DB_EQUAL,
    SL_DB_NOT_EQUAL,
    SL_DB_GREATER,
    SL_DB_GREATER_EQUAL,
    SL_DB_LESS,
    SL_DB_LESS_EQUAL,
    SL_DB_LIKE, /* '*' any text, '?' one character */
    SL_DB_IS_NULL,
    SL_DB_CONTAINS_ANY,
    SL_DB_CONTAINS_ALL,
    SL_DB_CONTAINS_NONE,
};
enum sl_db_value_kind { SL_DB_VALUE_TEXT, SL_DB_VALUE_NUMBER, SL_DB_VALUE_BOOLEAN };
struct sl_db_value {
    enum sl_db_value_kind kind;
    struct sl_str text;
    double number;
    bool boolean;
};
struct sl_db_filter {
    enum sl_db_op op;
    const struct sl_db_filter *children; /* AND, OR, NOT */
    uint32_t child_count;
    struct sl_str property; /* or _id, _creationTimeUnix, _lastUpdateTimeUnix */
    const struct sl_db_value *values;
    uint32_t value_count; /* 1, but for CONTAINS_... */
};
struct sl_db_query {
    struct sl_db_where where;
    const struct sl_db_filter *filter; /* NULL: all */
    char **names;                      /* properties that the class must have */
    size_t name_count;
    int64_t limit; /* -1 = default, INT64_MAX = no limit (deleting) */
    int64_t offset;
    struct sl_str after; /* UUID text; empty = from the start */
    bool has_after;
};
/* One object found: views that live until the call returns. */
struct sl_db_found {
    struct sl_str class_name;
    const struct sl_db_property *properties;
    uint32_t property_count;
    const struct sl_object *object;
};
typedef sl_rc sl_db_found_fn(void *arg, const struct sl_db_found *found, struct sl_err *err);
/* Calls found for each object, in UUID order (of given ids too). SL_EINVAL: class, tenant, property
 * or filter is not right. found runs under the schema lock: it must not call the database. */
sl_rc sl_db_search(struct sl_db *db, const struct sl_db_query *query, sl_db_found_fn *found,
                   void *arg, struct sl_err *err);
struct sl_db_deleted {
    uint64_t matches, successful;
    uint8_t (*uuids)[SL_UUID_SIZE]; /* with_uuids: of all matches, in the arena */
};
/* Removes what the filter finds, durably; is_dry_run only counts. */
sl_rc sl_db_delete_where(struct sl_db *db, struct sl_db_where where,
                         const struct sl_db_filter *filter, bool is_dry_run, bool with_uuids,
                         struct sl_arena *arena, struct sl_db_deleted *ret, struct sl_err *err);
/* How many objects the filter finds. */
sl_rc sl_db_count_where(struct sl_db *db, struct sl_db_where where,
                        const struct sl_db_filter *filter, uint64_t *ret, struct sl_err *err);

/* ---- references ---- */
sl_rc sl_db_reference_add(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_str property, json_t *body, struct sl_err *err);
sl_rc sl_db_reference_put(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_str property, json_t *body, struct sl_err *err);
sl_rc sl_db_reference_delete(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                             struct sl_str property, json_t *body, struct sl_err *err);
sl_rc sl_db_batch_references(struct sl_db *db, json_t *body, struct sl_buf *out,
                             struct sl_err *err);

/* Objects of a class, or of one of its tenants. */
sl_rc sl_db_count(struct sl_db *db, struct sl_db_where where, uint64_t *ret, struct sl_err *err);

/* ---- counts for /v1/nodes: of loaded shards, so without tenants that are not HOT ---- */
struct sl_db_counts {
    uint64_t object_count, shard_count;
};
sl_rc sl_db_counts(struct sl_db *db, struct sl_db_counts *ret, struct sl_err *err);
/* [{"class","name","objectCount","loaded", ...}]
 * of one class or (empty name) all. */
sl_rc sl_db_node_shards(struct sl_db *db, struct sl_str class_name, struct sl_buf *out,
                        struct sl_err *err);

/* ---- shapes of replies, for data that is not ours too ---- */
void sl_db_shard_json(struct sl_json *w, struct sl_str name); /* of class_shards */
void sl_db_node_shard_json(struct sl_json *w, struct sl_str class_name, struct sl_str name,
                           uint64_t object_count); /* of node_shards */

/* ---- bulk writing for benchmarks and importers: stored objects as they are ----
 * Puts `count` stored objects (uuid, times, vectors, properties JSON as given; doc ids assigned
 * here) into a HOT shard without validation of properties. Durable when sync is true. */
sl_rc sl_db_put_stored(struct sl_db *db, struct sl_db_where where, struct sl_object *objects,
                       uint32_t count, bool sync, struct sl_err *err);

/* ---- frozen views (snapshot.c), read by source/live.c ---- */
struct sl_db_view; /* catalog and objects of one instant */
sl_rc sl_db_freeze(struct sl_db *db, struct sl_str name, struct sl_db_view **ret,
                   struct sl_err *err);
sl_rc sl_db_freeze_drop(struct sl_db *db, struct sl_str name,
                        struct sl_err *err); /* absent: SL_OK */
void sl_db_view_release(struct sl_db_view *v, bool drop);
/* Class names in creation order; live as long as the view. */
sl_rc sl_db_view_classes(struct sl_db_view *v, struct sl_arena *arena, struct sl_str **ret,
                         uint32_t *ret_count, struct sl_err *err);
enum sl_tenant_status { SL_HOT, SL_COLD, SL_FROZEN, SL_FREEZING, SL_UNFREEZING };
const char *sl_tenant_status_name(enum sl_tenant_status s); /* "HOT", ... */
/* By name or alias ("ACTIVE"). false: it is none. */
bool sl_tenant_status_parse(struct sl_str word, enum sl_tenant_status *ret);
void sl_db_tenant_json(struct sl_json *w, struct sl_str name, enum sl_tenant_status status);
struct sl_db_shard {
    struct sl_str name;
    uint64_t number; /* key of its partition */
    enum sl_tenant_status status;
    bool is_never_opened;  /* created COLD and never active: "tenant has no data on disk" */
    uint64_t object_count; /* exact */
};
sl_rc sl_db_view_shards(struct sl_db_view *v, struct sl_str class_name, bool *ret_is_multi_tenant,
                        struct sl_arena *arena, struct sl_db_shard **ret, uint32_t *ret_count,
                        struct sl_err *err);
/* Complete class JSON (the form of GET) of the view, in the arena. SL_ENOTFOUND. */
sl_rc sl_db_view_class(struct sl_db_view *v, struct sl_str name, struct sl_arena *arena,
                       struct sl_str *ret, struct sl_err *err);
/* Up to key_max UUIDs that cut the shard into parts of about equal bytes, ascending. */
sl_rc sl_db_view_split(struct sl_db_view *v, uint64_t shard_number, uint32_t key_max,
                       uint8_t (*ret_uuids)[SL_UUID_SIZE], uint32_t *ret_count, struct sl_err *err);
/* Iterator over the stored values of [lo, hi) (hi NULL: to the end); key = partition + uuid. */
sl_rc sl_db_view_scan(struct sl_db_view *v, uint64_t shard_number, const uint8_t *lo,
                      const uint8_t *hi, struct sl_kv_iter **ret, struct sl_err *err);
bool sl_db_has_class(struct sl_db *db, struct sl_str name); /* under either first letter */
/* Class names of the live database now, in creation order. */
sl_rc sl_db_classes(struct sl_db *db, struct sl_arena *arena, struct sl_str **ret,
                    uint32_t *ret_count, struct sl_err *err);

#endif
