/* Bounded queue; see queue.h. A ring under one mutex: items are batches and parts, never objects.
 */
#include "base/queue.h"

#include "base/mem.h"
#include "base/sync.h"

struct sl_queue {
    struct sl_mutex mu; /* leaf */
    struct sl_cond has_item, has_room;
    uint32_t capacity, head, len; /* under mu */
    bool is_closed;               /* under mu */
    void *items[];
};

sl_rc sl_queue_new(uint32_t capacity, struct sl_queue **ret, struct sl_err *err)
{
    sl_assert(capacity > 0);
    struct sl_queue *q = sl_alloc_zero(1, sizeof(*q) + (size_t)capacity * sizeof(void *));
    if (q == NULL) {
        return SL_NOMEM(err);
    }
    q->capacity = capacity;
    sl_mutex_init(&q->mu);
    sl_cond_init(&q->has_item);
    sl_cond_init(&q->has_room);
    *ret = q;
    return SL_OK;
}

void sl_queue_free(struct sl_queue *q)
{
    if (q != NULL) {
        sl_cond_fini(&q->has_room);
        sl_cond_fini(&q->has_item);
        sl_mutex_fini(&q->mu);
        sl_free(q);
    }
}

static sl_rc push_locked(struct sl_queue *q, void *item) SL_REQUIRES(q->mu)
{
    if (q->is_closed) {
        return SL_ECLOSED;
    }
    if (q->len == q->capacity) {
        return SL_EBUSY;
    }
    q->items[(q->head + q->len) % q->capacity] = item;
    q->len++;
    sl_cond_signal(&q->has_item);
    return SL_OK;
}

sl_rc sl_queue_push(struct sl_queue *q, void *item)
{
    sl_mutex_lock(&q->mu);
    sl_rc rc = push_locked(q, item);
    while (rc == SL_EBUSY) {
        sl_cond_wait(&q->has_room, &q->mu);
        rc = push_locked(q, item);
    }
    sl_mutex_unlock(&q->mu);
    return rc;
}

sl_rc sl_queue_try_push(struct sl_queue *q, void *item)
{
    sl_mutex_lock(&q->mu);
    sl_rc rc = push_locked(q, item);
    sl_mutex_unlock(&q->mu);
    return rc;
}

sl_rc sl_queue_pop(struct sl_queue *q, void **ret)
{
    sl_mutex_lock(&q->mu);
    while (q->len == 0 && !q->is_closed) {
        sl_cond_wait(&q->has_item, &q->mu);
    }
    sl_rc rc = q->len == 0 ? SL_END : SL_OK;
    if (rc == SL_OK) {
        *ret = q->items[q->head];
        q->head = (q->head + 1) % q->capacity;
        q->len--;
        sl_cond_signal(&q->has_room);
    }
    sl_mutex_unlock(&q->mu);
    return rc;
}

void sl_queue_close(struct sl_queue *q)
{
    sl_mutex_lock(&q->mu);
    q->is_closed = true;
    sl_cond_broadcast(&q->has_item);
    sl_cond_broadcast(&q->has_room);
    sl_mutex_unlock(&q->mu);
}

uint32_t sl_queue_len(struct sl_queue *q)
{
    sl_mutex_lock(&q->mu);
    uint32_t len = q->len;
    sl_mutex_unlock(&q->mu);
    return len;
}
