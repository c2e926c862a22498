/* The one home of the key layout; database_int.h draws it. records.c keeps records of other parts
 * in a partition of its own. */
#include "database/database_int.h"

static struct sli_key begin(char kind, uint64_t number)
{
    struct sli_key k = {.len = SL_KV_PARTITION_SIZE};
    k.bytes[0] = (uint8_t)kind;
    sl_put_u64be(k.bytes + 1, number);
    return k;
}

static void add(struct sli_key *k, struct sl_bytes b)
{
    sl_assert(k->len + b.len <= sizeof(k->bytes));
    if (b.len > 0) {
        memcpy(k->bytes + k->len, b.ptr, b.len);
        k->len += b.len;
    }
}

static void add_u8(struct sli_key *k, uint8_t v)
{
    add(k, SL_BYTES(&v, 1));
}

struct sli_key sli_key_meta(const char *name)
{
    struct sli_key k = begin('m', 0);
    add(&k, SL_BYTES(name, strlen(name)));
    return k;
}

struct sli_key sli_key_class(uint64_t class_no)
{
    struct sli_key k = begin('c', class_no);
    add_u8(&k, 0);
    return k;
}

struct sli_key sli_key_shard(uint64_t class_no, struct sl_str shard_name)
{
    struct sli_key k = begin('c', class_no);
    add_u8(&k, 1);
    add(&k, sl_str_bytes(shard_name));
    return k;
}

static struct sli_key counter(uint64_t shard_no, char which)
{
    struct sli_key k = begin('s', shard_no);
    add_u8(&k, 0);
    add_u8(&k, (uint8_t)which);
    return k;
}

struct sli_key sli_key_count(uint64_t shard_no)
{
    return counter(shard_no, 'n');
}

struct sli_key sli_key_docs(uint64_t shard_no)
{
    return counter(shard_no, 'd');
}

struct sli_key sli_key_dims(uint64_t shard_no, struct sl_str vector_name)
{
    struct sli_key k = counter(shard_no, 'v');
    add(&k, sl_str_bytes(vector_name));
    return k;
}

struct sli_key sli_key_object(uint64_t shard_no, const uint8_t uuid[SL_UUID_SIZE])
{
    struct sli_key k = begin('s', shard_no);
    add_u8(&k, 1);
    add(&k, SL_BYTES(uuid, SL_UUID_SIZE));
    return k;
}

struct sli_span sli_span_catalog(void)
{
    struct sli_span s = {begin('c', 0), {.bytes = {'c' + 1}, .len = SL_KV_PARTITION_SIZE}};
    return s;
}

struct sli_span sli_span_class(uint64_t class_no)
{
    return (struct sli_span){begin('c', class_no), begin('c', class_no + 1)};
}

struct sli_span sli_span_shard(uint64_t shard_no)
{
    return (struct sli_span){begin('s', shard_no), begin('s', shard_no + 1)};
}

struct sli_span sli_span_objects(uint64_t shard_no)
{
    struct sli_span s = {begin('s', shard_no), begin('s', shard_no + 1)};
    add_u8(&s.lo, 1);
    return s;
}

sl_rc sli_key_catalog_read(struct sl_bytes key, struct sli_catalog_key *ret, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(key);
    (void)sl_rd_u8(&rd);
    ret->class_no = sl_rd_u64be(&rd);
    ret->is_shard = sl_rd_u8(&rd) != 0;
    ret->shard_name = sl_bytes_str(sl_rd_bytes(&rd, sl_rd_left(&rd)));
    return sl_rd_done(&rd, "catalog key", err);
}
