/* Footer of a foreign Parquet file: its columns, row groups and keys. */
#include "parquet/reader_int.h"

#define TAIL_SIZE  8           /* footer length, PAR1 */
#define FIRST_READ (64u << 10) /* holds most footers, so one request gets them */

static sl_rc read_exactly(const struct sl_pq_source *s, uint64_t offset, size_t len,
                          struct sl_buf *out, struct sl_err *err)
{
    size_t before = out->len;
    SL_TRY(s->read_at(s->arg, offset, len, out, err));
    if (out->is_failed) {
        return SL_NOMEM(err);
    }
    return out->len - before == len ? SL_OK
                                    : SL_FAIL(err, SL_ECORRUPT, "the file ends before offset %llu",
                                              (unsigned long long)(offset + len));
}

/* The footer without its tail. */
static sl_rc load_footer(struct sl_pq_file *f, struct sl_err *err)
{
    const struct sl_pq_source *s = &f->source;
    size_t first = (size_t)SL_MIN(s->size, FIRST_READ);
    if (s->size < TAIL_SIZE + 4) {
        return SL_FAIL(err, SL_ECORRUPT, "not a Parquet file: only %llu bytes",
                       (unsigned long long)s->size);
    }
    SL_TRY(read_exactly(s, s->size - first, first, &f->footer, err));
    const uint8_t *tail = f->footer.ptr + first - TAIL_SIZE;
    if (memcmp(tail + 4, "PARE", 4) == 0) {
        return SL_FAIL(err, SL_EUNSUPPORTED, "the footer is encrypted, which is not read");
    }
    if (memcmp(tail + 4, "PAR1", 4) != 0) {
        return SL_FAIL(err, SL_ECORRUPT, "not a Parquet file: it does not end in PAR1");
    }
    struct sl_rd rd = sl_rd_over(SL_BYTES(tail, 4));
    uint64_t len = sl_rd_u32(&rd);
    if (len > SLI_FOOTER_MAX || len + TAIL_SIZE + 4 > s->size) {
        return SL_FAIL(err, SL_ECORRUPT, "footer of %llu bytes in a file of %llu",
                       (unsigned long long)len, (unsigned long long)s->size);
    }
    if (len + TAIL_SIZE > first) {
        sl_buf_clear(&f->footer);
        return read_exactly(s, s->size - TAIL_SIZE - len, (size_t)len, &f->footer, err);
    }
    sl_buf_consume(&f->footer, first - TAIL_SIZE - (size_t)len);
    f->footer.len = (size_t)len;
    return SL_OK;
}

static sl_rc damaged(const struct sli_tr *t, const char *field, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "footer: %s is damaged at offset %zu", field, t->rd.at);
}

/* ---- lists of the footer; each may come once ---- */

static sl_rc read_schema(struct sl_pq_file *f, struct sli_tr *t, struct sl_err *err)
{
    uint8_t type = 0;
    uint32_t count = sli_tr_list(t, &type);
    if (f->leaves != NULL || type != SLI_T_STRUCT || count > SLI_SCHEMA_MAX) {
        return damaged(t, "schema", err);
    }
    SL_AUTO_MEM(struct sli_element) e = sl_alloc_zero(SL_MAX(count, 1), sizeof(*e));
    if (e == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(sli_element_read(t, &e[i], err));
        if (sli_tr_has_ended(t)) {
            return damaged(t, "schema", err);
        }
    }
    return sli_schema_resolve(f, e, count, err);
}

struct chunk_fields {
    int64_t codec, values, size, data_page, dictionary_page;
    bool is_known, is_elsewhere, is_encrypted;
};

static void read_chunk_meta(struct sli_tr *t, struct chunk_fields *c)
{
    int64_t *const numbers[] = {NULL,      NULL,          NULL, NULL,
                                &c->codec, &c->values,    NULL, &c->size,
                                NULL,      &c->data_page, NULL, &c->dictionary_page};
    int16_t id = 0;
    uint8_t type = 0;
    c->is_known = true;
    while (sli_tr_field(t, &id, &type)) {
        bool is_number = type == SLI_T_I32 || type == SLI_T_I64;
        if (is_number && id > 0 && (size_t)id < SL_COUNT_OF(numbers) && numbers[id] != NULL) {
            *numbers[id] = sli_tr_zigzag(t);
        } else {
            sli_tr_skip(t, type);
        }
    }
}

