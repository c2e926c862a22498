/* The rules of a restart, applied to a listing; see fileset.h and FORMAT.md, "Files of a bucket".
 *
 * Each name is split once into identifiers and suffix; every rule is then a question to the other
 * names. Questions are answered by a binary search over the names in byte order, so a bucket with
 * thousands of files stays cheap, and without allocating, so that no answer can fail. */
#include "lsm/fileset.h"

#include <stdlib.h>

#include "base/str.h"

#define PREFIX "segment-"

/* "segment-<left>[_<right>]<suffix>", suffix from the first dot on. */
struct parts {
    struct sl_str left, right, suffix;
    bool is_segment_name;
    bool has_many_ids; /* more than two: a temporary file of servers before 1.24 */
};

static struct parts split_name(struct sl_str name)
{
    struct parts p = {0};
    if (!sl_str_starts(name, PREFIX)) {
        return p;
    }
    struct sl_str rest = {name.ptr + strlen(PREFIX), name.len - strlen(PREFIX)};
    const char *dot = rest.len == 0 ? NULL : memchr(rest.ptr, '.', rest.len);
    if (dot == NULL) {
        return p;
    }
    struct sl_str ids = {rest.ptr, (size_t)(dot - rest.ptr)};
    p.suffix = (struct sl_str){dot, rest.len - ids.len};
    const char *bar = ids.len == 0 ? NULL : memchr(ids.ptr, '_', ids.len);
    p.left = (struct sl_str){ids.ptr, bar == NULL ? ids.len : (size_t)(bar - ids.ptr)};
    if (bar != NULL) {
        p.right = (struct sl_str){bar + 1, ids.len - p.left.len - 1};
        p.has_many_ids = p.right.len == 0 || memchr(p.right.ptr, '_', p.right.len) != NULL;
    }
    p.is_segment_name = p.left.len > 0;
    return p;
}

