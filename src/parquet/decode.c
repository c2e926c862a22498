/* Encodings of Parquet back to values: pure functions over foreign bytes.
 *
 * Each is told how many values there are (from the levels, never more than SLI_PAGE_VALUES_MAX) and
 * either gives all of them or SL_ECORRUPT. Sums of deltas wrap, as the format says. */
#include "parquet/reader_int.h"

static uint64_t bits_at(struct sl_bytes b, size_t bit, uint32_t width)
{
    size_t at = bit / 8;
    uint32_t shift = bit % 8;
    uint64_t low = 0;
    memcpy(&low, b.ptr + at, SL_MIN(b.len - at, 8));
    uint64_t v = low >> shift;
    if (shift + width > 64 && b.len - at > 8) {
        v |= (uint64_t)b.ptr[at + 8] << (64 - shift);
    }
    return width == 64 ? v : v & ((1ull << width) - 1);
}

/* ---- runs: repeated values and groups of eight packed ones, mixed ---- */

struct runs {
    struct sl_rd *rd;
    uint32_t width;
    uint64_t left; /* of the run at hand */
    bool is_packed;
    uint32_t value; /* repeated */
    struct sl_bytes packed;
    size_t bit;
};

static sl_rc next_run(struct runs *r, struct sl_err *err)
{
    struct sli_tr t = {.rd = *r->rd};
    uint64_t head = sli_tr_varint(&t);
    r->is_packed = head & 1;
    if (r->is_packed) {
        /* Writers may cut the padding of the last group off. */
        uint64_t most = sl_rd_left(&t.rd);
        uint64_t len = head >> 1 > most ? most : SL_MIN((head >> 1) * r->width, most);
        r->packed = sl_rd_bytes(&t.rd, len);
        r->left = r->width == 0 ? (head >> 1) * 8 : SL_MIN((head >> 1) * 8, len * 8 / r->width);
        r->bit = 0;
    } else {
        struct sl_bytes b = sl_rd_bytes(&t.rd, (r->width + 7) / 8);
        r->value = 0;
        r->left = head >> 1;
        if (b.len > 0) {
            memcpy(&r->value, b.ptr, b.len);
        }
    }
    *r->rd = t.rd;
    if (sli_tr_has_ended(&t) || r->left == 0) {
        return SL_FAIL(err, SL_ECORRUPT, "a run of values is damaged at offset %zu", t.rd.at);
    }
    return SL_OK;
}

static sl_rc take_runs(struct runs *r, uint32_t *ret, uint32_t count, struct sl_err *err)
{
    for (uint32_t i = 0; i < count;) {
        if (r->left == 0) {
            SL_TRY(next_run(r, err));
        }
        uint32_t n = (uint32_t)SL_MIN(r->left, count - i);
        for (uint32_t end = i + n; i < end; i++) {
            ret[i] = r->value;
            if (r->is_packed) {
                ret[i] = r->width == 0 ? 0 : (uint32_t)bits_at(r->packed, r->bit, r->width);
                r->bit += r->width;
            }
        }
        r->left -= n;
    }
    return SL_OK;
}

#define RUN_BATCH 256

sl_rc sli_decode_levels(struct sl_rd *rd, uint32_t width, uint32_t count, uint8_t *ret,
                        struct sl_err *err)
{
    struct runs r = {.rd = rd, .width = width};
    uint32_t some[RUN_BATCH];
    for (uint32_t i = 0; i < count; i += RUN_BATCH) {
        uint32_t n = SL_MIN(count - i, RUN_BATCH);
        SL_TRY(take_runs(&r, some, n, err));
        for (uint32_t j = 0; j < n; j++) {
            ret[i + j] = (uint8_t)some[j];
        }
    }
    return SL_OK;
}

/* ---- room ---- */

static sl_rc reserve(struct sl_buf *b, uint32_t count, uint32_t width, uint8_t **ret,
                     struct sl_err *err)
{
    size_t bytes = 0;
    if (!sl_mul_size(count, width, &bytes) || bytes > INT32_MAX) {
        return SL_FAIL(err, SL_ECORRUPT, "%u values of %u bytes are larger than a page", count,
                       width);
    }
    sl_buf_clear(b);
    *ret = sl_buf_reserve(b, bytes);
    if (*ret == NULL) {
        return SL_NOMEM(err);
    }
    b->len = bytes;
    return SL_OK;
}

static sl_rc reserve_texts(struct sl_buf *b, uint32_t count, struct sl_bytes **ret,
                           struct sl_err *err)
{
    uint8_t *at = NULL;
    SL_TRY(reserve(b, count, sizeof(struct sl_bytes), &at, err));
    *ret = (struct sl_bytes *)(void *)at;
    return SL_OK;
}

static sl_rc too_short(struct sl_bytes body, uint32_t count, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "%zu bytes do not hold its %u values", body.len, count);
}

/* ---- PLAIN, BYTE_STREAM_SPLIT, booleans ---- */

