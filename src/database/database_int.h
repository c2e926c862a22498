/* Inside of the database folder: the in-memory catalog that collection.c fills and object.c reads.
 *
 * The kv holds the truth: one record per class (its complete JSON) and one per shard. The structs
 * here are that truth parsed once, so that validating an object never touches JSON of the schema.
 * Everything below is protected by db->schema_lock: shared to read, alone to change. Descriptors
 * are freed only under the write lock; a request that holds the read lock may keep pointers to
 * them. */
#ifndef SL_DATABASE_DATABASE_INT_H
#define SL_DATABASE_DATABASE_INT_H

#include <uthash.h>

#include "base/sync.h"
#include "database/database.h"
#include "database/phone.h"

/* ---- keys.c: the one home of the key layout ----
 * m|0            | name                -> counters and format version (8 bytes LE)
 * c|class no     | 0                   -> class record: JSON text as sl_db_class_get replies
 * c|class no     | 1 | shard name      -> shard record (struct below, fixed bytes)
 * s|shard no     | 0 | 'n'             -> object count (8 bytes LE, SL_KV_ADD)
 * s|shard no     | 0 | 'd'             -> doc ids handed out (8 bytes LE, SL_KV_ADD)
 * s|shard no     | 0 | 'v' | name      -> dims of a vector (4 bytes LE); name empty = unnamed
 * vector s|shard no     | 1 | uuid            -> stored object j|0            | id -> export
 * journal (written by export/, kept out of this folder) Partition = first 9 bytes: kind and number
 * (u64 BE). */
#define SLI_KEY_SIZE_MAX 300
struct sli_key {
    uint8_t bytes[SLI_KEY_SIZE_MAX];
    size_t len;
};
static inline struct sl_bytes sli_key_view(const struct sli_key *k)
{
    return (struct sl_bytes){k->bytes, k->len};
}
struct sli_key sli_key_meta(const char *name);
struct sli_key sli_key_class(uint64_t class_no);
struct sli_key sli_key_shard(uint64_t class_no, struct sl_str shard_name);
struct sli_key sli_key_count(uint64_t shard_no);
struct sli_key sli_key_docs(uint64_t shard_no);
struct sli_key sli_key_dims(uint64_t shard_no, struct sl_str vector_name);
struct sli_key sli_key_object(uint64_t shard_no, const uint8_t uuid[SL_UUID_SIZE]);
/* A key of the catalog taken apart: a class record, or a shard record with its name (a view). */
struct sli_catalog_key {
    uint64_t class_no;
    bool is_shard;
    struct sl_str shard_name;
};
sl_rc sli_key_catalog_read(struct sl_bytes key, struct sli_catalog_key *ret, struct sl_err *err);
/* [lo, hi) of all class and shard records; of one class; of one shard's everything / objects. */
struct sli_span {
    struct sli_key lo, hi;
};
struct sli_span sli_span_catalog(void);
struct sli_span sli_span_class(uint64_t class_no);
struct sli_span sli_span_shard(uint64_t shard_no);
struct sli_span sli_span_objects(uint64_t shard_no);

struct sli_vector {
    struct sl_str name;
    bool is_multi; /* vectorIndexConfig.multivector.enabled */
};
struct sli_shard {
    struct sl_str name;
    uint64_t number;
    enum sl_tenant_status status;
    enum sl_tenant_status target; /* while UNFREEZING: what it becomes */
    bool is_never_opened;
    _Atomic uint64_t next_doc; /* docs handed out so far; loaded at open */
    UT_hash_handle hh;         /* by name */
};
struct sli_class {
    struct sl_arena arena; /* owns the strings and arrays of this descriptor, not shards */
    struct sl_str name;
    uint64_t number;    /* ascends with creation */
    struct sl_str json; /* complete class JSON, alphabetical keys (GET form) */
    bool is_multi_tenant, auto_tenant_creation, auto_tenant_activation;
    bool has_legacy_vector;     /* top-level vectorIndexConfig: the unnamed vector is allowed */
    struct sli_vector *vectors; /* vectorConfig entries, sorted by name */
    uint32_t vector_count;
    struct sl_db_property *properties;
    uint32_t property_count;
    struct sli_shard *shards; /* uthash by name */
    struct sli_shard **ring;  /* classes without tenants: shard_count shards by name */
    uint32_t shard_count;
    UT_hash_handle hh; /* by lower-cased name: names differing only in case clash */
    char *name_lower;
};

#define SLI_STRIPE_COUNT \
    4096 /* object locks by UUID: enough that 1000-object batches rarely wait */

struct sl_db {
    struct sl_kv *kv;
    struct sl_db_opts opts;
    struct sl_rwlock schema_lock;
    struct sli_class *classes; /* under schema_lock */
    uint64_t next_class_no, next_shard_no;
    struct sl_mutex stripes[SLI_STRIPE_COUNT];
    struct sli_offload *offload; /* background mover; offload.c */
};

