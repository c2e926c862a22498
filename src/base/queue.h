/* Bounded queue of pointers between threads; carries close and the first error. @threads any.
 * Ownership of an item moves with it. */
#ifndef SL_BASE_QUEUE_H
#define SL_BASE_QUEUE_H

#include "base/err.h"

struct sl_queue;
sl_rc sl_queue_new(uint32_t capacity, struct sl_queue **ret, struct sl_err *err);
void sl_queue_free(
    struct sl_queue *q); /* must be empty or closed; left items are the caller's loss */
SL_DEFINE_FREEP(sl_queue, sl_queue_free)
sl_rc sl_queue_push(struct sl_queue *q, void *item); /* waits while full; SL_ECLOSED after close */
sl_rc sl_queue_try_push(struct sl_queue *q, void *item); /* SL_EBUSY when full */
sl_rc sl_queue_pop(struct sl_queue *q, void **ret);      /* waits; SL_END when closed and empty */
void sl_queue_close(struct sl_queue *q); /* wakes all; items inside can still be popped */
uint32_t sl_queue_len(struct sl_queue *q);

#endif
