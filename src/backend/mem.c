/* Backend in memory, for tests: exactly the promises of backend.h.
 *
 * Objects are a list in key order; an upload gathers parts at their offsets and becomes an object
 * by complete. One lock over everything; callbacks of a listing run on a copy of the names, outside
 * of it. @threads any. */
#include "backend/backend.h"

#include "backend/backend_int.h"
#include "base/sync.h"

#define PART_BYTES_MAX (64ull << 20)

struct object {
    struct object *next;
    struct sl_buf bytes;
    size_t key_len;
    char key[];
};

struct mem_backend {
    struct sl_backend be;
    struct sl_mutex mu;     /* protects objects and the uploads' bytes */
    struct object *objects; /* ascending by key */
};

struct mem_upload {
    struct sl_upload up;
    struct object *object; /* owned; not in the list */
};

static struct mem_backend *mem_of(struct sl_backend *be)
{
    return SL_CONTAINER_OF(be, struct mem_backend, be);
}

static struct sl_str key_of(const struct object *o)
{
    return (struct sl_str){o->key, o->key_len};
}

static void object_free(struct object *o)
{
    if (o != NULL) {
        sl_buf_fini(&o->bytes);
        sl_free(o);
    }
}

static struct object *object_new(struct sl_str key)
{
    struct object *o = sl_alloc(sizeof *o + key.len);
    if (o != NULL) {
        *o = (struct object){.key_len = key.len};
        memcpy(o->key, key.ptr, key.len);
    }
    return o;
}

/* Where the first object whose key is not below `key` hangs. */
static struct object **object_find(struct mem_backend *m, struct sl_str key)
{
    struct object **at = &m->objects;
    while (*at != NULL && sl_bytes_cmp(sl_str_bytes(key_of(*at)), sl_str_bytes(key)) < 0) {
        at = &(*at)->next;
    }
    return at;
}

static bool object_is(const struct object *o, struct sl_str key)
{
    return o != NULL && sl_str_eq(key_of(o), key);
}

static sl_rc conflict(struct sl_str key, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECONFLICT, "object %.*s exists already", SL_STR_ARG(key));
}

/* On success the list owns o. */
static sl_rc object_add(struct mem_backend *m, struct object *o, enum sl_put_mode mode,
                        struct sl_err *err)
{
    struct object *old = NULL;
    sl_mutex_lock(&m->mu);
    struct object **at = object_find(m, key_of(o));
    bool is_taken = object_is(*at, key_of(o));
    if (!is_taken || mode == SL_PUT_REPLACE) {
        old = is_taken ? *at : NULL;
        o->next = is_taken ? old->next : *at;
        *at = o;
    }
    sl_mutex_unlock(&m->mu);
    object_free(old);
    return is_taken && old == NULL ? conflict(key_of(o), err) : SL_OK;
}

static sl_rc mem_probe(struct sl_backend *be, struct sl_err *err)
{
    (void)be;
    (void)err;
    return SL_OK;
}

static sl_rc mem_put(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                     enum sl_put_mode mode, struct sl_err *err)
{
    SL_TRY(sli_key_check(key, err));
    struct object *o = object_new(key);
    if (o == NULL) {
        return SL_NOMEM(err);
    }
    sl_buf_add(&o->bytes, b);
    sl_rc rc = sl_buf_done(&o->bytes, err);
    if (rc == SL_OK) {
        rc = object_add(mem_of(be), o, mode, err);
    }
    if (rc != SL_OK) {
        object_free(o);
    }
    return rc;
}

static sl_rc mem_get(struct sl_backend *be, struct sl_str key, uint64_t size_max,
                     struct sl_buf *out, struct sl_err *err)
{
    struct mem_backend *m = mem_of(be);
    sl_mutex_lock(&m->mu);
    const struct object *o = *object_find(m, key);
    sl_rc rc = SL_OK;
    if (!object_is(o, key)) {
        rc = SL_ENOTFOUND;
    } else if (o->bytes.len > size_max) {
        rc = SL_ETOOBIG;
    } else {
        sl_buf_add(out, sl_buf_view(&o->bytes));
    }
    sl_mutex_unlock(&m->mu);
    if (rc != SL_OK) {
        return SL_FAIL(err, rc, "object %.*s %s", SL_STR_ARG(key),
                       rc == SL_ENOTFOUND ? "does not exist" : "is larger than the limit");
    }
    return sl_buf_done(out, err);
}

