/* sluice export SOURCE DEST: an export without a server, of a data folder that no node uses.
 *
 * The same engine as the node runs, over a store opened read-only: nothing is written into SOURCE.
 * Files come to lie under DEST/ID/. The last line of --json is one object with the outcome. */
#include "cmd/cmd_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "cmd/node.h"

#define NAMES_MAX          1024
#define POLL_NS            200000000
#define MEMORY_MAX_DEFAULT (256ull << 20)

struct job {
    bool is_json, is_quiet;
    const char *source, *dest, *id;
    struct sl_str include[NAMES_MAX], exclude[NAMES_MAX];
    uint32_t include_count, exclude_count;
    uint32_t parallelism;
    struct sl_buf made_id, reply, path;
};

static const struct argp_option export_options[] = {
    {"id", 'd', "ID", 0, "Name of the export, [a-z0-9_-]+ (made from the time)", 0},
    {"include", 'i', "COLLECTION", 0, "Export this collection only; may be repeated", 0},
    {"exclude", 'x', "COLLECTION", 0, "Export all but this collection; may be repeated", 0},
    {"parallelism", 'p', "N", 0, "Ranges written at the same time (one per CPU)", 0},
    {"json", 'j', NULL, 0, "End with one line of JSON", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0},
};

static error_t add_name(struct sl_str *names, uint32_t *count, const char *name,
                        struct argp_state *state)
{
    if (*count == NAMES_MAX) {
        argp_error(state, "more than %d collections named", NAMES_MAX);
        return ARGP_ERR_UNKNOWN;
    }
    names[(*count)++] = sl_str_from(name);
    return 0;
}

static error_t parse_export(int key, char *arg, struct argp_state *state)
{
    struct job *j = state->input;
    switch (key) {
    case 'd':
        j->id = arg;
        return 0;
    case 'i':
        return add_name(j->include, &j->include_count, arg, state);
    case 'x':
        return add_name(j->exclude, &j->exclude_count, arg, state);
    case 'p': {
        char *end = NULL;
        unsigned long n = strtoul(arg, &end, 10); /* allow: strtoul, a flag typed by a person */
        if (*end != '\0' || arg[0] == '\0' || n > 1024) {
            argp_error(state, "--parallelism: \"%s\" is not a number from 0 to 1024", arg);
        }
        j->parallelism = (uint32_t)n;
        return 0;
    }
    case 'j':
        j->is_json = true;
        return 0;
    case 'q':
        j->is_quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0) {
            j->source = arg;
        } else if (state->arg_num == 1) {
            j->dest = arg;
        } else {
            return ARGP_ERR_UNKNOWN;
        }
        return 0;
    case ARGP_KEY_END:
        if (j->dest == NULL) {
            argp_error(state, "SOURCE and DEST are needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp export_argp = {export_options,
                                        parse_export,
                                        "SOURCE DEST",
                                        "Exports the collections of a Sluice data folder that no "
                                        "node uses to Parquet files in DEST/ID/.",
                                        NULL,
                                        NULL,
                                        NULL};

/* "20260820t172514z-1a2b": sortable by time, unique, and a valid id. */
static void make_id(struct job *j)
{
    SL_AUTO(sl_buf) time = SL_BUF_EMPTY;
    sl_time_add_ms(&time, sl_clock_wall_ns(sl_clock_real()));
    for (size_t i = 0; i < time.len; i++) {
        char c = (char)time.ptr[i];
        if (c == '.') {
            sl_buf_add_text(&j->made_id, "-");
        } else if (c >= '0' && c <= '9') {
            sl_buf_add_u8(&j->made_id, (uint8_t)c);
        } else if (c == 'T') {
            sl_buf_add_text(&j->made_id, "t");
        }
    }
    j->id = sl_buf_cstr(&j->made_id);
}

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int sig SL_UNUSED)
{
    is_interrupted = 1;
}

static sl_rc follow(struct job *j, struct sl_exports *ex, const struct sl_export_settings *settings,
                    struct sl_export_progress *ret, struct sl_err *err)
{
    struct sli_progress bar;
    sli_progress_begin(&bar, "rows", j->is_quiet || j->is_json);
    bool is_canceled = false;
    for (;;) {
        sl_rc rc = sl_export_wait(ex, sl_str_from(j->id), POLL_NS, ret, err);
        if (rc != SL_ETIMEOUT) {
            sli_progress_end(&bar);
            return rc;
        }
        sli_progress_show(&bar, sl_export_state_name(ret->state), ret->objects_done,
                          ret->objects_total, ret->bytes_written);
        if (is_interrupted && !is_canceled) {
            is_canceled = true;
            SL_IGNORE(sl_export_cancel(ex, settings, SL_STR("filesystem"), sl_str_from(j->id), err),
                      "a race with the end of the export is fine: the state tells");
        }
    }
}

static void print_json(const struct job *j, const struct sl_export_progress *p, double seconds)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&out);
    sl_json_obj(&w);
    sl_json_key(&w, "id");
    sl_json_text(&w, j->id);
    sl_json_key(&w, "status");
    sl_json_text(&w, sl_export_state_name(p->state));
    sl_json_key(&w, "files");
    sl_json_u64(&w, p->files_done);
    sl_json_key(&w, "rows");
    sl_json_u64(&w, p->objects_done);
    sl_json_key(&w, "bytes");
    sl_json_u64(&w, p->bytes_written);
    sl_json_key(&w, "seconds");
    sl_json_f64(&w, seconds);
    sl_json_key(&w, "path");
    sl_json_str(&w, sl_buf_str(&j->path));
    sl_json_obj_end(&w);
    (void)puts(sl_buf_cstr(&out));
}

