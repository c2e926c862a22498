/* One segment: whatever the bytes, a scan of everything that succeeds gives what a slow reader
 * finds in them; ranges that succeed give it too, at any split; a verify that succeeds finds
 * nothing that the scan does not. */
#include "lsm/lsm_int.h"
#include "lsm_slow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct memfile file;
static const struct sl_bucket_opts strict;

/* Rows of [lo, hi) are the next of `want` from *at on. */
static sl_rc scan(struct sl_bucket *b, const uint8_t *lo, const uint8_t *hi,
                  const struct rows *want, size_t *at)
{
    SL_AUTO_PTR(sl_bucket_cursor) c = NULL;
    SL_TRY(sl_bucket_scan(b, lo, hi, &c, NULL));
    for (;;) {
        struct sl_bucket_entry e;
        sl_rc rc = sl_bucket_next(c, &e, NULL);
        if (rc != SL_OK) {
            return rc == SL_END ? SL_OK : rc;
        }
        sl_assert(*at < want->count);
        const struct row *row = &want->list[(*at)++];
        sl_assert(memcmp(e.key, row->key, 16) == 0 && sl_bytes_eq(e.value, row->value));
        sl_assert(e.offset == row->at);
    }
}

static void check(struct sl_bucket *b, struct sl_bytes bytes)
{
    uint8_t keys[8][SL_UUID_SIZE];
    struct rows want = {0};
    uint32_t count = 0;
    size_t at = 0;
    bool is_sound = slow_segment(bytes, &want);
    rows_drop_tombstones(&want);
    bool is_read = scan(b, NULL, NULL, &want, &at) == SL_OK;
    sl_assert(!is_read || (is_sound && at == want.count));
    sl_assert(sl_bucket_verify(b, 0, NULL) != SL_OK || is_read);
    for (uint32_t parts = 2; parts <= 8; parts += 3) {
        sl_rc rc = sl_bucket_split(b, parts - 1, keys, &count, NULL);
        at = 0;
        for (uint32_t i = 0; rc == SL_OK && i <= count; i++) {
            sl_assert(i == 0 || i == count || memcmp(keys[i - 1], keys[i], 16) < 0);
            rc = scan(b, i == 0 ? NULL : keys[i - 1], i == count ? NULL : keys[i], &want, &at);
        }
        sl_assert(rc != SL_OK || !is_read || at == want.count);
    }
    rows_fini(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_bucket) b = NULL;
    if (file.file == NULL) {
        memfile_open(&file, "fuzz.db");
    }
    memfile_set(&file, SL_BYTES(data, size));
    struct sl_bucket_source source = {.blob = file.blob};
    if (sl_bucket_open(&source, 1, &strict, &b, &err) != SL_OK) {
        sl_assert(strstr(err.text, "fuzz.db") != NULL);
        return 0;
    }
    check(b, SL_BYTES(data, size));
    return 0;
}
