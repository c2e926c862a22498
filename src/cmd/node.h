/* A node's parts in their order of life: kv -> database -> source -> exports.
 *
 * One place divides memory_max and opens and closes the parts, for the server (sluiced) and for an
 * export without a server (sluice export), which opens the same folder read-only. A server beside
 * Weaviate has no database: its source reads the foreign data, and kv holds the export journal. */
#ifndef SL_CMD_NODE_H
#define SL_CMD_NODE_H

#include "base/cancel.h"
#include "config/config.h"
#include "database/database.h"
#include "export/export.h"
#include "source/mirror.h"
#include "source/weaviate.h"

/* memory_max divided once, at start; the parts are logged. No part grows with the data. */
struct sli_memory {
    uint64_t kv_bytes;     /* block cache and memtables; or windows and log keys of foreign data */
    uint64_t body_bytes;   /* request bodies together */
    uint64_t export_bytes; /* row groups and parts of the running export */
};
struct sli_memory sli_memory_divide(uint64_t memory_max);

struct sli_node {
    struct sl_file *lock; /* <data>/LOCK, held while the folder is open for writing */
    struct sl_kv *kv;
    struct sl_backend *offload;      /* of the database: where OFFLOADED tenants live */
    struct sl_cancel offload_cancel; /* while offload is open */
    struct sl_db *db;                /* NULL: the source reads foreign data */
    struct sl_source *source;
    enum sl_source_kind kind;
    const char *foreign_path;       /* of the configuration; NULL: our own database */
    struct sl_buf spool_path;       /* lent to the source */
    struct sl_mirror *mirror;       /* of a backup in an object store; lent to the source */
    struct sl_cancel mirror_cancel; /* while mirror is open for a server */
    struct sl_ticker *ticker;
    struct sl_exports *exports;
};

/* Opens everything of the data folder for a server: locks it (SL_ECONFLICT: another process has
 * it), makes it when absent, recovers what a killed process left. Half-opened parts are closed
 * again. */
sl_rc sli_node_open(const struct sl_config *config, struct sl_str node_name, struct sli_node *ret,
                    struct sl_err *err);
/* Opens a data folder that no process uses, read-only: nothing is written below it. config is
 * borrowed: what object stores need; so is interrupt, see sl_exports_opts. */
sl_rc sli_node_open_read_only(const char *data_path, const struct sl_config *config,
                              uint64_t memory_max, struct sl_cancel *interrupt,
                              struct sli_node *ret, struct sl_err *err);
/* SLUICE_SOURCE: sluice, weaviate:FOLDER, backup:FOLDER or backup:STORE/NAME, a place as
 * s3://bucket/prefix/name; NULL for our own. */
sl_rc sli_source_parse(const char *text, enum sl_source_kind *ret_kind, const char **ret_path,
                       struct sl_err *err);
/* Nothing is written into foreign data: SL_EINVAL, naming both, when one of `path` (what it is for:
 * a setting) and foreign_path lies within the other, links resolved. */
sl_rc sli_check_apart(const char *setting, const char *path, const char *foreign_path,
                      struct sl_err *err);
/* Is inner the folder outer or below it? Links resolved. */
sl_rc sli_path_is_within(const char *inner, const char *outer, bool *ret, struct sl_err *err);
/* Of a server: takes no new export, ends the running one, and reads no more of a store. */
void sli_node_stop(struct sli_node *node);
/* rc as it is; of a failure the sentence begins with the setting. */
static inline sl_rc sli_named(const char *setting, sl_rc rc, struct sl_err *err)
{
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", setting);
    }
    return rc;
}
void sli_node_close(struct sli_node *node); /* in reverse order; zeroed node is fine */
/* As many open files as the system lets us: connections and the store's files share the limit, the
 * files of a running Weaviate are held open all at once, and the soft value is often just 1024. */
void sli_raise_file_limit(void);

#endif
