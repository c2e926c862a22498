/* Catalog: records in kv <-> descriptors in memory.
 *
 * A class record is the class JSON as GET replies it; a shard record is a few fixed bytes. The
 * descriptor is that JSON parsed once. Everything here runs under schema_lock held alone, except
 * find, which needs it shared. */
#include "database/database_int.h"

#include <ctype.h>
#include <stdlib.h>

#define SHARD_RECORD_VERSION 1
#define FORMAT_VERSION       1

/* ---- find ---- */

struct sli_class *sli_class_find_fold(struct sl_db *db, struct sl_str name)
{
    char lower[256];
    if (name.len >= sizeof(lower)) {
        return NULL;
    }
    for (size_t i = 0; i < name.len; i++) {
        lower[i] = (char)tolower((uint8_t)name.ptr[i]);
    }
    struct sli_class *c = NULL;
    HASH_FIND(hh, db->classes, lower, name.len, c);
    return c;
}

struct sli_class *sli_class_find(struct sl_db *db, struct sl_str name)
{
    struct sli_class *c = sli_class_find_fold(db, name);
    return c != NULL && sl_str_eq(c->name, name) ? c : NULL;
}

struct sli_shard *sli_shard_find(struct sli_class *c, struct sl_str name)
{
    struct sli_shard *s = NULL;
    HASH_FIND(hh, c->shards, name.ptr, name.len, s);
    return s;
}

/* ---- class JSON -> descriptor ---- */

static const struct {
    const char *name;
    enum sl_db_type type;
} types[] = {{"text", SL_DB_TEXT},          {"string", SL_DB_TEXT},       {"int", SL_DB_INT},
             {"number", SL_DB_NUMBER},      {"boolean", SL_DB_BOOLEAN},   {"date", SL_DB_DATE},
             {"uuid", SL_DB_UUID},          {"blob", SL_DB_BLOB},         {"blobHash", SL_DB_BLOB},
             {"geoCoordinates", SL_DB_GEO}, {"phoneNumber", SL_DB_PHONE}, {"object", SL_DB_OBJECT}};

bool sli_type_parse(struct sl_str name, enum sl_db_type *ret_type, bool *ret_is_array)
{
    *ret_is_array = sl_str_ends(name, "[]");
    struct sl_str base = {name.ptr, name.len - (*ret_is_array ? 2 : 0)};
    for (size_t i = 0; i < SL_COUNT_OF(types); i++) {
        if (sl_str_is(base, types[i].name)) {
            *ret_type = types[i].type;
            /* These exist as single values only. */
            return !*ret_is_array || (types[i].type != SL_DB_BLOB && types[i].type != SL_DB_GEO &&
                                      types[i].type != SL_DB_PHONE);
        }
    }
    return false;
}

static struct sl_str text_of(struct sl_arena *arena, json_t *v)
{
    return sl_arena_str(arena, (struct sl_str){json_string_value(v), json_string_length(v)});
}

static sl_rc parse_properties(struct sl_arena *arena, json_t *list, struct sl_db_property **ret,
                              uint32_t *ret_count, struct sl_err *err);

/* Tokenizers for other scripts divide texts in ways of their own; for filters they are words. */
static enum sl_db_tokens tokens_of(const char *name)
{
    static const char *const names[] = {[SL_DB_WORD] = "word",
                                        [SL_DB_LOWERCASE] = "lowercase",
                                        [SL_DB_WHITESPACE] = "whitespace",
                                        [SL_DB_FIELD] = "field"};
    for (size_t i = 0; name != NULL && i < SL_COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum sl_db_tokens)i;
        }
    }
    return SL_DB_WORD;
}

