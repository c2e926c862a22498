/* One write-ahead log: which record of each key is the last; see FORMAT.md.
 *
 * A log may end in the middle of a record, because the server was killed or is still writing: what
 * is whole counts, and such a torn end is not damage. Everything else that does not read is. The
 * two are told apart by where the record would end if its head is right (behind the end of the
 * file: torn) and by a head put right (if the checksum then fits, only the head is damaged). As the
 * checksums chain over the file, good records are found again behind bad ones: after damage that is
 * skipped, and behind a torn record where some servers went on writing into the same file. Only
 * keys and places are kept; values are read again when their turn comes. */
#include "lsm/lsm_int.h"

#include <stdlib.h>

#define WINDOW_BYTES (256 * 1024)
#define HEAD_BYTES   6 /* type, version, node length */
#define CRC_BYTES    4
#define RECORD_MIN   (HEAD_BYTES + SLI_NODE_FIXED + SL_UUID_SIZE + CRC_BYTES)
#define ENTRIES_MAX  (64ull << 20) /* 1.5 GB of keys: sixty times the largest log seen */
#define SEARCH_MAX   (1ull << 30)  /* bytes checked while looking for a record behind damage */
#define LOG_MAX      (1ull << 35)  /* a server ends a log at 1 GB */

struct reader {
    struct sli_window w;
    struct sli_log *log;
    uint64_t at;
    uint64_t cap;
    uint32_t crc;      /* of all records before `at` */
    uint64_t promised; /* where the record at `at` ends as its head has it; 0: no sound head */
};

static sl_rc add_entry(struct reader *r, const struct sli_node *n, struct sl_err *err)
{
    struct sli_log *log = r->log;
    if (log->count == r->cap) {
        if (log->count == ENTRIES_MAX) {
            return SL_FAIL(err, SL_ETOOBIG, "%s: more than %llu records in one log", log->blob.name,
                           ENTRIES_MAX);
        }
        uint64_t cap = SL_MIN(SL_MAX(r->cap * 2, (uint64_t)64), ENTRIES_MAX);
        void *grown = sl_realloc(log->entries, (size_t)cap * sizeof(*log->entries));
        if (grown == NULL) {
            return SL_NOMEM(err);
        }
        log->entries = grown;
        r->cap = cap;
    }
    log->entries[log->count++] = (struct sli_log_entry){.key = {n->key[0], n->key[1]},
                                                        .offset = n->offset & (LOG_MAX - 1),
                                                        .size = n->size & (SLI_NODE_MAX - 1),
                                                        .is_tombstone = n->is_tombstone};
    return SL_OK;
}

/* A record of servers before 1.24: no length, no checksum, one secondary key. The chain of
 * checksums passes over its two head bytes only. */
static sl_rc read_v0(struct reader *r, struct sli_node *node, uint64_t *ret_size,
                     struct sl_err *err)
{
    r->w.is_beyond = false;
    sl_rc rc = sli_node_read(&r->w, r->at + 2, 1, 0, node, err);
    if (rc == SL_ECORRUPT && r->w.is_beyond) {
        return SL_END;
    }
    SL_TRY(rc);
    r->crc = sl_crc32(r->crc, SL_BYTES("\0\0", 2));
    *ret_size = 2 + node->size;
    return SL_OK;
}

static sl_rc read_v1(struct reader *r, struct sli_node *node, uint64_t *ret_size,
                     struct sl_err *err)
{
    struct sl_bytes b;
    uint64_t left = r->w.end - r->at;
    if (left < HEAD_BYTES) {
        return SL_END;
    }
    SL_TRY(sli_window_view(&r->w, r->at, HEAD_BYTES, &b, err));
    struct sl_rd rd = sl_rd_over((struct sl_bytes){b.ptr + 2, 4});
    uint64_t len = sl_rd_u32(&rd), size = HEAD_BYTES + len + CRC_BYTES;
    if (len < SLI_NODE_FIXED + SL_UUID_SIZE || len >= SLI_NODE_MAX) {
        return SL_FAIL(err, SL_ECORRUPT, "a record of length %llu", (unsigned long long)len);
    }
    r->promised = r->at + size;
    if (size > left) {
        return SL_END;
    }
    SL_TRY(sli_window_view(&r->w, r->at, (size_t)size, &b, err));
    uint32_t crc = sl_crc32(r->crc, (struct sl_bytes){b.ptr, HEAD_BYTES + (size_t)len});
    rd = sl_rd_over((struct sl_bytes){b.ptr + HEAD_BYTES + len, CRC_BYTES});
    uint32_t stored = sl_rd_u32be(&rd);
    if (stored != crc) {
        return SL_FAIL(err, SL_ECORRUPT, "a checksum of %08x, the bytes give %08x", stored, crc);
    }
    SL_TRY(sli_node_read(&r->w, r->at + HEAD_BYTES, UINT32_MAX, len, node, err));
    r->crc = crc;
    *ret_size = size;
    return SL_OK;
}

