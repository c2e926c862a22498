/* sluice export SOURCE DEST: an export without a server, of a folder that is one of three things: a
 * Sluice data folder that no node uses, a Weaviate data directory (a running server's, too), or a
 * Weaviate backup.
 *
 * The same engine as the node runs, and nothing is written into SOURCE. Files come to lie under
 * DEST/ID/. The last line of --json is one object with the outcome. */
#include "cmd/cmd_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "base/sync.h"
#include "base/workers.h"
#include "cmd/node.h"
#include "source/mirror.h"
#include "source/weaviate.h"

#define NAMES_MAX          1024
#define POLL_NS            200000000
#define MEMORY_MAX_DEFAULT (256ull << 20)
#define MEMORY_MAX_LEAST   (128ull << 20) /* as SLUICE_MEMORY_MAX */
#define LEFT_OUT_TOLD      100            /* lines printed; the rest is counted */
#define LEFT_OUT_KEPT      10000          /* named in the manifest; as above */

struct names {
    struct sl_str list[NAMES_MAX];
    uint32_t count;
};

struct job {
    bool is_json, is_quiet, is_dry_run, is_skipping;
    const char *source, *dest, *id, *spool;
    bool has_kind; /* --source; else by content */
    enum sl_source_kind kind;
    struct names include, exclude;
    uint32_t parallelism;
    uint64_t memory_max;
    json_t *choices;         /* `config` of a request */
    struct sl_config config; /* what object stores need, of the environment */
    struct sl_str backend;   /* of DEST */
    struct sl_buf made_id, reply, path;
    struct sl_mutex mu;
    uint64_t left_out; /* mu: damaged parts that were skipped */
    json_t *parts;     /* mu: the first of them, [{"collection", "shard", "what"}] */
    struct sl_weaviate_room room;
    struct sl_mirror *mirror;
    struct sl_cancel interrupt; /* by a signal */
    atomic_bool is_done;
};

#define SIGNAL_LOOK_NS 50000000 /* how soon the thread sees that the export is done */

enum { KEY_SOURCE = 0x100, KEY_MEMORY, KEY_DRY, KEY_SKIP, KEY_SPOOL };

static const struct argp_option export_options[] = {
    {"id", 'd', "ID", 0, "Name of the export, [a-z0-9_-]+ (made from the time)", 0},
    {"source", KEY_SOURCE, "KIND", 0,
     "What SOURCE is: sluice, weaviate or backup (told by its content)", 0},
    {"include", 'i', "COLLECTION", 0, "Export this collection only; may be repeated", 0},
    {"exclude", 'x', "COLLECTION", 0, "Export all but this collection; may be repeated", 0},
    {"parallelism", 'p', "N", 0, "Ranges written at the same time (one per CPU)", 0},
    {"memory-max", KEY_MEMORY, "SIZE", 0, "Memory of the process, e.g. 256MiB (default)", 0},
    {"spool", KEY_SPOOL, "DIR", 0,
     "Where files of compressed backups are unpacked, one shard at a time "
     "(TMPDIR or /tmp)",
     0},
    {"skip-damaged", KEY_SKIP, NULL, 0,
     "Leave damaged objects and shards out, list them, exit with 3", 0},
    {"dry-run", KEY_DRY, NULL, 0, "Say what would be read and written; write nothing", 0},
    {"json", 'j', NULL, 0, "End with one line of JSON", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0},
};

static void add_name(struct names *names, const char *name, struct argp_state *state)
{
    if (names->count == NAMES_MAX) {
        argp_error(state, "more than %d names", NAMES_MAX);
        return;
    }
    names->list[names->count++] = sl_str_from(name);
}

static uint64_t parse_memory(const char *arg, struct argp_state *state)
{
    uint64_t bytes = 0;
    if (!sl_size_parse(sl_str_from(arg), &bytes) || bytes < MEMORY_MAX_LEAST) {
        argp_error(state, "--memory-max: \"%s\" is not a size of at least 128MiB", arg);
    }
    return bytes;
}

