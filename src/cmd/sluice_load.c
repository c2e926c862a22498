/* sluice load: JSON lines -> objects of one collection of a node, in parallel batches.
 *
 * One reader (the main thread) cuts the input into batches by lines and bytes and puts them on a
 * bounded queue; N senders parse each line, add class and tenant, POST /v1/batch/objects and report
 * what was refused by file and line. Nothing is retried silently: a batch that cannot be sent ends
 * the load, and the count of what is stored is printed either way. */
#include "cmd/cmd_int.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/queue.h"
#include "base/str.h"
#include "base/sync.h"
#include "base/workers.h"

#define BATCH_ROWS   500               /* one fsync of the node per batch; more only adds latency */
#define BATCH_BYTES  (4 * 1024 * 1024) /* keeps 4 senders far below the node's body budget */
#define SENDERS_MAX  32
#define ERRORS_SHOWN 20 /* then only counted */
#define FILES_MAX    1024

struct line {
    uint64_t number; /* 1-based in its file */
    size_t at, len;  /* in the batch's text */
};
struct batch {
    struct sl_buf text;
    const char *file;
    struct line lines[BATCH_ROWS];
    uint32_t count;
};

struct load {
    struct sli_common common;
    const char *collection, *tenant;
    const char *files[FILES_MAX];
    uint32_t file_count, sender_count;
    struct sl_queue *queue;
    _Atomic uint64_t stored, refused, read_lines;
    atomic_bool is_broken; /* a batch could not be sent: stop reading */
    struct sl_mutex print_mu;
};

static const struct argp_option load_options[] = {
    {"collection", 'c', "NAME", 0, "Collection the objects go to (required)", 0},
    {"tenant", 't', "NAME", 0, "Tenant, for multi-tenant collections", 0},
    {"parallel", 'p', "N", 0, "Batches on their way at the same time (4)", 0},
    {0},
};

static error_t parse_load(int key, char *arg, struct argp_state *state)
{
    struct load *l = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &l->common;
        return 0;
    case 'c':
        l->collection = arg;
        return 0;
    case 't':
        l->tenant = arg;
        return 0;
    case 'p': {
        char *end = NULL;
        unsigned long n = strtoul(arg, &end, 10); /* allow: strtoul, a flag typed by a person */
        if (*end != '\0' || n < 1 || n > SENDERS_MAX) {
            argp_error(state, "--parallel: \"%s\" is not a number from 1 to %d", arg, SENDERS_MAX);
        }
        l->sender_count = (uint32_t)n;
        return 0;
    }
    case ARGP_KEY_ARG:
        if (l->file_count == FILES_MAX) {
            argp_error(state, "more than %d files", FILES_MAX);
        }
        l->files[l->file_count++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (l->collection == NULL) {
            argp_error(state, "--collection is missing");
        }
        if (strpbrk(l->collection, "\"\\") != NULL ||
            (l->tenant != NULL && strpbrk(l->tenant, "\"\\") != NULL)) {
            argp_error(state, "a quote or backslash cannot be part of a name");
        }
        if (l->file_count == 0) {
            argp_error(state, "no FILE given; - reads standard input");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&sli_common_argp, 0, NULL, 0}, {0}};
static const struct argp load_argp = {
    load_options,
    parse_load,
    "FILE...",
    "Loads JSON lines into a collection. Each line is one object as POST /v1/objects takes it: "
    "{\"id\"?, \"properties\", \"vector\"?, \"vectors\"?}. Lines that are refused are told by "
    "number; the others are stored.",
    children,
    NULL,
    NULL};

static void refuse_line(struct load *l, const struct batch *b, uint64_t number, const char *why)
{
    uint64_t before = atomic_fetch_add_explicit(&l->refused, 1, memory_order_relaxed);
    if (before < ERRORS_SHOWN) {
        sl_mutex_lock(&l->print_mu);
        (void)fprintf(stderr, "sluice: %s:%llu: %s\n", b->file, (unsigned long long)number, why);
        sl_mutex_unlock(&l->print_mu);
    }
}

/* Appends the line's object with class and tenant to the body; false (and told) when it is no
 * object. */
static bool add_object(struct load *l, const struct batch *b, const struct line *line,
                       struct sl_buf *body, bool is_first)
{
    json_error_t why;
    const char *text = (const char *)b->text.ptr + line->at;
    json_t *object = json_loadb(text, line->len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &why);
    if (!json_is_object(object)) {
        refuse_line(l, b, line->number, object == NULL ? why.text : "not a JSON object");
        json_decref(object);
        return false;
    }
    /* The text goes on as it is, so numbers keep their digits; class and tenant are put in front.
     * A class or tenant of the line itself would come later and win, so it must agree. */
    json_t *own_class = json_object_get(object, "class");
    json_t *own_tenant = json_object_get(object, "tenant");
    bool is_foreign =
        (own_class != NULL && (!json_is_string(own_class) ||
                               strcmp(json_string_value(own_class), l->collection) != 0)) ||
        (own_tenant != NULL && (l->tenant == NULL || !json_is_string(own_tenant) ||
                                strcmp(json_string_value(own_tenant), l->tenant) != 0));
    bool is_empty = json_object_size(object) == 0;
    json_decref(object);
    if (is_foreign) {
        refuse_line(l, b, line->number, "its class or tenant is not the one being loaded");
        return false;
    }
    const char *brace = memchr(text, '{', line->len);
    size_t skip = (size_t)(brace - text) + 1;
    sl_buf_addf(body, "%s{\"class\":\"%s\"", is_first ? "" : ",", l->collection);
    if (l->tenant != NULL) {
        sl_buf_addf(body, ",\"tenant\":\"%s\"", l->tenant);
    }
    sl_buf_add_text(body, is_empty ? "" : ",");
    sl_buf_add(body, SL_BYTES(text + skip, line->len - skip));
    return true;
}

/* Counts the node's answer object by object; sent[i] is the line of the i-th. */
static void count_results(struct load *l, const struct batch *b, const uint64_t *sent,
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
            atomic_fetch_add_explicit(&l->stored, 1, memory_order_relaxed);
        } else {
            const char *why = json_string_value(json_object_get(first, "message"));
            refuse_line(l, b, sent[i], why == NULL ? "refused" : why);
        }
    }
}

