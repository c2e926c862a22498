/* One segment: header, primary index, checksum; see FORMAT.md.
 *
 * Reading a segment whole needs no index, because its data is sorted; only the limits of a key
 * range are looked up. A range begins and ends where the index says and every key in it is checked,
 * so a damaged index is found and cannot hide rows. */
#include "lsm/lsm_int.h"

#define HEADER_BYTES     16
#define INDEX_NODE_BYTES 52 /* key length, key, start, end, left, right */
#define TRAILER_BYTES    4
#define VERSION_MAX      1
#define SLOTS_MAX        16
#define VERIFY_WINDOW    (1 << 20)
#define DEPTH_MAX        128 /* a balanced tree of 2^64 keys has 64 levels */
#define SECONDARY_MAX    64  /* longest secondary key a server wrote: 24 bytes */
#define SECONDARY_FIXED  32  /* start, end, left, right */
#define DAMAGES_MAX      100 /* told of one segment; more help nobody */

static sl_rc bad(const struct sl_blob *b, uint64_t offset, const char *what, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "%s: damaged at offset %llu: %s", b->name,
                   (unsigned long long)offset, what);
}

/* CRC-32 of everything but the trailer, the header last, because a compaction knows it last. */
sl_rc sli_segment_check(const struct sli_segment *s, struct sl_err *err)
{
    const struct sl_blob *b = &s->blob;
    struct sli_window w;
    if (s->version == 0) {
        return SL_OK;
    }
    uint64_t end = b->size - TRAILER_BYTES;
    uint32_t crc = 0;
    sl_rc rc = SL_OK;
    sli_window_begin(&w, b, end, VERIFY_WINDOW);
    for (uint64_t at = HEADER_BYTES; at < end && rc == SL_OK;) {
        struct sl_bytes part;
        rc = sli_window_view(&w, at, (size_t)SL_MIN((uint64_t)VERIFY_WINDOW, end - at), &part, err);
        if (rc == SL_OK) {
            crc = sl_crc32(crc, part);
            at += part.len;
        }
    }
    sli_window_fini(&w);
    SL_TRY(rc);
    uint8_t header[HEADER_BYTES], trailer[TRAILER_BYTES];
    SL_TRY(sl_blob_pread(b, 0, header, sizeof(header), err));
    SL_TRY(sl_blob_pread(b, end, trailer, sizeof(trailer), err));
    crc = sl_crc32(crc, SL_BYTES(header, sizeof(header)));
    struct sl_rd rd = sl_rd_over(SL_BYTES(trailer, sizeof(trailer)));
    uint32_t stored = sl_rd_u32be(&rd);
    if (crc != stored) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: its checksum at offset %llu is %08x, the bytes give %08x: a byte was "
                       "changed somewhere in the file; restore it from a backup",
                       b->name, (unsigned long long)end, stored, crc);
    }
    return SL_OK;
}

/* The index of the first secondary key, or the trailer, or the end: where the primary index ends.
 */
static sl_rc find_index(struct sli_segment *s, uint64_t payload_end, struct sl_err *err)
{
    uint64_t table = 8ull * s->slot_count;
    if (s->data_end > payload_end || table > payload_end - s->data_end) {
        return bad(&s->blob, 8, "the index lies beyond the end of the file (cut off?)", err);
    }
    s->index_at = s->data_end + table;
    s->index_end = payload_end;
    uint64_t before = s->index_at;
    for (uint32_t i = 0; i < s->slot_count; i++) {
        uint8_t raw[8];
        SL_TRY(sl_blob_pread(&s->blob, s->data_end + 8ull * i, raw, sizeof(raw), err));
        struct sl_rd rd = sl_rd_over(SL_BYTES(raw, sizeof(raw)));
        uint64_t at = sl_rd_u64(&rd);
        if (at < before || at > payload_end) {
            return bad(&s->blob, s->data_end + 8ull * i,
                       "the offset of a secondary index is out of place", err);
        }
        s->index_end = i == 0 ? at : s->index_end;
        before = at;
    }
    return SL_OK;
}