static int report(const struct job *j, const struct sl_export_progress *p)
{
    double seconds = (double)(p->finished_ns - p->started_ns) / 1e9;
    if (j->is_json) {
        print_json(j, p, seconds);
    } else if (p->state == SL_EXPORT_SUCCESS) {
        SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
        sli_print_bytes(&bytes, p->bytes_written);
        (void)printf("%s: %llu rows in %u files, %s, %.1f s (%.0f rows/s) -> %s\n", j->id,
                     (unsigned long long)p->objects_done, p->files_done, sl_buf_cstr(&bytes),
                     seconds, seconds > 0 ? (double)p->objects_done / seconds : 0,
                     (const char *)j->path.ptr);
    }
    if (p->state != SL_EXPORT_SUCCESS) {
        return sli_failf("export %s ended %s%s%s", j->id, sl_export_state_name(p->state),
                         p->error.text[0] == '\0' ? "" : ": ", p->error.text);
    }
    return SLI_EXIT_DONE;
}

static int export(struct job *j, struct sli_node *node)
{
    struct sl_err err = {0};
    struct sl_export_settings settings = {
        .is_enabled = true,
        .path = sl_str_from(j->dest),
        .parallelism = j->parallelism,
        .memory_bytes = sli_memory_divide(MEMORY_MAX_DEFAULT).export_bytes,
    };
    struct sl_export_request request = {
        .backend = SL_STR("filesystem"),
        .id = sl_str_from(j->id),
        .include = j->include,
        .include_count = j->include_count,
        .exclude = j->exclude,
        .exclude_count = j->exclude_count,
    };
    struct sl_export_progress progress = {0};
    sl_rc rc = sl_export_create(node->exports, &settings, &request, &j->reply, &err);
    if (rc == SL_OK) {
        rc = follow(j, node->exports, &settings, &progress, &err);
    }
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    return report(j, &progress);
}

int sli_cmd_export(int argc, char **argv)
{
    SL_AUTO_MEM(struct job) j = sl_alloc_zero(1, sizeof(*j));
    if (j == NULL) {
        return sli_failf("out of memory");
    }
    if (argp_parse(&export_argp, argc, argv, 0, NULL, j) != 0) {
        return SLI_EXIT_USAGE;
    }
    if (j->id == NULL) {
        make_id(j);
    }
    sl_buf_addf(&j->path, "%s/%s", j->dest, j->id);
    (void)sl_buf_cstr(&j->path);
    sl_log_setup(SL_WARN, SL_LOG_TEXT); /* a person watches: the engine's events are the bar */
    struct sigaction act = {.sa_handler = on_interrupt};
    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
    struct sl_err err = {0};
    struct sli_node node;
    sl_rc rc = sli_node_open_read_only(j->source, MEMORY_MAX_DEFAULT, &node, &err);
    int code = rc == SL_OK ? export(j, &node) : sli_fail(&err, rc);
    if (rc == SL_OK) {
        sli_node_close(&node);
    }
    sl_buf_fini(&j->made_id);
    sl_buf_fini(&j->reply);
    sl_buf_fini(&j->path);
    return code;
}
