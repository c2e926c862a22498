/* Objects to a node in parallel batches: what `load` and `import` share.
 *
 * One thread (the caller) writes items as text, begin_item .. end_item; senders take full batches.
 * Wait for room happens in end_item: at most two batches per sender are on their way. */
#ifndef SL_CMD_SEND_H
#define SL_CMD_SEND_H

#include <stdatomic.h>

#include "base/queue.h"
#include "base/sync.h"
#include "base/workers.h"
#include "cmd/cmd_int.h"

#define SLI_BATCH_ROWS   500 /* one fsync of the node per batch; more only adds latency */
#define SLI_BATCH_BYTES  (4 * 1024 * 1024) /* keeps 4 senders far below the node's body budget */
#define SLI_SENDERS_MAX  32
#define SLI_SEND_OBJECTS .path = "/v1/batch/objects", .head = "{\"objects\":[", .tail = "]}"

struct sli_item {
    uint64_t number; /* 1-based in its file: line, row */
    size_t at, len;  /* in the batch's text */
};
struct sli_batch {
    struct sl_buf text;
    const char *file;
    struct sli_item items[SLI_BATCH_ROWS];
    uint32_t count;
};
void sli_batch_free(struct sli_batch *b);

struct sli_send {
    const struct sli_common *common; /* borrowed */
    const char *path, *head, *tail;  /* of a call: "/v1/batch/objects", what its items stand in */
    uint32_t sender_count;
    /* Appends an item as an object of the request; false: refused, and told. Any thread. NULL: the
     * text is the object. */
    bool (*add)(void *arg, const struct sli_batch *b, const struct sli_item *item,
                struct sl_buf *body, bool is_first);
    void *arg;
    _Atomic uint64_t stored, refused;
    atomic_bool is_broken; /* a batch could not be sent, and it was told: stop */
    struct sl_mutex print_mu;
    struct sl_queue *queue;
    struct sl_thread *threads[SLI_SENDERS_MAX];
    struct sli_batch *open;
    size_t item_at;
};
/* Fields up to arg are filled by the caller. After a failure sli_send_end is called all the same.
 */
sl_rc sli_send_begin(struct sli_send *s, struct sl_err *err);
void sli_send_end(struct sli_send *s); /* waits for what is on its way */
bool sli_send_is_broken(const struct sli_send *s);
/* The text to append the next item to. file is borrowed until sli_send_end. */
sl_rc sli_send_begin_item(struct sli_send *s, const char *file, struct sl_buf **ret,
                          struct sl_err *err);
void sli_send_drop_item(struct sli_send *s); /* instead of end_item */
sl_rc sli_send_end_item(struct sli_send *s, uint64_t number, struct sl_err *err);
sl_rc sli_send_flush(struct sli_send *s, struct sl_err *err); /* before another file, at the end */
void sli_send_refuse(struct sli_send *s, const char *file, uint64_t number, const char *why);

#endif