sl_rc sli_segment_open(const struct sl_blob *blob, struct sli_segment *ret, struct sl_err *err)
{
    uint8_t raw[HEADER_BYTES];
    struct sli_segment s = {.blob = *blob};
    if (blob->size < HEADER_BYTES) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: %llu bytes are too few for a segment; restore it from a backup",
                       blob->name, (unsigned long long)blob->size);
    }
    SL_TRY(sl_blob_pread(blob, 0, raw, sizeof(raw), err));
    struct sl_rd rd = sl_rd_over(SL_BYTES(raw, sizeof(raw)));
    s.level = sl_rd_u16(&rd);
    s.version = sl_rd_u16(&rd);
    s.slot_count = sl_rd_u16(&rd);
    uint16_t strategy = sl_rd_u16(&rd);
    s.data_end = sl_rd_u64(&rd);
    if (s.version > VERSION_MAX) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: header version %u at offset 2 is not known (0 and 1 are): damaged, or "
                       "written by a server newer than this program",
                       blob->name, s.version);
    }
    if (strategy != 0) {
        return bad(blob, 6, "its strategy is not \"replace\", so these are no objects", err);
    }
    if (s.slot_count > SLOTS_MAX) {
        return bad(blob, 4, "too many secondary indexes", err);
    }
    uint64_t payload_end = blob->size - (s.version == 1 ? TRAILER_BYTES : 0);
    if (s.data_end < HEADER_BYTES) {
        return bad(blob, 8, "the index begins inside the header", err);
    }
    SL_TRY(find_index(&s, payload_end, err));
    if (s.data_end > HEADER_BYTES) {
        /* A scan of everything reads no index; its root shows that the data ends where it should.
         */
        struct sli_index_node root;
        SL_TRY(sli_segment_index_node(&s, 0, &root, err));
    }
    *ret = s;
    return SL_OK;
}

uint64_t sli_segment_key_count(const struct sli_segment *s)
{
    return (s->index_end - s->index_at) / INDEX_NODE_BYTES;
}

sl_rc sli_segment_index_node(const struct sli_segment *s, int64_t at, struct sli_index_node *ret,
                             struct sl_err *err)
{
    uint64_t len = s->index_end - s->index_at;
    if (at < 0 || len < INDEX_NODE_BYTES || (uint64_t)at > len - INDEX_NODE_BYTES) {
        return bad(&s->blob, s->index_at, "the index ends before one of its nodes", err);
    }
    uint8_t raw[INDEX_NODE_BYTES];
    uint64_t offset = s->index_at + (uint64_t)at;
    SL_TRY(sl_blob_pread(&s->blob, offset, raw, sizeof(raw), err));
    struct sl_rd rd = sl_rd_over(SL_BYTES(raw, sizeof(raw)));
    uint32_t key_len = sl_rd_u32(&rd);
    if (key_len != SL_UUID_SIZE) {
        return bad(&s->blob, offset, "a key of the index is not 16 bytes long", err);
    }
    sli_key_load(sl_rd_bytes(&rd, SL_UUID_SIZE).ptr, ret->key);
    ret->start = sl_rd_u64(&rd);
    ret->end = sl_rd_u64(&rd);
    ret->left = (int64_t)sl_rd_u64(&rd);
    ret->right = (int64_t)sl_rd_u64(&rd);
    if (ret->start < HEADER_BYTES || ret->start >= ret->end || ret->end > s->data_end) {
        return bad(&s->blob, offset + 20, "the index points outside of the data", err);
    }
    return SL_OK;
}

sl_rc sli_segment_seek(const struct sli_segment *s, const uint64_t key[2],
                       struct sli_index_node *ret, struct sl_err *err)
{
    bool has_found = false;
    if (s->index_end == s->index_at) {
        return SL_END;
    }
    int64_t at = 0;
    for (uint32_t depth = 0; at >= 0; depth++) {
        struct sli_index_node n;
        if (depth == DEPTH_MAX) {
            return bad(&s->blob, s->index_at, "the index goes in circles", err);
        }
        SL_TRY(sli_segment_index_node(s, at, &n, err));
        if (sli_key_cmp(n.key, key) >= 0) {
            *ret = n;
            has_found = true;
            at = n.left;
        } else {
            at = n.right;
        }
    }
    return has_found ? SL_OK : SL_END;
}

