/* Bump arena: many small allocations, freed whole.
 *
 * For control data of one request, one job or one plan. Never for bulk bytes, and nothing in it is
 * freed one by one. One owner thread. */
#ifndef SL_BASE_ARENA_H
#define SL_BASE_ARENA_H

#include "base/bytes.h"
#include "base/mem.h"

struct sl_arena {
    struct sl_arena_chunk *chunks; /* newest first */
};

#define SL_ARENA_EMPTY ((struct sl_arena){0})

void sl_arena_fini(struct sl_arena *a);
/* size bytes aligned to 16, zeroed; NULL when memory is refused. */
void *sl_arena_alloc(struct sl_arena *a, size_t size) SL_MUST_USE;
/* NUL-terminated copy; the view excludes the NUL. ptr is NULL when memory is refused. */
struct sl_str sl_arena_str(struct sl_arena *a, struct sl_str s) SL_MUST_USE;
/* count elements of `type`, zeroed. */
#define sl_arena_array(a, type, count) ((type *)sli_arena_array((a), (count), sizeof(type)))
void *sli_arena_array(struct sl_arena *a, size_t count, size_t size) SL_MUST_USE;
/* The list itself while *cap is above count; else a copy with room for twice as many, *cap told.
 * The old one stays in the arena. NULL: memory is refused, nothing has changed. */
#define sl_arena_grow(a, list, count, cap) \
    ((__typeof__(list))sli_arena_grow((a), (list), (count), (cap), sizeof(*(list))))
void *sli_arena_grow(struct sl_arena *a, void *list, uint32_t count, uint32_t *cap,
                     size_t size) SL_MUST_USE;

#endif
