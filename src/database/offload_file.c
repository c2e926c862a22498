/* The file of an OFFLOADED tenant: its bytes, its name, whose place it lies in.
 *
 * File `<class>-<shard number>.sluice-offload`:
 *   "SLOFF001" | shard number u64 | records | 0xFFFFFFFF u32 | count u64 | XXH3-64 of all before
 * u64 record: length u32 of what follows | uuid 16 | stored object All integers little-endian.
 *
 * Backends never replace, and a store may forbid to remove: then the next file of the tenant is
 * `<class>-<shard number>.<n>.sluice-offload`, and the highest n counts.
 *
 * Class names and shard numbers of two nodes are alike, so a place says whose it is: its object
 * `sluice-offload-owner` holds a random text that the database of that node holds, too. Called by
 * the mover (offload.c). */
#include "base/crypto.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/workers.h"
#include "database/offload_int.h"

#define MAGIC       "SLOFF001"
#define MAGIC_SIZE  8
#define END_MARK    UINT32_MAX
#define CHUNK_BYTES (1u << 20) /* gathered before the stream takes them */
#define READ_BYTES  (4u << 20) /* a range: long enough to hide the way there and back */
#define PART_BYTES  (8u << 20) /* two at once; with the 10,000 parts of S3: 78 GiB a tenant */
#define RECORD_MAX  (1u << 30)
#define SUFFIX      ".sluice-offload"
#define OWNER       "sluice-offload-owner"
#define OWNER_BYTES 16

/* ---- writing ---- */

struct out {
    struct sl_cancel *cancel;
    struct sl_sink *sink;
    struct sl_xxh *hash;
    struct sl_buf buf;
};

static sl_rc flush(struct out *o, struct sl_err *err)
{
    SL_TRY(sl_buf_done(&o->buf, err));
    sl_xxh_add(o->hash, sl_buf_view(&o->buf));
    SL_TRY(sl_sink_write(o->sink, sl_buf_view(&o->buf), err));
    sl_buf_clear(&o->buf);
    return SL_OK;
}

static sl_rc write_records(struct sl_db *db, uint64_t shard_no, struct out *o, uint64_t *ret_count,
                           struct sl_err *err)
{
    struct sli_span span = sli_span_objects(shard_no);
    struct sl_kv_span kv_span = {sli_key_view(&span.lo), sli_key_view(&span.hi)};
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    SL_TRY(sl_kv_scan(db->kv, NULL, kv_span, true, &it, err));
    for (;;) {
        struct sl_bytes key, value;
        sl_rc rc = sl_cancel_is_set(o->cancel) ? SL_ECANCELED : sl_kv_next(it, &key, &value, err);
        if (rc == SL_END) {
            return SL_OK;
        }
        SL_TRY(rc);
        sl_buf_add_u32(&o->buf, (uint32_t)(SL_UUID_SIZE + value.len));
        sl_buf_add(&o->buf, SL_BYTES(key.ptr + key.len - SL_UUID_SIZE, SL_UUID_SIZE));
        sl_buf_add(&o->buf, value);
        (*ret_count)++;
        if (o->buf.len >= CHUNK_BYTES) {
            SL_TRY(flush(o, err));
        }
    }
}

static sl_rc write_all(struct sl_db *db, uint64_t shard_no, struct out *o, struct sl_err *err)
{
    uint64_t count = 0;
    sl_buf_add(&o->buf, SL_BYTES(MAGIC, MAGIC_SIZE));
    sl_buf_add_u64(&o->buf, shard_no);
    SL_TRY(write_records(db, shard_no, o, &count, err));
    sl_buf_add_u32(&o->buf, END_MARK);
    sl_buf_add_u64(&o->buf, count);
    SL_TRY(flush(o, err));
    sl_buf_add_u64(&o->buf, sl_xxh_value(o->hash));
    SL_TRY(sl_buf_done(&o->buf, err));
    return sl_sink_write(o->sink, sl_buf_view(&o->buf), err);
}

static sl_rc write_to(struct sl_db *db, uint64_t shard_no, struct out *o, uint64_t *ret_size,
                      struct sl_err *err)
{
    struct sl_receipt receipt;
    sl_rc rc = o->hash == NULL ? SL_NOMEM(err) : write_all(db, shard_no, o, err);
    if (rc != SL_OK) {
        sl_sink_abort(o->sink);
        return rc;
    }
    SL_TRY(sl_sink_close(o->sink, &receipt, err));
    *ret_size = receipt.size;
    return SL_OK;
}