static sl_rc plain_texts(struct sl_bytes body, uint32_t count, struct sl_buf *out,
                         struct sl_err *err)
{
    struct sl_bytes *texts = NULL;
    struct sl_rd rd = sl_rd_over(body);
    if (count > body.len / 4) {
        return too_short(body, count, err);
    }
    SL_TRY(reserve_texts(out, count, &texts, err));
    for (uint32_t i = 0; i < count; i++) {
        texts[i] = sl_rd_bytes(&rd, sl_rd_u32(&rd));
    }
    return sl_rd_done(&rd, "its values", err);
}

static sl_rc plain_bits(struct sl_bytes body, uint32_t count, struct sl_buf *out,
                        struct sl_err *err)
{
    uint8_t *at = NULL;
    if (((uint64_t)count + 7) / 8 > body.len) {
        return too_short(body, count, err);
    }
    SL_TRY(reserve(out, count, 1, &at, err));
    for (uint32_t i = 0; i < count; i++) {
        at[i] = body.ptr[i / 8] >> (i % 8) & 1;
    }
    return SL_OK;
}

static sl_rc run_bits(struct sl_bytes body, uint32_t count, struct sl_buf *out, struct sl_err *err)
{
    uint8_t *at = NULL;
    struct sl_rd rd = sl_rd_over(body);
    struct sl_rd runs = sl_rd_over(sl_rd_bytes(&rd, sl_rd_u32(&rd)));
    SL_TRY(sl_rd_done(&rd, "its values", err));
    SL_TRY(reserve(out, count, 1, &at, err));
    return sli_decode_levels(&runs, 1, count, at, err);
}

static sl_rc plain_fixed(struct sl_bytes body, uint32_t count, uint32_t width, bool is_split,
                         struct sl_buf *out, struct sl_err *err)
{
    uint8_t *at = NULL;
    if (count > body.len / width || (is_split && (size_t)count * width != body.len)) {
        return too_short(body, count, err);
    }
    SL_TRY(reserve(out, count, width, &at, err));
    if (!is_split && count > 0) {
        memcpy(at, body.ptr, (size_t)count * width);
    }
    for (uint32_t plane = 0; is_split && plane < width; plane++) {
        const uint8_t *from = body.ptr + (size_t)plane * count;
        for (uint32_t i = 0; i < count; i++) {
            at[(size_t)i * width + plane] = from[i];
        }
    }
    return SL_OK;
}

/* ---- DELTA_BINARY_PACKED and what is built on it ---- */

#define BLOCK_MAX     65536u /* values; writers use 128 and 256 */
#define MINIBLOCK_MAX 512u

struct delta {
    struct sli_tr t;
    uint64_t block, minis; /* values of a block, its miniblocks */
    uint64_t value, min;
};

static sl_rc delta_damaged(const struct delta *d, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "its deltas are damaged at offset %zu", d->t.rd.at);
}