static sl_rc read_chunk(const struct sl_pq_file *f, struct sli_tr *t, struct sli_chunk_at *ret,
                        struct sl_err *err)
{
    struct chunk_fields c = {.codec = -1, .data_page = -1};
    int16_t id = 0;
    uint8_t type = 0;
    while (sli_tr_field(t, &id, &type)) {
        if (id == 3 && type == SLI_T_STRUCT) {
            read_chunk_meta(t, &c);
            continue;
        }
        c.is_elsewhere = c.is_elsewhere || id == 1;
        c.is_encrypted = c.is_encrypted || id == 8 || id == 9;
        sli_tr_skip(t, type);
    }
    if (sli_tr_has_ended(t)) {
        return damaged(t, "column chunk", err);
    }
    if (c.is_elsewhere || c.is_encrypted) {
        return SL_FAIL(err, SL_EUNSUPPORTED, "columns that are %s are not read",
                       c.is_elsewhere ? "in another file" : "encrypted");
    }
    /* Some writers put 0 where there is no dictionary. */
    bool has_dictionary = c.dictionary_page > 0 && c.dictionary_page < c.data_page;
    int64_t offset = has_dictionary ? c.dictionary_page : c.data_page;
    if (!c.is_known || offset < 0 || c.size < 0 || c.values < 0 || c.codec < 0 ||
        c.codec > INT32_MAX || (uint64_t)offset > f->source.size ||
        (uint64_t)c.size > f->source.size - (uint64_t)offset) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "footer: column chunk before offset %zu: %lld bytes at %lld of a file of "
                       "%llu",
                       t->rd.at, (long long)c.size, (long long)offset,
                       (unsigned long long)f->source.size);
    }
    *ret = (struct sli_chunk_at){(uint64_t)offset, (uint64_t)c.size, (uint64_t)c.values,
                                 (int32_t)c.codec};
    return SL_OK;
}

static sl_rc read_chunks(struct sl_pq_file *f, struct sli_tr *t, uint32_t group, struct sl_err *err)
{
    uint8_t type = 0;
    uint32_t count = sli_tr_list(t, &type);
    if (count != f->leaf_count || (count > 0 && type != SLI_T_STRUCT)) {
        return SL_FAIL(err, SL_ECORRUPT, "footer: row group %u has %u columns, the schema %u",
                       group, count, f->leaf_count);
    }
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(read_chunk(f, t, &f->chunks[(size_t)group * f->leaf_count + i], err));
    }
    return SL_OK;
}

static sl_rc read_group(struct sl_pq_file *f, struct sli_tr *t, uint32_t group, struct sl_err *err)
{
    int16_t id = 0;
    uint8_t type = 0;
    int64_t rows = -1;
    bool has_chunks = false;
    while (sli_tr_field(t, &id, &type)) {
        if (id == 1 && type == SLI_T_LIST) {
            SL_TRY(read_chunks(f, t, group, err));
            has_chunks = true;
        } else if (id == 3 && type == SLI_T_I64) {
            rows = sli_tr_zigzag(t);
        } else {
            sli_tr_skip(t, type);
        }
    }
    if (sli_tr_has_ended(t) || rows < 0 || !has_chunks) {
        return damaged(t, "row group", err);
    }
    f->group_rows[group] = (uint64_t)rows;
    if (__builtin_add_overflow(f->row_count, (uint64_t)rows, &f->row_count)) {
        return damaged(t, "number of rows", err);
    }
    return SL_OK;
}

static sl_rc read_groups(struct sl_pq_file *f, struct sli_tr *t, struct sl_err *err)
{
    uint8_t type = 0;
    size_t chunk_count = 0;
    uint32_t count = sli_tr_list(t, &type);
    size_t most = f->footer.len / SLI_CHUNK_BYTES;
    if (f->leaves == NULL || f->group_rows != NULL || (count > 0 && type != SLI_T_STRUCT) ||
        !sl_mul_size(count, f->leaf_count, &chunk_count) || chunk_count > most || count > most) {
        return damaged(t, "list of row groups", err);
    }
    f->group_rows = sl_alloc_zero(SL_MAX(count, 1), sizeof(*f->group_rows));
    f->chunks = sl_alloc_zero(SL_MAX(chunk_count, 1), sizeof(*f->chunks));
    if (f->group_rows == NULL || f->chunks == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(read_group(f, t, i, err));
    }
    f->group_count = count;
    return SL_OK;
}

