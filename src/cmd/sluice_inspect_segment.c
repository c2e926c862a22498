/* sluice inspect: segments and logs, those of a shard or a single file; see inspect_int.h.
 *
 * Every file is opened alone, so that one that is damaged does not hide the others; those that open
 * are then merged to see and count the objects. */
#include "base/file.h"
#include "cmd/inspect_int.h"

#define DAMAGES_MAX   1000 /* listed; the rest is counted */
#define SAMPLE_MAX    100  /* objects of a lone file that are looked at without --verify */
#define PROGRESS_EACH 4096 /* objects between two looks at the clock */

/* ---- the look ---- */

sl_rc sli_look_init(struct sli_look *l, const struct sli_inspect *in, const char *kind,
                    struct sl_err *err)
{
    *l = (struct sli_look){.in = in, .doc = json_object(), .damages = json_array()};
    l->object = sl_alloc(sizeof(*l->object));
    if (l->object == NULL || l->doc == NULL || l->damages == NULL) {
        return SL_NOMEM(err);
    }
    (void)json_object_set_new(l->doc, "path", sli_text_json(sl_str_from(in->path)));
    (void)json_object_set_new(l->doc, "kind", json_string(kind));
    (void)json_object_set_new(l->doc, "isVerified", json_boolean(in->is_verifying));
    sli_progress_begin(&l->progress, "objects", in->is_json);
    return SL_OK;
}

void sli_look_fini(struct sli_look *l)
{
    sli_progress_end(&l->progress);
    json_decref(l->doc);
    json_decref(l->damages);
    sl_free(l->object);
    sl_arena_fini(&l->arena);
}

json_t *sli_text_json(struct sl_str text)
{
    if (sl_utf8_valid_len(text) == text.len) {
        return json_stringn(text.len == 0 ? "" : text.ptr, text.len);
    }
    SL_AUTO(sl_buf) clean = SL_BUF_EMPTY;
    for (size_t i = 0; i < text.len; i++) {
        sl_buf_add_u8(&clean, (uint8_t)text.ptr[i] < 0x80 ? (uint8_t)text.ptr[i] : '?');
    }
    return json_string(sl_buf_cstr(&clean));
}

json_t *sli_count_json(uint64_t n)
{
    return json_integer((json_int_t)n);
}

void sli_look_damage(struct sli_look *l, const char *what)
{
    if (++l->damage_count > DAMAGES_MAX) {
        return;
    }
    json_t *damage = json_object();
    if (l->class_name.len > 0) {
        (void)json_object_set_new(damage, "class", sli_text_json(l->class_name));
        (void)json_object_set_new(damage, "shard", sli_text_json(l->shard));
    }
    (void)json_object_set_new(damage, "what", sli_text_json(sl_str_from(what)));
    (void)json_array_append_new(l->damages, damage);
}

/* ---- one file ---- */

static void note_damage(void *arg, const uint8_t *uuid SL_UNUSED, const char *what)
{
    sli_look_damage(arg, what);
}

static void note_signs(struct sli_signs *signs, const struct sl_bucket_info *info)
{
    if (info->is_log) {
        return;
    }
    signs->checksums += info->has_checksum;
    signs->no_checksums += !info->has_checksum;
    signs->one_slot += info->secondary_count == 1;
    signs->two_slots += info->secondary_count == 2;
    signs->keyed_tombstones += info->keyed_tombstone_count;
    /* those without their time have been through a log: it says nothing about the version */
    signs->bare_tombstones += info->timed_tombstone_count > info->keyed_tombstone_count
                                  ? info->timed_tombstone_count - info->keyed_tombstone_count
                                  : 0;
}

bool sli_look_source(struct sli_look *l, const struct sl_bucket_source *source, json_t *file)
{
    struct sl_err err = {0};
    struct sl_bucket_opts opts = {.damage = note_damage, .damage_arg = l};
    struct sl_bucket_info info;
    SL_AUTO_PTR(sl_bucket) bucket = NULL;
    sl_rc rc = sl_bucket_open(source, 1, &opts, &bucket, &err);
    if (rc != SL_OK) {
        sli_look_damage(l, sl_err_text(&err, rc));
        return false;
    }
    if (l->in->is_verifying) {
        rc = sl_bucket_verify(bucket, 0, &err);
        if (rc != SL_OK) {
            sli_look_damage(l, sl_err_text(&err, rc));
        }
    }
    sl_bucket_describe(bucket, 0, &info);
    note_signs(&l->signs, &info);
    (void)json_object_set_new(file, "keys", sli_count_json(info.key_count));
    if (info.is_log || l->in->is_verifying) {
        (void)json_object_set_new(file, "tombstones", sli_count_json(info.tombstone_count));
    }
    if (info.is_log) {
        (void)json_object_set_new(file, "goodBytes", sli_count_json(info.good_bytes));
        (void)json_object_set_new(file, "tornBytes",
                                  sli_count_json(source->blob.size - info.good_bytes));
        return true;
    }
    (void)json_object_set_new(file, "level", sli_count_json(info.level));
    (void)json_object_set_new(file, "strategy", json_string("replace"));
    (void)json_object_set_new(file, "version", sli_count_json(info.version));
    (void)json_object_set_new(file, "hasChecksum", json_boolean(info.has_checksum));
    (void)json_object_set_new(file, "secondaryIndexes", sli_count_json(info.secondary_count));
    return true;
}

