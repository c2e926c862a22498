/* Inside of the command line `sluice`: one file per group of subcommands, one table in sluice.c.
 *
 * Every subcommand returns an exit code: 0 done, 1 it failed (a sentence on stderr), 2 wrong usage,
 * 3 done without what was damaged.
 * Results go to stdout, progress and errors to stderr, so pipes stay clean. */
#ifndef SL_CMD_CMD_INT_H
#define SL_CMD_CMD_INT_H

#include <argp.h>
#include <jansson.h>

#include "base/buf.h"
#include "http/client.h"

enum {
    SLI_EXIT_DONE = 0,
    SLI_EXIT_FAILED = 1,
    SLI_EXIT_USAGE = 2,
    SLI_EXIT_DAMAGED = 3 /* done, but damaged parts were left out */
};

/* What the subcommands share; filled by argp from sli_common_argp. */
struct sli_common {
    const char *server; /* --server, SLUICE_SERVER, http://127.0.0.1:8080 */
    const char *key;    /* --api-key-file or SLUICE_API_KEY; NULL none */
    const char *ca; /* --ca, SLUICE_SERVER_CA: a PEM file; NULL: the authorities of the system */
    bool is_json;   /* --json: one JSON document or line on stdout, no prose */
    bool is_quiet;  /* --quiet: no progress */
};
extern const struct argp sli_common_argp;
/* choices.c: options that choose what files are like. Input: json_t **, NULL at first, which
 * becomes the `config` of a request. */
extern const struct argp sli_choices_argp;

int sli_cmd_create(int argc, char **argv);
int sli_cmd_status(int argc, char **argv);
int sli_cmd_wait(int argc, char **argv);
int sli_cmd_cancel(int argc, char **argv);
int sli_cmd_list(int argc, char **argv);
int sli_cmd_load(int argc, char **argv);
int sli_cmd_inspect(int argc, char **argv);
int sli_cmd_verify(int argc, char **argv);
int sli_cmd_export(int argc, char **argv);
int sli_cmd_import(int argc, char **argv);

/* Prints "sluice: <sentence>" to stderr and yields SLI_EXIT_FAILED. */
int sli_fail(const struct sl_err *err, sl_rc rc);
int sli_failf(const char *fmt, ...) SL_PRINTF(1, 2);
#define SLI_PARALLELISM_MAX 1024 /* of ranges and of files */
/* Value of --parallelism; ends in argp_error when it is none. */
uint32_t sli_parse_parallelism(const char *arg, uint32_t least, uint32_t most,
                               struct argp_state *state);
/* Judges the id of a new export as every node does; ends in argp_error when it is none. */
const char *sli_parse_id(const char *arg, struct argp_state *state);
/* Opens the client of the common options. */
sl_rc sli_client(const struct sli_common *c, struct sl_http_client **ret, struct sl_err *err);
/* The sentence inside an error body of either shape, or the body itself. */
void sli_error_text(struct sl_str body, struct sl_buf *out);
/* Names of --include and --exclude that nothing has, of the reply to a create, on stderr: a slip of
 * the pen is never passed over. */
void sli_tell_unknown(const struct sl_buf *reply);

/* progress.c: a bar with rate and ETA on a terminal, a plain line each 5 s in a pipe. */
struct sli_progress {
    bool is_terminal, is_color, is_quiet;
    int64_t started_ns, printed_ns; /* mono */
    const char *unit;               /* "rows", "objects" */
};
void sli_progress_begin(struct sli_progress *p, const char *unit, bool is_quiet);
/* total 0: unknown. bytes 0: not shown. */
void sli_progress_show(struct sli_progress *p, const char *state, uint64_t done, uint64_t total,
                       uint64_t bytes);
void sli_progress_end(struct sli_progress *p);            /* leaves the bar's line */
void sli_print_bytes(struct sl_buf *out, uint64_t bytes); /* "1.4 GB" */

#endif
