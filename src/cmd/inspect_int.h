/* Inside of `sluice inspect`: one file per kind of thing, chosen in sluice_inspect.c.
 *
 * What is looked at becomes one JSON document, whose keys docs/inspect.md
 * lists; the tables for
 * people are printed from it, so that people and programs never see different things. */
#ifndef SL_CMD_INSPECT_INT_H
#define SL_CMD_INSPECT_INT_H

#include "base/arena.h"
#include "cmd/cmd_int.h"
#include "lsm/storobj.h"
#include "source/weaviate.h"

struct sli_inspect {
    bool is_json, is_verifying;
    const char *path, *spool;
};

/* ---- sluice_inspect_parquet.c ---- */

/* The footer of a Parquet file as JSON. */
sl_rc sli_inspect_parquet(const char *path, struct sl_buf *out, struct sl_err *err);
/* A folder with export_metadata.json: JSON, or lines for people. */
sl_rc sli_inspect_export(const struct sli_inspect *in, struct sl_buf *out, struct sl_err *err);

/* ---- sluice_inspect_object.c ---- */

/* One stored object as JSON. SL_ECORRUPT when it is none. */
sl_rc sli_inspect_object(struct sl_bytes value, struct sl_buf *out, struct sl_err *err);

/* ---- sluice_inspect_segment.c: segments and logs, of a shard or alone ---- */

#define SLI_DIMS_MAX 8 /* different lengths of one vector that are listed */

struct sli_vector {
    struct sl_str name; /* empty: the unnamed one */
    bool is_multi;
    uint32_t dims[SLI_DIMS_MAX], dims_count;
    uint64_t objects; /* looked at that have it */
};
struct sli_vectors {
    struct sli_vector *list; /* in the look's arena */
    uint32_t count, cap;
};

/* What the bytes say about the servers that wrote them: how many files (or objects) show each sign.
 * X(member, what, which servers do that) */
#define SLI_SIGNS(X)                                                                          \
    X(plain_names, "segments named segment-ID.db",                                            \
      "before 1.33, or with PERSISTENCE_SEGMENT_INFO_FROM_FILE_DISABLED")                     \
    X(level_names, "segments named segment-ID.lN.sN.db",                                      \
      "1.33 or later; 1.31 or later with an option")                                          \
    X(no_checksums, "segments without checksum", "any, by default")                           \
    X(checksums, "segments with checksum",                                                    \
      "1.28 or later with PERSISTENCE_LSM_ENABLE_SEGMENTS_CHECKSUM_VALIDATION")               \
    X(one_slot, "segments with 1 secondary index", "up to 1.25, and after 1.31")              \
    X(two_slots, "segments with 2 secondary indexes", "1.26 to 1.33")                         \
    X(metadata, "side files .metadata",                                                       \
      "1.31 or later with PERSISTENCE_WRITE_METADATA_FILES_ENABLED")                          \
    X(marked, "replaced files marked .deleteme", "1.25 to 1.35.10")                           \
    X(marked_by_number, "replaced files marked .NUMBER.deleteme", "1.35.11 or later")         \
    X(cleanup, "cleanup.db.bolt", "1.27 or later with segment cleanup")                       \
    X(edit_ops, "segment_edit_ops.db.bolt", "1.39 or later")                                  \
    X(bare_tombstones, "tombstones with their time, without object number", "up to 1.34")     \
    X(keyed_tombstones, "tombstones with the number of the object", "any; always after 1.34") \
    X(nameless, "objects without class name",                                                 \
      "1.38 or later with PERSISTENCE_LSM_SKIP_WRITE_CLASSNAME_ENABLED or namespaces")        \
    X(old_multi, "multi vectors in the form of 1.28.0", "1.28.0 to 1.28.4")

struct sli_signs {
#define SLI_SIGN_MEMBER(member, what, who) uint64_t member;
    SLI_SIGNS(SLI_SIGN_MEMBER)
#undef SLI_SIGN_MEMBER
};

struct sli_look {
    const struct sli_inspect *in;
    json_t *doc;     /* owned */
    json_t *damages; /* borrowed from doc */
    uint64_t damage_count;
    struct sl_str class_name, shard; /* where we are, for damages; may be empty */
    struct sl_str seen_class;        /* the first name of a class that an object told */
    struct sli_signs signs;
    struct sl_arena arena;
    struct sl_object *object; /* owned */
    struct sli_progress progress;
    uint64_t objects_done;
};
sl_rc sli_look_init(struct sli_look *l, const struct sli_inspect *in, const char *kind,
                    struct sl_err *err);
void sli_look_fini(struct sli_look *l);
/* Adds to the list of damages. */
void sli_look_damage(struct sli_look *l, const char *what);
/* What one file shows, as members of `file`; with --verify all of it is walked. False: it cannot be
 * opened, which is told as damage. */
bool sli_look_source(struct sli_look *l, const struct sl_bucket_source *source, json_t *file);
/* Scans the sources merged: their objects and vectors. At most object_max; is_all: none is left. */
struct sli_scan {
    uint64_t objects;
    bool is_all;
};
struct sli_scan sli_look_objects(struct sli_look *l, const struct sl_bucket_source *sources,
                                 uint32_t count, uint64_t object_max, struct sli_vectors *vectors);
json_t *sli_vectors_json(const struct sli_vectors *v);
json_t *sli_signs_json(const struct sli_signs *s);
json_t *sli_text_json(struct sl_str text); /* bytes that are not UTF-8 become '?' */
json_t *sli_count_json(uint64_t n);

/* A file with one segment or log. */
sl_rc sli_inspect_segment(const struct sli_inspect *in, bool is_log, json_t **ret,
                          struct sl_err *err);

/* ---- sluice_inspect_weaviate.c, sluice_inspect_print.c ---- */

/* A data directory or a backup. */
sl_rc sli_inspect_weaviate(const struct sli_inspect *in, enum sl_source_kind kind, json_t **ret,
                           struct sl_err *err);
/* The document of one of the two above, for people. */
void sli_inspect_print(const json_t *doc);

#endif
