/* The clock seam: the process's clock, and one that moves only when a test says so. */
#include "base/clock.h"

#include <time.h>

#include "base/mem.h"

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    sl_assert(clock_gettime(id, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t real_wall(struct sl_clock *c SL_UNUSED)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t real_mono(struct sl_clock *c SL_UNUSED)
{
    return read_clock(CLOCK_MONOTONIC);
}

static sl_rc real_sleep(struct sl_clock *c SL_UNUSED, int64_t until_ns, struct sl_cancel *cancel)
{
    for (;;) {
        int64_t left = until_ns - read_clock(CLOCK_MONOTONIC);
        if (left <= 0) {
            return sl_cancel_is_set(cancel) ? SL_ECANCELED : SL_OK;
        }
        if (cancel != NULL) {
            if (sl_cancel_wait_for(cancel, left)) {
                return SL_ECANCELED;
            }
        } else {
            struct timespec until = {.tv_sec = until_ns / 1000000000,
                                     .tv_nsec = until_ns % 1000000000};
            (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        }
    }
}

static const struct sl_clock_ops real_ops = {
    .wall_ns = real_wall, .mono_ns = real_mono, .sleep_until = real_sleep};

struct sl_clock *sl_clock_real(void)
{
    static struct sl_clock real = {.ops = &real_ops};
    return &real;
}

/* ---- fake ---- */

struct sl_clock_fake {
    struct sl_clock clock;
    struct sl_mutex mu; /* leaf */
    struct sl_cond moved;
    int64_t wall, mono; /* under mu */
};

static struct sl_clock_fake *fake_of(struct sl_clock *c)
{
    return SL_CONTAINER_OF(c, struct sl_clock_fake, clock);
}

static int64_t fake_wall(struct sl_clock *c)
{
    struct sl_clock_fake *f = fake_of(c);
    sl_mutex_lock(&f->mu);
    int64_t now = f->wall;
    sl_mutex_unlock(&f->mu);
    return now;
}

static int64_t fake_mono(struct sl_clock *c)
{
    struct sl_clock_fake *f = fake_of(c);
    sl_mutex_lock(&f->mu);
    int64_t now = f->mono;
    sl_mutex_unlock(&f->mu);
    return now;
}

/* How often a fake sleeper looks at its cancel token, in real time. */
#define FAKE_LOOK_NS 1000000

static sl_rc fake_sleep(struct sl_clock *c, int64_t until_ns, struct sl_cancel *cancel)
{
    struct sl_clock_fake *f = fake_of(c);
    sl_mutex_lock(&f->mu);
    while (f->mono < until_ns && !sl_cancel_is_set(cancel)) {
        (void)sl_cond_wait_for(&f->moved, &f->mu, FAKE_LOOK_NS);
    }
    sl_mutex_unlock(&f->mu);
    return sl_cancel_is_set(cancel) ? SL_ECANCELED : SL_OK;
}

static const struct sl_clock_ops fake_ops = {
    .wall_ns = fake_wall, .mono_ns = fake_mono, .sleep_until = fake_sleep};

struct sl_clock_fake *sl_clock_fake_new(int64_t wall_ns, int64_t mono_ns)
{
    struct sl_clock_fake *f = sl_alloc_zero(1, sizeof(*f));
    if (f != NULL) {
        f->clock.ops = &fake_ops;
        sl_mutex_init(&f->mu);
        sl_cond_init(&f->moved);
        f->wall = wall_ns;
        f->mono = mono_ns;
    }
    return f;
}

void sl_clock_fake_free(struct sl_clock_fake *f)
{
    if (f != NULL) {
        sl_cond_fini(&f->moved);
        sl_mutex_fini(&f->mu);
        sl_free(f);
    }
}

struct sl_clock *sl_clock_fake_clock(struct sl_clock_fake *f)
{
    return &f->clock;
}

void sl_clock_fake_advance(struct sl_clock_fake *f, int64_t ns)
{
    sl_mutex_lock(&f->mu);
    f->wall += ns;
    f->mono += ns;
    sl_cond_broadcast(&f->moved);
    sl_mutex_unlock(&f->mu);
}
