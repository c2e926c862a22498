/* Threads: a fixed pool running jobs from a bounded queue, and single named threads with a join. */
#ifndef SL_BASE_WORKERS_H
#define SL_BASE_WORKERS_H

#include "base/err.h"

typedef void sl_work_fn(void *arg);

struct sl_workers;
/* thread_count threads named "<name>-<n>"; queue_max jobs may wait. */
sl_rc sl_workers_new(const char *name, uint32_t thread_count, uint32_t queue_max,
                     struct sl_workers **ret, struct sl_err *err);
/* SL_EBUSY when the queue is full, SL_ECLOSED after stop. arg is handed to fn on a pool thread. */
sl_rc sl_workers_try_add(struct sl_workers *w, sl_work_fn *fn, void *arg);
sl_rc sl_workers_add(struct sl_workers *w, sl_work_fn *fn, void *arg); /* waits for room */
/* Runs what is queued, then joins all threads and frees. NULL is fine. */
void sl_workers_free(struct sl_workers *w);
SL_DEFINE_FREEP(sl_workers, sl_workers_free)

struct sl_thread;
sl_rc sl_thread_start(const char *name, sl_work_fn *fn, void *arg, struct sl_thread **ret,
                      struct sl_err *err);
void sl_thread_join(struct sl_thread *t); /* waits and frees; NULL is fine */

uint32_t sl_cpu_count(void); /* CPUs this process may use (affinity and cgroup), >= 1 */

#endif