/* catalog.c: descriptors <-> kv records. */
sl_rc sli_catalog_load(struct sl_db *db, struct sl_err *err);
void sli_catalog_free(struct sl_db *db);
struct sli_class *sli_class_find(struct sl_db *db, struct sl_str name); /* exact; NULL absent */
struct sli_class *sli_class_find_fold(struct sl_db *db, struct sl_str name); /* any case */
struct sli_shard *sli_shard_find(struct sli_class *c, struct sl_str name);
/* Parses a complete class JSON into a new descriptor (no shards). */
sl_rc sli_class_parse(struct sl_str json, struct sli_class **ret, struct sl_err *err);
void sli_class_free(struct sli_class *c);
void sli_shard_record(const struct sli_shard *s, struct sl_buf *out);
sl_rc sli_shard_parse(struct sl_bytes record, struct sli_shard *ret, struct sl_err *err);

bool sli_type_parse(struct sl_str name, enum sl_db_type *ret_type, bool *ret_is_array);
/* Adds a shard to the descriptor; number, status, target, is_never_opened come from `from`. */
sl_rc sli_shard_add(struct sli_class *c, struct sl_str name, const struct sli_shard *from,
                    struct sli_shard **ret, struct sl_err *err);
sl_rc sli_class_build_ring(struct sli_class *c, struct sl_err *err);
/* An 8-byte counter of kv, live (v NULL) or in a view; 0 when absent. */
sl_rc sli_counter_read(struct sl_kv *kv, struct sl_kv_view *v, struct sli_key key, uint64_t *ret,
                       struct sl_err *err);
/* Puts the next class and shard numbers into a batch: numbers are never used twice. */
void sli_catalog_counters(struct sl_db *db, struct sl_kv_batch *batch);
/* Erases everything of a shard: objects, counters, dims. */
void sli_shard_erase(uint64_t shard_no, struct sl_kv_batch *batch);
/* Adds the shard's record to the batch and commits it. */
sl_rc sli_shard_put(struct sl_db *db, const struct sli_class *c, const struct sli_shard *s,
                    struct sl_kv_batch *batch, struct sl_err *err);
sl_rc sli_check_writable(const struct sl_db *db, struct sl_err *err); /* database.c */
sl_rc sli_class_missing(struct sl_str name, struct sl_err *err);      /* SL_ENOTFOUND */

/* class_json.c: one property of a request -> complete; several into a class. */
bool sli_property_listed(json_t *list, const char *name); /* in any case */
sl_rc sli_property_complete(json_t *given, uint32_t depth, json_t **ret, struct sl_err *err);
sl_rc sli_properties_add_locked(struct sl_db *db, struct sli_class *c, json_t *properties,
                                struct sl_err *err);
sl_rc sli_json_text(json_t *doc, struct sl_buf *out, struct sl_err *err);

/* class_json.c: request body -> complete class JSON (alphabetical). Used by create, update,
 * auto-schema. */
sl_rc sli_class_complete(json_t *body, bool is_update, json_t **ret, struct sl_err *err);
/* Creates the class; schema_lock held alone. */
sl_rc sli_class_create_locked(struct sl_db *db, json_t *complete, struct sli_class **ret,
                              struct sl_err *err);
/* Auto-schema (auto_schema.c): makes the classes and properties missing for these inputs. Takes
 * schema_lock itself; call without it. */
struct sli_input; /* object_int.h */
sl_rc sli_auto_schema(struct sl_db *db, const struct sli_input *inputs, uint32_t count,
                      struct sl_err *err);

/* tenant.c: the shard an object goes to or is read from, by the rules of multi-tenancy; schema_lock
 * held shared. SL_EINVAL with Weaviate's sentence when tenant is missing, unknown, not active or
 * given for a class without tenants; SL_ENOTFOUND never. SLI_NEEDS_TENANT in *ret_needs when auto
 * creation or activation must run first (caller drops the lock, calls sli_tenant_auto, retries). */
sl_rc sli_shard_route(struct sl_db *db, struct sli_class *c, struct sl_str tenant,
                      const uint8_t uuid[SL_UUID_SIZE], bool is_write, struct sli_shard **ret,
                      bool *ret_needs_auto, struct sl_err *err);
sl_rc sli_tenant_auto(struct sl_db *db, struct sl_str class_name, struct sl_str tenant,
                      struct sl_err *err);

/* offload.c: OFFLOADED tenants live in one checksummed file each. */
sl_rc sli_offload_start(struct sl_db *db, struct sl_err *err);
void sli_offload_stop(struct sl_db *db);
void sli_offload_wake(struct sl_db *db); /* a tenant became FREEZING or UNFREEZING */
/* The file of a tenant that is deleted goes, too, later and as far as it may. */
void sli_offload_forget(struct sl_db *db, const struct sli_class *c, const struct sli_shard *s);

#endif