sl_rc sli_offload_write(struct sl_db *db, struct sl_str key, uint64_t shard_no,
                        struct sl_cancel *cancel, uint64_t *ret_size, struct sl_err *err)
{
    struct sl_backend *be = db->opts.offload;
    uint64_t part_bytes = SL_MAX((uint64_t)PART_BYTES, be->ops->part_rule.bytes_min);
    SL_AUTO_PTR(sl_budget) budget = NULL;
    SL_AUTO_PTR(sl_part_pool) pool = NULL;
    SL_AUTO_PTR(sl_workers) uploader = NULL;
    SL_TRY(sl_budget_new(2 * part_bytes, &budget, err));
    SL_TRY(sl_part_pool_new(budget, part_bytes, &pool, err));
    SL_TRY(sl_workers_new("offload-up", 1, 2, &uploader, err));
    struct sl_stream_opts opts = {.uploaders = uploader, .parts = pool, .cancel = cancel};
    struct out o = {.cancel = cancel};
    SL_TRY(sl_stream_open(be, key, &opts, &o.sink, err));
    o.hash = sl_xxh_new();
    sl_rc rc = write_to(db, shard_no, &o, ret_size, err);
    sl_xxh_free(o.hash);
    sl_buf_fini(&o.buf);
    return rc;
}

/* ---- reading ---- */

struct in {
    struct sl_backend *be;
    struct sl_str key;
    const char *name; /* for people */
    struct sl_xxh *hash;
    uint64_t at, size;   /* taken; of the part before the checksum */
    struct sl_buf ahead; /* read and not yet taken, from `used` on */
    size_t used;
};

/* The next `len` bytes; the view lives until the next call. */
static sl_rc next(struct in *in, size_t len, struct sl_bytes *ret, struct sl_err *err)
{
    if (in->used > 0 && in->ahead.len - in->used < len) {
        sl_buf_consume(&in->ahead, in->used);
        in->used = 0;
    }
    while (in->ahead.len < in->used + len) {
        size_t before = in->ahead.len;
        SL_TRY(in->be->ops->read(in->be, in->key, in->at + before, READ_BYTES, &in->ahead, err));
        if (in->ahead.len == before) {
            return SL_FAIL(err, SL_ECORRUPT, "%s: ends at offset %llu", in->name,
                           (unsigned long long)(in->at + before));
        }
    }
    *ret = SL_BYTES(in->ahead.ptr + in->used, len);
    in->used += len;
    in->at += len;
    return SL_OK;
}

/* The same, before the checksum and hashed. */
static sl_rc take(struct in *in, size_t len, struct sl_bytes *ret, struct sl_err *err)
{
    if (len > in->size - in->at) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: damaged at offset %llu", in->name,
                       (unsigned long long)in->at);
    }
    SL_TRY(next(in, len, ret, err));
    sl_xxh_add(in->hash, *ret);
    return SL_OK;
}

static sl_rc read_records(struct in *in, sli_offload_record_fn *fn, void *arg, uint64_t *ret_count,
                          struct sl_err *err)
{
    for (;;) {
        struct sl_bytes bytes;
        SL_TRY(take(in, 4, &bytes, err));
        struct sl_rd rd = sl_rd_over(bytes);
        uint32_t len = sl_rd_u32(&rd);
        if (len == END_MARK) {
            return SL_OK;
        }
        if (len < SL_UUID_SIZE || len > RECORD_MAX) {
            return SL_FAIL(err, SL_ECORRUPT, "%s: a record of %u bytes at offset %llu", in->name,
                           len, (unsigned long long)in->at);
        }
        SL_TRY(take(in, len, &bytes, err));
        (*ret_count)++;
        if (fn != NULL) {
            SL_TRY(fn(arg, SL_BYTES(bytes.ptr, SL_UUID_SIZE),
                      SL_BYTES(bytes.ptr + SL_UUID_SIZE, len - SL_UUID_SIZE), err));
        }
    }
}

