/* Bump arena; see arena.h. Chunks double up to a limit, so few blocks serve many strings. */
#include "base/arena.h"

#include <stdalign.h>

#define CHUNK_FIRST 1024
#define CHUNK_MAX   (256 * 1024) /* larger requests get a chunk of their own */
#define ALIGNMENT   16

struct sl_arena_chunk {
    struct sl_arena_chunk *next;
    size_t size, used; /* of data */
    alignas(ALIGNMENT) uint8_t data[];
};

void sl_arena_fini(struct sl_arena *a)
{
    struct sl_arena_chunk *c = a->chunks;
    while (c != NULL) {
        struct sl_arena_chunk *next = c->next;
        sl_free(c);
        c = next;
    }
    a->chunks = NULL;
}

static struct sl_arena_chunk *grow(struct sl_arena *a, size_t size)
{
    size_t want = a->chunks == NULL ? CHUNK_FIRST : SL_MIN(a->chunks->size * 2, (size_t)CHUNK_MAX);
    size_t bytes = 0;
    if (!sl_add_size(sizeof(struct sl_arena_chunk), SL_MAX(want, size), &bytes)) {
        return NULL;
    }
    struct sl_arena_chunk *c = sl_alloc_zero(1, bytes);
    if (c != NULL) {
        c->size = SL_MAX(want, size);
        c->next = a->chunks;
        a->chunks = c;
    }
    return c;
}

void *sl_arena_alloc(struct sl_arena *a, size_t size)
{
    size_t padded = 0;
    if (!sl_add_size(SL_MAX(size, (size_t)1), ALIGNMENT - 1, &padded)) {
        return NULL;
    }
    padded &= ~(size_t)(ALIGNMENT - 1);
    struct sl_arena_chunk *c = a->chunks;
    if (c == NULL || c->size - c->used < padded) {
        c = grow(a, padded);
        if (c == NULL) {
            return NULL;
        }
    }
    void *at = c->data + c->used;
    c->used += padded;
    return at;
}

struct sl_str sl_arena_str(struct sl_arena *a, struct sl_str s)
{
    char *copy = sl_arena_alloc(a, s.len + 1);
    if (copy == NULL) {
        return (struct sl_str){NULL, 0};
    }
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return (struct sl_str){copy, s.len};
}

void *sli_arena_array(struct sl_arena *a, size_t count, size_t size)
{
    size_t bytes = 0;
    return sl_mul_size(count, size, &bytes) ? sl_arena_alloc(a, bytes) : NULL;
}

void *sli_arena_grow(struct sl_arena *a, void *list, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap) {
        return list;
    }
    if (count > UINT32_MAX / 2) {
        return NULL;
    }
    uint32_t more = SL_MAX(2 * count, 1U);
    void *grown = sli_arena_array(a, more, size);
    if (grown != NULL) {
        if (count > 0) {
            memcpy(grown, list, count * size);
        }
        *cap = more;
    }
    return grown;
}
