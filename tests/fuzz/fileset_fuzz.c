/* Names of a bucket's files: every file gets one role, marked files never count, an identifier is
 * not read twice from a log and its segment, and the order of the listing does not matter. Input:
 * one name a line; a line that ends in '0' is an empty file. */
#include <stdlib.h>

#include "base/str.h"
#include "lsm/fileset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILES_MAX 64

static bool counts(const struct sl_bucket_file *f)
{
    return f->role == SL_ROLE_SEGMENT || f->role == SL_ROLE_LOG;
}

static uint32_t cut(const uint8_t *data, size_t size, struct sl_bucket_file *ret)
{
    uint32_t count = 0;
    for (size_t at = 0; at < size && count < FILES_MAX;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t len = end == NULL ? size - at : (size_t)(end - data) - at;
        struct sl_str name = {(const char *)data + at, len};
        bool is_empty = sl_str_ends(name, "0"), is_known = len == 0;
        name.len -= is_empty;
        for (uint32_t i = 0; i < count; i++) { /* a folder has each name once */
            is_known |= sl_str_eq(ret[i].name, name);
        }
        if (!is_known) {
            ret[count++] = (struct sl_bucket_file){.name = name, .size = is_empty ? 0 : 7};
        }
        at += len + 1;
    }
    return count;
}

static struct sl_str id_of(const struct sl_bucket_file *f)
{
    struct sl_str rest = {f->order.ptr + 8, f->order.len - 8};
    const char *dot = memchr(rest.ptr, '.', rest.len);
    sl_assert(dot != NULL);
    return (struct sl_str){rest.ptr, (size_t)(dot - rest.ptr)};
}

static void check(const struct sl_bucket_file *files, uint32_t count)
{
    uint32_t sources = 0;
    while (sources < count && counts(&files[sources])) {
        sources++;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct sl_bucket_file *f = &files[i];
        sl_assert(counts(f) == (i < sources));
        sl_assert(f->role != SL_ROLE_LEFTOVER || f->why != NULL);
        if (!counts(f)) {
            continue;
        }
        sl_assert(!sl_str_ends(f->name, ".deleteme") && sl_str_starts(f->name, "segment-"));
        sl_assert(i == 0 ||
                  sl_bytes_cmp(sl_str_bytes(files[i - 1].order), sl_str_bytes(f->order)) <= 0);
        for (uint32_t k = 0; k < sources; k++) { /* a log with something stands for its segment */
            bool is_pair = f->role == SL_ROLE_LOG && files[k].role == SL_ROLE_SEGMENT &&
                           sl_str_eq(id_of(f), id_of(&files[k]));
            sl_assert(!is_pair || memchr(files[k].name.ptr, '_', files[k].name.len) != NULL);
        }
        sl_assert(f->role != SL_ROLE_LOG || f->size > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_bucket_file files[FILES_MAX], turned[FILES_MAX];
    struct sl_arena arena = {0};
    struct sl_err err = {0};
    uint32_t count = cut(data, size, files);
    for (uint32_t i = 0; i < count; i++) {
        turned[i] = files[count - 1 - i];
    }
    sl_rc rc = sl_fileset_decide(files, count, &arena, &err);
    sl_assert(rc == sl_fileset_decide(turned, count, &arena, NULL));
    sl_assert(rc == SL_OK || (rc == SL_ECORRUPT && err.text[0] != '\0'));
    if (rc == SL_OK) {
        check(files, count);
        for (uint32_t i = 0; i < count; i++) {
            sl_assert(sl_str_eq(files[i].name, turned[i].name) && files[i].role == turned[i].role);
            sl_assert(files[i].why == turned[i].why);
        }
    }
    sl_arena_fini(&arena);
    return 0;
}
