/* sluice create, status, wait, cancel, list: drive the export API of a node.
 *
 * They send what an official client would send and print what the node answers; with --json exactly
 * its JSON. `wait` polls: a poll costs the node nothing, and needs no connection kept open. */
#include "cmd/cmd_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/str.h"

#define POLL_NS   250000000 /* as often as a person can follow a bar */
#define NAMES_MAX 1024

struct drive {
    struct sli_common common;
    const char *backend; /* --backend */
    const char *id;      /* argument */
    const char *include[NAMES_MAX], *exclude[NAMES_MAX];
    uint32_t include_count, exclude_count;
    json_t *choices; /* create: config of the request; NULL: none */
    bool is_waiting; /* create --wait */
    bool wants_id;   /* list takes none */
    bool is_create;
};

static const struct argp_option drive_options[] = {
    {"backend", 'b', "NAME", 0, "filesystem, s3, gcs or azure (filesystem)", 0},
    {0},
};
static const struct argp_option create_options[] = {
    {"backend", 'b', "NAME", 0, "filesystem, s3, gcs or azure (filesystem)", 0},
    {"include", 'i', "COLLECTION", 0, "Export this collection only; may be repeated", 0},
    {"exclude", 'x', "COLLECTION", 0, "Export all but this collection; may be repeated", 0},
    {"wait", 'w', NULL, 0, "Wait for the end and show progress", 0},
    {0},
};

static error_t add_name(const char **names, uint32_t *count, const char *name,
                        struct argp_state *state)
{
    if (*count == NAMES_MAX) {
        argp_error(state, "more than %d collections named", NAMES_MAX);
        return ARGP_ERR_UNKNOWN;
    }
    names[(*count)++] = name;
    return 0;
}

static error_t parse_drive(int key, char *arg, struct argp_state *state)
{
    struct drive *d = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &d->common;
        if (d->is_create) {
            state->child_inputs[1] = &d->choices;
        }
        return 0;
    case 'b':
        d->backend = arg;
        return 0;
    case 'i':
        return add_name(d->include, &d->include_count, arg, state);
    case 'x':
        return add_name(d->exclude, &d->exclude_count, arg, state);
    case 'w':
        d->is_waiting = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!d->wants_id || d->id != NULL) {
            return ARGP_ERR_UNKNOWN;
        }
        d->id = d->is_create ? sli_parse_id(arg, state) : arg;
        return 0;
    case ARGP_KEY_END:
        if (d->wants_id && d->id == NULL) {
            argp_error(state, "the export's ID is missing");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&sli_common_argp, 0, NULL, 0}, {0}};
static const struct argp_child create_children[] = {
    {&sli_common_argp, 0, NULL, 0}, {&sli_choices_argp, 0, "Rows and files:", 0}, {0}};
static const struct argp create_argp = {
    create_options,
    parse_drive,
    "ID",
    "Starts an export with the given id ([a-z0-9_-]+) on a node.",
    create_children,
    NULL,
    NULL};
static const struct argp status_argp = {
    drive_options, parse_drive, "ID", "Shows the state of an export.", children, NULL, NULL};
static const struct argp wait_argp = {
    drive_options, parse_drive,
    "ID",          "Waits until an export has ended. Exit code 0 only for SUCCESS.",
    children,      NULL,
    NULL};
static const struct argp cancel_argp = {
    drive_options, parse_drive, "ID", "Cancels a running export.", children, NULL, NULL};
static const struct argp list_argp = {
    drive_options, parse_drive, "",  "Lists the exports of a backend, newest first.",
    children,      NULL,        NULL};

static void add_path(const struct drive *d, struct sl_buf *path, const char *id)
{
    sl_buf_add_text(path, "/v1/export/");
    sl_percent_encode(sl_str_from(d->backend), path);
    if (id != NULL) {
        sl_buf_add_text(path, "/");
        sl_percent_encode(sl_str_from(id), path);
    }
}

/* One exchange; a status outside 2xx becomes the node's own sentence. */
static int exchange(const struct drive *d, struct sl_http_client *client, const char *method,
                    const char *id, struct sl_bytes body, struct sl_buf *reply)
{
    struct sl_err err = {0};
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    add_path(d, &path, id);
    int status = 0;
    sl_rc rc = sl_http_call(client, method, sl_buf_cstr(&path), body, reply, &status, &err);
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    if (status < 200 || status > 299) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sli_error_text(sl_buf_str(reply), &text);
        return sli_failf("%s (HTTP %d)", sl_buf_cstr(&text), status);
    }
    return SLI_EXIT_DONE;
}

