/* Other programs: started without a shell, ended by force when they take too long or write too
 * much.
 *
 * What they write may be a secret: it goes into one buffer that never moves, which the caller
 * wipes. Errors name the program and never its arguments or output. @threads any. */
#ifndef SL_BASE_PROCESS_H
#define SL_BASE_PROCESS_H

#include "base/buf.h"
#include "base/cancel.h"

#define SL_COMMAND_WORDS_MAX 256 /* of one line; nobody writes that many by hand */

/* Appends the words of a line, each ended by a NUL, as a POSIX shell would split it: blanks outside
 * of quotes separate, '...' is literal, inside "..." a backslash stands before " and \ only,
 * outside of quotes before anything. Nothing is expanded. SL_EINVAL: an open quote, a backslash at
 * the end, a NUL, no word or too many. */
sl_rc sl_command_split(struct sl_str line, struct sl_buf *out, uint32_t *ret_count,
                       struct sl_err *err);

struct sl_command {
    struct sl_str line;       /* as for sl_command_split; the program is looked for in PATH */
    int64_t timeout_ns;       /* from start to end */
    size_t out_max;           /* bytes of its standard output */
    struct sl_cancel *cancel; /* may be NULL */
};
/* Runs it with our environment, nothing to read and its standard error thrown away; out (empty
 * before) gets what it wrote, also when it failed. It and what it started in its process group are
 * killed at a limit and gone when this returns. SL_EINVAL: the line, or no such program; SL_EIO: it
 * failed or wrote too much; SL_ETIMEOUT; SL_ECANCELED. */
sl_rc sl_command_run(const struct sl_command *c, struct sl_buf *out, struct sl_err *err);

#endif
