/* Source in memory, for tests: exactly the promises of source.h.
 *
 * Objects are immutable and counted, so a freeze copies arrays of pointers. A view is durable as
 * one of a real store: released without drop it stays in the list of names until somebody drops it.
 * One lock over the classes; a view and its cursors need none. @threads any. */
#include "source/source.h"

#include <stdatomic.h>

#include "base/sync.h"

struct object {
    _Atomic uint32_t refs;
    uint8_t uuid[SL_UUID_SIZE];
    size_t size;
    uint8_t bytes[];
};
struct shard {
    char *name, *skip_reason;
    struct object **objects; /* ascending by uuid */
    uint32_t count, cap;
};
struct class
{
    char *name;
    bool is_tenants;
    const char *json;     /* borrowed; NULL: none */
    struct shard *shards; /* ascending by name */
    uint32_t shard_count;
};
struct classes {
    struct class *items; /* in creation order */
    uint32_t count;
};
struct name {
    struct name *next;
    char text[];
};
struct mem {
    struct sl_source source;
    struct sl_mutex mu; /* protects classes and frozen */
    struct classes classes;
    struct name *frozen; /* durable views */
    sl_source_mem_hook_fn *hook;
    void *hook_arg;
};
struct view {
    struct sl_frozen frozen;
    struct mem *mem; /* borrowed */
    struct name *name;
    struct classes classes;
};
struct cursor {
    struct sl_cursor cursor;
    struct mem *mem; /* borrowed */
    const struct shard *shard;
    uint32_t at, end;
    uint64_t row_no;
    struct sl_object object;
};

static struct mem *mem_of(struct sl_source *src)
{
    return SL_CONTAINER_OF(src, struct mem, source);
}
static struct view *view_of(struct sl_frozen *fz)
{
    return SL_CONTAINER_OF(fz, struct view, frozen);
}

/* ---- contents ---- */

static void object_give(struct object *o)
{
    if (o != NULL && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1) {
        sl_free(o);
    }
}

static void shard_fini(struct shard *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        object_give(s->objects[i]);
    }
    sl_free(s->objects);
    sl_free(s->name);
    sl_free(s->skip_reason);
}

static void classes_fini(struct classes *all)
{
    for (uint32_t c = 0; c < all->count; c++) {
        for (uint32_t s = 0; s < all->items[c].shard_count; s++) {
            shard_fini(&all->items[c].shards[s]);
        }
        sl_free(all->items[c].shards);
        sl_free(all->items[c].name);
    }
    sl_free(all->items);
}

static struct class *class_add(struct classes *all, const char *name, bool is_tenants)
{
    struct class *items = sl_realloc(all->items, (all->count + 1) * sizeof(*items));
    if (items == NULL) {
        return NULL;
    }
    all->items = items;
    items[all->count] = (struct class){.name = sl_strdup(name), .is_tenants = is_tenants};
    return items[all->count].name == NULL ? NULL : &items[all->count++];
}

static struct shard *shard_add(struct class *c, const char *name, const char *skip_reason)
{
    struct shard *items = sl_realloc(c->shards, (c->shard_count + 1) * sizeof(*items));
    if (items == NULL) {
        return NULL;
    }
    c->shards = items;
    struct shard s = {.name = sl_strdup(name), .skip_reason = sl_strdup(skip_reason)};
    if (s.name == NULL || s.skip_reason == NULL) {
        shard_fini(&s);
        return NULL;
    }
    uint32_t at = c->shard_count++;
    for (; at > 0 && strcmp(items[at - 1].name, name) > 0; at--) {
        items[at] = items[at - 1];
    }
    items[at] = s;
    return &items[at];
}

static struct class *class_find(struct classes *all, struct sl_str name)
{
    for (uint32_t i = 0; i < all->count; i++) {
        if (sl_str_is(name, all->items[i].name)) {
            return &all->items[i];
        }
    }
    return NULL;
}

static struct shard *shard_find(struct classes *all, const char *class_name, const char *name)
{
    struct class *c = class_find(all, sl_str_from(class_name));
    for (uint32_t i = 0; c != NULL && i < c->shard_count; i++) {
        if (strcmp(c->shards[i].name, name) == 0) {
            return &c->shards[i];
        }
    }
    return NULL;
}