static sl_rc mem_read(struct sl_backend *be, struct sl_str key, uint64_t offset, size_t len,
                      struct sl_buf *out, struct sl_err *err)
{
    struct mem_backend *m = mem_of(be);
    sl_mutex_lock(&m->mu);
    const struct object *o = *object_find(m, key);
    bool is_there = object_is(o, key);
    if (is_there && offset < o->bytes.len) {
        sl_buf_add(out, SL_BYTES(o->bytes.ptr + offset, SL_MIN(len, o->bytes.len - offset)));
    }
    sl_mutex_unlock(&m->mu);
    return is_there ? sl_buf_done(out, err)
                    : SL_FAIL(err, SL_ENOTFOUND, "object %.*s does not exist", SL_STR_ARG(key));
}

/* Copies what a listing needs: u64 size, u32 length, key for each object under prefix. */
static void keys_copy(struct mem_backend *m, struct sl_str prefix, struct sl_buf *out)
{
    sl_mutex_lock(&m->mu);
    for (const struct object *o = m->objects; o != NULL; o = o->next) {
        if (sli_key_has_prefix(key_of(o), prefix)) {
            sl_buf_add_u64(out, o->bytes.len);
            sl_buf_add_u32(out, (uint32_t)o->key_len);
            sl_buf_add_str(out, key_of(o));
        }
    }
    sl_mutex_unlock(&m->mu);
}

static sl_rc mem_list(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                      void *arg, struct sl_err *err)
{
    SL_AUTO(sl_buf) keys = SL_BUF_EMPTY;
    SL_TRY(sli_prefix_check(prefix, err));
    keys_copy(mem_of(be), prefix, &keys);
    SL_TRY(sl_buf_done(&keys, err));
    struct sl_rd rd = sl_rd_over(sl_buf_view(&keys));
    while (sl_rd_left(&rd) > 0) {
        uint64_t size = sl_rd_u64(&rd);
        uint32_t len = sl_rd_u32(&rd);
        SL_TRY(fn(arg, sl_bytes_str(sl_rd_bytes(&rd, len)), size, err));
    }
    return SL_OK;
}

static sl_rc mem_list_folders(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                              void *arg, struct sl_err *err)
{
    SL_AUTO(sl_buf) keys = SL_BUF_EMPTY;
    SL_TRY(sli_prefix_check(prefix, err));
    keys_copy(mem_of(be), prefix, &keys);
    SL_TRY(sl_buf_done(&keys, err));
    struct sl_rd rd = sl_rd_over(sl_buf_view(&keys));
    struct sl_str before = {NULL, 0};
    while (sl_rd_left(&rd) > 0) {
        (void)sl_rd_u64(&rd);
        uint32_t len = sl_rd_u32(&rd);
        struct sl_str key = sl_bytes_str(sl_rd_bytes(&rd, len));
        struct sl_str rest = {key.ptr + prefix.len, key.len - prefix.len};
        const char *slash = memchr(rest.ptr, '/', rest.len);
        struct sl_str name = {rest.ptr, slash == NULL ? 0 : (size_t)(slash - rest.ptr)};
        if (slash != NULL && !sl_str_eq(name, before)) {
            SL_TRY(fn(arg, name, 0, err));
            before = name;
        }
    }
    return SL_OK;
}

static sl_rc mem_remove(struct sl_backend *be, struct sl_str key, struct sl_err *err)
{
    struct mem_backend *m = mem_of(be);
    SL_TRY(sli_key_check(key, err));
    struct object *o = NULL;
    sl_mutex_lock(&m->mu);
    struct object **at = object_find(m, key);
    if (object_is(*at, key)) {
        o = *at;
        *at = o->next;
    }
    sl_mutex_unlock(&m->mu);
    object_free(o);
    return SL_OK;
}