/* The record at r->at. SL_END: the file ends before it does, as its head has it. SL_ECORRUPT: it is
 * not as it was written. */
static sl_rc read_record(struct reader *r, struct sli_node *node, uint64_t *ret_size,
                         struct sl_err *err)
{
    struct sl_bytes b;
    size_t len = (size_t)SL_MIN(r->w.end - r->at, (uint64_t)2);
    r->promised = 0;
    SL_TRY(sli_window_view(&r->w, r->at, len, &b, err));
    struct sl_rd rd = sl_rd_over(b);
    uint8_t type = sl_rd_u8(&rd), version = sl_rd_u8(&rd); /* 0 where the file ends */
    if (type != 0 || version > 1) {
        return SL_FAIL(err, SL_ECORRUPT, "a record of type %u, version %u", type, version);
    }
    if (rd.is_short) {
        return SL_END;
    }
    return version == 0 ? read_v0(r, node, ret_size, err) : read_v1(r, node, ret_size, err);
}

/* Looks behind r->at for a whole record whose checksum continues the four bytes before it; stands
 * there when it finds one, else at the end of the file. */
static sl_rc find_record(struct reader *r, struct sl_err *err)
{
    uint64_t checked = 0;
    uint64_t at = SL_MAX(r->at + 1, (uint64_t)CRC_BYTES);
    for (; at + RECORD_MIN <= r->w.end && checked < SEARCH_MAX; at++) {
        struct sl_bytes b;
        struct sli_node node;
        uint64_t size = 0;
        SL_TRY(sli_window_view(&r->w, at - CRC_BYTES, CRC_BYTES + HEAD_BYTES, &b, err));
        struct sl_rd rd = sl_rd_over(b);
        uint32_t seed = sl_rd_u32be(&rd);
        if (sl_rd_u8(&rd) != 0 || sl_rd_u8(&rd) != 1) {
            continue;
        }
        checked += SL_MIN((uint64_t)sl_rd_u32(&rd), SLI_NODE_MAX);
        struct reader probe = *r;
        probe.at = at;
        probe.crc = seed;
        sl_rc rc = read_v1(&probe, &node, &size, err);
        r->w = probe.w;
        if (rc == SL_OK) {
            r->at = at;
            r->crc = seed;
            return SL_OK;
        }
        if (rc != SL_ECORRUPT && rc != SL_END) {
            return rc;
        }
    }
    r->at = r->w.end;
    return SL_OK;
}

/* Is [from, to) one record, once its head says so? Then only the head is damaged. */
static sl_rc fits_with_right_head(struct reader *r, uint64_t from, uint64_t to, uint32_t crc,
                                  bool *ret, struct sl_err *err)
{
    uint64_t size = to - from;
    struct sl_bytes b;
    *ret = false;
    if (size < RECORD_MIN || size >= SLI_NODE_MAX) {
        return SL_OK;
    }
    SL_TRY(sli_window_view(&r->w, from, (size_t)size, &b, err));
    size_t len = (size_t)size - HEAD_BYTES - CRC_BYTES;
    uint8_t head[HEAD_BYTES] = {0, 1};
    sl_put_u32(head + 2, (uint32_t)len);
    crc = sl_crc32(crc, SL_BYTES(head, sizeof(head)));
    crc = sl_crc32(crc, (struct sl_bytes){b.ptr + HEAD_BYTES, len});
    struct sl_rd rd = sl_rd_over((struct sl_bytes){b.ptr + HEAD_BYTES + len, CRC_BYTES});
    *ret = sl_rd_u32be(&rd) == crc;
    return SL_OK;
}

