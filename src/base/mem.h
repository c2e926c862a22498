/* The only malloc and free: counts live blocks and lets tests refuse any allocation.
 *
 * A refused allocation returns NULL and the caller returns SL_ENOMEM; nothing aborts. The count of
 * live blocks is what the fault sweep checks after each refused call. @threads any. */
#ifndef SL_BASE_MEM_H
#define SL_BASE_MEM_H

#include "base/err.h"

void *sl_alloc(size_t size) SL_MUST_USE; /* uninitialised; size 0 is one byte */
/* The same for buffers of megabytes, aligned to 2 MiB. The first `filled` bytes, which are filled
 * for certain, lie in huge pages where the kernel gives them: device and copies meet one for 512.
 */
void *sl_alloc_large(size_t size, size_t filled) SL_MUST_USE;
void *sl_alloc_zero(size_t count, size_t size) SL_MUST_USE; /* checked product, zeroed */
void *sl_realloc(void *ptr, size_t size) SL_MUST_USE;       /* keeps ptr on failure */
void sl_free(void *ptr);                                    /* NULL is fine */
char *sl_strdup(const char *text) SL_MUST_USE;
char *sl_strndup(const char *text, size_t len) SL_MUST_USE; /* NUL-terminated copy */

/* Blocks allocated and not freed by this process. Tests compare before and after. */
int64_t sl_mem_live(void);

/* *ret = a * b or a + b; false when it does not fit. */
static inline bool sl_mul_size(size_t a, size_t b, size_t *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}
static inline bool sl_add_size(size_t a, size_t b, size_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

#define SL_NOMEM(err) SL_FAIL((err), SL_ENOMEM, "out of memory")

/* Cleanup for a plain owned block: SL_AUTO_MEM(char) text = sl_strdup(...); */
static inline void sl_free_p(void *pp)
{
    sl_free(*(void **)pp);
}
#define SL_AUTO_MEM(type) __attribute__((cleanup(sl_free_p))) type *

#endif
