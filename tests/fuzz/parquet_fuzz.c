/* Parquet reader: whatever the file, each column ends in values or in a sentence. */
#include "parquet/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sl_rc read_at(void *arg, uint64_t offset, size_t len, struct sl_buf *out, struct sl_err *err)
{
    const struct sl_bytes *file = arg;
    sl_assert(offset <= file->len && len <= file->len - offset); /* nothing beyond is asked for */
    (void)err;
    sl_buf_add(out, SL_BYTES(file->ptr + offset, len));
    return SL_OK;
}

/* Touches every value, for the sanitizer; the sum itself says nothing. */
static uint64_t sum(const struct sl_pq_leaf *leaf, const struct sl_pq_batch *b)
{
    uint64_t n = 0;
    sl_assert(b->value_count <= b->level_count);
    for (uint32_t i = 0; i < b->value_count; i++) {
        struct sl_bytes v = leaf->width == 0
                                ? b->texts[i]
                                : SL_BYTES(b->fixed + (size_t)i * leaf->width, leaf->width);
        n += v.len > 0 ? v.ptr[0] + v.ptr[v.len - 1] : 0u;
    }
    for (uint32_t i = 0; i < b->level_count; i++) {
        n += b->def != NULL ? b->def[i] : 0u;
        n += b->rep != NULL ? b->rep[i] : 0u;
    }
    return n;
}

static sl_rc read_chunk(const struct sl_pq_file *f, uint32_t group, uint32_t leaf,
                        struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_chunk) c = NULL;
    struct sl_pq_batch b;
    SL_TRY(sl_pq_chunk_open(f, group, leaf, &c, err));
    for (;;) {
        SL_TRY(sl_pq_chunk_next(c, &b, err));
        sl_assert(sum(sl_pq_file_leaf(f, leaf), &b) != UINT64_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    struct sl_bytes bytes = SL_BYTES(data, size);
    struct sl_pq_source s = {read_at, &bytes, size, 1 << 16};
    sl_rc rc = sl_pq_file_open(&s, &f, &err);
    sl_assert(rc == SL_OK || err.text[0] != '\0');
    for (uint32_t g = 0; rc == SL_OK && g < SL_MIN(sl_pq_file_groups(f), 4); g++) {
        for (uint32_t leaf = 0; leaf < SL_MIN(sl_pq_file_leaves(f), 16); leaf++) {
            sl_rc end = read_chunk(f, g, leaf, &err);
            sl_assert(end == SL_END || err.text[0] != '\0');
        }
    }
    return 0;
}