static sl_rc send_batch(struct load *l, struct sl_http_client *client, const struct batch *b,
                        struct sl_err *err)
{
    SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
    uint64_t sent[BATCH_ROWS];
    uint32_t count = 0;
    sl_buf_add_text(&body, "{\"objects\":[");
    for (uint32_t i = 0; i < b->count; i++) {
        if (add_object(l, b, &b->lines[i], &body, count == 0)) {
            sent[count++] = b->lines[i].number;
        }
    }
    sl_buf_add_text(&body, "]}");
    SL_TRY(sl_buf_done(&body, err));
    if (count == 0) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    int status = 0;
    SL_TRY(sl_http_call(client, "POST", "/v1/batch/objects", sl_buf_view(&body), &reply, &status,
                        err));
    if (status != 200) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sli_error_text(sl_buf_str(&reply), &text);
        return SL_FAIL(err, SL_EIO, "%s:%llu..: the node answered %d: %s", b->file,
                       (unsigned long long)sent[0], status, sl_buf_cstr(&text));
    }
    json_t *results = json_loadb((const char *)reply.ptr, reply.len, 0, NULL);
    bool is_whole = json_array_size(results) == count;
    if (is_whole) {
        count_results(l, b, sent, results);
    }
    json_decref(results);
    if (!is_whole) {
        return SL_FAIL(err, SL_EIO, "%s:%llu..: the node's reply does not list every object",
                       b->file, (unsigned long long)sent[0]);
    }
    return SL_OK;
}

static void batch_free(struct batch *b)
{
    if (b != NULL) {
        sl_buf_fini(&b->text);
        sl_free(b);
    }
}

static void sender(void *arg)
{
    struct load *l = arg;
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_http_client) client = NULL;
    sl_rc rc = sli_client(&l->common, &client, &err);
    void *item = NULL;
    while (sl_queue_pop(l->queue, &item) == SL_OK) {
        struct batch *b = item;
        if (rc == SL_OK && !atomic_load_explicit(&l->is_broken, memory_order_relaxed)) {
            rc = send_batch(l, client, b, &err);
        }
        batch_free(b);
        if (rc != SL_OK && !atomic_exchange(&l->is_broken, true)) {
            sl_mutex_lock(&l->print_mu);
            (void)sli_fail(&err, rc);
            sl_mutex_unlock(&l->print_mu);
        }
    }
}

