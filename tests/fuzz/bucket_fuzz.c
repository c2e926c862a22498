/* A whole bucket: up to four files, segments and logs, merged. What reads without an error is what
 * a slow merge finds; what reads when damage is skipped holds no row that is not there, but for
 * objects whose newest version was told to be left out. Input: for each file a byte (odd: a log),
 * two bytes of length, the file; logs get right checksums. */
#include "lsm/lsm_int.h"
#include "lsm_slow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILES_MAX 4

static struct memfile files[FILES_MAX];
static const char *const names[FILES_MAX] = {"fuzz-1", "fuzz-2", "fuzz-3", "fuzz-4"};

struct told {
    uint32_t count;
};
static void tell(void *arg, const uint8_t *uuid SL_UNUSED, const char *what)
{
    sl_assert(strstr(what, "fuzz-") != NULL);
    ((struct told *)arg)->count++;
}

static void mend(struct mem *log)
{
    uint32_t crc = 0;
    for (size_t at = 0; at + 6 <= log->len && log->ptr[at] == 0 && log->ptr[at + 1] == 1;) {
        size_t n = (size_t)int_at(SL_BYTES(log->ptr, log->len), at + 2, 4);
        if (n > log->len - at - 6 || 4 > log->len - at - 6 - n) {
            return;
        }
        crc = crc_add(crc, log->ptr + at, 6 + n);
        uint32_t stored = __builtin_bswap32(crc);
        memcpy(log->ptr + at + 6 + n, &stored, 4);
        at += 6 + n + 4;
    }
}

static uint32_t cut(struct sl_bytes input, struct sl_bucket_source *sources, struct mem *bytes)
{
    uint32_t count = 0;
    for (size_t at = 0; at + 3 <= input.len && count < FILES_MAX; count++) {
        size_t len = SL_MIN((size_t)int_at(input, at + 1, 2), input.len - at - 3);
        mem_add(&bytes[count], input.ptr + at + 3, len);
        sources[count].is_log = input.ptr[at] & 1;
        if (sources[count].is_log) {
            mend(&bytes[count]);
        }
        at += 3 + len;
        if (files[count].file == NULL) {
            memfile_open(&files[count], names[count]);
        }
        memfile_set(&files[count], SL_BYTES(bytes[count].ptr, bytes[count].len));
        sources[count].blob = files[count].blob;
    }
    return count;
}

/* false: some file does not read to its end, so that there is nothing to compare with. */
static bool merge_slowly(const struct sl_bucket_source *sources, const struct mem *bytes,
                         uint32_t count, struct rows *ret)
{
    bool is_sound = true;
    for (uint32_t i = 0; i < count && is_sound; i++) {
        struct rows one = {0};
        struct sl_bytes b = {bytes[i].ptr, bytes[i].len};
        is_sound = sources[i].is_log ? slow_log(b, &one) == b.len : slow_segment(b, &one);
        rows_merge(ret, &one);
        rows_fini(&one);
    }
    rows_drop_tombstones(ret);
    return is_sound;
}

/* Keys ascend; against `want` when there is one. */
static sl_rc scan(struct sl_bucket *b, const struct rows *want, size_t *at)
{
    SL_AUTO_PTR(sl_bucket_cursor) c = NULL;
    uint8_t before[16];
    SL_TRY(sl_bucket_scan(b, NULL, NULL, &c, NULL));
    for (;; (*at)++) {
        struct sl_bucket_entry e;
        sl_rc rc = sl_bucket_next(c, &e, NULL);
        if (rc != SL_OK) {
            return rc == SL_END ? SL_OK : rc;
        }
        sl_assert(*at == 0 || memcmp(before, e.key, 16) < 0);
        sl_assert(e.value.len >= 26 && memcmp(e.value.ptr + 10, e.key, 16) == 0);
        memcpy(before, e.key, 16);
        if (want != NULL) {
            sl_assert(*at < want->count && memcmp(e.key, want->list[*at].key, 16) == 0);
            sl_assert(sl_bytes_eq(e.value, want->list[*at].value));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_bucket_source sources[FILES_MAX];
    struct mem bytes[FILES_MAX] = {0};
    struct told told = {0};
    struct sl_bucket_opts strict = {0}, lax = {.damage = tell, .damage_arg = &told};
    struct rows want = {0};
    uint32_t count = cut(SL_BYTES(data, size), sources, bytes);
    bool is_sound = merge_slowly(sources, bytes, count, &want);
    for (int turn = 0; turn < 2; turn++) {
        SL_AUTO_PTR(sl_bucket) b = NULL;
        struct sl_err err = {0};
        size_t at = 0;
        sl_rc rc = sl_bucket_open(sources, count, turn == 0 ? &strict : &lax, &b, &err);
        if (rc == SL_OK) {
            rc = scan(b, is_sound ? &want : NULL, &at);
            sl_assert(rc != SL_OK || !is_sound || told.count > 0 || at == want.count);
        }
        sl_assert(rc == SL_OK || rc == SL_ECORRUPT);
    }
    rows_fini(&want);
    for (uint32_t i = 0; i < count; i++) {
        mem_fini(&bytes[i]);
    }
    return 0;
}