sl_rc sli_segment_check_tombstone(const struct sli_segment *s, const uint64_t key[2],
                                  uint64_t offset, struct sl_err *err)
{
    struct sli_index_node n;
    if (s->version != 0) {
        return SL_OK; /* sli_segment_check has spoken */
    }
    sl_rc rc = sli_segment_seek(s, key, &n, err);
    if (rc == SL_OK && (sli_key_cmp(n.key, key) != 0 || n.start != offset)) {
        rc = SL_END;
    }
    return rc == SL_END ? bad(&s->blob, offset, "the index does not know this tombstone", err) : rc;
}

/* ---- verify ---- */

/* In-order walk of the index: its nodes come as the data does. */
struct walk {
    const struct sli_segment *s;
    struct sli_index_node stack[DEPTH_MAX];
    uint32_t depth;
    uint64_t visited;
};

static sl_rc descend(struct walk *w, int64_t at, struct sl_err *err)
{
    while (at >= 0) {
        if (w->depth == DEPTH_MAX || ++w->visited > sli_segment_key_count(w->s)) {
            return bad(&w->s->blob, w->s->index_at, "the index goes in circles", err);
        }
        struct sli_index_node *n = &w->stack[w->depth++];
        SL_TRY(sli_segment_index_node(w->s, at, n, err));
        at = n->left;
    }
    return SL_OK;
}

static sl_rc walk_next(struct walk *w, struct sli_index_node *ret, struct sl_err *err)
{
    if (w->depth == 0) {
        return SL_END;
    }
    *ret = w->stack[--w->depth];
    return descend(w, ret->right, err);
}

/* Two walks side by side: the data as it lies, and the index in the order of its keys. */
struct verify {
    struct sli_segment *s;
    const struct sl_bucket_opts *opts;
    struct sli_window w;
    struct walk walk;
    struct sli_index_node found; /* what the index says comes next, when has_found */
    bool has_found;
    bool is_index_lost; /* it cannot be walked on; told */
    bool is_apart;      /* the node before did not agree with the index: told once a run of them */
    uint64_t at, before[2];
    uint32_t told;
};

/* Damage is the result, or, where somebody listens, told and gone on behind. */
static sl_rc tell(struct verify *v, sl_rc rc, struct sl_err *err)
{
    if (rc != SL_ECORRUPT || v->opts->damage == NULL) {
        return rc;
    }
    if (++v->told > DAMAGES_MAX) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: more than %d damages; the rest was not looked at",
                       v->s->blob.name, DAMAGES_MAX);
    }
    v->opts->damage(v->opts->damage_arg, NULL, err->text);
    return SL_OK;
}

static sl_rc next_found(struct verify *v, struct sl_err *err)
{
    v->has_found = false;
    if (v->is_index_lost) {
        return SL_OK;
    }
    sl_rc rc = walk_next(&v->walk, &v->found, err);
    v->has_found = rc == SL_OK;
    if (rc == SL_OK || rc == SL_END) {
        return SL_OK;
    }
    v->is_index_lost = true;
    return tell(v, rc, err);
}

/* The order of the keys; the index on the way, node by node as in a merge. */
static sl_rc compare(struct verify *v, const struct sli_node *node, struct sl_err *err)
{
    const struct sl_blob *b = &v->s->blob;
    if (v->at > HEADER_BYTES && sli_key_cmp(node->key, v->before) <= 0) {
        SL_TRY(tell(v, bad(b, v->at, "its key is not larger than the one before", err), err));
        return SL_OK;
    }
    memcpy(v->before, node->key, sizeof(v->before)); /* not a wrong key, or all are condemned */
    bool is_known = v->is_index_lost || (v->has_found && v->found.start == v->at &&
                                         v->found.end == v->at + node->size &&
                                         sli_key_cmp(v->found.key, node->key) == 0);
    bool is_first = !is_known && !v->is_apart;
    v->is_apart = !is_known;
    if (is_first) {
        SL_TRY(
            tell(v, bad(b, v->at, "the index does not know this node as it lies here", err), err));
    }
    while (v->has_found && sli_key_cmp(v->found.key, node->key) <= 0) {
        SL_TRY(next_found(v, err));
    }
    return SL_OK;
}

