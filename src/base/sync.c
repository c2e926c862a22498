/* Locks over pthreads; see sync.h. A failing lock call is a mistake of ours and ends the process.
 */
#include "base/sync.h"

#include <errno.h>
#include <time.h>

void sl_mutex_init(struct sl_mutex *m)
{
    sl_assert(pthread_mutex_init(&m->impl, NULL) == 0);
}

void sl_mutex_fini(struct sl_mutex *m)
{
    sl_assert(pthread_mutex_destroy(&m->impl) == 0);
}

void sl_mutex_lock(struct sl_mutex *m) SL_NO_LOCK_ANALYSIS
{
    sl_assert(pthread_mutex_lock(&m->impl) == 0);
}

void sl_mutex_unlock(struct sl_mutex *m) SL_NO_LOCK_ANALYSIS
{
    sl_assert(pthread_mutex_unlock(&m->impl) == 0);
}

void sl_rwlock_init(struct sl_rwlock *l)
{
    pthread_rwlockattr_t attr;
    sl_assert(pthread_rwlockattr_init(&attr) == 0);
    sl_assert(pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) ==
              0);
    sl_assert(pthread_rwlock_init(&l->impl, &attr) == 0);
    sl_assert(pthread_rwlockattr_destroy(&attr) == 0);
}

void sl_rwlock_fini(struct sl_rwlock *l)
{
    sl_assert(pthread_rwlock_destroy(&l->impl) == 0);
}

void sl_rwlock_read(struct sl_rwlock *l)
{
    sl_assert(pthread_rwlock_rdlock(&l->impl) == 0);
}

void sl_rwlock_write(struct sl_rwlock *l)
{
    sl_assert(pthread_rwlock_wrlock(&l->impl) == 0);
}

void sl_rwlock_unlock(struct sl_rwlock *l)
{
    sl_assert(pthread_rwlock_unlock(&l->impl) == 0);
}

void sl_cond_init(struct sl_cond *c)
{
    pthread_condattr_t attr;
    sl_assert(pthread_condattr_init(&attr) == 0);
    sl_assert(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    sl_assert(pthread_cond_init(&c->impl, &attr) == 0);
    sl_assert(pthread_condattr_destroy(&attr) == 0);
}

void sl_cond_fini(struct sl_cond *c)
{
    sl_assert(pthread_cond_destroy(&c->impl) == 0);
}

void sl_cond_wait(struct sl_cond *c, struct sl_mutex *m)
{
    sl_assert(pthread_cond_wait(&c->impl, &m->impl) == 0);
}

bool sl_cond_wait_for(struct sl_cond *c, struct sl_mutex *m, int64_t timeout_ns)
{
    struct timespec until;
    sl_assert(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    int64_t wait_ns = SL_MAX(timeout_ns, (int64_t)0);
    int64_t ns = until.tv_nsec + wait_ns % 1000000000;
    until.tv_sec += wait_ns / 1000000000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    int rc = pthread_cond_timedwait(&c->impl, &m->impl, &until);
    sl_assert(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void sl_cond_signal(struct sl_cond *c)
{
    sl_assert(pthread_cond_signal(&c->impl) == 0);
}

void sl_cond_broadcast(struct sl_cond *c)
{
    sl_assert(pthread_cond_broadcast(&c->impl) == 0);
}
