/* The two shapes of an error reply, and which failure gets which. */
#include "api/api_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

void sli_reply_code(struct sli_call *c, int code, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    sl_buf_clear(&c->out);
    struct sl_json w = sl_json_over(&c->out);
    sl_json_obj(&w);
    sl_json_key(&w, "code");
    sl_json_i64(&w, code);
    sl_json_key(&w, "message");
    sl_json_text(&w, text);
    sl_json_obj_end(&w);
    c->status = code < 600 ? code : 422;
}

/* Refusals that the reference makes before its handlers run carry a code of their own. */
static int validation_code(const struct sl_err *err, sl_rc rc)
{
    return rc == SL_EINVAL && err->sys_errno >= SL_DB_SWAGGER_TYPE ? err->sys_errno : 0;
}

void sli_reply_error(struct sli_call *c, sl_rc rc, const struct sl_err *err)
{
    int code = validation_code(err, rc);
    if (code != 0) {
        sli_reply_code(c, code, "%s", sl_err_text(err, rc));
        return;
    }
    sl_buf_clear(&c->out);
    c->status = sl_rc_http(rc);
    if (c->status >= 500 && rc != SL_EREFUSED && rc != SL_EUNSUPPORTED) { /* not the client's */
        sl_log(SL_ERROR, "request", "a request failed", SL_F_STR("method", c->method),
               SL_F_STR("path", c->path), SL_F_INT("status", c->status),
               SL_F_TEXT("error", sl_err_text(err, rc)), SL_F_STR("request_id", c->request_id));
    }
    struct sl_json w = sl_json_over(&c->out);
    sl_json_obj(&w);
    if (c->is_schema && c->status == 422) {
        sl_json_key(&w, "allowed");
        sl_json_null(&w);
    }
    sl_json_key(&w, "error");
    sl_json_arr(&w);
    sl_json_obj(&w);
    sl_json_key(&w, "message");
    sl_json_text(&w, sl_err_text(err, rc));
    sl_json_obj_end(&w);
    sl_json_arr_end(&w);
    sl_json_obj_end(&w);
    sl_buf_add_u8(&c->out, '\n');
}
