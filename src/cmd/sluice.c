/* sluice: the command line. Finds the subcommand in one table and hands the rest over; each
 * subcommand parses its own options through argp with the common ones as a child parser. */
#include "cmd/cmd_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/num.h"
#include "base/str.h"
#include "base/workers.h"
#include "base/crypto.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *text;
} commands[] = {
    {"create", sli_cmd_create, "start an export on a node"},
    {"status", sli_cmd_status, "show the state of an export"},
    {"wait", sli_cmd_wait, "wait until an export has ended, with progress"},
    {"cancel", sli_cmd_cancel, "cancel a running export"},
    {"list", sli_cmd_list, "list the exports of a backend"},
    {"load", sli_cmd_load, "load JSON lines into a collection of a node"},
    {"inspect", sli_cmd_inspect,
     "show and check what a data directory, backup, export or file holds"},
    {"verify", sli_cmd_verify, "check that an export is whole and unharmed"},
    {"export", sli_cmd_export, "export a data directory or backup without a server"},
    {"import", sli_cmd_import, "load an export into a node or a Weaviate server"},
};

static void print_usage(FILE *to)
{
    (void)fputs("Usage: sluice COMMAND [OPTION...]\n"
                "Exports collections of a vector database to Parquet.\n\nCommands:\n",
                to);
    for (size_t i = 0; i < SL_COUNT_OF(commands); i++) {
        (void)fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].text);
    }
    (void)fputs(
        "\n`sluice COMMAND --help` shows the options of a command.\n"
        "Exit codes: 0 done, 1 failed or damage seen, 2 wrong usage, 3 exported without what was\n"
        "damaged (--skip-damaged).\n",
        to);
}

int main(int argc, char **argv)
{
    sl_secrets_hide();
    argp_err_exit_status = SLI_EXIT_USAGE;
    if (argc < 2) {
        print_usage(stderr);
        return SLI_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return SLI_EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        (void)puts("sluice " SL_VERSION);
        return SLI_EXIT_DONE;
    }
    for (size_t i = 0; i < SL_COUNT_OF(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
            sl_buf_addf(&name, "sluice %s", argv[1]);
            argv[1] = sl_strdup(sl_buf_cstr(&name)); /* argp prints it as the program's name */
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "sluice: unknown command \"%s\"; `sluice --help` lists them\n", argv[1]);
    return SLI_EXIT_USAGE;
}

int sli_failf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("sluice: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return SLI_EXIT_FAILED;
}

int sli_fail(const struct sl_err *err, sl_rc rc)
{
    return sli_failf("%s", sl_err_text(err, rc));
}

uint32_t sli_parse_parallelism(const char *arg, uint32_t least, uint32_t most,
                               struct argp_state *state)
{
    uint64_t n = 0;
    if (!sl_u64_parse(sl_str_from(arg), &n) || n < least || n > most) {
        argp_error(state, "--parallelism: \"%s\" is not a number from %u to %u", arg, least, most);
    }
    return (uint32_t)n;
}

const char *sli_parse_id(const char *arg, struct argp_state *state)
{
    if (arg[0] == '\0' || arg[strspn(arg, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0') {
        argp_error(state, "\"%s\" is no ID of an export: allowed are a-z, 0-9, _ and -", arg);
    }
    return arg;
}

/* ---- options all subcommands that talk to a node share ---- */

enum { KEY_CA = 0x100 };

static const struct argp_option common_options[] = {
    {"server", 's', "URL", 0,
     "Node to drive (SLUICE_SERVER, http://127.0.0.1:8080); its key is SLUICE_API_KEY", 10},
    {"ca", KEY_CA, "FILE", 0,
     "PEM file of the authority that vouches for the node's certificate, instead of the system's "
     "(SLUICE_SERVER_CA)",
     10},
    {"json", 'j', NULL, 0, "Print JSON for programs", 10},
    {"quiet", 'q', NULL, 0, "No progress", 10},
    {0},
};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    struct sli_common *c = state->input;
    switch (key) {
    case ARGP_KEY_INIT: {
        const char *server = getenv("SLUICE_SERVER");
        c->server = server == NULL || server[0] == '\0' ? "http://127.0.0.1:8080" : server;
        c->key = getenv("SLUICE_API_KEY");
        const char *ca = getenv("SLUICE_SERVER_CA");
        c->ca = ca == NULL || ca[0] == '\0' ? NULL : ca;
        return 0;
    }
    case 's':
        c->server = arg;
        return 0;
    case KEY_CA:
        c->ca = arg;
        return 0;
    case 'j':
        c->is_json = true;
        return 0;
    case 'q':
        c->is_quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp sli_common_argp = {common_options, parse_common, NULL, NULL, NULL, NULL, NULL};

#define CALL_TIMEOUT_MS 300000 /* a create may wait for a freeze; longer than any server limit */
#define CA_MAX          (16u << 20) /* all authorities of a system are 250 KB */

sl_rc sli_client(const struct sli_common *c, struct sl_http_client **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) pem = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_http_client) client = NULL;
    if (c->ca != NULL) {
        SL_TRY(sl_file_read_all(c->ca, CA_MAX, &pem, err));
    }
    if (c->ca != NULL && pem.len == 0) {
        return SL_FAIL(err, SL_EINVAL, "%s: empty, a PEM file was expected", c->ca);
    }
    struct sl_http_limits limits = {
        .response_max = SL_HTTP_RESPONSE_MAX,
        .authorities = sl_buf_view(&pem),
        .trust_hint = "--ca or SLUICE_SERVER_CA names the file of the authority to trust"};
    SL_TRY(sl_http_client_new(c->server, c->key, CALL_TIMEOUT_MS, &client, err));
    sl_http_client_limit(client, &limits);
    *ret = sl_move(&client);
    return SL_OK;
}

void sli_error_text(struct sl_str body, struct sl_buf *out)
{
    json_t *doc = json_loadb(body.ptr == NULL ? "" : body.ptr, body.len, 0, NULL);
    const char *text = json_string_value(json_object_get(doc, "message"));
    if (text == NULL) {
        json_t *first = json_array_get(json_object_get(doc, "error"), 0);
        text = json_string_value(json_object_get(first, "message"));
    }
    if (text != NULL) {
        sl_buf_add_text(out, text);
    } else {
        sl_buf_add_str(out, sl_str_trim(body));
    }
    json_decref(doc);
}

void sli_tell_unknown(const struct sl_buf *reply)
{
    json_t *doc = json_loadb((const char *)reply->ptr, reply->len, 0, NULL), *name;
    size_t i;
    json_array_foreach(json_object_get(doc, "unknownCollections"), i, name)
    {
        (void)fprintf(stderr, "sluice: there is no collection \"%s\"\n", json_string_value(name));
    }
    json_decref(doc);
}
