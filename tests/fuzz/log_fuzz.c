/* One log: entries are sorted, once each, and as a slow reader finds them; what is skipped is told;
 * no entry leads out of the file. Half of the inputs get right checksums first, so that the fuzzer
 * comes behind them. */
#include "lsm/lsm_int.h"
#include "lsm_slow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct memfile file;

static void tell(void *arg, const uint8_t *uuid, const char *what)
{
    sl_assert(uuid == NULL && strstr(what, "fuzz.wal: damaged from offset") != NULL);
    ++*(uint32_t *)arg;
}

/* Writes the checksum of every record whose head is sound. */
static void mend(uint8_t *ptr, size_t len)
{
    uint32_t crc = 0;
    size_t at = 0;
    while (at + 6 <= len && ptr[at] == 0 && ptr[at + 1] == 1) {
        size_t n = (size_t)int_at(SL_BYTES(ptr, len), at + 2, 4);
        if (n > len - at - 6 || 4 > len - at - 6 - n) {
            return;
        }
        crc = crc_add(crc, ptr + at, 6 + n);
        uint32_t stored = __builtin_bswap32(crc);
        memcpy(ptr + at + 6 + n, &stored, 4);
        at += 6 + n + 4;
    }
}

static void check(const struct sli_log *log, struct sl_bytes bytes)
{
    struct rows all = {0}, want = {0};
    size_t end = slow_log(bytes, &all);
    uint64_t tombstones = 0;
    rows_merge(&want, &all);
    sl_assert(log->good_bytes >= end && log->good_bytes <= bytes.len);
    for (uint64_t i = 0; i < log->count; i++) {
        const struct sli_log_entry *e = &log->entries[i];
        sl_assert(i == 0 || sli_key_cmp(e[-1].key, e->key) < 0);
        sl_assert(e->offset + e->size <= log->good_bytes && sli_log_seek(log, e->key) == i);
        tombstones += e->is_tombstone;
    }
    sl_assert(tombstones == log->tombstone_count);
    sl_assert(log->good_bytes > end || log->count == want.count);
    for (size_t i = 0; i < want.count; i++) { /* a later record may stand for it */
        uint64_t key[2];
        sli_key_load(want.list[i].key, key);
        uint64_t at = sli_log_seek(log, key);
        sl_assert(at < log->count && sli_key_cmp(log->entries[at].key, key) == 0);
        sl_assert(log->entries[at].offset == want.list[i].at || log->entries[at].offset >= end);
    }
    rows_fini(&all);
    rows_fini(&want);
}

static void run(struct sl_bytes bytes)
{
    struct sl_err err = {0};
    struct sli_log log;
    uint32_t told = 0;
    struct sl_bucket_opts strict = {0}, lax = {.damage = tell, .damage_arg = &told};
    memfile_set(&file, bytes);
    sl_rc rc = sli_log_open(&file.blob, &strict, &log, &err);
    if (rc == SL_OK) {
        check(&log, bytes);
        sli_log_fini(&log);
    } else {
        sl_assert(rc == SL_ECORRUPT && strstr(err.text, "fuzz.wal") != NULL);
    }
    sl_assert(sli_log_open(&file.blob, &lax, &log, &err) == SL_OK);
    sl_assert((told > 0) == (rc != SL_OK));
    check(&log, bytes);
    sli_log_fini(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem copy = {0};
    if (file.file == NULL) {
        memfile_open(&file, "fuzz.wal");
    }
    run(SL_BYTES(data, size));
    mem_add(&copy, data, size);
    mend(copy.ptr, copy.len);
    run(SL_BYTES(copy.ptr, copy.len));
    mem_fini(&copy);
    return 0;
}
