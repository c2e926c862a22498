/* sluiced: the node. Reads its settings, opens the parts in order, serves until SIGTERM or SIGINT,
 * stops them in reverse. The main thread only waits for signals, which are blocked in all others.
 */
#include <argp.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/workers.h"
#include "cmd/node.h"

#define REQUEST_WORKERS \
    8 /* at most half of them wait for a backend; the store answers in microseconds */
#define FLAGS_MAX 32

static struct argp_option *options; /* made from the option table */
static struct sl_flag flags[FLAGS_MAX];
static size_t flag_count;

enum { KEY_FIRST = 1000, KEY_OPTIONS = 2000 };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key == KEY_OPTIONS) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sl_options_print(strcmp(arg, "markdown") == 0 ? SL_OPTIONS_MARKDOWN
                         : strcmp(arg, "roff") == 0   ? SL_OPTIONS_ROFF
                                                      : SL_OPTIONS_HELP,
                         &text);
        (void)fputs(sl_buf_cstr(&text), stdout);
        exit(0); /* allow: exit, nothing is open yet */
    }
    if (key >= KEY_FIRST && (size_t)(key - KEY_FIRST) < sl_option_count) {
        if (flag_count + 1 < FLAGS_MAX) {
            flags[flag_count++] = (struct sl_flag){sl_options[key - KEY_FIRST].flag, arg};
        }
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        argp_error(state, "\"%s\" is not an option", arg);
    }
    return ARGP_ERR_UNKNOWN;
}

/* --help ends with every setting, printed from the table. */
static char *help_filter(int key, const char *text, void *input SL_UNUSED)
{
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)(uintptr_t)text;
    }
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sl_buf_add_text(&out, "Settings (environment variable, flag, meaning, allowed, default):\n");
    sl_options_print(SL_OPTIONS_HELP, &out);
    return strdup(sl_buf_cstr(&out)); /* allow: strdup, argp frees it */
}

static struct argp_option *make_options(void)
{
    struct argp_option *list = sl_alloc_zero(sl_option_count + 2, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; list != NULL && i < sl_option_count; i++) {
        if (sl_options[i].flag != NULL) {
            list[n++] = (struct argp_option){.name = sl_options[i].flag,
                                             .key = KEY_FIRST + (int)i,
                                             .arg = "VALUE",
                                             .doc = sl_options[i].text};
        }
    }
    if (list != NULL) {
        list[n] = (struct argp_option){.name = "print-options",
                                       .key = KEY_OPTIONS,
                                       .arg = "FORM",
                                       .doc = "Print the table of settings (help, roff, markdown)"};
    }
    return list;
}

static const char *from_environment(void *arg SL_UNUSED, const char *name)
{
    return getenv(name);
}

/* The settings exports begin with; they do not change while the node runs. */
struct defaults {
    struct sl_export_settings settings;
    struct sl_buf path; /* <data>/exports when EXPORT_DEFAULT_PATH is empty */
};

static sl_rc make_defaults(const struct sl_config *c, struct defaults *ret, struct sl_err *err)
{
    if (c->export_path[0] != '\0') {
        sl_buf_add_text(&ret->path, c->export_path);
    } else {
        sl_path_join(&ret->path, sl_str_from(c->data_path), SL_STR("exports"));
    }
    SL_TRY(sl_buf_done(&ret->path, err));
    ret->settings = (struct sl_export_settings){
        .is_enabled = c->export_enabled,
        .bucket = sl_str_from(c->export_bucket),
        .path = sl_buf_str(&ret->path),
        .parallelism = (uint32_t)c->export_parallelism,
        .memory_bytes = sli_memory_divide(c->memory_max).export_bytes,
        .unit = c->timestamp_unit == 0 ? SL_UNIT_NS : SL_UNIT_MS,
        .compression = c->compression == 0 ? SL_COMPRESSION_FAST : SL_COMPRESSION_SMALL,
        .is_json_annotated = c->json_annotation,
    };
    return SL_OK;
}

static void lend_settings(void *arg, struct sl_export_settings *ret)
{
    *ret = ((const struct defaults *)arg)->settings;
}

