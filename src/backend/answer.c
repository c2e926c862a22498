/* What the drivers of object stores read in answers alike: JSON, dates, the time to wait. */
#include "backend/store_int.h"

#include <stdio.h>

#include "base/crypto.h"
#include "base/json.h"
#include "base/num.h"

#define SECOND_NS    INT64_C(1000000000)
#define ASKED_MAX_NS (120 * SECOND_NS) /* a Retry-After of an hour is no offer */
#define JSON_DEPTH   16

/* ---- JSON ---- */

json_t *sli_json_read(struct sl_bytes text)
{
    if (text.len == 0 || sl_json_depth(text) > JSON_DEPTH) {
        return NULL;
    }
    json_t *doc = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(doc)) {
        sli_json_free(doc);
        return NULL;
    }
    return doc;
}

static void wipe_texts(json_t *value) /* no deeper than JSON_DEPTH */
{
    const char *name;
    json_t *member;
    if (json_is_string(value)) {
        union { /* jansson's own copy, which ends here */
            const char *given;
            void *ours;
        } text = {json_string_value(value)};
        sl_wipe(text.ours, json_string_length(value));
    }
    json_object_foreach(value, name, member)
    {
        wipe_texts(member);
    }
}

void sli_json_free(json_t *root)
{
    wipe_texts(root);
    json_decref(root);
}

const char *sli_json_member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

/* ---- time ---- */

int64_t sli_date_parse(struct sl_str text)
{
    /* "Thu, 26 Nov 2026 16:03:36 GMT"; the two old forms of RFC 9110 nobody sends. */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    text = sl_str_trim(text);
    if (text.len != 29 || memcmp(text.ptr + 25, " GMT", 4) != 0 ||
        memcmp(text.ptr + 3, ", ", 2) != 0 || text.ptr[7] != ' ' || text.ptr[11] != ' ' ||
        text.ptr[16] != ' ') {
        return INT64_MIN;
    }
    for (int month = 0; month < 12; month++) {
        if (memcmp(text.ptr + 8, months + 3 * month, 3) == 0) {
            char iso[32];
            int len = snprintf(iso, sizeof iso, "%.4s-%02d-%.2sT%.8sZ", text.ptr + 12, month + 1,
                               text.ptr + 5, text.ptr + 17);
            int64_t ns;
            return sl_time_parse((struct sl_str){iso, (size_t)len}, &ns) ? ns : INT64_MIN;
        }
    }
    return INT64_MIN;
}

int64_t sli_wait_asked_ns(const struct sli_store *st, const struct sl_http_reply *reply)
{
    struct sl_str text = sl_str_trim(sl_http_header_of(reply, "retry-after"));
    uint64_t seconds = 0;
    int64_t ns = 0;
    if (sl_u64_parse(text, &seconds)) {
        ns = (int64_t)SL_MIN(seconds, 3600u) * SECOND_NS;
    } else if (text.len > 0) {
        int64_t until = sli_date_parse(text);
        ns = until == INT64_MIN ? 0 : until - sl_clock_wall_ns(st->clock);
    }
    return SL_MIN(SL_MAX(ns, 0), ASKED_MAX_NS);
}

int64_t sli_skew_ns(const struct sli_store *st, const struct sl_http_reply *reply)
{
    int64_t theirs = sli_date_parse(sl_http_header_of(reply, "date"));
    return theirs == INT64_MIN ? 0 : theirs - sl_clock_wall_ns(st->clock);
}

void sli_skew_add(struct sl_buf *out, int64_t skew_ns, const char *whose)
{
    sl_buf_addf(out,
                "the clock of this machine is %lld minutes %s %s; set it right, for example by NTP",
                (long long)((skew_ns < 0 ? -skew_ns : skew_ns) / (60 * SECOND_NS)),
                skew_ns > 0 ? "behind" : "ahead of", whose);
}

/* ---- codes ---- */

bool sli_is_one_of(struct sl_str code, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (sl_str_is(code, *list)) {
            return true;
        }
    }
    return false;
}
