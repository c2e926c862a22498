/* Result codes and sentences; see err.h. Pure except for sl_fatal_at, which ends the process. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
    int http, grpc;
    bool is_retriable;
} codes[] = {
#define SL_ERRORS_ROW(name, http, grpc, retriable, text) \
    {#name, text, http, grpc, (retriable) != 0},
    SL_ERRORS(SL_ERRORS_ROW)
#undef SL_ERRORS_ROW
};
_Static_assert(SL_COUNT_OF(codes) == SL_RC_COUNT, "one row per code");

const char *sl_rc_name(sl_rc rc)
{
    return codes[rc].name;
}

int sl_rc_http(sl_rc rc)
{
    return codes[rc].http;
}

int sl_rc_grpc(sl_rc rc)
{
    return codes[rc].grpc;
}

bool sl_rc_retriable(sl_rc rc)
{
    return codes[rc].is_retriable;
}

const char *sl_rc_text(sl_rc rc)
{
    return codes[rc].text;
}

const char *sl_errno_text(int sys_errno)
{
    const char *text = strerrordesc_np(sys_errno);
    return text == NULL ? "unknown system error" : text;
}

/* A cut sentence must stay valid UTF-8: drops a character whose bytes are not all there. */
static void end_on_character(char *text, size_t len)
{
    size_t at = len;
    while (at > 0 && ((uint8_t)text[at - 1] & 0xC0) == 0x80) {
        at--;
    }
    if (at == 0) {
        return;
    }
    uint8_t lead = (uint8_t)text[at - 1];
    size_t want = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (at - 1 + want > len) {
        text[at - 1] = '\0';
    }
}

sl_rc sl_err_set(struct sl_err *err, sl_rc rc, int sys_errno, const char *file, int line,
                 const char *fmt, ...)
{
    if (err == NULL) {
        return rc;
    }
    va_list args;
    va_start(args, fmt);
    /* Formatted aside first: an argument may be the very text that is replaced. */
    char text[SL_ERR_TEXT_SIZE];
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    size_t used = len < 0 ? 0 : SL_MIN((size_t)len, sizeof(text) - 1);
    if (sys_errno != 0 && used < sizeof(text) - 1) {
        int more = snprintf(text + used, sizeof(text) - used, ": %s", sl_errno_text(sys_errno));
        used = more < 0 ? used : SL_MIN(used + (size_t)more, sizeof(text) - 1);
    }
    if (used == sizeof(text) - 1) {
        end_on_character(text, used);
    }
    *err = (struct sl_err){.rc = rc, .sys_errno = sys_errno, .file = file, .line = line};
    memcpy(err->text, text, used);
    return rc;
}

void sl_err_prefix(struct sl_err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return;
    }
    char text[SL_ERR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    size_t used = len < 0 ? 0 : SL_MIN((size_t)len, sizeof(text) - 1);
    const char *old = sl_err_text(err, err->rc);
    size_t room = sizeof(text) - 1 - used;
    size_t old_len = strlen(old);
    if (room > 2) {
        memcpy(text + used, ": ", 2);
        size_t take = SL_MIN(old_len, room - 2);
        memcpy(text + used + 2, old, take);
        used += 2 + take;
    }
    memcpy(err->text, text, used);
    err->text[used] = '\0';
    if (used == sizeof(text) - 1) {
        end_on_character(err->text, used);
    }
}

const char *sl_err_text(const struct sl_err *err, sl_rc rc)
{
    return err != NULL && err->text[0] != '\0' ? err->text : sl_rc_text(rc);
}

sl_rc sl_rc_from_errno(int sys_errno)
{
    switch (sys_errno) {
    case 0:
        return SL_OK;
    case ENOENT:
    case ENOTDIR:
        return SL_ENOTFOUND;
    case EEXIST:
    case ENOTEMPTY:
        return SL_ECONFLICT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return SL_ENOSPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return SL_EACCESS;
    case ENAMETOOLONG:
    case EISDIR:
    case ELOOP:
        return SL_EINVAL;
    case ENOMEM:
        return SL_ENOMEM;
    case ETIMEDOUT:
        return SL_ETIMEOUT;
    default:
        return SL_EIO;
    }
}

void sl_fatal_at(const char *file, int line, const char *text)
{
    (void)fprintf(stderr, "sluice: fatal at %s:%d: %s\n", file, line, text);
    abort();
}
