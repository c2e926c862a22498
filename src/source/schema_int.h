/* Inside of the schema: JSON text in place, classes as they grow entry by entry, and the places a
 * schema is kept. */
#ifndef SL_SOURCE_SCHEMA_INT_H
#define SL_SOURCE_SCHEMA_INT_H

#include "base/buf.h"
#include "lsm/bolt.h"
#include "source/schema.h"

/* A refused table of a hash marks the element instead of ending the process. */
#define HASH_NONFATAL_OOM            1
#define uthash_malloc(size)          sl_alloc(size)
#define uthash_free(ptr, size)       sl_free(ptr)
#define uthash_nonfatal_oom(element) ((element)->is_unhashed = true)
#include <uthash.h>

#include "base/json_text.h"

/* ---- classes.c: classes while they are put together ---- */

/* What a node was asked to do with a tenant's files, and whether it has. */
struct sli_task {
    struct sl_str node;
    uint32_t op;          /* SLI_OP_* */
    struct sl_str status; /* wanted (START, DONE) or kept (ABORT) */
};
enum { SLI_OP_START = 1, SLI_OP_DONE = 2, SLI_OP_ABORT = 3 };
enum { SLI_FREEZING, SLI_UNFREEZING, SLI_MOVES };
struct sli_class_shard {
    struct sl_schema_shard pub;
    struct sli_tasks {
        struct sli_task *list;
        uint32_t count;
    } tasks[SLI_MOVES];
    bool is_unhashed; /* memory was refused */
    UT_hash_handle hh;
};
struct sli_class {
    struct sl_schema_class pub;     /* shards: set by finish */
    struct sl_str key;              /* lower-cased name: names that differ only in case clash */
    uint32_t factor;                /* of replication */
    struct sli_class_shard *shards; /* hash by name */
    bool is_unhashed;
    UT_hash_handle hh;
};
struct sli_classes {
    struct sl_schema *out;  /* borrowed; everything lives in its arena */
    struct sli_class *list; /* hash by key */
};
void sli_classes_fini(struct sli_classes *c);
/* NULL: none. The case of the name counts only with is_exact. */
struct sli_class *sli_classes_find(struct sli_classes *c, struct sl_str name, bool is_exact);
struct sli_class_shard *sli_classes_find_shard(const struct sli_class *c, struct sl_str name);
/* A class from its two JSON texts. is_new: ignored when it is there already; otherwise: when it is
 * not, and `sharding` may be null for the shards it had. SL_ECORRUPT: not JSON, or a name no server
 * would store. */
sl_rc sli_classes_put(struct sli_classes *c, struct sl_bytes json, struct sl_bytes sharding,
                      bool is_new, struct sl_err *err);
/* Adds a shard or replaces it. physical: its JSON, or empty. */
sl_rc sli_class_put_shard(struct sli_classes *c, struct sli_class *class, struct sl_str name,
                          struct sl_bytes physical, struct sli_class_shard **ret,
                          struct sl_err *err);
void sli_classes_remove(struct sli_classes *c, struct sli_class *class);
void sli_class_remove_shard(struct sli_class *class, struct sl_str name);
/* Replaces the property of the same name in the class's JSON, or adds it. */
sl_rc sli_class_put_property(struct sli_classes *c, struct sli_class *class,
                             struct sl_bytes property, struct sl_err *err);
/* The words of requests and of the store; empty is HOT. SL_ECORRUPT: none of them. */
sl_rc sli_status_parse(struct sl_str word, enum sl_tenant_status *ret, struct sl_err *err);
/* From the hashes to sorted arrays. */
sl_rc sli_classes_finish(struct sli_classes *c, struct sl_err *err);

/* ---- apply.c ---- */

/* A command of the Raft log, protobuf. Unknown ones are ignored, as servers do. */
sl_rc sli_classes_apply(struct sli_classes *c, struct sl_bytes command, struct sl_err *err);

/* ---- the places ---- */

/* All fill an empty schema. SL_ENOTFOUND: there is none here, or it holds nothing. SL_ECORRUPT: it
 * is damaged or has a gap. */
sl_rc sli_raft_load(const char *data_path, struct sl_schema *ret, struct sl_err *err);
sl_rc sli_schema_db_load(const char *data_path, struct sl_schema *ret, struct sl_err *err);
sl_rc sli_folders_load(const char *data_path, struct sl_schema *ret, struct sl_err *err);
/* What lies on disk and is not in the schema becomes a warning; whose node this is is found out. */
sl_rc sli_folders_compare(const char *data_path, struct sl_schema *s, struct sl_err *err);

/* Calls fn with the newest transaction of a bolt file, again when a server made a newer one
 * meanwhile; what fn returned last counts. SL_ENOTFOUND: no such file. */
typedef sl_rc sli_bolt_fn(void *arg, struct sl_bolt *b, struct sl_err *err);
sl_rc sli_bolt_read(const char *path, sli_bolt_fn *fn, void *arg, struct sl_err *err);

/* Adds a sentence for people. */
sl_rc sli_schema_warn(struct sl_schema *s, struct sl_err *err, const char *fmt, ...)
    SL_PRINTF(3, 4);

#endif