/* CLUSTER_HOSTNAME or the host's own name; it becomes part of file names, so it is checked. */
static sl_rc node_name(const struct sl_config *c, struct sl_buf *out, struct sl_err *err)
{
    char host[256] = "";
    if (c->node_name[0] == '\0' && (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')) {
        (void)snprintf(host, sizeof(host), "node1");
    }
    const char *name = c->node_name[0] != '\0' ? c->node_name : host;
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (name[len] != '\0' || len > 200) {
        return SL_FAIL(
            err, SL_EINVAL,
            "CLUSTER_HOSTNAME: \"%s\" is not allowed; allowed: letters, digits, '.', '_' "
            "and '-', at most 200",
            name);
    }
    sl_buf_add_text(out, name);
    return sl_buf_done(out, err);
}

static void wait_for_stop_signal(const sigset_t *stop)
{
    int sig = 0;
    while (sigwait(stop, &sig) != 0) {
    }
    sl_log(SL_INFO, "shutdown", "stopping", SL_F_INT("signal", sig));
}

static sl_rc serve(const struct sl_config *c, const sigset_t *stop, struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    struct defaults defaults = {0};
    SL_TRY(node_name(c, &name, err));
    SL_TRY(make_defaults(c, &defaults, err));
    struct sli_node node;
    struct sli_memory memory = sli_memory_divide(c->memory_max);
    sl_rc rc = sli_node_open(c, sl_buf_str(&name), &node, err);
    if (rc == SL_OK) {
        struct sl_api_opts opts = {
            .db = node.db,
            .exports = node.exports,
            .host = c->host,
            .port = (uint16_t)c->port,
            .node_name = sl_buf_cstr(&name),
            .body_max = c->body_max,
            .body_budget = memory.body_bytes,
            .connections_max = (uint32_t)c->connections_max,
            .request_timeout_s = (uint32_t)c->request_timeout_s,
            .worker_count = REQUEST_WORKERS,
            .export_settings = lend_settings,
            .arg = &defaults,
        };
        struct sl_api *api = NULL;
        rc = sl_api_start(&opts, &api, err);
        if (rc == SL_OK) {
            sl_api_set_ready(api, true);
            sl_log(
                SL_INFO, "startup", "listening", SL_F_TEXT("host", c->host),
                SL_F_INT("port", sl_api_port(api)), SL_F_TEXT("data", c->data_path),
                SL_F_STR("node", sl_buf_str(&name)), SL_F_BOOL("export_enabled", c->export_enabled),
                SL_F_INT("memory_kv", memory.kv_bytes),
                SL_F_INT("memory_bodies", memory.body_bytes),
                SL_F_INT("memory_export", memory.export_bytes), SL_F_TEXT("version", SL_VERSION));
            wait_for_stop_signal(stop);
            sl_exports_stop(node.exports);
            sl_api_stop(api);
        }
        sli_node_close(&node);
    }
    sl_buf_fini(&defaults.path);
    return rc;
}

/* Connections and files of the store share one limit, and its soft value is often just 1024. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv)
{
    const struct argp argp = {
        NULL,
        parse,
        NULL,
        "Sluice node: an embedded collection database with a Weaviate-compatible "
        "REST API that exports collections to Parquet.\v ",
        NULL,
        help_filter,
        NULL};
    argp_program_version = "sluiced " SL_VERSION;
    argp_err_exit_status = 2;
    options = make_options();
    struct argp with_options = argp;
    with_options.options = options;
    if (options == NULL || argp_parse(&with_options, argc, argv, 0, NULL, NULL) != 0) {
        return 2;
    }
    /* glibc gives every thread an arena of its own and hands little of it back: with some twenty
     * threads that adds up to a quarter of the default memory_max. Four serve two cores without
     * waiting. */
    (void)mallopt(M_ARENA_MAX, 4);
    struct sl_err err = {0};
    struct sl_config config = {0};
    sl_rc rc = sl_config_load(&config, from_environment, NULL, flags, &err);
    if (rc != SL_OK) {
        (void)fprintf(stderr, "sluiced: %s\n", sl_err_text(&err, rc));
        return 2;
    }
    sl_log_setup((enum sl_log_level)config.log_level,
                 config.log_format == 0 ? SL_LOG_JSON : SL_LOG_TEXT);
    /* Blocked before any thread starts, so that only sigwait sees them; a peer that hangs up must
     * not end the process either. */
    sigset_t stop;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* allow: signal, ignoring is all it does */
    raise_file_limit();
    rc = serve(&config, &stop, &err);
    sl_config_fini(&config);
    sl_free(options);
    if (rc != SL_OK) {
        sl_log(SL_ERROR, "startup", sl_err_text(&err, rc));
        (void)fprintf(stderr, "sluiced: %s\n", sl_err_text(&err, rc));
        return 1;
    }
    sl_log(SL_INFO, "shutdown", "stopped");
    return 0;
}
