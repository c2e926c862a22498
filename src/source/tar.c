/* Headers of tar, and the two PAX keys and one private one that count; see tar.h. */
#include "source/tar.h"

#include "base/str.h"

#define BLOCK    512
#define PAX_MAX  (64u << 10)         /* three short records are written; a name has 4096 at most */
#define BODY_MAX ((uint64_t)1 << 60) /* of a body: sums of two stay below 2^64 */

/* Fields of a header block: offset and length. */
enum {
    NAME_AT = 0,
    NAME_LEN = 100,
    SIZE_AT = 124,
    SIZE_LEN = 12,
    SUM_AT = 148,
    SUM_LEN = 8,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    PREFIX_LEN = 155
};

/* What an extended header says of the entry that follows. */
struct pax {
    bool has_path, has_size, is_part;
    uint64_t size, part_at;
};

void sli_tar_init(struct sli_tar *t, struct sli_tar_input input)
{
    memset(t, 0, sizeof(*t));
    t->input = input;
}

static sl_rc damaged(const struct sli_tar *t, struct sl_err *err, const char *what)
{
    return SL_FAIL(err, SL_ECORRUPT, "damaged at byte %llu of the unpacked archive: %s",
                   (unsigned long long)t->at, what);
}

static sl_rc read_whole(struct sli_tar *t, uint8_t *ret, size_t len, struct sl_err *err)
{
    size_t got = 0;
    SL_TRY(t->input.read(t->input.arg, ret, len, &got, err));
    if (got < len) {
        t->at += got;
        return damaged(t, err, "it ends here, without the mark of its end");
    }
    t->at += len;
    return SL_OK;
}

static sl_rc skip(struct sli_tar *t, uint64_t len, struct sl_err *err)
{
    if (len > 0) {
        SL_TRY(t->input.skip(t->input.arg, len, err));
        t->at += len;
    }
    return SL_OK;
}

/* Octal digits up to a blank or NUL. */
static bool parse_octal(const uint8_t *field, size_t len, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    while (i < len && field[i] == ' ') {
        i++;
    }
    for (; i < len && field[i] != ' ' && field[i] != '\0'; i++) {
        if (field[i] < '0' || field[i] > '7') {
            return false;
        }
        v = v << 3 | (uint64_t)(field[i] - '0'); /* 12 digits: 36 bits at most */
    }
    *ret = v;
    return true;
}

static bool parse_decimal(struct sl_str text, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || v > BODY_MAX) {
            return false;
        }
        v = v * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret = v;
    return text.len > 0 && v <= BODY_MAX;
}

/* The sum of all bytes, the field itself counted as blanks. */
static bool is_sum_right(const uint8_t *block)
{
    uint64_t sum = 0, stored = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        sum += i >= SUM_AT && i < SUM_AT + SUM_LEN ? ' ' : block[i];
    }
    return parse_octal(block + SUM_AT, SUM_LEN, &stored) && sum == stored;
}

static bool is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0;
}

static size_t text_len(const uint8_t *field, size_t len)
{
    const uint8_t *end = memchr(field, 0, len);
    return end == NULL ? len : (size_t)(end - field);
}

/* prefix/name of USTAR, name alone of older and GNU headers. */
static void take_name(struct sli_tar *t, const uint8_t *block)
{
    size_t len = 0;
    size_t prefix =
        memcmp(block + MAGIC_AT, "ustar\0", 6) == 0 ? text_len(block + PREFIX_AT, PREFIX_LEN) : 0;
    if (prefix > 0) {
        memcpy(t->name, block + PREFIX_AT, prefix);
        t->name[prefix] = '/';
        len = prefix + 1;
    }
    size_t name = text_len(block + NAME_AT, NAME_LEN);
    memcpy(t->name + len, block + NAME_AT, name);
    t->name[len + name] = '\0';
}

static sl_rc take_record(struct sli_tar *t, struct sl_str key, struct sl_str value, struct pax *pax,
                         struct sl_err *err)
{
    if (sl_str_is(key, "path")) {
        if (value.len > SLI_TAR_NAME_MAX || memchr(value.ptr, 0, value.len) != NULL) {
            return damaged(t, err, "a name is too long or holds a NUL");
        }
        memcpy(t->name, value.ptr, value.len);
        t->name[value.len] = '\0';
        pax->has_path = true;
    } else if (sl_str_is(key, "size")) {
        pax->has_size = true;
        return parse_decimal(value, &pax->size) ? SL_OK : damaged(t, err, "a size is no number");
    } else if (sl_str_is(key, "WEAVIATE.fileOffset")) {
        pax->is_part = true;
        return parse_decimal(value, &pax->part_at)
                   ? SL_OK
                   : damaged(t, err, "the place of a part is no number");
    }
    return SL_OK;
}

