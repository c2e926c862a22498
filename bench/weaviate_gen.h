/* What the parts of weaviate-dir share: classes, objects made on demand, buckets in memory.
 *
 * A bucket is a list of segments and one memtable, each a list of operations; an operation names an
 * object by number and version, and its bytes are made when they are written, the same in every
 * program. The truth is kept beside: the last operation on each object, as it was issued. */
#ifndef SL_BENCH_WEAVIATE_GEN_H
#define SL_BENCH_WEAVIATE_GEN_H

#include "lsm/storobj.h"
#include "weaviate_write.h"

#define NAMES_MAX    4
#define SEGMENTS_MAX 64
#define PATH_SIZE    512
#define ROOT_MAX     200 /* length of the directory's own path; all below fits behind it */

struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* n > 0 */
bool rng_chance(struct rng *r, double p);

struct gen_class {
    char name[64];
    bool is_multi_tenant;
    bool is_random;       /* small odd objects instead of those of the benchmarks */
    bool is_unnamed;      /* objects do not say their class */
    uint32_t tail_cut;    /* vector sections not written at the end of objects: 0, 1, 2 */
    uint32_t dims;        /* of the unnamed vector, 0: none */
    uint32_t named_count; /* named vectors of `dims_named` */
    uint32_t multi_count;
    uint32_t dims_named;
    uint32_t properties_bytes; /* 0: as the benchmarks have them */
};

struct op {
    uint8_t key[SL_UUID_SIZE];
    uint32_t n, version;
    bool is_delete;
};
struct run {
    struct op *list;
    uint32_t count, cap;
};
struct unit { /* a segment */
    struct run ops;
    uint64_t id;
    uint16_t level;
    bool has_info_name; /* segment-ID.lN.sN.db */
    struct wv_style style;
};
struct state {
    uint32_t version;
    bool is_live;
};
struct bucket {
    const struct gen_class *class;
    char shard[65];
    char folder[PATH_SIZE]; /* of the bucket */
    uint64_t uid;           /* of the shard: salt of its ids and contents */
    uint32_t n_max;
    struct state *states; /* n_max */
    struct unit units[SEGMENTS_MAX];
    uint32_t unit_count;
    struct run memtable;
    uint64_t clock; /* last identifier given */
};

struct gen {
    const char *path;
    uint64_t seed;
    struct sl_file *truth; /* NULL: not wanted */
    struct sl_buf truth_out;
    struct wv_command *commands;
    uint32_t command_count;
    uint64_t objects, bytes; /* written: live at the end; in data files */
    struct sl_object *object;
    struct sl_buf vectors, texts, value;
};

/* snprintf into room that is known to suffice. */
void text_make(char *ret, size_t size, const char *fmt, ...) SL_PRINTF(3, 4);

/* ---- objects (weaviate_rows.c) ---- */

/* Fills g->object; views live until the next call. */
sl_rc gen_object(struct gen *g, const struct bucket *b, const struct op *op, struct sl_err *err);
/* The stored bytes of gen_object in g->value. */
sl_rc gen_value(struct gen *g, const struct bucket *b, const struct op *op, struct sl_err *err);
/* Every live object of the bucket as a line of JSON; all bytes in hex. */
sl_rc gen_truth(struct gen *g, const struct bucket *b, struct sl_err *err);
/* Commands of the Raft log. */
sl_rc gen_add_class(struct gen *g, const struct gen_class *c, const char *const *shards,
                    uint32_t shard_count, struct sl_err *err);
sl_rc gen_add_tenants(struct gen *g, const struct gen_class *c, const char *const *tenants,
                      const char *const *states, uint32_t count, struct sl_err *err);
struct wv_command *gen_command(struct gen *g, uint32_t type, const char *class_name);

/* ---- buckets (weaviate_bucket.c) ---- */

sl_rc bucket_init(struct gen *g, struct bucket *b, const struct gen_class *c, const char *shard,
                  uint64_t uid, uint32_t n_max, struct sl_err *err);
void bucket_fini(struct bucket *b);
sl_rc run_add(struct run *r, const struct op *op, struct sl_err *err);
/* Ascending keys, the last operation of each. */
void run_sort(struct run *r);
struct op bucket_op(const struct bucket *b, uint32_t n, bool is_delete);
/* Into the memtable, and into the truth. */
sl_rc bucket_put(struct bucket *b, uint32_t n, bool is_delete, struct sl_err *err);
uint64_t bucket_id(struct bucket *b); /* the next identifier: nanoseconds */
/* The memtable becomes a segment of this style. */
sl_rc bucket_flush(struct bucket *b, const struct unit *like, struct sl_err *err);
/* segment-<id><suffix> in the bucket's folder. */
void bucket_path(const struct bucket *b, uint64_t id, const char *suffix, char ret[PATH_SIZE]);
sl_rc unit_write(struct gen *g, const struct bucket *b, const struct unit *u, const char *path,
                 struct sl_err *err);
/* ".db" or ".l<level>.s0.db", as the segment is named. */
void unit_suffix(const struct unit *u, char ret[32]);
/* All segments in their order, each with its .cna. */
sl_rc bucket_write(struct gen *g, const struct bucket *b, struct sl_err *err);
/* One record of a log. */
sl_rc log_add(struct gen *g, const struct bucket *b, const struct op *op,
              const struct wv_style *style, struct wv_log *log, struct sl_err *err);
sl_rc folder_make(const char *path, struct sl_err *err); /* with its parents */
sl_rc file_put(const char *path, struct sl_bytes b, struct sl_err *err);

/* ---- random directories (weaviate_random.c) ---- */

sl_rc random_dir(struct gen *g, struct sl_err *err);

#endif
