/* Clock seam: now and sleep. The fake clock moves only when a test says so. @threads any. */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include "base/cancel.h"

struct sl_clock;
struct sl_clock_ops {
    int64_t (*wall_ns)(struct sl_clock *c); /* Unix time */
    int64_t (*mono_ns)(struct sl_clock *c); /* never goes back; its zero means nothing */
    /* Returns at mono time `until_ns`, or earlier when `cancel` (may be NULL) is set: SL_ECANCELED.
     */
    sl_rc (*sleep_until)(struct sl_clock *c, int64_t until_ns, struct sl_cancel *cancel);
};
struct sl_clock {
    const struct sl_clock_ops *ops;
};

struct sl_clock *sl_clock_real(void); /* the process's clock; not freed */

static inline int64_t sl_clock_wall_ns(struct sl_clock *c)
{
    return c->ops->wall_ns(c);
}
static inline int64_t sl_clock_mono_ns(struct sl_clock *c)
{
    return c->ops->mono_ns(c);
}
static inline SL_MUST_USE sl_rc sl_clock_sleep_until(struct sl_clock *c, int64_t until_ns,
                                                     struct sl_cancel *cancel)
{
    return c->ops->sleep_until(c, until_ns, cancel);
}

/* Fake clock (tests/lib links base only, so it lives here): starts at the given times. */
struct sl_clock_fake;
struct sl_clock_fake *sl_clock_fake_new(int64_t wall_ns, int64_t mono_ns) SL_MUST_USE;
void sl_clock_fake_free(struct sl_clock_fake *f);
struct sl_clock *sl_clock_fake_clock(struct sl_clock_fake *f);
void sl_clock_fake_advance(struct sl_clock_fake *f, int64_t ns); /* wakes sleepers that are due */

#endif
