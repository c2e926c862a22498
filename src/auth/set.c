/* A sorted array of pointers to named things: lookup by halving, listing in order, and room that
 * can be taken beforehand, so that what was stored can always be published. */
#include "auth/auth_int.h"

static struct sl_str name_at(const struct sli_set *set, uint32_t i)
{
    return ((const struct sli_named *)set->items[i])->name;
}

/* Where the name is or would be. */
static uint32_t place(const struct sli_set *set, struct sl_str name, bool *ret_is_there)
{
    uint32_t lo = 0, hi = set->count;
    *ret_is_there = false;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = sl_bytes_cmp(sl_str_bytes(name_at(set, mid)), sl_str_bytes(name));
        if (c == 0) {
            *ret_is_there = true;
            return mid;
        }
        lo = c < 0 ? mid + 1 : lo;
        hi = c < 0 ? hi : mid;
    }
    return lo;
}

void *sli_set_find(const struct sli_set *set, struct sl_str name)
{
    bool is_there = false;
    uint32_t at = place(set, name, &is_there);
    return is_there ? set->items[at] : NULL;
}

sl_rc sli_set_reserve(struct sli_set *set, struct sl_err *err)
{
    if (set->count < set->cap) {
        return SL_OK;
    }
    uint32_t cap = SL_MAX(16u, set->cap * 2);
    void **items = sl_realloc(set->items, cap * sizeof(*items));
    if (items == NULL) {
        return SL_NOMEM(err);
    }
    set->items = items;
    set->cap = cap;
    return SL_OK;
}

void *sli_set_put(struct sli_set *set, void *item)
{
    bool is_there = false;
    uint32_t at = place(set, ((const struct sli_named *)item)->name, &is_there);
    if (is_there) {
        void *old = set->items[at];
        set->items[at] = item;
        return old;
    }
    sl_assert(set->count < set->cap);
    memmove(set->items + at + 1, set->items + at, (set->count - at) * sizeof(*set->items));
    set->items[at] = item;
    set->count++;
    return NULL;
}

void *sli_set_remove(struct sli_set *set, struct sl_str name)
{
    bool is_there = false;
    uint32_t at = place(set, name, &is_there);
    if (!is_there) {
        return NULL;
    }
    void *old = set->items[at];
    set->count--;
    memmove(set->items + at, set->items + at + 1, (set->count - at) * sizeof(*set->items));
    return old;
}

void sli_set_fini(struct sli_set *set)
{
    sl_free(set->items);
    *set = (struct sli_set){0};
}