static sl_rc read_keys(struct sl_pq_file *f, struct sli_tr *t, struct sl_err *err)
{
    uint8_t type = 0;
    uint32_t count = sli_tr_list(t, &type);
    if (f->kvs != NULL || count > SLI_KEYS_MAX || (count > 0 && type != SLI_T_STRUCT)) {
        return damaged(t, "list of keys", err);
    }
    f->kvs = sl_alloc_zero(SL_MAX(count, 1), sizeof(*f->kvs));
    if (f->kvs == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count && !sli_tr_has_ended(t); i++) {
        int16_t id = 0;
        while (sli_tr_field(t, &id, &type)) {
            if ((id == 1 || id == 2) && type == SLI_T_BINARY) {
                struct sl_str *s = id == 1 ? &f->kvs[i].key : &f->kvs[i].value;
                *s = sl_bytes_str(sli_tr_binary(t));
            } else {
                sli_tr_skip(t, type);
            }
        }
    }
    f->kv_count = count;
    return SL_OK;
}

static sl_rc read_footer(struct sl_pq_file *f, struct sl_err *err)
{
    struct sli_tr t = {.rd = sl_rd_over(sl_buf_view(&f->footer))};
    int16_t id = 0;
    uint8_t type = 0;
    while (sli_tr_field(&t, &id, &type)) {
        if (id == 2 && type == SLI_T_LIST) {
            SL_TRY(read_schema(f, &t, err));
        } else if (id == 4 && type == SLI_T_LIST) {
            SL_TRY(read_groups(f, &t, err));
        } else if (id == 5 && type == SLI_T_LIST) {
            SL_TRY(read_keys(f, &t, err));
        } else if (id == 8) {
            return SL_FAIL(err, SL_EUNSUPPORTED, "the file is encrypted, which is not read");
        } else {
            sli_tr_skip(&t, type);
        }
    }
    if (sli_tr_has_ended(&t) || f->leaves == NULL || f->group_rows == NULL) {
        return damaged(&t, "what it says of the file", err);
    }
    return SL_OK;
}

sl_rc sl_pq_file_open(const struct sl_pq_source *source, struct sl_pq_file **ret,
                      struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_file) f = sl_alloc_zero(1, sizeof(*f));
    if (f == NULL) {
        return SL_NOMEM(err);
    }
    f->source = *source;
    f->source.page_max = SL_MIN(source->page_max == 0 ? INT32_MAX : source->page_max, INT32_MAX);
    SL_TRY(load_footer(f, err));
    SL_TRY(read_footer(f, err));
    *ret = sl_move(&f);
    return SL_OK;
}

void sl_pq_file_close(struct sl_pq_file *f)
{
    if (f != NULL) {
        sl_buf_fini(&f->footer);
        sl_buf_fini(&f->paths);
        sl_free(f->leaves);
        sl_free(f->group_rows);
        sl_free(f->chunks);
        sl_free(f->kvs);
        sl_free(f);
    }
}

uint32_t sl_pq_file_leaves(const struct sl_pq_file *f)
{
    return f->leaf_count;
}

const struct sl_pq_leaf *sl_pq_file_leaf(const struct sl_pq_file *f, uint32_t i)
{
    sl_assert(i < f->leaf_count);
    return &f->leaves[i];
}

const struct sl_pq_leaf *sl_pq_file_find(const struct sl_pq_file *f, const char *name,
                                         uint32_t *ret_leaf)
{
    for (uint32_t i = 0; i < f->leaf_count; i++) {
        if (sl_str_is(f->leaves[i].name, name)) {
            *ret_leaf = i;
            return &f->leaves[i];
        }
    }
    return NULL;
}

uint32_t sl_pq_file_groups(const struct sl_pq_file *f)
{
    return f->group_count;
}

uint64_t sl_pq_file_group_rows(const struct sl_pq_file *f, uint32_t group)
{
    sl_assert(group < f->group_count);
    return f->group_rows[group];
}

uint64_t sl_pq_file_rows(const struct sl_pq_file *f)
{
    return f->row_count;
}

bool sl_pq_file_key(const struct sl_pq_file *f, const char *key, struct sl_str *ret)
{
    for (uint32_t i = 0; i < f->kv_count; i++) {
        if (sl_str_is(f->kvs[i].key, key)) {
            *ret = f->kvs[i].value;
            return true;
        }
    }
    return false;
}
