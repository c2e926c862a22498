/* The JSON files of a backup as structures: backup_config.json of the whole, <node>/backup.json of
 * each node. Pure: bytes in, structures in an arena out. Of file lists only those of the objects
 * buckets are kept. Names that become paths are checked here: none leaves the backup's folder.
 * Source: FORMAT.md, "Backups". */
#ifndef SL_SOURCE_DESCRIPTOR_H
#define SL_SOURCE_DESCRIPTOR_H

#include "source/schema.h"

/* One chunk a file lies in, as "<Class>/chunk-<n>" below the node's folder. */
struct sli_desc_big {
    struct sl_str base;  /* id of the backup that holds it; empty: this one */
    struct sl_str file;  /* path relative to the data directory */
    uint64_t size;       /* 0 unknown: a base does not say it here */
    struct sl_str *keys; /* of its chunks */
    uint32_t key_count;
};
struct sli_desc_shard {
    struct sl_str name;
    struct sl_str *files; /* of the objects bucket, stored in this backup; paths as in `file` */
    uint32_t file_count;
    struct sli_desc_big *bigs; /* of the objects bucket: spread over chunks, or kept by a base */
    uint32_t big_count;
};
struct sli_desc_chunk {
    uint32_t number;
    struct sl_str *shards;
    uint32_t shard_count;
    bool is_of_big_file; /* parts of one file of known size and nothing else */
};
struct sli_desc_class {
    struct sl_str name;
    struct sl_str json; /* models.Class */
    bool is_multi_tenant;
    struct sl_schema_shard *states; /* of all shards, also those of other nodes; by name */
    uint32_t state_count;
    struct sli_desc_shard *shards; /* held by this node; by name */
    uint32_t shard_count;
    struct sli_desc_chunk *chunks; /* by number */
    uint32_t chunk_count;
    uint64_t unpacked_bytes; /* of all its files; 0 unknown */
};
struct sli_desc {
    struct sl_str id, status, error, server_version;
    struct sli_desc_class *classes; /* of a node's descriptor */
    uint32_t class_count;
    struct sl_str *nodes; /* of backup_config.json */
    uint32_t node_count;
};

/* Either file. SL_ECORRUPT saying what is wrong; the caller puts the file's name before it. */
sl_rc sli_desc_parse(struct sl_bytes json, struct sl_arena *arena, struct sli_desc *ret,
                     struct sl_err *err);

#endif
