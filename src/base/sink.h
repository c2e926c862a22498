/* Sink seam: where a byte stream goes.
 *
 * Protocol: any number of write, then exactly one close or abort; after a failed write only abort.
 * After close succeeded the bytes are durable and visible whole; after abort nothing is visible.
 * close and abort free the sink, whatever they return (a failed close has aborted). One owner
 * thread. Implementations: backend/stream.c (real), tests/lib (memory, faulty). */
#ifndef SL_BASE_SINK_H
#define SL_BASE_SINK_H

#include "base/bytes.h"
#include "base/crypto.h"

/* What was made durable. */
struct sl_receipt {
    uint64_t size;                  /* bytes of the object */
    uint8_t sha256[SL_SHA256_SIZE]; /* zeros unless the sink was asked for it */
};

struct sl_sink;
struct sl_sink_ops {
    sl_rc (*write)(struct sl_sink *s, struct sl_bytes b,
                   struct sl_err *err); /* b borrowed; may wait */
    sl_rc (*close)(struct sl_sink *s, struct sl_receipt *ret, struct sl_err *err);
    void (*abort)(struct sl_sink *s);
};
struct sl_sink {
    const struct sl_sink_ops *ops;
};

static inline SL_MUST_USE sl_rc sl_sink_write(struct sl_sink *s, struct sl_bytes b,
                                              struct sl_err *err)
{
    return s->ops->write(s, b, err);
}
static inline SL_MUST_USE sl_rc sl_sink_close(struct sl_sink *s, struct sl_receipt *ret,
                                              struct sl_err *err)
{
    return s->ops->close(s, ret, err);
}
static inline void sl_sink_abort(struct sl_sink *s)
{
    if (s != NULL) {
        s->ops->abort(s);
    }
}

#endif
