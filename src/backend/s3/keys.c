/* What all places of keys share: taking keys over, asking services, token files. */
#include "backend/s3/keys_int.h"

#include "base/crypto.h"
#include "base/file.h"

#define TOKEN_MAX (64u * 1024)
#define AHEAD_NS  INT64_C(300000000000) /* keys are renewed five minutes early */

void sli_s3_secret_set(struct sl_buf *to, struct sl_str text)
{
    sl_wipe(to->ptr, to->len);
    sl_buf_clear(to);
    sl_buf_add_str(to, text);
}

sl_rc sli_s3_keys_set(const struct sli_s3_search *s, struct sli_s3_keys *k, struct sl_str id,
                      struct sl_str secret, struct sl_str token, struct sl_str end,
                      const char *source, struct sl_err *err)
{
    sli_s3_secret_set(&k->id, id);
    sli_s3_secret_set(&k->secret, secret);
    sli_s3_secret_set(&k->token, token);
    SL_TRY(sl_buf_done(&k->id, err));
    SL_TRY(sl_buf_done(&k->secret, err));
    SL_TRY(sl_buf_done(&k->token, err));
    k->source = source;
    k->end_ns = k->renew_ns = INT64_MAX;
    if (end.len > 0 && !sl_time_parse(end, &k->end_ns)) {
        return SL_FAIL(err, SL_EIO, "%s: the time when the keys expire is no time", source);
    }
    if (id.len == 0 || secret.len == 0) {
        return SL_FAIL(err, SL_EIO, "%s: the answer holds no keys", source);
    }
    if (end.len > 0) {
        int64_t life = SL_MAX(k->end_ns - sl_clock_wall_ns(s->s3->store.clock), 0);
        k->renew_ns = k->end_ns - SL_MIN(AHEAD_NS, life / 4);
    }
    return SL_OK;
}

sl_rc sli_s3_keys_ask(struct sli_s3_search *s, struct sl_http_request *req,
                      struct sl_http_reply *reply, const char *what, struct sl_err *err)
{
    req->reply_max = TOKEN_MAX;
    req->cancel = s->cancel;
    sl_rc rc = sl_http_exchange(s->s3->store.http, req, reply, err);
    s->may_pass = rc == SL_EIO || rc == SL_ETIMEOUT;
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", what);
        return rc;
    }
    s->may_pass = reply->status >= 500 || reply->status == 429;
    return SL_OK;
}

sl_rc sli_s3_token_read(const char *variable, const char *path, struct sl_buf *out,
                        struct sl_err *err)
{
    sl_rc rc = sl_file_read_all(path, TOKEN_MAX, out, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", variable);
        return rc == SL_ENOTFOUND ? SL_EINVAL : rc; /* configured, so no case for the next */
    }
    return SL_OK;
}

sl_rc sli_s3_json_read(struct sl_str text, const char *source, json_t **ret, struct sl_err *err)
{
    *ret = sli_json_read(sl_str_bytes(text));
    return *ret != NULL ? SL_OK : SL_FAIL(err, SL_EIO, "%s: the answer is no JSON object", source);
}

sl_rc sli_s3_keys_json(const struct sli_s3_search *s, struct sl_str text, const char *source,
                       struct sli_s3_keys *ret, struct sl_err *err)
{
    json_t *root = NULL;
    SL_TRY(sli_s3_json_read(text, source, &root, err));
    sl_rc rc = sli_s3_keys_set(
        s, ret, sli_s3_json_text(root, "AccessKeyId"), sli_s3_json_text(root, "SecretAccessKey"),
        sli_s3_json_text(root, "Token"), sli_s3_json_text(root, "Expiration"), source, err);
    sli_json_free(root);
    return rc;
}