static const char *text_of(json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return text == NULL ? "" : text;
}

static uint64_t count_of(json_t *doc, const char *key)
{
    return (uint64_t)json_number_value(json_object_get(doc, key));
}

static void print_shards(json_t *doc)
{
    const char *class_name = NULL;
    json_t *shards = NULL;
    json_object_foreach(json_object_get(doc, "shardStatus"), class_name, shards)
    {
        const char *shard = NULL;
        json_t *one = NULL;
        json_object_foreach(shards, shard, one)
        {
            (void)printf("  %-24s %-16s %-13s %12llu", class_name, shard, text_of(one, "status"),
                         (unsigned long long)count_of(one, "objectsExported"));
            const char *why = text_of(one, "skipReason");
            why = why[0] == '\0' ? text_of(one, "error") : why;
            (void)printf("%s%s\n", why[0] == '\0' ? "" : "  ", why);
        }
    }
}

static void print_status(json_t *doc)
{
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    sli_print_bytes(&bytes, count_of(doc, "bytesWritten"));
    (void)printf("%s  %s  %llu of %llu objects  %s  %s\n", text_of(doc, "id"),
                 text_of(doc, "status"), (unsigned long long)count_of(doc, "objectsExported"),
                 (unsigned long long)count_of(doc, "objectsTotal"), sl_buf_cstr(&bytes),
                 text_of(doc, "path"));
    if (text_of(doc, "error")[0] != '\0') {
        (void)printf("  error: %s\n", text_of(doc, "error"));
    }
    print_shards(doc);
}

/* Prints the reply as the user wants it; its state decides the exit code. */
static int print_reply(const struct drive *d, const struct sl_buf *reply)
{
    json_t *doc = json_loadb((const char *)reply->ptr, reply->len, 0, NULL);
    if (doc == NULL) {
        return sli_failf("the node's reply is not JSON: %.*s", (int)SL_MIN(reply->len, 200U),
                         (const char *)reply->ptr);
    }
    if (d->common.is_json) {
        (void)fwrite(reply->ptr, 1, reply->len, stdout);
    } else {
        print_status(doc);
    }
    const char *status = text_of(doc, "status");
    bool is_bad = strcmp(status, "FAILED") == 0 || strcmp(status, "CANCELED") == 0;
    json_decref(doc);
    return is_bad ? SLI_EXIT_FAILED : SLI_EXIT_DONE;
}

static bool is_ended(json_t *doc)
{
    const char *status = text_of(doc, "status");
    return strcmp(status, "STARTED") != 0 && strcmp(status, "TRANSFERRING") != 0;
}

static int wait_for_end(const struct drive *d, struct sl_http_client *client)
{
    struct sli_progress bar;
    sli_progress_begin(&bar, "objects", d->common.is_quiet || d->common.is_json);
    struct sl_clock *clock = sl_clock_real();
    for (;;) {
        SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
        int code = exchange(d, client, "GET", d->id, SL_BYTES(NULL, 0), &reply);
        if (code != SLI_EXIT_DONE) {
            return code;
        }
        json_t *doc = json_loadb((const char *)reply.ptr, reply.len, 0, NULL);
        bool has_ended = doc == NULL || is_ended(doc);
        sli_progress_show(&bar, text_of(doc, "status"), count_of(doc, "objectsExported"),
                          count_of(doc, "objectsTotal"), count_of(doc, "bytesWritten"));
        json_decref(doc);
        if (has_ended) {
            sli_progress_end(&bar);
            return print_reply(d, &reply);
        }
        SL_IGNORE(sl_clock_sleep_until(clock, sl_clock_mono_ns(clock) + POLL_NS, NULL),
                  "nothing cancels this wait but a signal, which ends the program");
    }
}

static json_t *name_array(const char *const *names, uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++) {
        (void)json_array_append_new(array, json_string(names[i]));
    }
    return array;
}

