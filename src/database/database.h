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
#include "kv/kv.h"
#include "lsm/storobj.h"

/* Some refusals come from the reference's schema validation, whose replies carry a code of their
 * own. SL_EINVAL then has it in err->sys_errno. */
#define SL_DB_SWAGGER_TYPE     601
#define SL_DB_SWAGGER_REQUIRED 602
#define SL_DB_SWAGGER_ENUM     606

struct sl_db_opts {
    struct sl_clock *clock;   /* borrowed */
    const char *offload_path; /* folder for OFFLOADED tenants; made at the first use */
    bool is_auto_schema;      /* AUTOSCHEMA_ENABLED */
    bool is_read_only;        /* no background work, every write fails with SL_EINVAL */
    uint32_t limit_default;   /* QUERY_DEFAULTS_LIMIT, 10 */
    uint32_t limit_max;       /* QUERY_MAXIMUM_RESULTS, 10000 */
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
sl_rc sl_db_class_update(struct sl_db *db, struct sl_str name, json_t *body, struct sl_buf *out,
                         struct sl_err *err);
sl_rc sl_db_class_delete(struct sl_db *db, struct sl_str name,
                         struct sl_err *err); /* absent: SL_OK */
sl_rc sl_db_property_add(struct sl_db *db, struct sl_str name, json_t *body, struct sl_buf *out,
                         struct sl_err *err);
/* [{"name","status","vectorQueueSize"}] */
sl_rc sl_db_class_shards(struct sl_db *db, struct sl_str name, struct sl_buf *out,
                         struct sl_err *err);

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

/* ---- references ---- */
sl_rc sl_db_reference_add(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_str property, json_t *body, struct sl_err *err);
sl_rc sl_db_reference_put(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_str property, json_t *body, struct sl_err *err);
sl_rc sl_db_reference_delete(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                             struct sl_str property, json_t *body, struct sl_err *err);
sl_rc sl_db_batch_references(struct sl_db *db, json_t *body, struct sl_buf *out,
                             struct sl_err *err);

/* ---- counts for /v1/nodes: of loaded shards, so without tenants that are not HOT ---- */
struct sl_db_counts {
    uint64_t object_count, shard_count;
};
sl_rc sl_db_counts(struct sl_db *db, struct sl_db_counts *ret, struct sl_err *err);
/* [{"class","name","objectCount","loaded", ...}]
 * of one class or (empty name) all. */
sl_rc sl_db_node_shards(struct sl_db *db, struct sl_str class_name, struct sl_buf *out,
                        struct sl_err *err);

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
/* Up to key_max UUIDs that cut the shard into parts of about equal bytes, ascending. */
sl_rc sl_db_view_split(struct sl_db_view *v, uint64_t shard_number, uint32_t key_max,
                       uint8_t (*ret_uuids)[SL_UUID_SIZE], uint32_t *ret_count, struct sl_err *err);
/* Iterator over the stored values of [lo, hi) (hi NULL: to the end); key = partition + uuid. */
sl_rc sl_db_view_scan(struct sl_db_view *v, uint64_t shard_number, const uint8_t *lo,
                      const uint8_t *hi, struct sl_kv_iter **ret, struct sl_err *err);
/* Class names of the live database now, in creation order. */
sl_rc sl_db_classes(struct sl_db *db, struct sl_arena *arena, struct sl_str **ret,
                    uint32_t *ret_count, struct sl_err *err);

#endif