static void parse_kind(struct job *j, const char *arg, struct argp_state *state)
{
    static const char *const names[] = {"sluice", "weaviate", "backup"};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        if (strcmp(arg, names[i]) == 0) {
            j->kind = (enum sl_source_kind)i;
            j->has_kind = true;
            return;
        }
    }
    argp_error(state, "--source: \"%s\" is not sluice, weaviate or backup", arg);
}

static error_t parse_argument(struct job *j, char *arg, unsigned number)
{
    if (number == 0) {
        j->source = arg;
    } else if (number == 1) {
        j->dest = arg;
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static error_t parse_export(int key, char *arg, struct argp_state *state)
{
    struct job *j = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &j->choices;
        return 0;
    case 'd':
        j->id = sli_parse_id(arg, state);
        return 0;
    case 'i':
        add_name(&j->include, arg, state);
        return 0;
    case 'x':
        add_name(&j->exclude, arg, state);
        return 0;
    case 'p':
        j->parallelism = sli_parse_parallelism(arg, 0, SLI_PARALLELISM_MAX, state);
        return 0;
    case KEY_SOURCE:
        parse_kind(j, arg, state);
        return 0;
    case KEY_MEMORY:
        j->memory_max = parse_memory(arg, state);
        return 0;
    case KEY_DRY:
        j->is_dry_run = true;
        return 0;
    case KEY_SKIP:
        j->is_skipping = true;
        return 0;
    case KEY_SPOOL:
        j->spool = arg;
        return 0;
    case 'j':
        j->is_json = true;
        return 0;
    case 'q':
        j->is_quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        return parse_argument(j, arg, state->arg_num);
    case ARGP_KEY_END:
        if (j->dest == NULL && !(j->is_dry_run && j->source != NULL)) {
            argp_error(state, "SOURCE and DEST are needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child export_children[] = {{&sli_choices_argp, 0, "Rows and files:", 0},
                                                    {0}};
static const struct argp export_argp = {
    export_options,
    parse_export,
    "SOURCE DEST",
    "Exports the collections of SOURCE to Parquet files in "
    "DEST/ID/, DEST a folder, s3://BUCKET/PATH, "
    "gs://BUCKET/PATH or az://CONTAINER/PATH "
    "(settings of the stores: see sluiced(8)). SOURCE is a Weaviate data directory "
    "(of a stopped or a running server, or a snapshot of one), "
    "a Weaviate backup (a folder, or s3://, gs:// or az:// and its place), or a Sluice data "
    "folder that no node uses. Nothing is written into it.\vExit "
    "codes: 0 done, 1 failed, 2 wrong usage, 3 done "
    "without what was damaged (--skip-damaged).",
    export_children,
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

static void make_signals(sigset_t *ret)
{
    (void)sigemptyset(ret);
    (void)sigaddset(ret, SIGINT);
    (void)sigaddset(ret, SIGTERM);
}

/* A thread of its own, since the main one may wait for a store. The second signal ends the process
 * at once: the first lets the export end as canceled, which may take a while. */
static void watch_signals(void *arg)
{
    struct job *j = arg;
    sigset_t signals;
    struct timespec look = {.tv_nsec = SIGNAL_LOOK_NS};
    make_signals(&signals);
    while (!atomic_load(&j->is_done)) {
        if (sigtimedwait(&signals, NULL, &look) > 0) {
            sl_cancel_set(&j->interrupt);
            (void)sigprocmask(SIG_UNBLOCK, &signals, NULL); /* Linux: of this thread alone */
        }
    }
}

/* Of a backup in a store the place is named, not its mirror. */
static int fail(const struct job *j, struct sl_err *err, sl_rc rc)
{
    sl_mirror_reword(j->mirror, err);
    return sli_fail(err, rc);
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
            sl_mirror_reword(j->mirror, &ret->error);
            return rc;
        }
        sli_progress_show(&bar, sl_export_state_name(ret->state), ret->objects_done,
                          ret->objects_total, ret->bytes_written);
        if (sl_cancel_is_set(&j->interrupt) && !is_canceled) {
            is_canceled = true;
            SL_IGNORE(sl_export_cancel(ex, settings, j->backend, sl_str_from(j->id), err),
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
    if (j->is_skipping) {
        sl_json_key(&w, "leftOut");
        sl_json_u64(&w, j->left_out);
    }
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
    if (j->left_out > 0) {
        (void)fprintf(stderr, "sluice: %llu damaged parts were left out\n",
                      (unsigned long long)j->left_out);
        return SLI_EXIT_DAMAGED;
    }
    return SLI_EXIT_DONE;
}

/* Called from range workers for everything --skip-damaged leaves out. */
static void note_left_out(void *arg, struct sl_str class_name, struct sl_str shard,
                          const char *what)
{
    struct job *j = arg;
    struct sl_err told = {0};
    (void)snprintf(told.text, sizeof(told.text), "%s", what);
    sl_mirror_reword(j->mirror, &told);
    sl_mutex_lock(&j->mu);
    if (++j->left_out <= LEFT_OUT_TOLD) {
        (void)fprintf(stderr, "left out: class %.*s shard %.*s: %s\n", SL_STR_ARG(class_name),
                      SL_STR_ARG(shard), told.text);
    }
    if (j->left_out <= LEFT_OUT_KEPT) {
        j->parts = j->parts == NULL ? json_array() : j->parts;
        (void)json_array_append_new(j->parts, json_pack("{s:s%,s:s%,s:s}", "collection",
                                                        class_name.ptr, class_name.len, "shard",
                                                        shard.ptr, shard.len, "what", told.text));
    }
    sl_mutex_unlock(&j->mu);
}

static json_t *get_left_out(void *arg)
{
    struct job *j = arg;
    sl_mutex_lock(&j->mu);
    json_t *all = j->left_out == 0
                      ? NULL
                      : json_pack("{s:I,s:O}", "count", (json_int_t)j->left_out, "parts", j->parts);
    sl_mutex_unlock(&j->mu);
    return all;
}

/* Before it starts: a person may want another folder for it. */
static void tell_room(const struct job *j)
{
    SL_AUTO(sl_buf) needed = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) free = SL_BUF_EMPTY;
    if (j->room.needed > 0 && !j->is_quiet && !j->is_json) {
        sli_print_bytes(&needed, j->room.needed);
        sli_print_bytes(&free, j->room.free);
        (void)fprintf(stderr, "unpacks about %s at a time; %s are free (--spool)\n",
                      sl_buf_cstr(&needed), sl_buf_cstr(&free));
    }
}

/* Would the export be let in? A folder is tried when it begins. */
static sl_rc try_store(struct job *j, struct sl_err *err)
{
    SL_AUTO_PTR(sl_backend) be = NULL;
    struct sl_backend_env env = {.config = &j->config,
                                 .clock = sl_clock_real(),
                                 .cancel = &j->interrupt,
                                 .is_cancel_wide = true};
    if (j->dest == NULL || j->config.is_probe_skipped ||
        !sl_backend_is_store(sl_str_from(j->dest))) {
        return SL_OK;
    }
    SL_TRY(sl_backend_open(&env, sl_str_from(j->dest), &be, err));
    return be->ops->probe(be, err);
}

static int preview(struct job *j, struct sli_node *node, const struct sl_export_settings *settings,
                   const struct sl_export_request *request)
{
    struct sl_err err = {0};
    sl_rc rc = try_store(j, &err);
    if (rc == SL_OK) {
        rc = sl_export_preview(node->exports, settings, request, &j->reply, &err);
    }
    if (rc != SL_OK) {
        return fail(j, &err, rc);
    }
    sli_tell_unknown(&j->reply);
    if (j->is_json) {
        (void)fputs(sl_buf_cstr(&j->reply), stdout);
        return SLI_EXIT_DONE;
    }
    tell_room(j);
    json_t *doc = json_loadb((const char *)j->reply.ptr, j->reply.len, 0, NULL);
    size_t i;
    json_t *s;
    (void)printf("%-32s %-28s %12s %10s %6s\n", "COLLECTION", "SHARD OR TENANT", "OBJECTS", "SIZE",
                 "FILES");
    json_array_foreach(json_object_get(doc, "shards"), i, s)
    {
        const char *why = json_string_value(json_object_get(s, "skipReason"));
        SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
        sli_print_bytes(&bytes, (uint64_t)json_number_value(json_object_get(s, "bytes")));
        (void)printf("%-32s %-28s ", json_string_value(json_object_get(s, "class")),
                     json_string_value(json_object_get(s, "shard")));
        if (why != NULL) {
            (void)printf("skipped: %s\n", why);
        } else {
            (void)printf("%12.0f %10s %6.0f\n", json_number_value(json_object_get(s, "objects")),
                         sl_buf_cstr(&bytes), json_number_value(json_object_get(s, "files")));
        }
    }
    json_decref(doc);
    return SLI_EXIT_DONE;
}

static int export(struct job *j, struct sli_node *node)
{
    struct sl_err err = {0};
    struct sl_export_settings settings = {
        .is_enabled = true,
        .is_probe_skipped = j->config.is_probe_skipped,
        .parallelism = j->parallelism,
        .memory_bytes = sli_memory_divide(j->memory_max).export_bytes,
        .layout = (enum sl_layout_kind)j->config.layout,
        .is_manifest = j->config.manifest,
        .unit = (enum sl_timestamp_unit)j->config.timestamp_unit,
    };
    sl_rc rc = j->dest == NULL
                   ? SL_OK
                   : sl_export_destination(sl_str_from(j->dest), &settings, &j->backend, &err);
    struct sl_export_request request = {
        .backend = j->backend,
        .id = sl_str_from(j->id),
        .include = j->include.list,
        .include_count = j->include.count,
        .exclude = j->exclude.list,
        .exclude_count = j->exclude.count,
    };
    SL_AUTO(sl_arena) arena = SL_ARENA_EMPTY;
    if (rc == SL_OK) {
        rc = sl_export_choose(j->choices, &arena, &settings, &request, &err);
    }
    if (rc != SL_OK) {
        return fail(j, &err, rc);
    }
    if (j->is_dry_run) {
        return preview(j, node, &settings, &request);
    }
    struct sl_export_progress progress = {0};
    rc = sl_export_create(node->exports, &settings, &request, &j->reply, &err);
    if (rc == SL_OK) {
        tell_room(j);
        sli_tell_unknown(&j->reply);
        rc = follow(j, node->exports, &settings, &progress, &err);
    }
    if (rc != SL_OK) {
        return fail(j, &err, rc);
    }
    return report(j, &progress);
}

static sl_rc open_mirror(struct job *j, struct sl_buf *path, struct sl_err *err)
{
    struct sl_backend_env env = {
        .config = &j->config, .clock = sl_clock_real(), .cancel = &j->interrupt};
    const char *tmp = j->spool != NULL ? j->spool : getenv("TMPDIR");
    return sl_mirror_open_place(&env, sl_str_from(j->source),
                                tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp", &j->mirror, path,
                                err);
}

/* Nothing is written into what is read; in a data folder of ours exports have a place of their own,
 * where a node writes them, too. */
static sl_rc check_dest(struct job *j, enum sl_source_kind kind, struct sl_err *err)
{
    SL_AUTO(sl_buf) exports = SL_BUF_EMPTY;
    bool is_allowed = false;
    if (j->dest == NULL || sl_backend_is_store(sl_str_from(j->dest))) {
        return SL_OK;
    }
    if (kind == SL_KIND_SLUICE && strstr(j->dest, "..") == NULL) { /* may lead out when made */
        sl_path_join(&exports, sl_str_from(j->source), SL_STR("exports"));
        SL_TRY(sli_path_is_within(j->dest, sl_buf_cstr(&exports), &is_allowed, err));
    }
    return is_allowed ? SL_OK : sli_check_apart("DEST/ID", sl_buf_cstr(&j->path), j->source, err);
}

static sl_rc open_source(struct job *j, struct sli_node *node, struct sl_err *err)
{
    enum sl_source_kind kind = j->kind;
    SL_AUTO(sl_buf) mirrored = SL_BUF_EMPTY;
    bool is_store = sl_backend_is_store(sl_str_from(j->source));
    *node = (struct sli_node){0};
    if (is_store) {
        kind = SL_KIND_BACKUP; /* nothing else is read there */
        SL_TRY(open_mirror(j, &mirrored, err));
    } else if (!j->has_kind) {
        SL_TRY(sl_source_detect(j->source, &kind, err));
    }
    SL_TRY(check_dest(j, kind, err));
    if (kind == SL_KIND_SLUICE) {
        return sli_node_open_read_only(j->source, &j->config, j->memory_max, &j->interrupt, node,
                                       err);
    }
    struct sl_weaviate_opts opts = {.clock = sl_clock_real(),
                                    .spool_path = j->spool,
                                    .worker_count = j->parallelism,
                                    .open_file = is_store ? sl_mirror_open_file : NULL,
                                    .open_arg = j->mirror,
                                    .room = &j->room,
                                    .left_out = j->is_skipping ? note_left_out : NULL,
                                    .left_out_arg = j};
    const char *path = is_store ? sl_buf_cstr(&mirrored) : j->source;
    SL_TRY(sl_source_weaviate_open(path, kind, &opts, &node->source, err));
    struct sl_exports_opts ex = {.source = node->source,
                                 .config = &j->config,
                                 .clock = sl_clock_real(),
                                 .node_name = SL_STR("local"),
                                 .left_out = get_left_out,
                                 .left_out_arg = j,
                                 .interrupt = &j->interrupt};
    return sl_exports_open(&ex, &node->exports, err);
}

static int run(struct job *j)
{
    struct sl_err err = {0};
    struct sli_node node;
    sli_raise_file_limit();
    sl_rc rc = open_source(j, &node, &err);
    int code = rc == SL_OK ? export(j, &node) : fail(j, &err, rc);
    sli_node_close(&node);
    sl_mirror_close(j->mirror);
    return code;
}

static const char *from_environment(void *arg SL_UNUSED, const char *name)
{
    return getenv(name);
}

int sli_cmd_export(int argc, char **argv)
{
    SL_AUTO_MEM(struct job) j = sl_alloc_zero(1, sizeof(*j));
    if (j == NULL) {
        return sli_failf("out of memory");
    }
    j->memory_max = MEMORY_MAX_DEFAULT;
    if (argp_parse(&export_argp, argc, argv, 0, NULL, j) != 0) {
        return SLI_EXIT_USAGE;
    }
    if (j->id == NULL) {
        make_id(j);
    }
    struct sl_err err = {0};
    sl_rc rc = sl_config_load(&j->config, from_environment, NULL, NULL, &err);
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    sl_buf_addf(&j->path, "%s/%s", j->dest == NULL ? "" : j->dest, j->id);
    (void)sl_buf_cstr(&j->path);
    sl_mutex_init(&j->mu);
    /* A person watches: the engine's events are the bar, its failure is the last sentence. */
    sl_log_setup(SL_SILENT, SL_LOG_TEXT);
    sigset_t signals;
    struct sl_thread *watcher = NULL;
    make_signals(&signals);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* before there are threads, which take it over */
    sl_cancel_init(&j->interrupt);
    rc = sl_thread_start("signals", watch_signals, j, &watcher, &err);
    int code = rc == SL_OK ? run(j) : sli_fail(&err, rc);
    atomic_store(&j->is_done, true);
    sl_thread_join(watcher);
    json_decref(j->choices);
    json_decref(j->parts);
    sl_cancel_fini(&j->interrupt);
    sl_mutex_fini(&j->mu);
    sl_buf_fini(&j->made_id);
    sl_buf_fini(&j->reply);
    sl_buf_fini(&j->path);
    sl_config_fini(&j->config);
    return code;
}