static sl_rc read_all(struct in *in, uint64_t shard_no, sli_offload_record_fn *fn, void *arg,
                      struct sl_err *err)
{
    struct sl_bytes bytes;
    uint64_t count = 0;
    SL_TRY(take(in, MAGIC_SIZE + 8, &bytes, err));
    struct sl_rd rd = sl_rd_over(bytes);
    struct sl_bytes magic = sl_rd_bytes(&rd, MAGIC_SIZE);
    if (memcmp(magic.ptr, MAGIC, MAGIC_SIZE) != 0 || sl_rd_u64(&rd) != shard_no) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: not the offload file of this tenant", in->name);
    }
    SL_TRY(read_records(in, fn, arg, &count, err));
    SL_TRY(take(in, 8, &bytes, err));
    rd = sl_rd_over(bytes);
    uint64_t want_count = sl_rd_u64(&rd), got = sl_xxh_value(in->hash);
    bool is_whole = in->at == in->size;
    SL_TRY(next(in, 8, &bytes, err));
    rd = sl_rd_over(bytes);
    if (!is_whole || want_count != count || sl_rd_u64(&rd) != got) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: checksum or count differ", in->name);
    }
    return SL_OK;
}

sl_rc sli_offload_read(struct sl_db *db, const struct sli_offload_file *file, uint64_t shard_no,
                       sli_offload_record_fn *fn, void *arg, struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    struct sl_backend *be = db->opts.offload;
    be->ops->describe(be, file->key, &name);
    struct in in = {.be = be, .key = file->key, .name = sl_buf_cstr(&name)};
    SL_TRY(sl_buf_done(&name, err));
    if (file->size < MAGIC_SIZE + 8 + 4 + 8 + 8) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: too short for an offload file", in.name);
    }
    in.size = file->size - 8;
    in.hash = sl_xxh_new();
    sl_rc rc = in.hash == NULL ? SL_NOMEM(err) : read_all(&in, shard_no, fn, arg, err);
    sl_xxh_free(in.hash);
    sl_buf_fini(&in.ahead);
    return rc;
}

/* ---- whose place it is ---- */

/* The text of this database, made at the first use. */
static sl_rc own_text(struct sl_db *db, struct sl_buf *out, struct sl_err *err)
{
    struct sli_key key = sli_key_meta("offload_owner");
    uint8_t random[OWNER_BYTES];
    sl_rc rc = sl_kv_get(db->kv, NULL, sli_key_view(&key), out, err);
    if (rc != SL_ENOTFOUND) {
        return rc;
    }
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_random_bytes(random, sizeof(random), err));
    sl_hex_add(out, SL_BYTES(random, sizeof(random)));
    SL_TRY(sl_buf_done(out, err));
    sl_kv_batch_put(batch, sli_key_view(&key), sl_buf_view(out));
    SL_TRY(sl_kv_commit(db->kv, batch, err));
    return sl_kv_sync(db->kv, err);
}

/* Before anything there is read, written or removed. */
static sl_rc claim(struct sl_db *db, struct sl_err *err)
{
    struct sl_backend *be = db->opts.offload;
    SL_AUTO(sl_buf) own = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) found = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) place = SL_BUF_EMPTY;
    SL_TRY(own_text(db, &own, err));
    sl_rc rc = sl_backend_get(be, SL_STR(OWNER), 4096, &found, err);
    if (rc == SL_ENOTFOUND) {
        return sl_backend_put(be, SL_STR(OWNER), sl_buf_view(&own), SL_PUT_NEW, err);
    }
    SL_TRY(rc);
    if (sl_str_eq(sl_buf_str(&own), sl_buf_str(&found))) {
        return SL_OK;
    }
    be->ops->describe(be, SL_STR(OWNER), &place);
    return SL_FAIL(err, SL_EINVAL,
                   "SLUICE_OFFLOAD_PATH: %s names another data folder; give each node a place of "
                   "its own",
                   sl_buf_cstr(&place));
}

/* ---- names ---- */

/* Files of one tenant, as a listing tells of them. */
struct listing {
    struct sl_str prefix;
    struct sl_buf keys; /* each ends with a zero byte */
    bool is_found;
    uint64_t newest, size; /* the highest number and its file's bytes */
};

static void add_prefix(struct sl_buf *out, struct sl_str class_name, uint64_t shard_no)
{
    sl_buf_addf(out, "%.*s-%llu", SL_STR_ARG(class_name), (unsigned long long)shard_no);
}

