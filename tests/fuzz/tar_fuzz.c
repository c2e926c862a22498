/* Tar: whatever the bytes, the reader stays inside them, gets to an end, and tells what it could
 * not read. */
#include "source/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    const uint8_t *data;
    size_t size;
    uint64_t at;
};

static sl_rc read_memory(void *arg, uint8_t *ret, size_t len, size_t *ret_len,
                         struct sl_err *err SL_UNUSED)
{
    struct memory *m = arg;
    size_t n = m->at >= m->size ? 0 : SL_MIN(len, m->size - (size_t)m->at);
    if (n > 0) {
        memcpy(ret, m->data + m->at, n);
    }
    m->at += n;
    *ret_len = n;
    return SL_OK;
}

static sl_rc skip_memory(void *arg, uint64_t len, struct sl_err *err SL_UNUSED)
{
    struct memory *m = arg;
    sl_assert(m->at + len >= m->at);
    m->at += len;
    return SL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory m = {data, size, 0};
    struct sl_err err = {0};
    static struct sli_tar t;
    struct sli_tar_entry e;
    sl_rc rc;
    sli_tar_init(&t, (struct sli_tar_input){read_memory, skip_memory, &m});
    while ((rc = sli_tar_next(&t, &e, &err)) == SL_OK) {
        uint8_t body[700];
        size_t got = 0;
        sl_assert(e.name.len <= SLI_TAR_NAME_MAX && e.name.ptr[e.name.len] == '\0');
        sl_assert(e.at == m.at && e.size <= (uint64_t)1 << 60);
        if (e.size % 2 == 0) { /* the other half is skipped */
            rc = sli_tar_read(&t, body, sizeof(body), &got, &err);
            sl_assert(rc != SL_OK || got == SL_MIN(e.size, (uint64_t)sizeof(body)));
        }
    }
    sl_assert(rc == SL_END || (rc == SL_ECORRUPT && err.text[0] != '\0'));
    return 0;
}
