/* sluice load: JSON lines -> objects of one collection of a node, in parallel batches (send.c).
 *
 * The main thread reads lines; the senders parse each, add class and tenant. Lines that are refused
 * are told by file and line. */
#include "cmd/send.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

#define FILES_MAX 1024

struct load {
    struct sli_common common;
    const char *collection, *tenant;
    const char *files[FILES_MAX];
    uint32_t file_count;
    struct sli_send send;
};

static const struct argp_option load_options[] = {
    {"collection", 'c', "NAME", 0, "Collection the objects go to (required)", 0},
    {"tenant", 't', "NAME", 0, "Tenant, for multi-tenant collections", 0},
    {"parallelism", 'p', "N", 0, "Batches on their way at the same time (4)", 0},
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
    case 'p':
        l->send.sender_count = sli_parse_parallelism(arg, 1, SLI_SENDERS_MAX, state);
        return 0;
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

/* Appends the line's object with class and tenant to the body; false (and told) when it is no
 * object. */
static bool add_object(void *arg, const struct sli_batch *b, const struct sli_item *line,
                       struct sl_buf *body, bool is_first)
{
    struct load *l = arg;
    json_error_t why;
    const char *text = (const char *)b->text.ptr + line->at;
    json_t *object = json_loadb(text, line->len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &why);
    if (!json_is_object(object)) {
        sli_send_refuse(&l->send, b->file, line->number,
                        object == NULL ? why.text : "not a JSON object");
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
        sli_send_refuse(&l->send, b->file, line->number,
                        "its class or tenant is not the one being loaded");
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

/* Reads one file into batches; the bar moves with every line. */
static sl_rc read_lines(struct load *l, FILE *in, const char *name, struct sli_progress *bar,
                        struct sl_err *err)
{
    char *text = NULL;
    size_t cap = 0;
    ssize_t len = 0;
    uint64_t number = 0;
    sl_rc rc = SL_OK;
    while (rc == SL_OK && !sli_send_is_broken(&l->send) && (len = getline(&text, &cap, in)) >= 0) {
        struct sl_buf *item = NULL;
        struct sl_str line = sl_str_trim((struct sl_str){text, (size_t)len});
        number++;
        if (line.len == 0) {
            continue;
        }
        rc = sli_send_begin_item(&l->send, name, &item, err);
        if (rc == SL_OK) {
            sl_buf_add_str(item, line);
            rc = sli_send_end_item(&l->send, number, err);
        }
        sli_progress_show(bar, "loading", atomic_load(&l->send.stored), 0, 0);
    }
    free(text); /* allow: free, getline allocated it */
    if (rc == SL_OK && ferror(in)) {
        return SL_FAIL(err, SL_EIO, "%s: reading failed after line %llu", name,
                       (unsigned long long)number);
    }
    return rc == SL_OK ? sli_send_flush(&l->send, err) : rc;
}

static sl_rc read_file(struct load *l, const char *path, struct sli_progress *bar,
                       struct sl_err *err)
{
    if (strcmp(path, "-") == 0) {
        return read_lines(l, stdin, "(stdin)", bar, err);
    }
    FILE *in = fopen(path, "r"); /* allow: fopen, lines of any length by getline */
    if (in == NULL) {
        return SL_FAIL(err, SL_EIO, "%s: %s", path, sl_errno_text(errno));
    }
    sl_rc rc = read_lines(l, in, path, bar, err);
    (void)fclose(in);
    return rc;
}

static int load_files(struct load *l)
{
    struct sl_err err = {0};
    struct sli_progress bar;
    sl_rc rc = sli_send_begin(&l->send, &err);
    sli_progress_begin(&bar, "objects", l->common.is_quiet || l->common.is_json);
    for (uint32_t i = 0; rc == SL_OK && i < l->file_count; i++) {
        rc = read_file(l, l->files[i], &bar, &err);
    }
    sli_send_end(&l->send);
    sli_progress_end(&bar);
    return rc == SL_OK ? SLI_EXIT_DONE : sli_fail(&err, rc);
}

int sli_cmd_load(int argc, char **argv)
{
    SL_AUTO_MEM(struct load) l = sl_alloc_zero(1, sizeof(*l));
    if (l == NULL) {
        return sli_failf("out of memory");
    }
    l->send = (struct sli_send){SLI_SEND_OBJECTS, .common = &l->common, .sender_count = 4,
                                .add = add_object, .arg = l};
    if (argp_parse(&load_argp, argc, argv, 0, NULL, l) != 0) {
        return SLI_EXIT_USAGE;
    }
    int code = load_files(l);
    uint64_t stored = atomic_load(&l->send.stored), refused = atomic_load(&l->send.refused);
    bool is_broken = sli_send_is_broken(&l->send);
    if (l->common.is_json) {
        (void)printf("{\"stored\":%llu,\"refused\":%llu}\n", (unsigned long long)stored,
                     (unsigned long long)refused);
    } else {
        (void)printf("%llu objects stored, %llu refused%s\n", (unsigned long long)stored,
                     (unsigned long long)refused, is_broken ? "; the load was broken off" : "");
    }
    return code != SLI_EXIT_DONE || refused > 0 || is_broken ? SLI_EXIT_FAILED : SLI_EXIT_DONE;
}