/* Records "<length> <key>=<value>\n", the length counting all of it. */
static sl_rc take_records(struct sli_tar *t, struct sl_bytes body, struct pax *pax,
                          struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(body);
    while (sl_rd_left(&rd) > 0) {
        struct sl_rd ahead = rd;
        struct sl_bytes rest = sl_rd_bytes(&ahead, sl_rd_left(&rd));
        const uint8_t *blank = memchr(rest.ptr, ' ', rest.len);
        size_t digits = blank == NULL ? 0 : (size_t)(blank - rest.ptr);
        uint64_t len = 0;
        if (!parse_decimal((struct sl_str){(const char *)rest.ptr, digits}, &len) ||
            len > rest.len || len < digits + 3 || rest.ptr[len - 1] != '\n') {
            return damaged(t, err, "a record of an extended header has a wrong length");
        }
        struct sl_bytes record = sl_rd_bytes(&rd, len);
        struct sl_str text = {(const char *)record.ptr + digits + 1, record.len - digits - 2};
        const char *equals = memchr(text.ptr, '=', text.len);
        if (equals == NULL) {
            return damaged(t, err, "a record of an extended header has no \"=\"");
        }
        struct sl_str key = {text.ptr, (size_t)(equals - text.ptr)};
        struct sl_str value = {equals + 1, text.len - key.len - 1};
        SL_TRY(take_record(t, key, value, pax, err));
    }
    return SL_OK;
}

static uint64_t padding_of(uint64_t size)
{
    return (BLOCK - size % BLOCK) % BLOCK;
}

static sl_rc read_pax(struct sli_tar *t, uint64_t size, struct pax *pax, struct sl_err *err)
{
    if (size > PAX_MAX) {
        return damaged(t, err, "an extended header is too long");
    }
    SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
    uint8_t *at = sl_buf_reserve(&body, (size_t)size + 1);
    if (at == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(read_whole(t, at, (size_t)size, err));
    *pax = (struct pax){0};
    SL_TRY(take_records(t, SL_BYTES(at, size), pax, err));
    return skip(t, padding_of(size), err);
}

sl_rc sli_tar_next(struct sli_tar *t, struct sli_tar_entry *ret, struct sl_err *err)
{
    uint8_t block[BLOCK];
    struct pax pax = {0};
    SL_TRY(skip(t, t->left + t->padding, err));
    t->left = t->padding = 0;
    for (;;) {
        uint64_t size = 0, begin = t->at;
        SL_TRY(read_whole(t, block, BLOCK, err));
        if (is_zero(block)) {
            return SL_END;
        }
        if (!is_sum_right(block) || !parse_octal(block + SIZE_AT, SIZE_LEN, &size)) {
            t->at = begin;
            return damaged(t, err, "this is no header of a tar entry, or its checksum is wrong");
        }
        if (block[TYPE_AT] == 'x') {
            SL_TRY(read_pax(t, size, &pax, err));
            continue;
        }
        if (!pax.has_path) {
            take_name(t, block);
        }
        t->left = pax.has_size ? pax.size : size;
        t->padding = padding_of(t->left);
        *ret = (struct sli_tar_entry){.name = sl_str_from(t->name),
                                      .size = t->left,
                                      .at = t->at,
                                      .is_file = block[TYPE_AT] == '0' || block[TYPE_AT] == '\0',
                                      .is_part = pax.is_part,
                                      .part_at = pax.part_at};
        return SL_OK;
    }
}

sl_rc sli_tar_read(struct sli_tar *t, uint8_t *ret, size_t len, size_t *ret_len, struct sl_err *err)
{
    size_t n = (size_t)SL_MIN((uint64_t)len, t->left);
    if (n > 0) {
        SL_TRY(read_whole(t, ret, n, err));
        t->left -= n;
    }
    *ret_len = n;
    return SL_OK;
}
