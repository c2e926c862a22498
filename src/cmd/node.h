/* A node's parts in their order of life: kv -> database -> source -> exports.
 *
 * One place divides memory_max and opens and closes the parts, for the server (sluiced) and for an
 * export without a server (sluice export), which opens the same folder read-only. */
#ifndef SL_CMD_NODE_H
#define SL_CMD_NODE_H

#include "config/config.h"
#include "database/database.h"
#include "export/export.h"

/* memory_max divided once, at start; the parts are logged. No part grows with the data. */
struct sli_memory {
    uint64_t kv_bytes;     /* block cache and memtables */
    uint64_t body_bytes;   /* request bodies together */
    uint64_t export_bytes; /* row groups and parts of the running export */
};
struct sli_memory sli_memory_divide(uint64_t memory_max);

struct sli_node {
    struct sl_file *lock; /* <data>/LOCK, held while the folder is open for writing */
    struct sl_kv *kv;
    struct sl_db *db;
    struct sl_source *source;
    struct sl_ticker *ticker;
    struct sl_exports *exports;
};

/* Opens everything of the data folder for a server: locks it (SL_ECONFLICT: another process has
 * it), makes it when absent, recovers what a killed process left. Half-opened parts are closed
 * again. */
sl_rc sli_node_open(const struct sl_config *config, struct sl_str node_name, struct sli_node *ret,
                    struct sl_err *err);
/* Opens a data folder that no process uses, read-only: nothing is written below it. */
sl_rc sli_node_open_read_only(const char *data_path, uint64_t memory_max, struct sli_node *ret,
                              struct sl_err *err);
void sli_node_close(struct sli_node *node); /* in reverse order; zeroed node is fine */

#endif