static sl_rc parse_property(struct sl_arena *arena, json_t *from, struct sl_db_property *ret,
                            struct sl_err *err)
{
    json_t *data_type = json_object_get(from, "dataType");
    ret->name = text_of(arena, json_object_get(from, "name"));
    ret->type_name = text_of(arena, json_array_get(data_type, 0));
    if (ret->name.ptr == NULL || ret->type_name.ptr == NULL) {
        return SL_NOMEM(err);
    }
    if (!sli_type_parse(ret->type_name, &ret->type, &ret->is_array)) {
        ret->type = SL_DB_REFERENCE;
        ret->is_array = true;
        ret->target_count = (uint32_t)json_array_size(data_type);
        ret->targets = sl_arena_array(arena, struct sl_str, ret->target_count);
        for (uint32_t i = 0; ret->targets != NULL && i < ret->target_count; i++) {
            ret->targets[i] = text_of(arena, json_array_get(data_type, i));
        }
        return ret->targets == NULL ? SL_NOMEM(err) : SL_OK;
    }
    ret->tokens = tokens_of(json_string_value(json_object_get(from, "tokenization")));
    return parse_properties(arena, json_object_get(from, "nestedProperties"), &ret->nested,
                            &ret->nested_count, err);
}

static sl_rc parse_properties(struct sl_arena *arena, json_t *list, struct sl_db_property **ret,
                              uint32_t *ret_count, struct sl_err *err)
{
    uint32_t count = (uint32_t)json_array_size(list);
    struct sl_db_property *out = sl_arena_array(arena, struct sl_db_property, (size_t)count + 1);
    if (out == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(parse_property(arena, json_array_get(list, i), &out[i], err));
    }
    *ret = out;
    *ret_count = count;
    return SL_OK;
}