static sl_rc add_key(struct sl_str prefix, uint64_t number, struct sl_buf *out, struct sl_err *err)
{
    sl_buf_add_str(out, prefix);
    if (number > 0) {
        sl_buf_addf(out, "%llu.", (unsigned long long)number);
    }
    sl_buf_add_text(out, &SUFFIX[1]);
    return sl_buf_done(out, err);
}

/* `Class-7.sluice-offload` is number 0. Only names that we write count. */
static bool number_of(struct sl_str prefix, struct sl_str key, uint64_t *ret)
{
    struct sl_str rest = {key.ptr + prefix.len, key.len - prefix.len};
    uint64_t number = 0;
    while (rest.len > 0 && rest.ptr[0] >= '0' && rest.ptr[0] <= '9' && number < UINT32_MAX) {
        number = 10 * number + (uint64_t)(rest.ptr[0] - '0');
        rest = (struct sl_str){rest.ptr + 1, rest.len - 1};
    }
    *ret = number;
    return sl_str_is(rest, number > 0 ? SUFFIX : &SUFFIX[1]);
}

static sl_rc note(void *arg, struct sl_str key, uint64_t size, struct sl_err *err)
{
    struct listing *l = arg;
    uint64_t number = 0;
    if (!number_of(l->prefix, key, &number)) {
        return SL_OK;
    }
    sl_buf_add_str(&l->keys, key);
    sl_buf_add_u8(&l->keys, 0);
    if (!l->is_found || number > l->newest) {
        l->newest = number;
        l->size = size;
    }
    l->is_found = true;
    return sl_buf_done(&l->keys, err);
}

sl_rc sli_offload_find(struct sl_db *db, struct sl_str class_name, uint64_t shard_no,
                       struct sl_buf *key, struct sli_offload_file *ret, struct sl_err *err)
{
    struct sl_backend *be = db->opts.offload;
    SL_AUTO(sl_buf) prefix = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    add_prefix(&prefix, class_name, shard_no);
    sl_buf_add_u8(&prefix, '.');
    SL_TRY(sl_buf_done(&prefix, err));
    SL_TRY(claim(db, err));
    struct listing l = {.prefix = sl_buf_str(&prefix)};
    sl_rc rc = be->ops->list(be, l.prefix, note, &l, err);
    sl_buf_fini(&l.keys);
    SL_TRY(rc);
    SL_TRY(add_key(l.prefix, l.newest, key, err));
    *ret = (struct sli_offload_file){sl_buf_str(key), l.size};
    be->ops->describe(be, ret->key, &name);
    return l.is_found ? SL_OK : SL_FAIL(err, SL_ENOTFOUND, "%s is not there", sl_buf_cstr(&name));
}

/* Removes what may be removed; the highest number that stays, or -1. */
static int64_t remove_all(struct sl_backend *be, const struct listing *l)
{
    int64_t stayed = -1;
    if (l->keys.len == 0) {
        return stayed;
    }
    const char *end = (const char *)l->keys.ptr + l->keys.len;
    for (const char *key = (const char *)l->keys.ptr; key < end; key += strlen(key) + 1) {
        uint64_t number = 0;
        bool is_ours = number_of(l->prefix, sl_str_from(key), &number);
        if (be->ops->remove(be, sl_str_from(key), NULL) != SL_OK && is_ours) {
            stayed = SL_MAX(stayed, (int64_t)number);
        }
    }
    return stayed;
}

sl_rc sli_offload_clean(struct sl_db *db, struct sl_str class_name, uint64_t shard_no,
                        struct sl_buf *next_key, struct sl_err *err)
{
    struct sl_backend *be = db->opts.offload;
    SL_AUTO(sl_buf) prefix = SL_BUF_EMPTY;
    int64_t stayed = -1;
    add_prefix(&prefix, class_name, shard_no);
    sl_buf_add_u8(&prefix, '.');
    SL_TRY(sl_buf_done(&prefix, err));
    SL_TRY(claim(db, err));
    SL_IGNORE(be->ops->sweep(be, sl_buf_str(&prefix), NULL), "what a killed process left");
    struct listing l = {.prefix = sl_buf_str(&prefix)};
    sl_rc rc = be->ops->list(be, l.prefix, note, &l, err);
    if (rc == SL_OK) {
        stayed = remove_all(be, &l);
    }
    sl_buf_fini(&l.keys);
    SL_TRY(rc);
    return add_key(sl_buf_str(&prefix), (uint64_t)(stayed + 1), next_key, err);
}