/* ---- objects ---- */

static struct sli_vector *find_vector(struct sli_look *l, struct sli_vectors *v, struct sl_str name,
                                      bool is_multi)
{
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->list[i].is_multi == is_multi && sl_str_eq(v->list[i].name, name)) {
            return &v->list[i];
        }
    }
    struct sli_vector *grown = sl_arena_grow(&l->arena, v->list, v->count, &v->cap);
    if (grown == NULL) {
        return NULL;
    }
    v->list = grown;
    struct sli_vector *one = &v->list[v->count++];
    *one = (struct sli_vector){.name = sl_arena_str(&l->arena, name), .is_multi = is_multi};
    return one;
}

static void note_vector(struct sli_look *l, struct sli_vectors *v, struct sl_str name,
                        bool is_multi, uint32_t dims)
{
    struct sli_vector *one = find_vector(l, v, name, is_multi);
    if (one == NULL) {
        return; /* memory is refused: the list of vectors stays short */
    }
    one->objects++;
    for (uint32_t i = 0; i < one->dims_count; i++) {
        if (one->dims[i] == dims) {
            return;
        }
    }
    if (one->dims_count < SLI_DIMS_MAX) {
        one->dims[one->dims_count++] = dims;
    }
}

static void note_object(struct sli_look *l, struct sli_vectors *v)
{
    const struct sl_object *o = l->object;
    l->signs.nameless += o->class_name.len == 0;
    if (l->seen_class.len == 0) {
        l->seen_class = sl_arena_str(&l->arena, o->class_name);
    }
    if (o->vector.len > 0) {
        note_vector(l, v, SL_STR(""), false, (uint32_t)(o->vector.len / 4));
    }
    for (uint32_t i = 0; i < o->named_count; i++) {
        note_vector(l, v, o->named[i].name, false, (uint32_t)(o->named[i].floats.len / 4));
    }
    for (uint32_t i = 0; i < o->multi_count; i++) {
        SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
        struct sl_rd rd = sl_rd_over(o->multi[i].body);
        struct sl_bytes first = {0};
        if (o->multi[i].row_count > 0 &&
            sl_multi_vector_row(&o->multi[i], &rd, &scratch, &first, NULL) == SL_OK) {
            note_vector(l, v, o->multi[i].name, true, (uint32_t)(first.len / 4));
        }
        l->signs.old_multi += o->multi[i].is_msgpack;
    }
}