static int by_name(const void *a, const void *b)
{
    const struct sl_bucket_file *x = a, *y = b;
    return sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

static int rank(const struct sl_bucket_file *f)
{
    return f->role == SL_ROLE_SEGMENT || f->role == SL_ROLE_LOG ? 0 : 1;
}

static int by_order(const void *a, const void *b)
{
    const struct sl_bucket_file *x = a, *y = b;
    if (rank(x) != rank(y)) {
        return rank(x) - rank(y);
    }
    int c = rank(x) == 0 ? sl_bytes_cmp(sl_str_bytes(x->order), sl_str_bytes(y->order)) : 0;
    return c != 0 ? c : by_name(a, b);
}

struct listing {
    struct sl_bucket_file *files; /* in name order */
    uint32_t count;
};

/* Order of a name against the prefix "segment-<id>."; 0: the name begins with it. */
static int against(struct sl_str name, struct sl_str id)
{
    const struct sl_str parts[] = {SL_STR(PREFIX), id, SL_STR(".")};
    for (size_t i = 0; i < SL_COUNT_OF(parts); i++) {
        size_t n = SL_MIN(name.len, parts[i].len);
        int c = sl_bytes_cmp(SL_BYTES(name.ptr, n), SL_BYTES(parts[i].ptr, n));
        if (c != 0 || n < parts[i].len) {
            return c != 0 ? c : -1;
        }
        name = (struct sl_str){name.ptr + n, name.len - n};
    }
    return 0;
}

/* Index of the first name not before "segment-<id>.". */
static uint32_t first_of(const struct listing *l, struct sl_str id)
{
    uint32_t lo = 0, hi = l->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (against(l->files[mid].name, id) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* The first file whose name starts with "segment-<id>." and ends with `end`; NULL without one. */
static struct sl_bucket_file *find(const struct listing *l, struct sl_str id, const char *end)
{
    for (uint32_t lo = first_of(l, id); lo < l->count && against(l->files[lo].name, id) == 0;
         lo++) {
        if (sl_str_ends(l->files[lo].name, end)) {
            return &l->files[lo];
        }
    }
    return NULL;
}

/* A log of the same memtable that holds something. */
static bool has_log(const struct listing *l, struct sl_str id)
{
    size_t len = strlen(PREFIX ".wal") + id.len; /* nothing stands between: not "5.x.wal" */
    for (uint32_t i = first_of(l, id); i < l->count && against(l->files[i].name, id) == 0; i++) {
        if (l->files[i].name.len == len && sl_str_ends(l->files[i].name, ".wal")) {
            return l->files[i].size > 0;
        }
    }
    return false;
}

static void leave(struct sl_bucket_file *f, const char *why)
{
    f->role = SL_ROLE_LEFTOVER;
    f->why = why;
}

static void decide_data(const struct listing *l, struct sl_bucket_file *f, const struct parts *p)
{
    if (has_log(l, p->left)) {
        leave(f, "its flush was interrupted; the log of the same name holds all of it");
        return;
    }
    f->role = SL_ROLE_SEGMENT;
    f->order = f->name;
}

static void decide_flush_tmp(const struct listing *l, struct sl_bucket_file *f,
                             const struct parts *p)
{
    if (has_log(l, p->left)) {
        leave(f, "a flush was interrupted; the log of the same name holds all of it");
    } else if (find(l, p->left, ".db") != NULL) {
        leave(f, "a cleanup was interrupted; the segment it read is still there");
    } else {
        /* Servers before 1.36.22, 1.37.13 and 1.38.5 renamed the old segment away before the new
         * one into place, and delete both at the next start. The new one is complete: it was made
         * durable before the switch began. */
        f->role = SL_ROLE_SEGMENT;
        f->why =
            "a cleanup was interrupted after the old segment had gone; the server itself would "
            "lose this one at its next start";
        f->order = (struct sl_str){f->name.ptr, f->name.len - strlen(".tmp")};
    }
}

static sl_rc decide_compaction_tmp(const struct listing *l, struct sl_bucket_file *f,
                                   const struct parts *p, struct sl_arena *arena,
                                   struct sl_err *err)
{
    const struct sl_bucket_file *left = find(l, p->left, ".db");
    const struct sl_bucket_file *right = find(l, p->right, ".db");
    if (left != NULL && right != NULL) {
        leave(f, "a compaction was interrupted; both segments it read are still there");
        return SL_OK;
    }
    /* Where a cleanup had left the old segment beside the new one (FORMAT.md, "Twins"), the old one
     * still looks like the left input when that has been marked; it is older and does no harm. */
    if (left != NULL && find(l, p->left, ".deleteme") == NULL) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%.*s: of the two segments it joins the left is there and the right is not, "
                       "which no server leaves behind; restore segment-%.*s.db",
                       SL_STR_ARG(f->name), SL_STR_ARG(p->right));
    }
    SL_AUTO(sl_buf) order = SL_BUF_EMPTY;
    sl_buf_addf(&order, PREFIX "%.*s%.*s", SL_STR_ARG(p->right),
                (int)(p->suffix.len - strlen(".tmp")), p->suffix.ptr);
    SL_TRY(sl_buf_done(&order, err));
    f->order = sl_arena_str(arena, sl_buf_str(&order));
    if (f->order.ptr == NULL) {
        return SL_NOMEM(err);
    }
    f->role = SL_ROLE_SEGMENT;
    f->why = "a finished compaction whose switch was interrupted; it stands for both its inputs";
    return SL_OK;
}

static sl_rc decide_one(const struct listing *l, struct sl_bucket_file *f, struct sl_arena *arena,
                        struct sl_err *err)
{
    struct parts p = split_name(f->name);
    f->role = SL_ROLE_SIDE;
    f->why = NULL;
    if (sl_str_ends(f->name, ".deleteme")) {
        leave(f, "marked for removal: a compaction or cleanup has replaced it");
    } else if (!p.is_segment_name) {
        return SL_OK;
    } else if (sl_str_ends(p.suffix, ".db.tmp")) {
        if (p.has_many_ids) {
            leave(f, "half-written by a server before 1.24");
        } else if (p.right.len > 0) {
            return decide_compaction_tmp(l, f, &p, arena, err);
        } else {
            decide_flush_tmp(l, f, &p);
        }
    } else if (p.right.len > 0 || p.has_many_ids) {
        return SL_OK; /* side files of a compaction */
    } else if (sl_str_ends(p.suffix, ".db")) {
        decide_data(l, f, &p);
    } else if (sl_str_is(p.suffix, ".wal")) {
        f->role = SL_ROLE_LOG;
        f->order = f->name;
        if (f->size == 0) {
            leave(f, "an empty log");
        }
    } else if (sl_str_ends(p.suffix, ".cna") || sl_str_ends(p.suffix, ".metadata")) {
        f->role = SL_ROLE_COUNT;
    }
    return SL_OK;
}

/* The right input of a switched compaction may still be there: the joined file replaces it. */
static void drop_replaced(const struct listing *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct parts p = split_name(l->files[i].name);
        if (l->files[i].role == SL_ROLE_SEGMENT && p.right.len > 0) {
            struct sl_bucket_file *right = find(l, p.right, ".db");
            if (right != NULL && right->role == SL_ROLE_SEGMENT) {
                leave(right, "replaced by a finished compaction whose switch was interrupted");
            }
        }
    }
}

