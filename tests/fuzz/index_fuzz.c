/* The index of a sound segment: seeking leads where a look at every key leads, splits are keys in
 * order; then with changes in the index: never a wrong row, whatever it leads to. Input: a byte for
 * the number of changes, four bytes each (place, value), then two bytes a key. */
#include "lsm/lsm_int.h"
#include "lsm_slow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEYS_MAX 300

static struct memfile file;
static const struct sl_bucket_opts strict;

static int by_number(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void make_rows(struct sl_bytes input, struct rows *ret, struct mem *values)
{
    uint16_t numbers[KEYS_MAX];
    size_t count = SL_MIN(input.len / 2, (size_t)KEYS_MAX), at = 0;
    if (count > 0) {
        memcpy(numbers, input.ptr, count * 2);
        qsort(numbers, count, sizeof(numbers[0]), by_number);
    }
    for (size_t i = 0; i < count; i++) {
        struct row row = {.is_tombstone = numbers[i] % 5 == 0};
        if (i > 0 && numbers[i] == numbers[i - 1]) {
            continue;
        }
        memcpy(row.key + 6, (uint8_t[]){(uint8_t)(numbers[i] >> 8), (uint8_t)numbers[i]}, 2);
        make_object(values, row.key, "{}");
        rows_insert(ret, ret->count, &row);
    }
    for (size_t i = 0; i < ret->count; i++) {
        size_t len = values->len / ret->count;
        ret->list[i].value =
            (struct sl_bytes){values->ptr + at, ret->list[i].is_tombstone ? 0 : len};
        at += len;
    }
}

static void check_seeks(const struct sli_segment *s, const struct rows *rows)
{
    for (size_t i = 0; i <= rows->count; i++) {
        uint64_t key[2] = {UINT64_MAX, 0};
        struct sli_index_node n;
        if (i < rows->count) {
            sli_key_load(rows->list[i].key, key);
        }
        for (uint64_t before = 0; before <= (i < rows->count && key[0] > 0); before++) {
            uint64_t probe[2] = {key[0] - before, before == 0 ? 0 : UINT64_MAX};
            sl_rc rc = sli_segment_seek(s, probe, &n, NULL);
            sl_assert(rc == (i == rows->count ? SL_END : SL_OK));
            sl_assert(rc != SL_OK || n.start == rows->list[i].at);
        }
    }
}

/* Every row a scan gives is the next of `want`, no row is passed over unless it fails. */
static void check_ranges(const struct sl_bucket_source *source, const struct rows *want,
                         bool must_read)
{
    SL_AUTO_PTR(sl_bucket) b = NULL;
    uint8_t keys[16][SL_UUID_SIZE];
    if (sl_bucket_open(source, 1, &strict, &b, NULL) != SL_OK) {
        sl_assert(!must_read);
        return;
    }
    for (uint32_t parts = 1; parts <= 16; parts = parts * 2 + 1) {
        uint32_t count = 0;
        size_t at = 0;
        sl_rc rc = sl_bucket_split(b, parts - 1, keys, &count, NULL);
        sl_assert(count < parts);
        for (uint32_t i = 0; rc == SL_OK && i <= count; i++) {
            SL_AUTO_PTR(sl_bucket_cursor) c = NULL;
            struct sl_bucket_entry e;
            rc = sl_bucket_scan(b, i == 0 ? NULL : keys[i - 1], i == count ? NULL : keys[i], &c,
                                NULL);
            while (rc == SL_OK && (rc = sl_bucket_next(c, &e, NULL)) == SL_OK) {
                sl_assert(at < want->count && memcmp(e.key, want->list[at].key, 16) == 0);
                at++;
            }
            rc = rc == SL_END ? SL_OK : rc;
        }
        sl_assert(rc != SL_OK ? !must_read : at == want->count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rows rows = {0}, want = {0};
    struct mem values = {0}, out = {0};
    struct sli_segment s;
    size_t changes = size == 0 ? 0 : data[0] % 4, used = 1 + 4 * changes;
    if (size < used) {
        return 0;
    }
    if (file.file == NULL) {
        memfile_open(&file, "fuzz.db");
    }
    make_rows(SL_BYTES(data + used, size - used), &rows, &values);
    make_segment(&out, &rows, 1, 0);
    memfile_set(&file, SL_BYTES(out.ptr, out.len));
    struct sl_bucket_source source = {.blob = file.blob};
    sl_assert(sli_segment_open(&file.blob, &s, NULL) == SL_OK);
    sl_assert(sli_segment_verify(&s, &strict, NULL) == SL_OK);
    check_seeks(&s, &rows);
    rows_merge(&want, &rows);
    rows_drop_tombstones(&want);
    check_ranges(&source, &want, true);
    for (size_t i = 0; i < changes && s.index_end > s.index_at; i++) {
        uint64_t at = int_at(SL_BYTES(data, size), 1 + 4 * i, 3) % (s.index_end - s.index_at);
        out.ptr[s.index_at + at] = data[1 + 4 * i + 3];
    }
    memfile_set(&file, SL_BYTES(out.ptr, out.len));
    check_ranges(&source, &want, false);
    rows_fini(&rows);
    rows_fini(&want);
    mem_fini(&values);
    mem_fini(&out);
    return 0;
}
