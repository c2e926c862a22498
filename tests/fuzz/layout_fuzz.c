/* Rows of foreign files: each becomes an object that can be stored, or a sentence. */
#include "layout/read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sl_rc read_at(void *arg, uint64_t offset, size_t len, struct sl_buf *out, struct sl_err *err)
{
    const struct sl_bytes *file = arg;
    sl_assert(offset <= file->len && len <= file->len - offset);
    (void)err;
    sl_buf_add(out, SL_BYTES(file->ptr + offset, len));
    return SL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sl_object object;
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_layout_reader) r = NULL;
    struct sl_bytes bytes = SL_BYTES(data, size);
    struct sl_pq_source s = {read_at, &bytes, size, 1 << 16};
    sl_rc rc = sl_layout_reader_open(&s, &r, &err);
    for (int row = 0; rc == SL_OK && row < 1000; row++) {
        SL_AUTO(sl_buf) stored = SL_BUF_EMPTY;
        rc = sl_layout_read(r, &object, &err);
        if (rc == SL_OK) { /* touches every byte */
            sl_rc written = sl_object_write(&object, &stored, &err);
            sl_assert(written == SL_OK || written == SL_EINVAL);
        }
    }
    sl_assert(rc == SL_OK || rc == SL_END || err.text[0] != '\0');
    return 0;
}
