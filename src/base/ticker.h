/* One thread that calls duties on time. A duty must not outlast its period. */
#ifndef SL_BASE_TICKER_H
#define SL_BASE_TICKER_H

#include "base/clock.h"

typedef void sl_duty_fn(void *arg);

struct sl_ticker;
sl_rc sl_ticker_new(struct sl_clock *clock, struct sl_ticker **ret, struct sl_err *err);
/* fn(arg) every period_ns, first after one period. ret_id removes it. @threads any */
sl_rc sl_ticker_add(struct sl_ticker *t, int64_t period_ns, sl_duty_fn *fn, void *arg,
                    uint32_t *ret_id, struct sl_err *err);
void sl_ticker_remove(struct sl_ticker *t, uint32_t id); /* waits while that duty is running */
void sl_ticker_free(struct sl_ticker *t);
SL_DEFINE_FREEP(sl_ticker, sl_ticker_free)

#endif