static sl_rc parse_vectors(struct sli_class *c, json_t *config, struct sl_err *err)
{
    const char *name = NULL;
    json_t *one = NULL;
    c->vectors = sl_arena_array(&c->arena, struct sli_vector, json_object_size(config) + 1);
    if (c->vectors == NULL) {
        return SL_NOMEM(err);
    }
    json_object_foreach(config, name, one) /* the record's keys are sorted */
    {
        json_t *multi = json_object_get(json_object_get(one, "vectorIndexConfig"), "multivector");
        struct sli_vector *v = &c->vectors[c->vector_count++];
        v->name = sl_arena_str(&c->arena, sl_str_from(name));
        v->is_multi = json_is_true(json_object_get(multi, "enabled"));
        if (v->name.ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    return SL_OK;
}

static sl_rc fill_class(struct sli_class *c, struct sl_str json, json_t *doc, struct sl_err *err)
{
    json_t *tenancy = json_object_get(doc, "multiTenancyConfig");
    c->json = sl_arena_str(&c->arena, json);
    c->name = text_of(&c->arena, json_object_get(doc, "class"));
    c->name_lower = sl_arena_alloc(&c->arena, c->name.len + 1);
    if (c->json.ptr == NULL || c->name.ptr == NULL || c->name_lower == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < c->name.len; i++) {
        c->name_lower[i] = (char)tolower((uint8_t)c->name.ptr[i]);
    }
    c->is_multi_tenant = json_is_true(json_object_get(tenancy, "enabled"));
    c->auto_tenant_creation = json_is_true(json_object_get(tenancy, "autoTenantCreation"));
    c->auto_tenant_activation = json_is_true(json_object_get(tenancy, "autoTenantActivation"));
    c->has_legacy_vector = json_object_get(doc, "vectorIndexConfig") != NULL;
    SL_TRY(parse_vectors(c, json_object_get(doc, "vectorConfig"), err));
    return parse_properties(&c->arena, json_object_get(doc, "properties"), &c->properties,
                            &c->property_count, err);
}

sl_rc sli_class_parse(struct sl_str json, struct sli_class **ret, struct sl_err *err)
{
    json_t *doc = json_loadb(json.ptr, json.len, JSON_DECODE_INT_AS_REAL, NULL);
    struct sli_class *c = sl_alloc_zero(1, sizeof(*c));
    sl_rc rc = c == NULL              ? SL_NOMEM(err)
               : !json_is_object(doc) ? SL_FAIL(err, SL_ECORRUPT, "class record is not JSON")
                                      : fill_class(c, json, doc, err);
    json_decref(doc);
    if (rc != SL_OK) {
        sli_class_free(c);
        return rc;
    }
    *ret = c;
    return SL_OK;
}

void sli_class_free(struct sli_class *c)
{
    if (c == NULL) {
        return;
    }
    struct sli_shard *s = NULL, *next = NULL;
    HASH_ITER (hh, c->shards, s, next) {
        HASH_DEL(c->shards, s);
        sl_free((void *)(uintptr_t)s->name.ptr);
        sl_free(s);
    }
    sl_free(c->ring);
    sl_arena_fini(&c->arena);
    sl_free(c);
}

/* ---- shards ---- */

void sli_shard_record(const struct sli_shard *s, struct sl_buf *out)
{
    sl_buf_add_u8(out, SHARD_RECORD_VERSION);
    sl_buf_add_u64(out, s->number);
    sl_buf_add_u8(out, (uint8_t)s->status);
    sl_buf_add_u8(out, (uint8_t)s->target);
    sl_buf_add_u8(out, s->is_never_opened ? 1 : 0);
}

sl_rc sli_shard_parse(struct sl_bytes record, struct sli_shard *ret, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(record);
    uint8_t version = sl_rd_u8(&rd);
    ret->number = sl_rd_u64(&rd);
    uint8_t status = sl_rd_u8(&rd), target = sl_rd_u8(&rd);
    ret->is_never_opened = sl_rd_u8(&rd) != 0;
    SL_TRY(sl_rd_done(&rd, "shard record", err));
    if (version != SHARD_RECORD_VERSION || status > SL_UNFREEZING || target > SL_UNFREEZING) {
        return SL_FAIL(err, SL_ECORRUPT, "shard record: version %u, status %u", version, status);
    }
    ret->status = (enum sl_tenant_status)status;
    ret->target = (enum sl_tenant_status)target;
    return SL_OK;
}

sl_rc sli_shard_add(struct sli_class *c, struct sl_str name, const struct sli_shard *from,
                    struct sli_shard **ret, struct sl_err *err)
{
    struct sli_shard *s = sl_alloc_zero(1, sizeof(*s));
    char *copy = sl_strndup(name.ptr, name.len);
    if (s == NULL || copy == NULL) {
        sl_free(s);
        sl_free(copy);
        return SL_NOMEM(err);
    }
    s->number = from->number;
    s->status = from->status;
    s->target = from->target;
    s->is_never_opened = from->is_never_opened;
    s->name = (struct sl_str){copy, name.len};
    HASH_ADD_KEYPTR(hh, c->shards, s->name.ptr, s->name.len, s);
    c->shard_count = HASH_COUNT(c->shards);
    if (ret != NULL) {
        *ret = s;
    }
    return SL_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct sli_shard *x = *(struct sli_shard *const *)a, *y = *(struct sli_shard *const *)b;
    return sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

sl_rc sli_class_build_ring(struct sli_class *c, struct sl_err *err)
{
    if (c->is_multi_tenant) {
        return SL_OK;
    }
    struct sli_shard **ring = sl_alloc_zero(c->shard_count + 1, sizeof(*ring));
    if (ring == NULL) {
        return SL_NOMEM(err);
    }
    uint32_t n = 0;
    for (struct sli_shard *s = c->shards; s != NULL; s = s->hh.next) {
        ring[n++] = s;
    }
    qsort(ring, n, sizeof(*ring), by_name);
    sl_free(c->ring);
    c->ring = ring;
    return SL_OK;
}

/* ---- load ---- */

sl_rc sli_counter_read(struct sl_kv *kv, struct sl_kv_view *v, struct sli_key key, uint64_t *ret,
                       struct sl_err *err)
{
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    sl_rc rc = sl_kv_get(kv, v, sli_key_view(&key), &value, err);
    if (rc == SL_ENOTFOUND) {
        *ret = 0;
        return SL_OK;
    }
    SL_TRY(rc);
    struct sl_rd rd = sl_rd_over(sl_buf_view(&value));
    *ret = sl_rd_u64(&rd);
    return sl_rd_done(&rd, "counter", err);
}

static sl_rc load_shard(struct sl_db *db, struct sli_class *c, struct sl_str name,
                        struct sl_bytes record, struct sl_err *err)
{
    struct sli_shard parsed = {0}, *s = NULL;
    SL_TRY(sli_shard_parse(record, &parsed, err));
    SL_TRY(sli_shard_add(c, name, &parsed, &s, err));
    uint64_t docs = 0;
    SL_TRY(sli_counter_read(db->kv, NULL, sli_key_docs(s->number), &docs, err));
    atomic_store(&s->next_doc, docs);
    db->next_shard_no = SL_MAX(db->next_shard_no, s->number + 1);
    return SL_OK;
}

static sl_rc load_class(struct sl_db *db, uint64_t number, struct sl_bytes record,
                        struct sli_class **ret, struct sl_err *err)
{
    SL_TRY(sli_class_parse(sl_bytes_str(record), ret, err));
    (*ret)->number = number;
    HASH_ADD_KEYPTR(hh, db->classes, (*ret)->name_lower, (*ret)->name.len, *ret);
    db->next_class_no = SL_MAX(db->next_class_no, number + 1);
    return SL_OK;
}

static sl_rc load_records(struct sl_db *db, struct sl_err *err)
{
    struct sli_span span = sli_span_catalog();
    struct sl_kv_span kv_span = {sli_key_view(&span.lo), sli_key_view(&span.hi)};
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    struct sli_class *c = NULL;
    SL_TRY(sl_kv_scan(db->kv, NULL, kv_span, false, &it, err));
    for (;;) {
        struct sl_bytes key, value;
        sl_rc rc = sl_kv_next(it, &key, &value, err);
        if (rc == SL_END) {
            return SL_OK;
        }
        SL_TRY(rc);
        struct sli_catalog_key k;
        SL_TRY(sli_key_catalog_read(key, &k, err));
        if (!k.is_shard) {
            SL_TRY(load_class(db, k.class_no, value, &c, err));
        } else if (c == NULL || c->number != k.class_no) {
            return SL_FAIL(err, SL_ECORRUPT, "catalog: a shard of class %llu, which has no record",
                           (unsigned long long)k.class_no);
        } else {
            SL_TRY(load_shard(db, c, k.shard_name, value, err));
        }
    }
}

static void write_counter(const char *name, uint64_t value, struct sl_kv_batch *batch)
{
    uint8_t bytes[8];
    struct sli_key key = sli_key_meta(name);
    sl_put_u64(bytes, value);
    sl_kv_batch_put(batch, sli_key_view(&key), SL_BYTES(bytes, sizeof(bytes)));
}

void sli_catalog_counters(struct sl_db *db, struct sl_kv_batch *batch)
{
    write_counter("next_class", db->next_class_no, batch);
    write_counter("next_shard", db->next_shard_no, batch);
}

/* A folder of a newer Sluice is refused; an empty one gets our version. */
static sl_rc check_version(struct sl_db *db, struct sl_err *err)
{
    uint64_t version = 0;
    SL_TRY(sli_counter_read(db->kv, NULL, sli_key_meta("version"), &version, err));
    if (version > FORMAT_VERSION) {
        return SL_FAIL(err, SL_EINVAL,
                       "the data folder has format %llu, this version reads up to %d; use the "
                       "Sluice that wrote it",
                       (unsigned long long)version, FORMAT_VERSION);
    }
    if (version == 0 && !db->opts.is_read_only) {
        SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
        if (batch == NULL) {
            return SL_NOMEM(err);
        }
        write_counter("version", FORMAT_VERSION, batch);
        SL_TRY(sl_kv_commit(db->kv, batch, err));
        return sl_kv_sync(db->kv, err);
    }
    return SL_OK;
}

sl_rc sli_catalog_load(struct sl_db *db, struct sl_err *err)
{
    SL_TRY(check_version(db, err));
    SL_TRY(sli_counter_read(db->kv, NULL, sli_key_meta("next_class"), &db->next_class_no, err));
    SL_TRY(sli_counter_read(db->kv, NULL, sli_key_meta("next_shard"), &db->next_shard_no, err));
    db->next_shard_no = SL_MAX(db->next_shard_no, (uint64_t)1); /* 0 means "before the first" */
    SL_TRY(load_records(db, err));
    for (struct sli_class *c = db->classes; c != NULL; c = c->hh.next) {
        SL_TRY(sli_class_build_ring(c, err));
    }
    return SL_OK;
}

void sli_catalog_free(struct sl_db *db)
{
    struct sli_class *c = NULL, *next = NULL;
    HASH_ITER (hh, db->classes, c, next) {
        HASH_DEL(db->classes, c);
        sli_class_free(c);
    }
}
