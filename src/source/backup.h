/* A backup as its descriptors tell it: nodes, classes, shards, chunks. Inside of the folder.
 *
 * Read whole at once; everything lives in the arena. @threads any, once loaded. */
#ifndef SL_SOURCE_BACKUP_H
#define SL_SOURCE_BACKUP_H

#include "source/descriptor.h"

struct sli_backup_node {
    struct sl_str name; /* of its folder */
    struct sli_desc desc;
};
struct sli_backup {
    struct sl_arena arena;
    struct sl_str path;   /* of the backup's folder */
    struct sl_str parent; /* of the folder where its base backups lie, too */
    struct sl_str server_version;
    struct sli_backup_node *nodes; /* by name */
    uint32_t node_count;
};

/* SL_EINVAL: no backup, or one that did not end with SUCCESS. SL_ECORRUPT names the file. */
sl_rc sli_backup_load(const char *path, struct sli_backup *ret, struct sl_err *err);
void sli_backup_fini(struct sli_backup *b);
/* The schema all nodes tell together; strings are lent by the backup. */
sl_rc sli_backup_fill_schema(struct sli_backup *b, struct sl_schema *ret, struct sl_err *err);

#endif
