/* Source seam: where exports read. A frozen view is split into ranges; a range is read by a cursor.
 *
 * Everything acknowledged before freeze began is in, nothing begun after it returned; one instant
 * for all shards. Ranges of a shard are disjoint, ascend and cover every key. Each object comes
 * once, in UUID byte order; its view lives until the next call on that cursor. One thread per
 * cursor, many cursors at once. Reading never changes a tenant's state. Implementations: live.c
 * (our database, running or opened read-only), mem.c (tests), faulty.c. */
#ifndef SL_SOURCE_SOURCE_H
#define SL_SOURCE_SOURCE_H

#include "base/arena.h"
#include "lsm/storobj.h"

/* One shard of the frozen view. Strings live as long as the frozen view. */
struct sl_shard {
    struct sl_str class_name;
    struct sl_str name;        /* tenant name for multi-tenant classes */
    bool is_tenant;            /* class is multi-tenant: `name` is the tenant */
    const char *tenant_status; /* "HOT" ..., static; NULL: no tenant, or only folders tell */
    struct sl_str skip_reason; /* not empty: report SKIPPED with this text and do not read */
    uint64_t object_count;     /* objects to expect */
    bool is_count_estimated;   /* foreign data does not say how many; may turn out empty */
    uint64_t byte_count;       /* estimate of stored bytes, 0 unknown */
    uint64_t ref;              /* the source's own */
};

struct sl_range_key {
    uint8_t lo[SL_UUID_SIZE], hi[SL_UUID_SIZE]; /* [lo, hi) */
    bool has_hi;                                /* false: to the end */
};

struct sl_cursor;
struct sl_cursor_ops {
    sl_rc (*next)(struct sl_cursor *cur, const struct sl_object **ret,
                  struct sl_err *err); /* SL_END */
    void (*close)(struct sl_cursor *cur);
};
struct sl_cursor {
    const struct sl_cursor_ops *ops;
};

struct sl_frozen;
struct sl_frozen_ops {
    /* All shards of the given class, in name order. SL_ENOTFOUND: class not in the view. */
    sl_rc (*shards)(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                    struct sl_shard **ret, uint32_t *ret_count, struct sl_err *err);
    /* The complete class JSON (models.Class) as it stands in the view, in the arena; empty when
     * foreign data has no schema. SL_ENOTFOUND: class not in the view. */
    sl_rc (*schema)(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                    struct sl_str *ret, struct sl_err *err);
    /* 1..range_max ranges covering the shard. */
    sl_rc (*split)(struct sl_frozen *fz, const struct sl_shard *shard, uint32_t range_max,
                   struct sl_arena *arena, struct sl_range_key **ret, uint32_t *ret_count,
                   struct sl_err *err);
    sl_rc (*cursor)(struct sl_frozen *fz, const struct sl_shard *shard,
                    const struct sl_range_key *range, struct sl_cursor **ret, struct sl_err *err);
    void (*release)(struct sl_frozen *fz, bool drop); /* drop: the durable part goes too */
};
struct sl_frozen {
    const struct sl_frozen_ops *ops;
};

struct sl_source;
struct sl_source_ops {
    /* Class names now, in creation order. */
    sl_rc (*classes)(struct sl_source *src, struct sl_arena *arena, struct sl_str **ret,
                     uint32_t *ret_count, struct sl_err *err);
    /* Fixes the instant. `name` is unique per attempt: [a-z0-9_-]+. */
    sl_rc (*freeze)(struct sl_source *src, struct sl_str name, struct sl_frozen **ret,
                    struct sl_err *err);
    /* Drops the durable part of a view left by a killed process; absent is SL_OK. */
    sl_rc (*drop)(struct sl_source *src, struct sl_str name, struct sl_err *err);
    void (*close)(struct sl_source *src);
};
struct sl_source {
    const struct sl_source_ops *ops;
    const char *kind; /* "sluice" */
};

static inline void sl_source_close(struct sl_source *src)
{
    if (src != NULL) {
        src->ops->close(src);
    }
}
SL_DEFINE_FREEP(sl_source, sl_source_close)
static inline void sl_frozen_release(struct sl_frozen *fz, bool drop)
{
    if (fz != NULL) {
        fz->ops->release(fz, drop);
    }
}
static inline SL_MUST_USE sl_rc sl_cursor_next(struct sl_cursor *cur, const struct sl_object **ret,
                                               struct sl_err *err)
{
    return cur->ops->next(cur, ret, err);
}
static inline void sl_cursor_close(struct sl_cursor *cur)
{
    if (cur != NULL) {
        cur->ops->close(cur);
    }
}
SL_DEFINE_FREEP(sl_cursor, sl_cursor_close)

struct sl_db;
/* Our own database (borrowed, outlives the source). */
sl_rc sl_source_live_open(struct sl_db *db, struct sl_source **ret, struct sl_err *err);

/* ---- for tests ---- */

/* A source in memory, fed by the calls below; a freeze lends what is there at that moment. */
sl_rc sl_source_mem_open(struct sl_source **ret, struct sl_err *err);
enum sl_source_mem_kind { SL_SOURCE_MEM_PLAIN, SL_SOURCE_MEM_TENANTS };
sl_rc sl_source_mem_class(struct sl_source *src, const char *class_name,
                          enum sl_source_mem_kind kind, struct sl_err *err);
/* What `schema` tells of the class; borrowed for the source's life. Without it: the empty text. */
void sl_source_mem_schema(struct sl_source *src, const char *class_name, const char *json);
/* skip_reason "" is a shard that is read (without objects it says `no data`). */
sl_rc sl_source_mem_shard(struct sl_source *src, const char *class_name, const char *shard,
                          const char *skip_reason, struct sl_err *err);
/* Adds or replaces an object; obj is written by sl_object_write. */
sl_rc sl_source_mem_put(struct sl_source *src, const char *class_name, const char *shard,
                        const struct sl_object *obj, struct sl_err *err);
/* The same with bytes as they are, valid or not. */
sl_rc sl_source_mem_put_bytes(struct sl_source *src, const char *class_name, const char *shard,
                              const uint8_t uuid[SL_UUID_SIZE], struct sl_bytes stored,
                              struct sl_err *err);
/* Takes all objects of a shard away. */
void sl_source_mem_empty(struct sl_source *src, const char *class_name, const char *shard);
/* Called by every cursor before each object, without a lock; may wait. */
typedef void sl_source_mem_hook_fn(void *arg, uint64_t row_no);
void sl_source_mem_hook(struct sl_source *src, sl_source_mem_hook_fn *fn, void *arg);
/* Durable views that nobody dropped. */
uint32_t sl_source_mem_frozen_count(struct sl_source *src);
/* Forwards to inner (not owned); asks SL_FAULT_SOURCE before each call, cursors included, and then
 * fails with SL_EIO. */
sl_rc sl_source_faulty_open(struct sl_source *inner, struct sl_source **ret, struct sl_err *err);

#endif
