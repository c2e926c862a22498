/* sluiced: the node. Reads its settings, opens the parts in order, serves until SIGTERM or SIGINT,
 * stops them in reverse. The main thread waits for signals, which are blocked in all others, and
 * loads what may change meanwhile: the overrides file, on SIGHUP and by its interval, and the
 * certificate, on SIGHUP. */
#include <argp.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/stats.h"
#include "base/str.h"
#include "base/workers.h"
#include "cmd/access.h"
#include "cmd/node.h"
#include "cmd/settings.h"
#include "cmd/supervise.h"

#define REQUEST_WORKERS \
    8 /* at most half of them wait for a backend; the store answers in microseconds */
#define FLAGS_MAX 32

static struct argp_option *options; /* made from the option table */
static struct sl_flag flags[FLAGS_MAX];
static size_t flag_count;
static bool is_check; /* --check */

enum { KEY_FIRST = 1000, KEY_OPTIONS = 2000, KEY_METRICS, KEY_CHECK };

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
    if (key == KEY_CHECK) {
        is_check = true;
        return 0;
    }
    if (key == KEY_METRICS) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sl_stats_print(SL_STATS_MARKDOWN, &text);
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
    struct argp_option *list = sl_alloc_zero(sl_option_count + 3, sizeof(*list));
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
        list[n++] = (struct argp_option){
            .name = "check",
            .key = KEY_CHECK,
            .doc = "Judge the settings and what they name, one line for each fault, and end: 0 "
                   "when all is well, 2 otherwise"};
        list[n++] =
            (struct argp_option){.name = "print-options",
                                 .key = KEY_OPTIONS,
                                 .arg = "FORM",
                                 .doc = "Print the table of settings (help, roff, markdown)"};
        list[n] = (struct argp_option){.name = "print-metrics",
                                       .key = KEY_METRICS,
                                       .doc = "Print the table of metrics as Markdown"};
    }
    return list;
}

static const char *from_environment(void *arg SL_UNUSED, const char *name)
{
    return getenv(name);
}

/* What may change while the node runs. */
struct live {
    const struct sl_config *config; /* of the start */
    struct sl_overrides *overrides;
    struct sl_tls *tls; /* NULL: plain text */
};

static void log_certificate(const struct live *l, const char *message)
{
    SL_AUTO(sl_buf) expires = SL_BUF_EMPTY;
    int64_t expires_ns = sl_tls_expires_ns(l->tls);
    sl_time_add_ns(&expires, expires_ns);
    sl_log(expires_ns > sl_clock_wall_ns(sl_clock_real()) ? SL_INFO : SL_WARN, "tls", message,
           SL_F_TEXT("certificate", l->config->tls_cert),
           SL_F_STR("expires", sl_buf_str(&expires)));
}

static sl_rc open_live(const struct sl_config *c, struct live *ret, struct sl_err *err)
{
    ret->config = c;
    SL_TRY(sl_overrides_open(c, sli_settings_check, NULL, &ret->overrides, err));
    if (c->tls_cert[0] != '\0') {
        SL_TRY(sli_named("SLUICE_TLS_CERT, SLUICE_TLS_KEY",
                         sl_tls_open(c->tls_cert, c->tls_key, &ret->tls, err), err));
        log_certificate(ret, "certificate loaded");
    }
    const struct sl_config *now = sl_overrides_take(ret->overrides);
    sli_settings_log(now);
    sl_overrides_give(ret->overrides, now);
    return SL_OK;
}

static void reload_certificate(const struct live *l)
{
    struct sl_err err = {0};
    bool is_new = false;
    if (l->tls == NULL) {
        return;
    }
    sl_rc rc = sl_tls_reload(l->tls, &is_new, &err);
    if (rc != SL_OK) {
        sl_log(SL_ERROR, "tls", "the certificate cannot be loaded; the old one stays",
               SL_F_TEXT("error", sl_err_text(&err, rc)));
    } else {
        log_certificate(l, is_new ? "certificate replaced" : "certificate unchanged");
    }
}

/* Until the node is told to stop. */
static void watch(const sigset_t *signals, const struct live *l)
{
    int64_t interval_ns = l->config->overrides_interval_ns;
    struct timespec interval = {.tv_sec = interval_ns / 1000000000,
                                .tv_nsec = interval_ns % 1000000000};
    for (;;) {
        int sig = sigtimedwait(signals, NULL, &interval);
        if (sig == SIGTERM || sig == SIGINT) {
            sl_log(SL_INFO, "shutdown", "stopping", SL_F_INT("signal", sig));
            return;
        }
        if (sig == SIGHUP) {
            sli_notify_reloading();
            sl_overrides_reload(l->overrides);
            reload_certificate(l);
            sli_notify("READY=1");
        } else if (sig < 0 && errno == EAGAIN) {
            sl_overrides_reload(l->overrides);
        }
    }
}

/* What an operator should know of foreign data before the first export. */
static void look_at_source(struct sl_source *source)
{
    struct sl_err err = {0};
    SL_AUTO(sl_schema) schema = {0};
    sl_rc rc = sl_source_weaviate_schema(source, &schema, &err);
    if (rc != SL_OK) {
        sl_log(SL_WARN, "startup", sl_err_text(&err, rc));
    }
    for (uint32_t i = 0; i < schema.warning_count; i++) {
        sl_log(SL_WARN, "startup", "schema", SL_F_STR("warning", schema.warnings[i]));
    }
}

