/* The schema from schema.db, where servers before 1.25 kept it; see schema_int.h and FORMAT.md.
 *
 * Later servers leave the file behind, empty or as it was when they took its content into their
 * Raft store, so it counts only where that store is missing. */
#include "source/schema_int.h"
#include "base/path.h"

enum { KEY_CLASS = 2, KEY_SHARD = 4, KEY_META = 5, KEY_SHARDING = 15 };

struct reader {
    struct sl_schema *out;
    const char *path;
    struct sl_bolt *bolt;
    struct sli_classes classes;
    struct sl_buf meta, sharding; /* of the class at work */
    struct sli_class *class;
};

static bool is_key(struct sl_bytes key, uint8_t kind)
{
    return key.len == 2 && key.ptr[0] == kind && key.ptr[1] == 0;
}

static sl_rc on_texts(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct reader *r = arg;
    struct sl_buf *to = is_key(item->key, KEY_META)       ? &r->meta
                        : is_key(item->key, KEY_SHARDING) ? &r->sharding
                                                          : NULL;
    if (to != NULL) {
        sl_buf_clear(to);
        sl_buf_add(to, item->value);
        return sl_buf_done(to, err);
    }
    return SL_OK;
}

static sl_rc on_shard(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct reader *r = arg;
    struct sli_class_shard *s;
    struct sl_bytes key = item->key;
    if (key.len < 2 || key.ptr[0] != KEY_SHARD) {
        return SL_OK;
    }
    struct sl_str name = {(const char *)key.ptr + 1, key.len - 1};
    return sli_class_put_shard(&r->classes, r->class, name, item->value, &s, err);
}

/* A class's bucket. The shards come before the texts in it, so it is walked twice. */
static sl_rc read_class(struct reader *r, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct sl_bolt_bucket bucket;
    struct sl_str name = {(const char *)item->key.ptr + 1, item->key.len - 1};
    sl_buf_clear(&r->meta);
    sl_buf_clear(&r->sharding);
    SL_TRY(sl_bolt_sub_bucket(r->bolt, item, &bucket, err));
    SL_TRY(sl_bolt_each(r->bolt, &bucket, on_texts, r, err));
    SL_TRY(
        sli_classes_put(&r->classes, sl_buf_view(&r->meta), sl_buf_view(&r->sharding), true, err));
    r->class = sli_classes_find(&r->classes, name, true);
    if (r->class == NULL) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: class %.*s is not whole", SL_STR_ARG(name));
    }
    return sl_bolt_each(r->bolt, &bucket, on_shard, r, err);
}

/* Everything in one JSON text, up to 1.17: {object: {classes: []}, ShardingState: {}}. */
static sl_rc read_first_version(struct reader *r, struct sl_bytes json, struct sl_err *err)
{
    struct sl_bytes object, list, states, class, name, state;
    struct sl_str key, text;
    struct sl_json_iter it;
    if (!sl_json_find(json, "object", &object) || !sl_json_find(json, "ShardingState", &states) ||
        !sl_json_find(object, "classes", &list)) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: the schema is not whole");
    }
    if (!sl_json_begin(list, '[', &it)) {
        return sl_json_is_null(list) ? SL_OK
                                     : SL_FAIL(err, SL_ECORRUPT, "damaged: the list of classes");
    }
    while (sl_json_next(&it, &key, &class)) {
        if (!sl_json_find(class, "class", &name)) {
            return SL_FAIL(err, SL_ECORRUPT, "damaged: a class has no name");
        }
        SL_TRY(sl_json_string(name, &r->out->arena, &text, err));
        text = sl_arena_str(&r->out->arena, text); /* NUL-terminated */
        if (text.ptr == NULL) {
            return SL_NOMEM(err);
        }
        if (sl_json_find(states, text.ptr, &state)) {
            SL_TRY(sli_classes_put(&r->classes, class, state, true, err));
        }
    }
    return it.is_damaged ? SL_FAIL(err, SL_ECORRUPT, "damaged: the list of classes") : SL_OK;
}

static sl_rc on_item(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct reader *r = arg;
    if (item->is_bucket && item->key.len > 1 && item->key.ptr[0] == KEY_CLASS) {
        return read_class(r, item, err);
    }
    if (!item->is_bucket && sl_str_is(sl_bytes_str(item->key), "schema")) {
        return read_first_version(r, item->value, err);
    }
    return SL_OK;
}

static sl_rc on_bucket(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct reader *r = arg;
    struct sl_bolt_bucket bucket;
    if (!item->is_bucket || !sl_str_is(sl_bytes_str(item->key), "schema")) {
        return SL_OK;
    }
    SL_TRY(sl_bolt_sub_bucket(r->bolt, item, &bucket, err));
    return sl_bolt_each(r->bolt, &bucket, on_item, r, err);
}

static sl_rc read_all(void *arg, struct sl_bolt *bolt, struct sl_err *err)
{
    struct reader *r = arg;
    struct sl_bolt_bucket root = sl_bolt_root_bucket(bolt);
    sl_schema_fini(r->out); /* of an attempt that came to nothing */
    r->out->origin = SL_SCHEMA_DB;
    r->classes = (struct sli_classes){.out = r->out};
    r->bolt = bolt;
    sl_rc rc = sl_bolt_each(bolt, &root, on_bucket, r, err);
    if (rc == SL_OK) {
        rc = sli_classes_finish(&r->classes, err);
    }
    sli_classes_fini(&r->classes);
    if (rc == SL_OK && r->out->class_count == 0) {
        rc = SL_FAIL(err, SL_ENOTFOUND, "%s is empty", r->path);
    }
    return rc;
}

sl_rc sli_schema_db_load(const char *data_path, struct sl_schema *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(data_path), SL_STR("schema.db"));
    SL_TRY(sl_buf_done(&path, err));
    struct reader r = {.out = ret, .path = sl_buf_cstr(&path)};
    sl_rc rc = sli_bolt_read(r.path, read_all, &r, err);
    sl_buf_fini(&r.meta);
    sl_buf_fini(&r.sharding);
    if (rc != SL_OK) {
        sl_schema_fini(ret);
    }
    if (rc == SL_ECORRUPT) {
        sl_err_prefix(err, "%s", r.path);
    }
    return rc;
}
