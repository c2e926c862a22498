/* Objects to a node, for `load` and `import`: batches on a bounded queue, N senders that POST them
 * to /v1/batch/objects and report what was refused by file and number.
 *
 * Nothing is retried silently: a batch that cannot be sent ends the whole, and the count of what is
 * stored is printed either way. */
#include "cmd/send.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/workers.h"

#define ERRORS_SHOWN 20 /* then only counted */

void sli_send_refuse(struct sli_send *s, const char *file, uint64_t number, const char *why)
{
    uint64_t before = atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
    if (before < ERRORS_SHOWN) {
        sl_mutex_lock(&s->print_mu);
        (void)fprintf(stderr, "sluice: %s:%llu: %s\n", file, (unsigned long long)number, why);
        sl_mutex_unlock(&s->print_mu);
    }
}

/* Counts the node's answer object by object; sent[i] is the number of the i-th. */
static void count_results(struct sli_send *s, const struct sli_batch *b, const uint64_t *sent,
                          json_t *results)
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(results, i, one)
    {
        json_t *result = json_object_get(one, "result");
        json_t *first =
            json_array_get(json_object_get(json_object_get(result, "errors"), "error"), 0);
        if (first == NULL) {
            atomic_fetch_add_explicit(&s->stored, 1, memory_order_relaxed);
        } else {
            const char *why = json_string_value(json_object_get(first, "message"));
            sli_send_refuse(s, b->file, sent[i], why == NULL ? "refused" : why);
        }
    }
}

static bool add_as_it_is(const struct sli_batch *b, const struct sli_item *item,
                         struct sl_buf *body, bool is_first)
{
    sl_buf_add_text(body, is_first ? "" : ",");
    sl_buf_add(body, SL_BYTES(b->text.ptr + item->at, item->len));
    return true;
}

static sl_rc send_batch(struct sli_send *s, struct sl_http_client *client,
                        const struct sli_batch *b, struct sl_err *err)
{
    SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
    uint64_t sent[SLI_BATCH_ROWS];
    uint32_t count = 0;
    sl_buf_add_text(&body, s->head);
    for (uint32_t i = 0; i < b->count; i++) {
        const struct sli_item *item = &b->items[i];
        if (s->add == NULL ? add_as_it_is(b, item, &body, count == 0)
                           : s->add(s->arg, b, item, &body, count == 0)) {
            sent[count++] = item->number;
        }
    }
    sl_buf_add_text(&body, s->tail);
    SL_TRY(sl_buf_done(&body, err));
    if (count == 0) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    int status = 0;
    SL_TRY(sl_http_call(client, "POST", s->path, sl_buf_view(&body), &reply, &status, err));
    if (status != 200) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sli_error_text(sl_buf_str(&reply), &text);
        return SL_FAIL(err, SL_EIO, "%s:%llu..: the node answered %d: %s", b->file,
                       (unsigned long long)sent[0], status, sl_buf_cstr(&text));
    }
    /* It repeats the properties: any number, any character. */
    json_t *results = json_loadb((const char *)reply.ptr, reply.len,
                                 JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
    bool is_whole = json_array_size(results) == count;
    if (is_whole) {
        count_results(s, b, sent, results);
    }
    json_decref(results);
    if (!is_whole) {
        return SL_FAIL(err, SL_EIO, "%s:%llu..: the node's reply does not list every object",
                       b->file, (unsigned long long)sent[0]);
    }
    return SL_OK;
}

void sli_batch_free(struct sli_batch *b)
{
    if (b != NULL) {
        sl_buf_fini(&b->text);
        sl_free(b);
    }
}

static void sender(void *arg)
{
    struct sli_send *s = arg;
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_http_client) client = NULL;
    sl_rc rc = sli_client(s->common, &client, &err);
    void *item = NULL;
    while (sl_queue_pop(s->queue, &item) == SL_OK) {
        struct sli_batch *b = item;
        if (rc == SL_OK && !sli_send_is_broken(s)) {
            rc = send_batch(s, client, b, &err);
        }
        sli_batch_free(b);
        if (rc != SL_OK && !atomic_exchange(&s->is_broken, true)) {
            sl_mutex_lock(&s->print_mu);
            (void)sli_fail(&err, rc);
            sl_mutex_unlock(&s->print_mu);
        }
    }
}

sl_rc sli_send_begin(struct sli_send *s, struct sl_err *err)
{
    sl_mutex_init(&s->print_mu);
    SL_TRY(sl_queue_new(s->sender_count * 2, &s->queue, err));
    for (uint32_t i = 0; i < s->sender_count; i++) {
        SL_TRY(sl_thread_start("send", sender, s, &s->threads[i], err));
    }
    return SL_OK;
}

void sli_send_end(struct sli_send *s)
{
    if (s->queue != NULL) {
        sl_queue_close(s->queue);
    }
    for (uint32_t i = 0; i < s->sender_count; i++) {
        sl_thread_join(sl_move(&s->threads[i]));
    }
    sl_queue_free(sl_move(&s->queue));
    sli_batch_free(sl_move(&s->open));
    sl_mutex_fini(&s->print_mu);
}

bool sli_send_is_broken(const struct sli_send *s)
{
    return atomic_load_explicit(&s->is_broken, memory_order_relaxed);
}

sl_rc sli_send_begin_item(struct sli_send *s, const char *file, struct sl_buf **ret,
                          struct sl_err *err)
{
    if (s->open == NULL) {
        s->open = sl_alloc_zero(1, sizeof(*s->open));
        if (s->open == NULL) {
            return SL_NOMEM(err);
        }
        s->open->file = file;
    }
    s->item_at = s->open->text.len;
    *ret = &s->open->text;
    return SL_OK;
}

void sli_send_drop_item(struct sli_send *s)
{
    s->open->text.len = s->item_at;
}

sl_rc sli_send_end_item(struct sli_send *s, uint64_t number, struct sl_err *err)
{
    struct sli_batch *b = s->open;
    SL_TRY(sl_buf_done(&b->text, err));
    b->items[b->count++] = (struct sli_item){number, s->item_at, b->text.len - s->item_at};
    return b->count == SLI_BATCH_ROWS || b->text.len >= SLI_BATCH_BYTES ? sli_send_flush(s, err)
                                                                        : SL_OK;
}

sl_rc sli_send_flush(struct sli_send *s, struct sl_err *err)
{
    struct sli_batch *b = sl_move(&s->open);
    if (b == NULL || b->count == 0) {
        sli_batch_free(b);
        return SL_OK;
    }
    if (sl_queue_push(s->queue, b) != SL_OK) {
        sli_batch_free(b);
        return SL_FAIL(err, SL_ECLOSED, "the senders have ended");
    }
    return SL_OK;
}