static sl_rc serve(const struct live *l, const sigset_t *signals, struct sl_err *err)
{
    const struct sl_config *c = l->config;
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_TRY(sli_node_name(c, &name, err));
    struct sli_node node;
    struct sli_memory memory = sli_memory_divide(c->memory_max);
    sl_rc rc = sli_node_open(c, sl_buf_str(&name), &node, err);
    if (rc == SL_OK) {
        struct sl_jwks_opts oidc = sli_settings_oidc(c);
        struct sl_jwks *jwks = NULL;
        struct sl_api_opts opts = {
            .db = node.db,
            .foreign = node.foreign_path == NULL ? NULL : node.source,
            .foreign_path = node.foreign_path,
            .exports = node.exports,
            .ticker = node.ticker,
            .tls = l->tls,
            .host = c->host,
            .port = (uint16_t)c->port,
            .grpc_port = (uint16_t)c->grpc_port,
            .node_name = sl_buf_cstr(&name),
            .oidc = c->has_oidc ? &oidc : NULL,
            .body_max = c->body_max,
            .body_budget = memory.body_bytes,
            .connections_max = (uint32_t)c->connections_max,
            .peer_connections_max = (uint32_t)c->peer_connections_max,
            .request_timeout_s = (uint32_t)c->request_timeout_s,
            .worker_count = REQUEST_WORKERS,
            .export_settings = sli_settings_lend,
            .arg = l->overrides,
        };
        struct sl_api *api = NULL;
        struct sl_grpc *grpc = NULL;
        struct sl_metrics *metrics = NULL;
        if (c->has_oidc) {
            rc = sl_jwks_start(&oidc, &jwks, err);
        }
        if (rc == SL_OK) {
            rc = sli_access_open(c, node.kv, jwks, &opts.auth, err);
        }
        if (rc == SL_OK) {
            rc = sl_api_start(&opts, &api, err);
        }
        if (rc == SL_OK) {
            rc = sl_grpc_start(&opts, &grpc, err);
        }
        if (rc == SL_OK && c->metrics_enabled) {
            rc = sli_metrics_start(c, l->overrides, &metrics, err);
        }
        if (rc == SL_OK) {
            if (node.foreign_path != NULL) {
                look_at_source(node.source);
            }
            sl_api_set_ready(api, true);
            sl_log(SL_INFO, "startup", "listening", SL_F_TEXT("host", c->host),
                   SL_F_INT("port", sl_api_port(api)), SL_F_INT("grpc_port", sl_grpc_port(grpc)),
                   SL_F_INT("metrics_port", metrics == NULL ? 0 : sl_metrics_port(metrics)),
                   SL_F_TEXT("data", c->data_path), SL_F_TEXT("source", c->source),
                   SL_F_STR("node", sl_buf_str(&name)), SL_F_INT("memory_kv", memory.kv_bytes),
                   SL_F_INT("memory_bodies", memory.body_bytes),
                   SL_F_INT("memory_export", memory.export_bytes),
                   SL_F_TEXT("version", SL_VERSION));
            sli_notify("READY=1");
            watch(signals, l);
            sli_notify("STOPPING=1");
            sl_api_set_ready(api, false); /* balancers look elsewhere while the rest ends */
            sli_node_stop(&node);
        }
        sl_grpc_stop(grpc);
        sl_api_stop(api);
        sl_metrics_stop(metrics); /* last, so that a long stop can be watched */
        sl_auth_close(opts.auth);
        sl_jwks_stop(jwks);
        sli_node_close(&node);
    }
    return rc;
}

/* --check: 0 or 2. */
static int check(void)
{
    SL_AUTO(sl_buf) faults = SL_BUF_EMPTY;
    struct sl_config config = {0};
    uint32_t count = sl_config_problems(from_environment, NULL, flags, &faults);
    if (count == 0 && sl_config_load(&config, from_environment, NULL, flags, NULL) == SL_OK) {
        count = sli_settings_problems(&config, &faults);
        sl_config_fini(&config);
    }
    (void)fputs(count == 0 ? "sluiced: the settings are good\n" : sl_buf_cstr(&faults),
                count == 0 ? stdout : stderr);
    return count == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
    const struct argp argp = {
        NULL,
        parse,
        NULL,
        "Sluice node: an embedded collection database with a Weaviate-compatible "
        "REST API that exports collections to Parquet; or, with --source, exports of the data of a "
        "Weaviate server beside it.\v ",
        NULL,
        help_filter,
        NULL};
    sl_secrets_hide();
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
    /* Blocks of messages go back to the system when freed; by itself glibc would keep them, since
     * it raises this limit to the largest block seen. */
    (void)mallopt(M_MMAP_THRESHOLD, 512 * 1024);
    if (is_check) {
        return check();
    }
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
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* allow: signal, ignoring is all it does */
    sli_raise_file_limit();
    sl_stat_set(SL_STAT_STARTED, (uint64_t)(sl_clock_wall_ns(sl_clock_real()) / 1000000000));
    struct live live = {0};
    rc = open_live(&config, &live, &err);
    if (rc == SL_OK) {
        rc = serve(&live, &signals, &err);
    }
    sl_tls_close(live.tls);
    sl_overrides_close(live.overrides);
    sl_config_fini(&config);
    sl_free(options);
    if (rc != SL_OK) {
        sl_log(SL_ERROR, "startup", sl_err_text(&err, rc));
        (void)fprintf(stderr, "sluiced: %s\n", sl_err_text(&err, rc));
        return rc == SL_EINVAL ? 2 : 1; /* 2: the same again would end the same */
    }
    sl_log(SL_INFO, "shutdown", "stopped");
    return 0;
}