/* Does any file hold, or stand for, the data of this identifier? */
static bool has_data(const struct listing *l, struct sl_str id)
{
    if (find(l, id, ".db") != NULL || find(l, id, ".wal") != NULL ||
        find(l, id, ".db.tmp") != NULL) {
        return true;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        struct parts p = split_name(l->files[i].name);
        if (sl_str_ends(p.suffix, ".db.tmp") && (sl_str_eq(p.left, id) || sl_str_eq(p.right, id))) {
            return true;
        }
    }
    return false;
}

/* Servers remove the side files of a segment before the segment itself, so a side file alone says
 * that its segment is missing. */
static sl_rc check_missing(const struct listing *l, const struct sl_bucket_file *f,
                           struct sl_err *err)
{
    struct parts p = split_name(f->name);
    bool is_side = p.is_segment_name && p.right.len == 0 && !p.has_many_ids &&
                   (f->role == SL_ROLE_COUNT || sl_str_ends(p.suffix, ".bloom"));
    if (!is_side || has_data(l, p.left)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_ECORRUPT,
                   "segment-%.*s.db is missing, while %.*s, which describes it, is there; restore "
                   "the segment from a backup",
                   SL_STR_ARG(p.left), SL_STR_ARG(f->name));
}

/* Logs end up behind all segments, unless one was left over by a flush that failed. */
static void note_orphans(const struct listing *l)
{
    bool has_newer = false;
    for (uint32_t i = l->count; i-- > 0;) {
        struct sl_bucket_file *f = &l->files[i];
        if (f->role == SL_ROLE_LOG && has_newer) {
            f->why = "older than a segment: its flush must have failed; it counts in its own time";
        }
        has_newer |= f->role == SL_ROLE_SEGMENT;
    }
}

sl_rc sl_fileset_decide(struct sl_bucket_file *files, uint32_t count, struct sl_arena *arena,
                        struct sl_err *err)
{
    struct listing l = {files, count};
    if (count == 0) {
        return SL_OK;
    }
    qsort(files, count, sizeof(*files), by_name);
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(decide_one(&l, &files[i], arena, err));
    }
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(check_missing(&l, &files[i], err));
    }
    drop_replaced(&l);
    qsort(files, count, sizeof(*files), by_order);
    note_orphans(&l);
    return SL_OK;
}
