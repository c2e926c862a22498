/* The schema of foreign data: classes, their shards and the states of tenants, wherever it is kept.
 *
 * Weaviate keeps it in its Raft store (snapshot and log below raft/), before 1.25 in schema.db, and
 * in the descriptors of a backup. Where all are missing, folder names must do. Everything lives in
 * the arena of the schema. @threads any, once loaded. Source: FORMAT.md of this folder. */
#ifndef SL_SOURCE_SCHEMA_H
#define SL_SOURCE_SCHEMA_H

#include "base/arena.h"
#include "base/str.h"
#include "database/database.h" /* enum sl_tenant_status */

struct sl_schema_shard {
    struct sl_str name; /* exact; tenant name for multi-tenant classes */
    enum sl_tenant_status status;
    struct sl_str *nodes; /* it belongs to; may be empty (old or unknown) */
    uint32_t node_count;
};
struct sl_schema_class {
    struct sl_str name; /* exact case; with namespaces `namespace:Class` */
    bool is_multi_tenant;
    struct sl_str json;             /* models.Class JSON as stored; empty when only folders tell */
    struct sl_schema_shard *shards; /* by name bytes */
    uint32_t shard_count;
};
enum sl_schema_origin {
    SL_SCHEMA_RAFT,
    SL_SCHEMA_DB,     /* schema.db of servers before 1.25 */
    SL_SCHEMA_BACKUP, /* descriptors of a backup */
    SL_SCHEMA_FOLDERS /* none: guessed from folder names, class names still lower-case */
};
struct sl_schema {
    struct sl_arena arena;
    enum sl_schema_origin origin;
    struct sl_schema_class *classes; /* by name bytes */
    uint32_t class_count;
    struct sl_str node_name; /* of the directory's own node; empty when unknown */
    struct sl_str *warnings; /* sentences for people: gap in the log, snapshot refused, ... */
    uint32_t warning_count, warning_cap;
    uint64_t raft_index;    /* last entry applied, 0 without raft */
    struct sl_str snapshot; /* name of the Raft snapshot used; empty: none */
};

/* Of a data directory: raft, else schema.db, else folder names. The directory may belong to a
 * running server; nothing is written and no lock is taken. SL_EINVAL: not a Weaviate data
 * directory. */
sl_rc sl_schema_load(const char *data_path, struct sl_schema *ret, struct sl_err *err);
void sl_schema_fini(struct sl_schema *s);
/* The class of this exact name, or NULL. */
const struct sl_schema_class *sl_schema_class(const struct sl_schema *s, struct sl_str name);
/* Does a server hold the directory (flock on raft.db or schema.db)? */
sl_rc sl_schema_is_running(const char *data_path, bool *ret, struct sl_err *err);

#endif