/* Reads one file into batches; the bar moves with every batch handed over. */
static int read_file(struct load *l, const char *path, struct sli_progress *bar)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *in =
        is_stdin ? stdin : fopen(path, "r"); /* allow: fopen, lines of any length by getline */
    if (in == NULL) {
        return sli_failf("%s: %s", path, sl_errno_text(errno));
    }
    char *text = NULL;
    size_t cap = 0;
    ssize_t len = 0;
    uint64_t number = 0;
    struct batch *b = NULL;
    int code = SLI_EXIT_DONE;
    while (code == SLI_EXIT_DONE && !atomic_load_explicit(&l->is_broken, memory_order_relaxed) &&
           (len = getline(&text, &cap, in)) >= 0) {
        number++;
        struct sl_str line = sl_str_trim((struct sl_str){text, (size_t)len});
        if (line.len == 0) {
            continue;
        }
        if (b == NULL) {
            b = sl_alloc_zero(1, sizeof(*b));
            if (b == NULL) {
                code = sli_failf("out of memory");
                break;
            }
            b->file = is_stdin ? "(stdin)" : path;
        }
        b->lines[b->count++] = (struct line){number, b->text.len, line.len};
        sl_buf_add_str(&b->text, line);
        if (b->count == BATCH_ROWS || b->text.len >= BATCH_BYTES) {
            if (b->text.is_failed || sl_queue_push(l->queue, b) != SL_OK) {
                code = sli_failf("out of memory");
                break;
            }
            b = NULL;
            sli_progress_show(bar, "loading", atomic_load(&l->stored), 0, 0);
        }
    }
    if (code == SLI_EXIT_DONE && ferror(in)) {
        code = sli_failf("%s: reading failed after line %llu", path, (unsigned long long)number);
    }
    if (b != NULL && (b->text.is_failed || sl_queue_push(l->queue, b) != SL_OK)) {
        batch_free(b);
        code = sli_failf("out of memory");
    }
    free(text); /* allow: free, getline allocated it */
    if (!is_stdin) {
        (void)fclose(in);
    }
    return code;
}

static int load_files(struct load *l)
{
    struct sl_err err = {0};
    struct sl_thread *threads[SENDERS_MAX] = {NULL};
    sl_rc rc = sl_queue_new(l->sender_count * 2, &l->queue, &err);
    for (uint32_t i = 0; rc == SL_OK && i < l->sender_count; i++) {
        rc = sl_thread_start("load", sender, l, &threads[i], &err);
    }
    int code = rc == SL_OK ? SLI_EXIT_DONE : sli_fail(&err, rc);
    struct sli_progress bar;
    sli_progress_begin(&bar, "objects", l->common.is_quiet || l->common.is_json);
    for (uint32_t i = 0; code == SLI_EXIT_DONE && i < l->file_count; i++) {
        code = read_file(l, l->files[i], &bar);
    }
    if (l->queue != NULL) {
        sl_queue_close(l->queue);
    }
    for (uint32_t i = 0; i < l->sender_count; i++) {
        sl_thread_join(threads[i]);
    }
    sl_queue_free(l->queue);
    sli_progress_end(&bar);
    return code;
}

int sli_cmd_load(int argc, char **argv)
{
    SL_AUTO_MEM(struct load) l = sl_alloc_zero(1, sizeof(*l));
    if (l == NULL) {
        return sli_failf("out of memory");
    }
    l->sender_count = 4;
    if (argp_parse(&load_argp, argc, argv, 0, NULL, l) != 0) {
        return SLI_EXIT_USAGE;
    }
    sl_mutex_init(&l->print_mu);
    int code = load_files(l);
    sl_mutex_fini(&l->print_mu);
    uint64_t stored = atomic_load(&l->stored), refused = atomic_load(&l->refused);
    bool is_broken = atomic_load(&l->is_broken);
    if (l->common.is_json) {
        (void)printf("{\"stored\":%llu,\"refused\":%llu}\n", (unsigned long long)stored,
                     (unsigned long long)refused);
    } else {
        (void)printf("%llu objects stored, %llu refused%s\n", (unsigned long long)stored,
                     (unsigned long long)refused, is_broken ? "; the load was broken off" : "");
    }
    return code != SLI_EXIT_DONE || refused > 0 || is_broken ? SLI_EXIT_FAILED : SLI_EXIT_DONE;
}