/* First object whose uuid is not below `uuid`. */
static uint32_t place_of(const struct shard *s, const uint8_t *uuid)
{
    uint32_t lo = 0, hi = s->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (memcmp(s->objects[mid]->uuid, uuid, SL_UUID_SIZE) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Takes the reference of o. */
static bool object_insert(struct shard *s, struct object *o)
{
    uint32_t at = place_of(s, o->uuid);
    if (at < s->count && memcmp(s->objects[at]->uuid, o->uuid, SL_UUID_SIZE) == 0) {
        object_give(s->objects[at]);
        s->objects[at] = o;
        return true;
    }
    if (s->count == s->cap) {
        uint32_t cap = SL_MAX(16U, s->cap * 2);
        struct object **grown = sl_realloc(s->objects, cap * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        s->objects = grown;
        s->cap = cap;
    }
    memmove(s->objects + at + 1, s->objects + at, (s->count - at) * sizeof(*s->objects));
    s->objects[at] = o;
    s->count++;
    return true;
}

static bool shard_copy(struct class *to, const struct shard *from)
{
    struct shard *s = shard_add(to, from->name, from->skip_reason);
    if (s == NULL) {
        return false;
    }
    s->objects = sl_alloc(((size_t)from->count + 1) * sizeof(*s->objects));
    if (s->objects == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < from->count; i++) {
        atomic_fetch_add_explicit(&from->objects[i]->refs, 1, memory_order_relaxed);
        s->objects[i] = from->objects[i];
    }
    s->count = s->cap = from->count;
    return true;
}

static bool classes_copy(const struct classes *from, struct classes *to)
{
    for (uint32_t c = 0; c < from->count; c++) {
        const struct class *src = &from->items[c];
        struct class *copy = class_add(to, src->name, src->is_tenants);
        if (copy != NULL) {
            copy->json = src->json;
        }
        for (uint32_t s = 0; copy != NULL && s < src->shard_count; s++) {
            if (!shard_copy(copy, &src->shards[s])) {
                return false;
            }
        }
        if (copy == NULL) {
            return false;
        }
    }
    return true;
}

/* ---- names of durable views ---- */

static void name_remove(struct mem *m, struct sl_str name)
{
    sl_mutex_lock(&m->mu);
    struct name **at = &m->frozen;
    while (*at != NULL && !sl_str_is(name, (*at)->text)) {
        at = &(*at)->next;
    }
    struct name *found = *at;
    if (found != NULL) {
        *at = found->next;
    }
    sl_mutex_unlock(&m->mu);
    sl_free(found);
}

/* ---- cursor ---- */

static sl_rc cursor_next(struct sl_cursor *cur, const struct sl_object **ret, struct sl_err *err)
{
    struct cursor *c = SL_CONTAINER_OF(cur, struct cursor, cursor);
    if (c->at == c->end) {
        return SL_END;
    }
    if (c->mem->hook != NULL) {
        c->mem->hook(c->mem->hook_arg, c->row_no);
    }
    const struct object *o = c->shard->objects[c->at];
    SL_TRY(sl_object_read(SL_BYTES(o->bytes, o->size), &c->object, err));
    c->at++;
    c->row_no++;
    *ret = &c->object;
    return SL_OK;
}

static void cursor_close(struct sl_cursor *cur)
{
    sl_free(SL_CONTAINER_OF(cur, struct cursor, cursor));
}

static const struct sl_cursor_ops cursor_ops = {.next = cursor_next, .close = cursor_close};

/* ---- view ---- */

static sl_rc view_shards(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                         struct sl_shard **ret, uint32_t *ret_count, struct sl_err *err)
{
    struct class *c = class_find(&view_of(fz)->classes, class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "class %.*s does not exist", SL_STR_ARG(class_name));
    }
    struct sl_shard *list = sl_arena_array(arena, struct sl_shard, (size_t)c->shard_count + 1);
    if (list == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < c->shard_count; i++) {
        const struct shard *s = &c->shards[i];
        const char *skip = s->skip_reason[0] == '\0' && s->count == 0 ? "no data" : s->skip_reason;
        list[i] = (struct sl_shard){.class_name = sl_str_from(c->name),
                                    .name = sl_str_from(s->name),
                                    .is_tenant = c->is_tenants,
                                    .skip_reason = sl_str_from(skip),
                                    .object_count = s->count,
                                    .ref = (uint64_t)(uintptr_t)s};
    }
    *ret = list;
    *ret_count = c->shard_count;
    return SL_OK;
}

static const struct shard *shard_of(const struct sl_shard *shard)
{
    return (const struct shard *)(uintptr_t)shard->ref;
}

static sl_rc view_split(struct sl_frozen *fz SL_UNUSED, const struct sl_shard *shard,
                        uint32_t range_max, struct sl_arena *arena, struct sl_range_key **ret,
                        uint32_t *ret_count, struct sl_err *err)
{
    const struct shard *s = shard_of(shard);
    uint32_t count = SL_MAX(1U, SL_MIN(range_max, s->count));
    struct sl_range_key *ranges = sl_arena_array(arena, struct sl_range_key, count);
    if (ranges == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 1; i < count; i++) {
        const struct object *cut = s->objects[(uint64_t)s->count * i / count];
        memcpy(ranges[i].lo, cut->uuid, SL_UUID_SIZE);
        memcpy(ranges[i - 1].hi, cut->uuid, SL_UUID_SIZE);
        ranges[i - 1].has_hi = true;
    }
    *ret = ranges;
    *ret_count = count;
    return SL_OK;
}

static sl_rc view_cursor(struct sl_frozen *fz, const struct sl_shard *shard,
                         const struct sl_range_key *range, struct sl_cursor **ret,
                         struct sl_err *err)
{
    const struct shard *s = shard_of(shard);
    struct cursor *c = sl_alloc(sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->cursor.ops = &cursor_ops;
    c->mem = view_of(fz)->mem;
    c->shard = s;
    c->at = place_of(s, range->lo);
    c->end = range->has_hi ? place_of(s, range->hi) : s->count;
    c->row_no = 0;
    *ret = &c->cursor;
    return SL_OK;
}

static void view_release(struct sl_frozen *fz, bool drop)
{
    struct view *v = view_of(fz);
    if (drop) {
        name_remove(v->mem, sl_str_from(v->name->text));
    }
    classes_fini(&v->classes);
    sl_free(v);
}

static sl_rc view_schema(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                         struct sl_str *ret, struct sl_err *err)
{
    struct class *c = class_find(&view_of(fz)->classes, class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "class %.*s does not exist", SL_STR_ARG(class_name));
    }
    *ret = sl_arena_str(arena, sl_str_from(c->json));
    return ret->ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static const struct sl_frozen_ops view_ops = {.shards = view_shards,
                                              .schema = view_schema,
                                              .split = view_split,
                                              .cursor = view_cursor,
                                              .release = view_release};

/* ---- source ---- */

static sl_rc mem_classes(struct sl_source *src, struct sl_arena *arena, struct sl_str **ret,
                         uint32_t *ret_count, struct sl_err *err)
{
    struct mem *m = mem_of(src);
    sl_mutex_lock(&m->mu);
    uint32_t count = m->classes.count;
    struct sl_str *names = sl_arena_array(arena, struct sl_str, (size_t)count + 1);
    bool is_whole = names != NULL;
    for (uint32_t i = 0; is_whole && i < count; i++) {
        names[i] = sl_arena_str(arena, sl_str_from(m->classes.items[i].name));
        is_whole = names[i].ptr != NULL;
    }
    sl_mutex_unlock(&m->mu);
    if (!is_whole) {
        return SL_NOMEM(err);
    }
    *ret = names;
    *ret_count = count;
    return SL_OK;
}

static sl_rc mem_freeze(struct sl_source *src, struct sl_str name, struct sl_frozen **ret,
                        struct sl_err *err)
{
    struct mem *m = mem_of(src);
    struct view *v = sl_alloc_zero(1, sizeof(*v));
    struct name *n = sl_alloc_zero(1, sizeof(*n) + name.len + 1);
    if (v == NULL || n == NULL) {
        sl_free(v);
        sl_free(n);
        return SL_NOMEM(err);
    }
    memcpy(n->text, name.ptr, name.len);
    sl_mutex_lock(&m->mu);
    bool is_taken = false;
    for (const struct name *at = m->frozen; at != NULL; at = at->next) {
        is_taken = is_taken || sl_str_is(name, at->text);
    }
    bool is_whole = !is_taken && classes_copy(&m->classes, &v->classes);
    if (is_whole) {
        n->next = m->frozen;
        m->frozen = n;
    }
    sl_mutex_unlock(&m->mu);
    if (!is_whole) {
        classes_fini(&v->classes);
        sl_free(v);
        sl_free(n);
        return is_taken ? SL_FAIL(err, SL_ECONFLICT, "view %.*s exists", SL_STR_ARG(name))
                        : SL_NOMEM(err);
    }
    v->frozen.ops = &view_ops;
    v->mem = m;
    v->name = n;
    *ret = &v->frozen;
    return SL_OK;
}

static sl_rc mem_drop(struct sl_source *src, struct sl_str name, struct sl_err *err SL_UNUSED)
{
    name_remove(mem_of(src), name);
    return SL_OK;
}

static void mem_close(struct sl_source *src)
{
    struct mem *m = mem_of(src);
    while (m->frozen != NULL) {
        struct name *next = m->frozen->next;
        sl_free(m->frozen);
        m->frozen = next;
    }
    classes_fini(&m->classes);
    sl_mutex_fini(&m->mu);
    sl_free(m);
}

sl_rc sl_source_mem_open(struct sl_source **ret, struct sl_err *err)
{
    static const struct sl_source_ops ops = {
        .classes = mem_classes, .freeze = mem_freeze, .drop = mem_drop, .close = mem_close};
    struct mem *m = sl_alloc_zero(1, sizeof(*m));
    if (m == NULL) {
        return SL_NOMEM(err);
    }
    m->source.ops = &ops;
    m->source.kind = "memory";
    sl_mutex_init(&m->mu);
    *ret = &m->source;
    return SL_OK;
}

/* ---- feeding ---- */

sl_rc sl_source_mem_class(struct sl_source *src, const char *class_name,
                          enum sl_source_mem_kind kind, struct sl_err *err)
{
    struct mem *m = mem_of(src);
    sl_mutex_lock(&m->mu);
    bool is_added = class_add(&m->classes, class_name, kind == SL_SOURCE_MEM_TENANTS) != NULL;
    sl_mutex_unlock(&m->mu);
    return is_added ? SL_OK : SL_NOMEM(err);
}

sl_rc sl_source_mem_shard(struct sl_source *src, const char *class_name, const char *shard,
                          const char *skip_reason, struct sl_err *err)
{
    struct mem *m = mem_of(src);
    sl_mutex_lock(&m->mu);
    struct class *c = class_find(&m->classes, sl_str_from(class_name));
    bool is_added = c != NULL && shard_add(c, shard, skip_reason) != NULL;
    sl_mutex_unlock(&m->mu);
    return is_added ? SL_OK : SL_NOMEM(err);
}

sl_rc sl_source_mem_put_bytes(struct sl_source *src, const char *class_name, const char *shard,
                              const uint8_t uuid[SL_UUID_SIZE], struct sl_bytes stored,
                              struct sl_err *err)
{
    struct mem *m = mem_of(src);
    struct object *o = sl_alloc(sizeof(*o) + stored.len);
    if (o == NULL) {
        return SL_NOMEM(err);
    }
    o->refs = 1;
    o->size = stored.len;
    memcpy(o->uuid, uuid, SL_UUID_SIZE);
    memcpy(o->bytes, stored.ptr, stored.len);
    sl_mutex_lock(&m->mu);
    struct shard *s = shard_find(&m->classes, class_name, shard);
    bool is_added = s != NULL && object_insert(s, o);
    sl_mutex_unlock(&m->mu);
    if (!is_added) {
        sl_free(o);
        return s == NULL ? SL_FAIL(err, SL_ENOTFOUND, "no shard %s of class %s", shard, class_name)
                         : SL_NOMEM(err);
    }
    return SL_OK;
}

sl_rc sl_source_mem_put(struct sl_source *src, const char *class_name, const char *shard,
                        const struct sl_object *obj, struct sl_err *err)
{
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    SL_TRY(sl_object_write(obj, &bytes, err));
    return sl_source_mem_put_bytes(src, class_name, shard, obj->uuid, sl_buf_view(&bytes), err);
}

void sl_source_mem_schema(struct sl_source *src, const char *class_name, const char *json)
{
    struct mem *m = mem_of(src);
    sl_mutex_lock(&m->mu);
    class_find(&m->classes, sl_str_from(class_name))->json = json;
    sl_mutex_unlock(&m->mu);
}

void sl_source_mem_empty(struct sl_source *src, const char *class_name, const char *shard)
{
    struct mem *m = mem_of(src);
    sl_mutex_lock(&m->mu);
    struct shard *s = shard_find(&m->classes, class_name, shard);
    while (s != NULL && s->count > 0) {
        object_give(s->objects[--s->count]);
    }
    sl_mutex_unlock(&m->mu);
}

void sl_source_mem_hook(struct sl_source *src, sl_source_mem_hook_fn *fn, void *arg)
{
    mem_of(src)->hook = fn;
    mem_of(src)->hook_arg = arg;
}

uint32_t sl_source_mem_frozen_count(struct sl_source *src)
{
    struct mem *m = mem_of(src);
    uint32_t count = 0;
    sl_mutex_lock(&m->mu);
    for (const struct name *at = m->frozen; at != NULL; at = at->next) {
        count++;
    }
    sl_mutex_unlock(&m->mu);
    return count;
}
