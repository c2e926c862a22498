/* The credentials file of the AWS tools: "[profile]" and "name = value" lines; '#' and ';' begin a
 * remark, lines that begin with a blank belong to a nested setting and are none of ours. */
#include "backend/s3/s3_int.h"

static struct sl_str next_line(struct sl_str *text)
{
    const char *end = memchr(text->ptr, '\n', text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->ptr);
    struct sl_str line = {text->ptr, len};
    size_t step = SL_MIN(len + 1, text->len);
    *text = (struct sl_str){text->ptr + step, text->len - step};
    return line;
}

static void set(struct sl_buf *to, struct sl_str value)
{
    sl_buf_clear(to); /* the last one counts */
    sl_buf_add_str(to, value);
}

bool sli_s3_profile_read(struct sl_str text, const char *profile, struct sli_s3_keys *ret)
{
    bool is_ours = false;
    while (text.len > 0) {
        struct sl_str line = next_line(&text);
        if (line.len == 0 || line.ptr[0] == ' ' || line.ptr[0] == '\t' || line.ptr[0] == '#' ||
            line.ptr[0] == ';') {
            continue;
        }
        line = sl_str_trim(line);
        if (line.len > 1 && line.ptr[0] == '[' && line.ptr[line.len - 1] == ']') {
            is_ours = sl_str_is(sl_str_trim((struct sl_str){line.ptr + 1, line.len - 2}), profile);
            continue;
        }
        const char *eq = line.len == 0 ? NULL : memchr(line.ptr, '=', line.len);
        if (!is_ours || eq == NULL) {
            continue;
        }
        struct sl_str name = sl_str_trim((struct sl_str){line.ptr, (size_t)(eq - line.ptr)});
        struct sl_str value =
            sl_str_trim((struct sl_str){eq + 1, line.len - (size_t)(eq + 1 - line.ptr)});
        if (sl_str_is(name, "aws_access_key_id")) {
            set(&ret->key_id, value);
        } else if (sl_str_is(name, "aws_secret_access_key")) {
            set(&ret->secret, value);
        } else if (sl_str_is(name, "aws_session_token")) {
            set(&ret->token, value);
        }
    }
    return ret->key_id.len > 0 && ret->secret.len > 0;
}