static char *create_body(const struct drive *d)
{
    json_t *body = json_pack("{s:s, s:s}", "id", d->id, "file_format", "parquet");
    if (d->include_count > 0) {
        (void)json_object_set_new(body, "include", name_array(d->include, d->include_count));
    }
    if (d->exclude_count > 0) {
        (void)json_object_set_new(body, "exclude", name_array(d->exclude, d->exclude_count));
    }
    if (d->choices != NULL) {
        (void)json_object_set(body, "config", d->choices);
    }
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

enum verb { VERB_CREATE, VERB_STATUS, VERB_WAIT, VERB_CANCEL, VERB_LIST };

static int create(struct drive *d, struct sl_http_client *client)
{
    char *body = create_body(d);
    if (body == NULL) {
        return sli_failf("the id or a collection name is not UTF-8");
    }
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    int code = exchange(d, client, "POST", NULL, SL_BYTES(body, strlen(body)), &reply);
    free(body); /* allow: free, jansson allocated it */
    if (code != SLI_EXIT_DONE) {
        return code;
    }
    sli_tell_unknown(&reply);
    return d->is_waiting ? wait_for_end(d, client) : print_reply(d, &reply);
}

static int list(struct drive *d, struct sl_http_client *client)
{
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    int code = exchange(d, client, "GET", NULL, SL_BYTES(NULL, 0), &reply);
    if (code != SLI_EXIT_DONE || d->common.is_json) {
        (void)fwrite(reply.ptr, 1, code == SLI_EXIT_DONE ? reply.len : 0, stdout);
        return code;
    }
    json_t *doc = json_loadb((const char *)reply.ptr, reply.len, 0, NULL);
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(json_object_get(doc, "exports"), i, one)
    {
        (void)printf("%-32s %-13s %-25s %s\n", text_of(one, "id"), text_of(one, "status"),
                     text_of(one, "startedAt"), text_of(one, "path"));
    }
    json_decref(doc);
    return SLI_EXIT_DONE;
}

static int cancel(struct drive *d, struct sl_http_client *client)
{
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    int code = exchange(d, client, "DELETE", d->id, SL_BYTES(NULL, 0), &reply);
    if (code == SLI_EXIT_DONE) {
        (void)printf(d->common.is_json ? "{\"id\":\"%s\",\"status\":\"CANCELED\"}\n"
                                       : "%s canceled\n",
                     d->id);
    }
    return code;
}

static int status(struct drive *d, struct sl_http_client *client)
{
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    int code = exchange(d, client, "GET", d->id, SL_BYTES(NULL, 0), &reply);
    if (code != SLI_EXIT_DONE) {
        return code;
    }
    (void)print_reply(d, &reply);
    return SLI_EXIT_DONE; /* asking worked, whatever the export's own fate */
}

static int drive(enum verb verb, struct drive *d)
{
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_http_client) client = NULL;
    sl_rc rc = sli_client(&d->common, &client, &err);
    if (rc != SL_OK) {
        (void)sli_fail(&err, rc);
        return SLI_EXIT_USAGE;
    }
    switch (verb) {
    case VERB_CREATE:
        return create(d, client);
    case VERB_STATUS:
        return status(d, client);
    case VERB_WAIT:
        return wait_for_end(d, client);
    case VERB_CANCEL:
        return cancel(d, client);
    case VERB_LIST:
        return list(d, client);
    }
    return SLI_EXIT_USAGE;
}

static int run(enum verb verb, const struct argp *argp, int argc, char **argv)
{
    struct drive d = {
        .backend = "filesystem", .wants_id = verb != VERB_LIST, .is_create = verb == VERB_CREATE};
    error_t bad = argp_parse(argp, argc, argv, 0, NULL, &d);
    int code = bad != 0 ? SLI_EXIT_USAGE : drive(verb, &d);
    json_decref(d.choices);
    return code;
}

int sli_cmd_create(int argc, char **argv)
{
    return run(VERB_CREATE, &create_argp, argc, argv);
}

int sli_cmd_status(int argc, char **argv)
{
    return run(VERB_STATUS, &status_argp, argc, argv);
}

int sli_cmd_wait(int argc, char **argv)
{
    return run(VERB_WAIT, &wait_argp, argc, argv);
}

int sli_cmd_cancel(int argc, char **argv)
{
    return run(VERB_CANCEL, &cancel_argp, argc, argv);
}

int sli_cmd_list(int argc, char **argv)
{
    return run(VERB_LIST, &list_argp, argc, argv);
}