static bool is_json(struct sl_bytes text)
{
    if (text.len == 0) {
        return true;
    }
    json_t *doc = json_loadb((const char *)text.ptr, text.len,
                             JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    json_decref(doc);
    return doc != NULL;
}

/* What is wrong with a value, NULL: nothing. It must be an object, and that of its key. */
static const char *find_fault(struct sli_look *l, const struct sl_bucket_entry *e,
                              struct sl_err *why)
{
    sl_rc rc = sl_object_read(e->value, l->object, why);
    if (rc != SL_OK) {
        return sl_err_text(why, rc);
    }
    if (memcmp(l->object->uuid, e->key, SL_UUID_SIZE) != 0) {
        return "its value holds another id";
    }
    bool is_fine = !l->in->is_verifying || is_json(l->object->properties);
    return is_fine ? NULL : "its properties are no JSON";
}

static void check_object(struct sli_look *l, const struct sl_bucket_entry *e,
                         struct sli_vectors *vectors, struct sli_scan *scan)
{
    struct sl_err why = {0};
    const char *fault = find_fault(l, e, &why);
    if (fault == NULL) {
        scan->objects++;
        note_object(l, vectors);
        return;
    }
    char id[SL_UUID_TEXT_SIZE];
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_uuid_format(e->key, id);
    sl_buf_addf(&text, "%s: damaged at offset %llu: object %.*s: %s", e->file,
                (unsigned long long)e->offset, SL_UUID_TEXT_SIZE, id, fault);
    sli_look_damage(l, sl_buf_cstr(&text));
}

static void ignore_damage(void *arg SL_UNUSED, const uint8_t *uuid SL_UNUSED,
                          const char *what SL_UNUSED)
{
    /* told when the files were looked at one by one */
}

static sl_rc scan_objects(struct sli_look *l, struct sl_bucket_cursor *cursor, uint64_t object_max,
                          struct sli_vectors *vectors, struct sli_scan *scan, struct sl_err *err)
{
    for (uint64_t n = 0; n < object_max; n++) {
        struct sl_bucket_entry e;
        SL_TRY(sl_bucket_next(cursor, &e, err));
        check_object(l, &e, vectors, scan);
        if (++l->objects_done % PROGRESS_EACH == 0) {
            sli_progress_show(&l->progress, "verifying", l->objects_done, 0, 0);
        }
    }
    return SL_OK;
}

struct sli_scan sli_look_objects(struct sli_look *l, const struct sl_bucket_source *sources,
                                 uint32_t count, uint64_t object_max, struct sli_vectors *vectors)
{
    struct sli_scan scan = {0};
    struct sl_err err = {0};
    struct sl_bucket_opts opts = {.damage = ignore_damage};
    uint64_t before = l->damage_count;
    SL_AUTO_PTR(sl_bucket) bucket = NULL;
    SL_AUTO_PTR(sl_bucket_cursor) cursor = NULL;
    sl_rc rc = sl_bucket_open(sources, count, &opts, &bucket, &err);
    if (rc == SL_OK) {
        rc = sl_bucket_scan(bucket, NULL, NULL, &cursor, &err);
    }
    if (rc == SL_OK) {
        rc = scan_objects(l, cursor, object_max, vectors, &scan, &err);
    }
    scan.is_all = rc == SL_END && l->damage_count == before;
    if (rc != SL_OK && rc != SL_END) {
        sli_look_damage(l, sl_err_text(&err, rc));
    }
    return scan;
}

json_t *sli_vectors_json(const struct sli_vectors *v)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < v->count; i++) {
        const struct sli_vector *one = &v->list[i];
        json_t *item = json_object(), *dims = json_array();
        for (uint32_t k = 0; k < one->dims_count; k++) {
            (void)json_array_append_new(dims, sli_count_json(one->dims[k]));
        }
        (void)json_object_set_new(item, "name", sli_text_json(one->name));
        (void)json_object_set_new(item, "isMulti", json_boolean(one->is_multi));
        (void)json_object_set_new(item, "dimensions", dims);
        (void)json_object_set_new(item, "objects", sli_count_json(one->objects));
        (void)json_array_append_new(list, item);
    }
    return list;
}

json_t *sli_signs_json(const struct sli_signs *s)
{
    const struct {
        uint64_t count;
        const char *what, *who;
    } rows[] = {
#define ROW(member, what, who) {s->member, what, who},
        SLI_SIGNS(ROW)
#undef ROW
    };
    json_t *list = json_array();
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        if (rows[i].count > 0) {
            json_t *item = json_object();
            (void)json_object_set_new(item, "sign", json_string(rows[i].what));
            (void)json_object_set_new(item, "count", sli_count_json(rows[i].count));
            (void)json_object_set_new(item, "servers", json_string(rows[i].who));
            (void)json_array_append_new(list, item);
        }
    }
    return list;
}

/* ---- a lone file ---- */

sl_rc sli_inspect_segment(const struct sli_inspect *in, bool is_log, json_t **ret,
                          struct sl_err *err)
{
    struct sli_look l;
    struct sli_vectors vectors = {0};
    SL_AUTO_PTR(sl_file) f = NULL;
    struct sl_extent extent = {0};
    SL_TRY(sl_file_open(in->path, SL_FILE_READ_FOREIGN, &f, err));
    SL_TRY(sl_file_size(f, &extent.len, err));
    extent.file = f;
    struct sl_bucket_source source = {
        .blob = {.name = in->path, .size = extent.len, .extents = &extent, .extent_count = 1},
        .is_log = is_log};
    sl_rc rc = sli_look_init(&l, in, is_log ? "log" : "segment", err);
    if (rc == SL_OK) {
        (void)json_object_set_new(l.doc, "bytes", sli_count_json(extent.len));
        if (sli_look_source(&l, &source, l.doc)) {
            uint64_t max = in->is_verifying ? UINT64_MAX : SAMPLE_MAX;
            struct sli_scan scan = sli_look_objects(&l, &source, 1, max, &vectors);
            (void)json_object_set_new(l.doc, "class", sli_text_json(l.seen_class));
            (void)json_object_set_new(l.doc, "objects", sli_count_json(scan.objects));
            (void)json_object_set_new(l.doc, "isCountExact", json_boolean(scan.is_all));
            (void)json_object_set_new(l.doc, "vectors", sli_vectors_json(&vectors));
        }
        (void)json_object_set_new(l.doc, "signs", sli_signs_json(&l.signs));
        (void)json_object_set(l.doc, "damages", l.damages);
        (void)json_object_set_new(l.doc, "damageCount", sli_count_json(l.damage_count));
        *ret = json_incref(l.doc);
    }
    sli_look_fini(&l);
    return rc;
}
