/* Result codes and the error record: the one home of a failure's name, HTTP status and
 * retriability.
 *
 * Every function that can fail returns sl_rc. The function that first sees a failure writes one
 * sentence into the caller's struct sl_err (what, where, what to do); everybody above passes it on
 * untouched, and only a boundary may add a prefix (sl_err_prefix). Expected outcomes (SL_END,
 * SL_ENOTFOUND, SL_ECONFLICT) are codes whose sentence is optional. There is no global last error.
 */
#ifndef SL_BASE_ERR_H
#define SL_BASE_ERR_H

#include "base/attr.h"

/* X(name, http status, grpc status, retriable, what it means). Over gRPC the reference answers 2,
 * UNKNOWN, to whatever a request got wrong, and clients match the sentence. */
#define SL_ERRORS(X)                                                 \
    X(SL_OK, 200, 0, 0, "success")                                   \
    X(SL_END, 200, 0, 0, "nothing more to read")                     \
    X(SL_EBADREQ, 400, 2, 0, "the request cannot be parsed")         \
    X(SL_EUNAUTH, 401, 2, 0, "who asks is not known")                \
    X(SL_EFORBIDDEN, 403, 7, 0, "who asks may not do this")          \
    X(SL_ENOTFOUND, 404, 2, 0, "it does not exist")                  \
    X(SL_ETIMEOUT, 408, 4, 1, "it took too long")                    \
    X(SL_ECONFLICT, 409, 2, 0, "it exists already or is in use")     \
    X(SL_ETOOBIG, 413, 8, 0, "it is larger than the limit")          \
    X(SL_ETOOMANY, 429, 8, 1, "too many requests, wait a moment")    \
    X(SL_EINVAL, 422, 2, 0, "a value is not allowed")                \
    X(SL_EUNSUPPORTED, 501, 12, 0, "this program does not do it")    \
    X(SL_EREFUSED, 500, 2, 0, "the vector index refuses the vector") \
    X(SL_EINTERNAL, 500, 13, 0, "a fault of this program")           \
    X(SL_ECORRUPT, 500, 15, 0, "stored bytes are damaged")           \
    X(SL_EIO, 500, 14, 1, "reading or writing failed")               \
    X(SL_ENOSPACE, 507, 8, 0, "the disk is full")                    \
    X(SL_EACCESS, 500, 7, 0, "the system refuses access")            \
    X(SL_ENOMEM, 500, 8, 1, "memory is exhausted")                   \
    X(SL_ECANCELED, 500, 1, 0, "it was canceled")                    \
    X(SL_ECLOSED, 503, 14, 0, "the part is shutting down")           \
    X(SL_EBUSY, 503, 14, 1, "too much work is waiting")

enum SL_RC_MUST_USE sl_rc {
#define SL_ERRORS_ENUM(name, http, grpc, retriable, text) name,
    SL_ERRORS(SL_ERRORS_ENUM)
#undef SL_ERRORS_ENUM
        SL_RC_COUNT
};
typedef enum sl_rc sl_rc;

#define SL_ERR_TEXT_SIZE 1024 /* Longest sentence seen in the contract is about 600 bytes. */

/* One failure. Zero is "no failure". Owned by the caller; no function keeps a pointer to it. */
struct sl_err {
    sl_rc rc;
    int sys_errno;    /* errno of the failed system call, 0 when none */
    const char *file; /* where it was raised, for logs of faults of our own */
    int line;
    char text[SL_ERR_TEXT_SIZE]; /* one sentence, NUL-terminated, UTF-8, cut when longer */
};

const char *sl_rc_name(sl_rc rc);
int sl_rc_http(sl_rc rc);
int sl_rc_grpc(sl_rc rc);
bool sl_rc_retriable(sl_rc rc);
const char *sl_rc_text(sl_rc rc);

/* Writes rc and a sentence into err (which may be NULL) and returns rc. Use the macros. */
sl_rc sl_err_set(struct sl_err *err, sl_rc rc, int sys_errno, const char *file, int line,
                 const char *fmt, ...) SL_PRINTF(6, 7);
/* Puts `prefix: ` before the sentence that is there. For boundaries only. err may be NULL. */
void sl_err_prefix(struct sl_err *err, const char *fmt, ...) SL_PRINTF(2, 3);
/* The sentence, or the code's general text when no sentence was written. Never NULL. */
const char *sl_err_text(const struct sl_err *err, sl_rc rc);
/* Which code an errno stands for (ENOSPC -> SL_ENOSPACE, EACCES -> SL_EACCESS, ...). */
sl_rc sl_rc_from_errno(int sys_errno);
/* Text of an errno without strerror's shared buffer; always a literal. */
const char *sl_errno_text(int sys_errno);

/* return SL_FAIL(err, SL_ECORRUPT, "segment %s: checksum %08x", name, crc); */
#define SL_FAIL(err, rc, ...) sl_err_set((err), (rc), 0, __FILE__, __LINE__, __VA_ARGS__)
/* The same for a failed system call: code and text of errno are added ("...: No space left ...").
 */
#define SL_FAIL_ERRNO(err, no, ...) \
    sl_err_set((err), sl_rc_from_errno(no), (no), __FILE__, __LINE__, __VA_ARGS__)

/* Returns from the calling function when the expression is not SL_OK. The only hidden return. */
#define SL_TRY(expr)                           \
    do {                                       \
        sl_rc sl_try_rc = (expr);              \
        if (SL_UNLIKELY(sl_try_rc != SL_OK)) { \
            return sl_try_rc;                  \
        }                                      \
    } while (0)

/* Deliberate neglect of a result, with its reason. */
#define SL_IGNORE(expr, reason)                 \
    do {                                        \
        sl_rc sl_ignored_rc SL_UNUSED = (expr); \
        (void)sizeof(reason);                   \
    } while (0)

#endif
