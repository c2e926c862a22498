/* The only malloc and free; see mem.h. The count of live blocks is a relaxed atomic. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"

#define HUGE_PAGE ((size_t)2 << 20)

static _Atomic int64_t live_blocks;

static void *count(void *ptr)
{
    if (ptr != NULL) {
        atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    }
    return ptr;
}

void *sl_alloc(size_t size)
{
    return SL_FAULT_HIT(SL_FAULT_ALLOC) ? NULL : count(malloc(size == 0 ? 1 : size));
}

void *sl_alloc_large(size_t size, size_t filled)
{
    void *ptr = NULL;
    if (SL_FAULT_HIT(SL_FAULT_ALLOC) || posix_memalign(&ptr, HUGE_PAGE, size) != 0) {
        return NULL;
    }
    /* Where the kernel has none, small pages serve as well. */
    (void)madvise(ptr, filled / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return count(ptr);
}

void *sl_alloc_zero(size_t n, size_t size)
{
    if (n == 0 || size == 0) {
        n = size = 1;
    }
    return SL_FAULT_HIT(SL_FAULT_ALLOC) ? NULL : count(calloc(n, size));
}

void *sl_realloc(void *ptr, size_t size)
{
    if (ptr == NULL) {
        return sl_alloc(size);
    }
    return SL_FAULT_HIT(SL_FAULT_ALLOC) ? NULL : realloc(ptr, size == 0 ? 1 : size);
}

void sl_free(void *ptr)
{
    if (ptr != NULL) {
        atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
        free(ptr);
    }
}

char *sl_strdup(const char *text)
{
    return sl_strndup(text, strlen(text));
}

char *sl_strndup(const char *text, size_t len)
{
    char *copy = sl_alloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

int64_t sl_mem_live(void)
{
    return atomic_load_explicit(&live_blocks, memory_order_relaxed);
}
