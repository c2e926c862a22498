/* Reads through the extents of a blob; see blob.h. */
#include "lsm/blob.h"

/* The extent that holds `at`, which is below b->size. */
static const struct sl_extent *extent_at(const struct sl_blob *b, uint64_t at)
{
    uint32_t lo = 0, hi = b->extent_count;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (b->extents[mid].at <= at) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return &b->extents[lo];
}

sl_rc sl_blob_pread(const struct sl_blob *b, uint64_t offset, uint8_t *ret, size_t len,
                    struct sl_err *err)
{
    if (offset > b->size || len > b->size - offset) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: ends at %llu, bytes %llu to %llu were expected",
                       b->name, (unsigned long long)b->size, (unsigned long long)offset,
                       (unsigned long long)offset + len);
    }
    while (len > 0) {
        const struct sl_extent *e = extent_at(b, offset);
        uint64_t skip = offset - e->at;
        size_t n = (size_t)SL_MIN((uint64_t)len, e->len - skip);
        SL_TRY(sl_file_pread(e->file, e->offset + skip, ret, n, err));
        ret += n;
        offset += n;
        len -= n;
    }
    return SL_OK;
}

/* Calls either advice for the parts of [offset, offset + len) below the end. */
static bool advise(const struct sl_blob *b, uint64_t offset, uint64_t len, bool is_prefetch)
{
    bool is_ours = false;
    len = offset >= b->size ? 0 : SL_MIN(len, b->size - offset);
    while (len > 0) {
        const struct sl_extent *e = extent_at(b, offset);
        uint64_t skip = offset - e->at;
        uint64_t n = SL_MIN(len, e->len - skip);
        if (is_prefetch) {
            is_ours |= sl_file_prefetch(e->file, e->offset + skip, n);
        } else {
            sl_file_forget(e->file, e->offset + skip, n);
        }
        offset += n;
        len -= n;
    }
    return is_ours;
}

bool sl_blob_prefetch(const struct sl_blob *b, uint64_t offset, uint64_t len)
{
    return advise(b, offset, len, true);
}

void sl_blob_forget(const struct sl_blob *b, uint64_t offset, uint64_t len)
{
    SL_IGNORE(advise(b, offset, len, false), "forgetting has no answer");
}