/* Moves from a record that does not read to the next that does, or to the end. A torn one (is_cut:
 * by the end of the file) is passed in silence, a damaged one told when damage is skipped, else the
 * failure. */
static sl_rc pass(struct reader *r, const struct sl_bucket_opts *opts, bool is_cut, const char *why,
                  struct sl_err *err)
{
    uint64_t from = r->at;
    uint32_t crc = r->crc;
    SL_TRY(find_record(r, err));
    is_cut |= r->at < r->w.end && (r->promised > r->at || r->at - from < HEAD_BYTES);
    if (is_cut) {
        bool is_whole = false;
        SL_TRY(fits_with_right_head(r, from, r->at, crc, &is_whole, err));
        if (!is_whole) {
            return SL_OK;
        }
        why = "the head of a record is not what was written";
    }
    struct sl_err told = {0};
    sl_rc rc = SL_FAIL(&told, SL_ECORRUPT, "%s: damaged from offset %llu to %llu: %s",
                       r->log->blob.name, (unsigned long long)from, (unsigned long long)r->at, why);
    if (opts->damage == NULL) {
        return SL_FAIL(err, rc, "%s", told.text);
    }
    opts->damage(opts->damage_arg, NULL, told.text);
    return SL_OK;
}

static sl_rc read_all(struct reader *r, const struct sl_bucket_opts *opts, struct sl_err *err)
{
    while (r->at < r->w.end) {
        struct sli_node node;
        struct sl_err why = {0};
        uint64_t size = 0;
        sl_rc rc = read_record(r, &node, &size, &why);
        if (rc == SL_ECORRUPT || rc == SL_END) {
            SL_TRY(pass(r, opts, rc == SL_END, why.text, err));
            continue;
        }
        if (rc != SL_OK) {
            return SL_FAIL(err, rc, "%s", sl_err_text(&why, rc));
        }
        SL_TRY(add_entry(r, &node, err));
        r->at += size;
        r->log->good_bytes = r->at;
    }
    return SL_OK;
}

static int by_key_and_place(const void *a, const void *b)
{
    const struct sli_log_entry *x = a, *y = b;
    int c = sli_key_cmp(x->key, y->key);
    return c != 0 ? c : (x->offset > y->offset) - (x->offset < y->offset);
}

/* Sorts, and keeps the last record of each key. */
static void keep_last(struct sli_log *log)
{
    uint64_t kept = 0;
    if (log->count > 0) {
        qsort(log->entries, (size_t)log->count, sizeof(*log->entries), by_key_and_place);
    }
    for (uint64_t i = 0; i < log->count; i++) {
        const struct sli_log_entry *e = &log->entries[i];
        if (i + 1 == log->count || sli_key_cmp(e->key, e[1].key) != 0) {
            log->entries[kept++] = *e;
            log->tombstone_count += e->is_tombstone;
        }
    }
    log->count = kept;
}

sl_rc sli_log_open(const struct sl_blob *blob, const struct sl_bucket_opts *opts,
                   struct sli_log *ret, struct sl_err *err)
{
    struct sli_log log = {.blob = *blob};
    struct reader r = {.log = &log};
    if (blob->size > LOG_MAX) {
        return SL_FAIL(err, SL_ETOOBIG, "%s: %llu bytes are too many for a log", blob->name,
                       (unsigned long long)blob->size);
    }
    sli_window_begin(&r.w, blob, blob->size, WINDOW_BYTES);
    sl_rc rc = read_all(&r, opts, err);
    sli_window_fini(&r.w);
    if (rc != SL_OK) {
        sli_log_fini(&log);
        return rc;
    }
    keep_last(&log);
    *ret = log;
    return SL_OK;
}

void sli_log_fini(struct sli_log *log)
{
    sl_free(log->entries);
    log->entries = NULL;
}

uint64_t sli_log_seek(const struct sli_log *log, const uint64_t key[2])
{
    uint64_t lo = 0, hi = log->count;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (sli_key_cmp(log->entries[mid].key, key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}