static sl_rc mem_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                       struct sl_err *err)
{
    struct mem_backend *m = mem_of(be);
    SL_TRY(sli_key_check(key, err));
    sl_mutex_lock(&m->mu);
    bool is_taken = object_is(*object_find(m, key), key);
    sl_mutex_unlock(&m->mu);
    if (is_taken) {
        return conflict(key, err);
    }
    struct mem_upload *u = sl_alloc(sizeof *u);
    struct object *o = object_new(key);
    if (u == NULL || o == NULL) {
        sl_free(u);
        object_free(o);
        return SL_NOMEM(err);
    }
    *u = (struct mem_upload){.up.owner = be, .object = o};
    *ret = &u->up;
    return SL_OK;
}

static sl_rc mem_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no,
                      uint64_t offset, struct sl_bytes b, struct sl_err *err)
{
    struct mem_backend *m = mem_of(be);
    struct sl_buf *bytes = &SL_CONTAINER_OF(up, struct mem_upload, up)->object->bytes;
    sl_assert(up->owner == be && part_no >= 1);
    sl_mutex_lock(&m->mu);
    size_t end = (size_t)offset + b.len;
    if (end > bytes->len) {
        uint8_t *more = sl_buf_reserve(bytes, end - bytes->len);
        if (more != NULL) {
            memset(more, 0, end - bytes->len);
            bytes->len = end;
        }
    }
    sl_rc rc = sl_buf_done(bytes, err);
    if (rc == SL_OK && b.len > 0) {
        memcpy(bytes->ptr + offset, b.ptr, b.len);
    }
    sl_mutex_unlock(&m->mu);
    return rc;
}

static sl_rc mem_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                          uint64_t size, struct sl_err *err)
{
    struct mem_upload *u = SL_CONTAINER_OF(up, struct mem_upload, up);
    sl_assert(up->owner == be && (part_count > 0 || size == 0));
    if (u->object->bytes.len != size) {
        return SL_FAIL(err, SL_EINTERNAL, "object %.*s: %zu of %llu bytes were sent",
                       SL_STR_ARG(key_of(u->object)), u->object->bytes.len,
                       (unsigned long long)size);
    }
    SL_TRY(object_add(mem_of(be), u->object, SL_PUT_NEW, err));
    sl_free(u);
    return SL_OK;
}

static void mem_cancel(struct sl_backend *be, struct sl_upload *up)
{
    if (up != NULL) {
        struct mem_upload *u = SL_CONTAINER_OF(up, struct mem_upload, up);
        sl_assert(up->owner == be);
        object_free(u->object);
        sl_free(u);
    }
}

static sl_rc mem_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err)
{
    (void)be; /* a process that ends takes its uploads along */
    return sli_prefix_check(prefix, err);
}

static void mem_describe(struct sl_backend *be, struct sl_str prefix, struct sl_buf *out)
{
    (void)be;
    sl_buf_add_text(out, "memory:");
    sl_buf_add_str(out, prefix);
}

static void mem_close(struct sl_backend *be)
{
    struct mem_backend *m = mem_of(be);
    while (m->objects != NULL) {
        struct object *o = m->objects;
        m->objects = o->next;
        object_free(o);
    }
    sl_mutex_fini(&m->mu);
    sl_free(m);
}

sl_rc sl_backend_mem_open(struct sl_backend **ret, struct sl_err *err)
{
    static const struct sl_backend_ops ops = {
        .name = "memory",
        .part_rule = {.bytes_min = 1, .bytes_max = PART_BYTES_MAX, .count_max = UINT32_MAX},
        .probe = mem_probe,
        .put = mem_put,
        .get = mem_get,
        .read = mem_read,
        .list = mem_list,
        .list_folders = mem_list_folders,
        .remove = mem_remove,
        .begin = mem_begin,
        .part = mem_part,
        .complete = mem_complete,
        .cancel = mem_cancel,
        .sweep = mem_sweep,
        .describe = mem_describe,
        .close = mem_close,
    };
    struct mem_backend *m = sl_alloc_zero(1, sizeof *m);
    if (m == NULL) {
        return SL_NOMEM(err);
    }
    m->be.ops = &ops;
    sl_mutex_init(&m->mu);
    *ret = &m->be;
    return SL_OK;
}
