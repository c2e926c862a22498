/* Windows over a blob: one pread serves many nodes, and the page cache is left as it was found.
 *
 * The next window is asked for before this one is parsed, so the device works while we do. Pages
 * that were not cached before are given back when the window has moved past them; those that were,
 * belong to somebody and stay. */
#include "lsm/lsm_int.h"

void sli_window_begin(struct sli_window *w, const struct sl_blob *blob, uint64_t end, size_t want)
{
    want = SL_MAX(want, (size_t)SLI_WINDOW_ALIGN) & ~(size_t)(SLI_WINDOW_ALIGN - 1);
    *w = (struct sli_window){.blob = blob, .end = end, .want = want, .ahead_at = UINT64_MAX};
}

/* Reads end at multiples of `want`, so that the part asked for ahead is the part read next. */
static uint64_t read_end(const struct sli_window *w, uint64_t at)
{
    return SL_MIN(w->end, (at / w->want + 1) * w->want);
}

void sli_window_fini(struct sli_window *w)
{
    if (w->is_ours) {
        sl_blob_forget(w->blob, w->ahead_at, read_end(w, w->ahead_at) - w->ahead_at);
    }
    sl_free(w->ptr);
    *w = (struct sli_window){0};
}

void sli_window_move(struct sli_window *w, uint64_t end)
{
    w->end = end;
    w->at = w->len = 0;
    w->ahead_at = UINT64_MAX;
    w->is_ours = false;
}

/* Room for `more` bytes behind what is held. */
static sl_rc make_room(struct sli_window *w, size_t more, struct sl_err *err)
{
    if (more <= w->cap - w->len) {
        return SL_OK;
    }
    size_t cap = w->len + more + (w->cap == 0 ? 0 : w->want / 4); /* nodes across two reads */
    uint8_t *grown = sl_realloc(w->ptr, cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    w->ptr = grown;
    w->cap = cap;
    return SL_OK;
}

/* Reads on after what the window holds, and asks for what comes next. */
static sl_rc fill(struct sli_window *w, struct sl_err *err)
{
    uint64_t from = w->at + w->len, end = read_end(w, from);
    SL_TRY(make_room(w, (size_t)(end - from), err));
    if (w->ahead_at != from) {
        w->is_ours = sl_blob_prefetch(w->blob, from, end - from);
    }
    SL_TRY(sl_blob_pread(w->blob, from, w->ptr + w->len, (size_t)(end - from), err));
    w->len += (size_t)(end - from);
    if (w->is_ours) {
        sl_blob_forget(w->blob, from, end - from);
    }
    w->ahead_at = end;
    w->is_ours = end < w->end && sl_blob_prefetch(w->blob, end, read_end(w, end) - end);
    return SL_OK;
}

sl_rc sli_window_view(struct sli_window *w, uint64_t offset, size_t len, struct sl_bytes *ret,
                      struct sl_err *err)
{
    if (SL_UNLIKELY(offset > w->end || len > w->end - offset)) {
        w->is_beyond = true;
        return SL_FAIL(err, SL_ECORRUPT, "%s: ends at %llu, bytes %llu to %llu were expected",
                       w->blob->name, (unsigned long long)w->end, (unsigned long long)offset,
                       (unsigned long long)(offset + len));
    }
    if (SL_UNLIKELY(offset - w->at > w->len || len > w->len - (offset - w->at))) {
        uint64_t skip = offset - w->at;
        size_t kept = skip < w->len ? w->len - (size_t)skip : 0;
        if (kept > 0) {
            memmove(w->ptr, w->ptr + skip, kept);
        }
        w->at = offset;
        w->len = kept;
        while (w->len < len) {
            SL_TRY(fill(w, err));
        }
    }
    *ret = (struct sl_bytes){w->ptr + (offset - w->at), len};
    return SL_OK;
}
