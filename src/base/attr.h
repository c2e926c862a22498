/* Compiler attributes behind readable names, and the cleanup macros.
 *
 * Everything here is a spelling, not a mechanism: a reader should never need to open this file to
 * follow a function. Ownership of a local is declared where it is born (SL_AUTO, SL_AUTO_PTR) and
 * handed over by sl_move(), so early returns free what they must and nothing else. */
#ifndef SL_BASE_ATTR_H
#define SL_BASE_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_MUST_USE                 __attribute__((warn_unused_result))
#define SL_PRINTF(fmt_no, first_no) __attribute__((format(printf, fmt_no, first_no)))
#define SL_UNUSED                   __attribute__((unused))
#define SL_NORETURN                 __attribute__((noreturn))
#define SL_LIKELY(x)                __builtin_expect(!!(x), 1)
#define SL_UNLIKELY(x)              __builtin_expect(!!(x), 0)

/* Clang's lock analysis (-Wthread-safety); gcc ignores it. In C, clang 14 cannot name a sibling
 * field in guarded_by, hence SL_GUARDED (any lock) together with SL_REQUIRES on functions. */
#if defined(__clang__)
#define SL_CAPABILITY       __attribute__((capability("mutex")))
#define SL_GUARDED          __attribute__((guarded_var))
#define SL_REQUIRES(...)    __attribute__((requires_capability(__VA_ARGS__)))
#define SL_ACQUIRE(...)     __attribute__((acquire_capability(__VA_ARGS__)))
#define SL_RELEASE(...)     __attribute__((release_capability(__VA_ARGS__)))
#define SL_NO_LOCK_ANALYSIS __attribute__((no_thread_safety_analysis))
#define SL_RC_MUST_USE      __attribute__((warn_unused_result))
#else
#define SL_CAPABILITY
#define SL_GUARDED
#define SL_REQUIRES(...)
#define SL_ACQUIRE(...)
#define SL_RELEASE(...)
#define SL_NO_LOCK_ANALYSIS
#define SL_RC_MUST_USE
#endif

/* An owning local: `SL_AUTO(sl_buf) b = SL_BUF_EMPTY;` calls sl_buf_fini(&b) at scope end.
 * An owning pointer: `SL_AUTO_PTR(sl_writer) w = NULL;` calls sl_writer_freep(&w), which the header
 * of the type defines by SL_DEFINE_FREEP(sl_writer, sl_writer_free). Destructors accept NULL. */
#define SL_AUTO(type)     __attribute__((cleanup(type##_fini))) struct type
#define SL_AUTO_PTR(type) __attribute__((cleanup(type##_freep))) struct type *
#define SL_DEFINE_FREEP(type, free_function)         \
    static inline void type##_freep(struct type **p) \
    {                                                \
        free_function(*p);                           \
    }

/* Hands an owned pointer over: yields it and leaves NULL behind. */
#define sl_move(pointer_to_pointer)                                         \
    ({                                                                      \
        __typeof__(pointer_to_pointer) sl_move_from = (pointer_to_pointer); \
        __typeof__(*sl_move_from) sl_move_value = *sl_move_from;            \
        *sl_move_from = NULL;                                               \
        sl_move_value;                                                      \
    })

#define SL_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define SL_MIN(a, b)       ((a) < (b) ? (a) : (b))
#define SL_MAX(a, b)       ((a) > (b) ? (a) : (b))

/* The struct that holds member `member`, from a pointer to that member. */
#define SL_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Our own mistakes end the process, in release builds too; foreign bytes get SL_ECORRUPT instead.
 */
SL_NORETURN void sl_fatal_at(const char *file, int line, const char *text);
#define sl_assert(cond)                             \
    do {                                            \
        if (SL_UNLIKELY(!(cond))) {                 \
            sl_fatal_at(__FILE__, __LINE__, #cond); \
        }                                           \
    } while (0)
#ifdef NDEBUG
#define sl_dassert(cond) ((void)sizeof(cond))
#else
#define sl_dassert(cond) sl_assert(cond)
#endif

#endif