/* Behind a node that cannot be read: where the index knows the next one, else the end. */
static sl_rc jump(struct verify *v, struct sl_err *err)
{
    while (v->has_found && v->found.start <= v->at) {
        SL_TRY(next_found(v, err));
    }
    v->at = v->has_found ? v->found.start : v->s->data_end;
    return SL_OK;
}

static sl_rc verify_node(struct verify *v, struct sl_err *err)
{
    struct sli_segment *s = v->s;
    struct sli_node node;
    sl_rc rc = sli_node_read(&v->w, v->at, s->slot_count, 0, &node, err);
    if (rc != SL_OK) {
        SL_TRY(tell(v, rc, err));
        return jump(v, err);
    }
    SL_TRY(compare(v, &node, err));
    if (node.is_tombstone) {
        s->tombstone_count++;
        s->timed_tombstone_count += node.value.len > 0;
        s->keyed_tombstone_count += node.size > SLI_NODE_FIXED + node.value.len + SL_UUID_SIZE +
                                                    sizeof(uint32_t) * s->slot_count;
    }
    v->at += node.size;
    return SL_OK;
}

/* Secondary indexes are not used to read; but they must be whole, or the file was changed. */
static sl_rc verify_secondary(struct verify *v, uint64_t end, struct sl_err *err)
{
    const struct sl_blob *b = &v->s->blob;
    struct sli_window w;
    sl_rc rc = SL_OK;
    sli_window_begin(&w, b, end, VERIFY_WINDOW);
    for (uint64_t at = v->s->index_end; at < end && rc == SL_OK;) {
        struct sl_bytes head, node;
        rc = sli_window_view(&w, at, sizeof(uint32_t), &head, err);
        if (rc != SL_OK) {
            break;
        }
        struct sl_rd rd = sl_rd_over(head);
        uint32_t len = sl_rd_u32(&rd);
        if (len > SECONDARY_MAX) {
            rc = bad(b, at, "a secondary index is not whole", err);
            break;
        }
        rc = sli_window_view(&w, at, sizeof(uint32_t) + len + SECONDARY_FIXED, &node, err);
        if (rc == SL_OK) {
            rd = sl_rd_over((struct sl_bytes){node.ptr + sizeof(uint32_t) + len, SECONDARY_FIXED});
            uint64_t from = sl_rd_u64(&rd), to = sl_rd_u64(&rd);
            if (from < HEADER_BYTES || from >= to || to > v->s->data_end) {
                rc = bad(b, at, "a secondary index points outside of the data", err);
            }
            at += node.len;
        }
    }
    sli_window_fini(&w);
    return tell(v, rc, err);
}

static sl_rc verify_all(struct verify *v, struct sl_err *err)
{
    struct sli_segment *s = v->s;
    s->tombstone_count = s->timed_tombstone_count = s->keyed_tombstone_count = 0;
    SL_TRY(tell(v, sli_segment_check(s, err), err));
    if (s->index_end > s->index_at) {
        sl_rc rc = descend(&v->walk, 0, err);
        v->is_index_lost = rc != SL_OK;
        SL_TRY(tell(v, rc, err));
    }
    SL_TRY(next_found(v, err));
    v->at = HEADER_BYTES;
    while (v->at < s->data_end) {
        SL_TRY(verify_node(v, err));
    }
    if (v->has_found && !v->is_apart) {
        sl_rc rc = bad(&s->blob, s->index_at, "the index knows nodes that are not there", err);
        SL_TRY(tell(v, rc, err));
    }
    uint64_t end = s->blob.size - (s->version == 1 ? TRAILER_BYTES : 0);
    return s->slot_count == 0 ? SL_OK : verify_secondary(v, end, err);
}

sl_rc sli_segment_verify(struct sli_segment *s, const struct sl_bucket_opts *opts,
                         struct sl_err *err)
{
    struct sl_err own; /* sentences are told even when the caller wants none */
    SL_AUTO_MEM(struct verify) v = sl_alloc_zero(1, sizeof(*v));
    if (v == NULL) {
        return SL_NOMEM(err);
    }
    v->s = s;
    v->opts = opts;
    v->walk.s = s;
    sli_window_begin(&v->w, &s->blob, s->data_end, VERIFY_WINDOW);
    sl_rc rc = verify_all(v, err != NULL ? err : &own);
    sli_window_fini(&v->w);
    return rc;
}
