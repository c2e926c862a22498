/* Objects, batches, references. A missing object is a 404 without a body. */
#include "api/api_int.h"

#include "base/num.h"

static struct sl_str text_of(json_t *doc, const char *key)
{
    json_t *value = json_object_get(doc, key);
    return (struct sl_str){json_string_value(value), json_string_length(value)};
}

static struct sl_db_where where(const struct sli_call *c)
{
    return (struct sl_db_where){.class_name = c->segments[0], .tenant = sli_query(c, "tenant")};
}

/* `include` is a comma list; only vectors are ours. */
static bool wants_vector(const struct sli_call *c)
{
    struct sl_str include = sli_query(c, "include");
    while (include.len > 0) {
        const char *comma = memchr(include.ptr, ',', include.len);
        size_t len = comma == NULL ? include.len : (size_t)(comma - include.ptr);
        if (sl_str_is(sl_str_trim((struct sl_str){include.ptr, len}), "vector")) {
            return true;
        }
        size_t skip = SL_MIN(include.len, len + 1);
        include = (struct sl_str){include.ptr + skip, include.len - skip};
    }
    return false;
}

static sl_rc bare(struct sli_call *c, sl_rc rc, int status)
{
    if (rc == SL_OK) {
        c->status = status;
    } else if (rc == SL_ENOTFOUND) {
        c->status = 404;
        rc = SL_OK;
    }
    if (c->status != 200) {
        sl_buf_clear(&c->out);
    }
    return rc;
}

static sl_rc newline(struct sli_call *c, sl_rc rc)
{
    if (rc == SL_OK && c->status == 200) {
        sl_buf_add_u8(&c->out, '\n');
    }
    return rc;
}

static sl_rc number_query(const struct sli_call *c, const char *key, int64_t preset, int64_t *ret,
                          struct sl_err *err)
{
    struct sl_str text = sli_query(c, key);
    *ret = preset;
    if (text.len == 0 || sl_i64_parse(text, ret)) {
        return SL_OK;
    }
    sl_rc rc = SL_FAIL(err, SL_EINVAL, "%s in query must be of type int64: \"%.*s\"", key,
                       (int)SL_MIN(text.len, (size_t)100), text.ptr);
    err->sys_errno = SL_DB_SWAGGER_TYPE;
    return rc;
}

sl_rc sli_get_objects(struct sli_call *c, struct sl_err *err)
{
    struct sl_db_list_opts opts = {
        .where = {.class_name = sli_query(c, "class"), .tenant = sli_query(c, "tenant")},
        .after = sli_query(c, "after"),
        .has_after = sli_query_has(c, "after"),
        .with_vector = wants_vector(c)};
    SL_TRY(number_query(c, "limit", -1, &opts.limit, err));
    SL_TRY(number_query(c, "offset", 0, &opts.offset, err));
    return newline(c, sl_db_object_list(c->opts->db, &opts, &c->out, err));
}

sl_rc sli_post_objects(struct sli_call *c, struct sl_err *err)
{
    struct sl_resource collection = {SL_ON_COLLECTIONS, {text_of(c->body, "class")}};
    if (!sl_db_has_class(c->opts->db, collection.names[0])) { /* it would be made */
        SL_TRY(sli_ask(&c->asker, SL_CREATE, &collection, err));
    }
    return newline(c, sl_db_object_add(c->opts->db, c->body, &c->out, err));
}

sl_rc sli_get_object(struct sli_call *c, struct sl_err *err)
{
    struct sl_db_read_opts opts = {.with_vector = wants_vector(c)};
    sl_rc rc = sl_db_object_get(c->opts->db, where(c), c->segments[1], opts, &c->out, err);
    return newline(c, bare(c, rc, 200));
}

sl_rc sli_head_object(struct sli_call *c, struct sl_err *err)
{
    return bare(c, sl_db_object_exists(c->opts->db, where(c), c->segments[1], err), 204);
}

sl_rc sli_put_object(struct sli_call *c, struct sl_err *err)
{
    sl_rc rc = sl_db_object_put(c->opts->db, where(c), c->segments[1], c->body, &c->out, err);
    return newline(c, bare(c, rc, 200));
}

sl_rc sli_patch_object(struct sli_call *c, struct sl_err *err)
{
    return bare(c, sl_db_object_patch(c->opts->db, where(c), c->segments[1], c->body, err), 204);
}

sl_rc sli_delete_object(struct sli_call *c, struct sl_err *err)
{
    sl_rc rc = sl_db_object_delete(c->opts->db, where(c), c->segments[1], err);
    if (rc != SL_OK) {
        return rc; /* only a missing class gets here as "not found", and it has a sentence */
    }
    c->status = 204;
    return SL_OK;
}

sl_rc sli_post_reference(struct sli_call *c, struct sl_err *err)
{
    return bare(
        c, sl_db_reference_add(c->opts->db, where(c), c->segments[1], c->segments[2], c->body, err),
        200);
}

sl_rc sli_put_reference(struct sli_call *c, struct sl_err *err)
{
    return bare(
        c, sl_db_reference_put(c->opts->db, where(c), c->segments[1], c->segments[2], c->body, err),
        200);
}

sl_rc sli_delete_reference(struct sli_call *c, struct sl_err *err)
{
    return bare(
        c,
        sl_db_reference_delete(c->opts->db, where(c), c->segments[1], c->segments[2], c->body, err),
        204);
}

/* As in the reference one object that may not be stored refuses the batch, before any of it is. */
static sl_rc ask_objects(struct sli_call *c, struct sl_err *err)
{
    struct sli_asked last = {0};
    json_t *objects = json_object_get(c->body, "objects"), *one = NULL;
    size_t i = 0;
    json_array_foreach(objects, i, one)
    {
        struct sl_str class_name = text_of(one, "class"), tenant = text_of(one, "tenant");
        SL_TRY(sli_ask_store(&c->asker, c->opts->db, &last, class_name, tenant, err));
    }
    return SL_OK;
}

/* The class of "weaviate://localhost/Class/uuid/property"; all when it is not such a text, which
 * the call itself refuses then. */
static struct sl_str beacon_class(struct sl_str beacon)
{
    static const char scheme[] = "weaviate://localhost/";
    size_t skip = sizeof(scheme) - 1;
    if (!sl_str_starts(beacon, scheme)) {
        return (struct sl_str){0};
    }
    struct sl_str rest = {beacon.ptr + skip, beacon.len - skip};
    const char *slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
    return slash == NULL ? (struct sl_str){0}
                         : (struct sl_str){rest.ptr, (size_t)(slash - rest.ptr)};
}

static sl_rc ask_references(struct sli_call *c, struct sl_err *err)
{
    struct sli_asked last = {0};
    json_t *one = NULL;
    size_t i = 0;
    json_array_foreach(c->body, i, one)
    {
        SL_TRY(sli_ask_update(&c->asker, &last, beacon_class(text_of(one, "from")),
                              text_of(one, "tenant"), err));
    }
    return SL_OK;
}

sl_rc sli_batch_objects(struct sli_call *c, struct sl_err *err)
{
    SL_TRY(ask_objects(c, err));
    return newline(c, sl_db_batch_objects(c->opts->db, c->body, &c->out, err));
}

sl_rc sli_batch_references(struct sli_call *c, struct sl_err *err)
{
    SL_TRY(ask_references(c, err));
    return newline(c, sl_db_batch_references(c->opts->db, c->body, &c->out, err));
}
