/* Mutex, read-write lock and condition with clang's lock annotations. The only pthread locks.
 *
 * Lock order is written in docs/LOCKING.md; most locks are leaves. No I/O and no callback under a
 * leaf lock. Failures of pthread calls are our own mistakes and end the process. */
#ifndef SL_BASE_SYNC_H
#define SL_BASE_SYNC_H

#include <pthread.h>

#include "base/err.h"

struct SL_CAPABILITY sl_mutex {
    pthread_mutex_t impl;
};
void sl_mutex_init(struct sl_mutex *m);
void sl_mutex_fini(struct sl_mutex *m);
void sl_mutex_lock(struct sl_mutex *m) SL_ACQUIRE(*m);
void sl_mutex_unlock(struct sl_mutex *m) SL_RELEASE(*m);

/* Readers share, a writer is alone; writers are preferred so that a freeze cannot starve. */
struct SL_CAPABILITY sl_rwlock {
    pthread_rwlock_t impl;
};
void sl_rwlock_init(struct sl_rwlock *l);
void sl_rwlock_fini(struct sl_rwlock *l);
void sl_rwlock_read(struct sl_rwlock *l);
void sl_rwlock_write(struct sl_rwlock *l);
void sl_rwlock_unlock(struct sl_rwlock *l);

struct sl_cond {
    pthread_cond_t impl; /* CLOCK_MONOTONIC */
};
void sl_cond_init(struct sl_cond *c);
void sl_cond_fini(struct sl_cond *c);
void sl_cond_wait(struct sl_cond *c, struct sl_mutex *m) SL_REQUIRES(*m);
/* false when timeout_ns passed first. */
bool sl_cond_wait_for(struct sl_cond *c, struct sl_mutex *m, int64_t timeout_ns) SL_REQUIRES(*m);
void sl_cond_signal(struct sl_cond *c);
void sl_cond_broadcast(struct sl_cond *c);

#endif