/* One miniblock: `count` deltas of it are wanted. */
static sl_rc delta_mini(struct delta *d, uint32_t bits, uint32_t count, uint32_t width, uint8_t *at,
                        struct sl_err *err)
{
    struct sl_bytes b = sl_rd_bytes(&d->t.rd, d->block / d->minis * bits / 8);
    if (bits > 64 || sli_tr_has_ended(&d->t)) {
        return delta_damaged(d, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        d->value += d->min + (bits == 0 ? 0 : bits_at(b, (size_t)i * bits, bits));
        memcpy(at + (size_t)i * width, &d->value, width);
    }
    return SL_OK;
}

static sl_rc delta_block(struct delta *d, uint32_t count, uint32_t width, uint8_t *at,
                         struct sl_err *err)
{
    d->min = (uint64_t)sli_tr_zigzag(&d->t);
    struct sl_bytes bits = sl_rd_bytes(&d->t.rd, d->minis);
    if (sli_tr_has_ended(&d->t)) {
        return delta_damaged(d, err);
    }
    uint32_t per_mini = (uint32_t)(d->block / d->minis);
    for (uint32_t i = 0; count > 0; i++) {
        uint32_t n = SL_MIN(count, per_mini);
        SL_TRY(delta_mini(d, bits.ptr[i], n, width, at, err));
        at += (size_t)n * width;
        count -= n;
    }
    return SL_OK;
}

/* Numbers of `width` bytes; *rd goes on behind them. */
static sl_rc deltas(struct sl_rd *rd, uint32_t count, uint32_t width, struct sl_buf *out,
                    struct sl_err *err)
{
    uint8_t *at = NULL;
    struct delta d = {.t = {.rd = *rd}};
    d.block = sli_tr_varint(&d.t);
    d.minis = sli_tr_varint(&d.t);
    uint64_t total = sli_tr_varint(&d.t);
    d.value = (uint64_t)sli_tr_zigzag(&d.t);
    if (sli_tr_has_ended(&d.t) || d.block == 0 || d.block > BLOCK_MAX || d.minis == 0 ||
        d.minis > MINIBLOCK_MAX || d.block % d.minis != 0 || d.block / d.minis % 8 != 0 ||
        total != count) {
        return delta_damaged(&d, err);
    }
    SL_TRY(reserve(out, count, width, &at, err));
    if (count > 0) {
        memcpy(at, &d.value, width);
    }
    for (uint32_t i = 1; i < count;) {
        uint32_t n = SL_MIN(count - i, (uint32_t)d.block);
        SL_TRY(delta_block(&d, n, width, at + (size_t)i * width, err));
        i += n;
    }
    *rd = d.t.rd;
    return SL_OK;
}

static sl_rc delta_texts(struct sl_bytes body, uint32_t count, struct sli_values *ret,
                         struct sl_err *err)
{
    struct sl_bytes *texts = NULL;
    struct sl_rd rd = sl_rd_over(body);
    SL_TRY(deltas(&rd, count, 4, &ret->fixed, err));
    SL_TRY(reserve_texts(&ret->texts, count, &texts, err));
    struct sl_rd lengths = sl_rd_over(sl_buf_view(&ret->fixed));
    for (uint32_t i = 0; i < count; i++) {
        texts[i] = sl_rd_bytes(&rd, sl_rd_u32(&lengths)); /* a negative one is beyond any page */
    }
    return sl_rd_done(&rd, "its values", err);
}

/* ---- dictionary ---- */

static sl_rc gather(const struct sl_pq_leaf *leaf, struct sl_bytes body, uint32_t count,
                    const struct sli_values *from, uint32_t from_count, struct sli_values *ret,
                    struct sl_err *err)
{
    bool is_text = leaf->width == 0;
    uint32_t width = is_text ? sizeof(struct sl_bytes) : leaf->width;
    uint8_t *at = NULL;
    SL_TRY(reserve(is_text ? &ret->texts : &ret->fixed, count, width, &at, err));
    struct sl_rd rd = sl_rd_over(body);
    struct runs r = {.rd = &rd, .width = count == 0 ? 0 : sl_rd_u8(&rd)};
    if (r.width > 32) {
        return SL_FAIL(err, SL_ECORRUPT, "its dictionary numbers have %u bits", r.width);
    }
    const uint8_t *values = is_text ? from->texts.ptr : from->fixed.ptr;
    uint32_t some[RUN_BATCH];
    for (uint32_t i = 0; i < count; i += RUN_BATCH) {
        uint32_t n = SL_MIN(count - i, RUN_BATCH);
        SL_TRY(take_runs(&r, some, n, err));
        for (uint32_t j = 0; j < n; j++, at += width) {
            if (some[j] >= from_count) {
                return SL_FAIL(err, SL_ECORRUPT, "value %u of a dictionary of %u", some[j],
                               from_count);
            }
            memcpy(at, values + (size_t)some[j] * width, width);
        }
    }
    return SL_OK;
}

static sl_rc unfit(int64_t encoding, const struct sl_pq_leaf *leaf, struct sl_err *err)
{
    return SL_FAIL(err, SL_EUNSUPPORTED, "encoding %lld of type %d is not read",
                   (long long)encoding, (int)leaf->type);
}

sl_rc sli_decode_values(const struct sl_pq_leaf *leaf, int64_t encoding, struct sl_bytes body,
                        uint32_t count, const struct sli_values *dictionary,
                        uint32_t dictionary_count, struct sli_values *ret, struct sl_err *err)
{
    bool is_bool = leaf->type == SL_PQ_P_BOOLEAN, is_text = leaf->width == 0;
    bool is_int = leaf->type == SL_PQ_P_INT32 || leaf->type == SL_PQ_P_INT64;
    switch (encoding) {
    case SLI_ENCODING_PLAIN:
        return is_bool   ? plain_bits(body, count, &ret->fixed, err)
               : is_text ? plain_texts(body, count, &ret->texts, err)
                         : plain_fixed(body, count, leaf->width, false, &ret->fixed, err);
    case SLI_ENCODING_RLE:
        return is_bool ? run_bits(body, count, &ret->fixed, err) : unfit(encoding, leaf, err);
    case SLI_ENCODING_BYTE_SPLIT:
        return is_bool || is_text ? unfit(encoding, leaf, err)
                                  : plain_fixed(body, count, leaf->width, true, &ret->fixed, err);
    case SLI_ENCODING_DELTA_BINARY: {
        struct sl_rd rd = sl_rd_over(body);
        return is_int ? deltas(&rd, count, leaf->width, &ret->fixed, err)
                      : unfit(encoding, leaf, err);
    }
    case SLI_ENCODING_DELTA_LENGTH:
        return is_text ? delta_texts(body, count, ret, err) : unfit(encoding, leaf, err);
    case SLI_ENCODING_PLAIN_DICTIONARY:
    case SLI_ENCODING_RLE_DICTIONARY:
        return dictionary == NULL
                   ? SL_FAIL(err, SL_ECORRUPT, "it uses a dictionary, and there is none")
                   : gather(leaf, body, count, dictionary, dictionary_count, ret, err);
    default:
        return unfit(encoding, leaf, err);
    }
}
