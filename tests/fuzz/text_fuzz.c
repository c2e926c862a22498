/* Text parsers of base: numbers against strtod, times, UUIDs, base64 and percent round trips,
 * UTF-8. */
#include <stdlib.h>

#include "base/json.h"
#include "base/num.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_number(struct sl_str s)
{
    double value = 0;
    if (!sl_f64_parse(s, &value)) {
        return;
    }
    char copy[512];
    if (s.len < sizeof(copy)) {
        memcpy(copy, s.ptr, s.len);
        copy[s.len] = '\0';
        sl_assert(strtod(copy, NULL) == value);
    }
    char text[SL_F64_TEXT_MAX];
    size_t len = sl_f64_format(value, text);
    double again = 0;
    sl_assert(len <= sizeof(text) && sl_f64_parse((struct sl_str){text, len}, &again));
    sl_assert(again == value);
}

static void check_time(struct sl_str s)
{
    SL_AUTO(sl_buf) once = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) twice = SL_BUF_EMPTY;
    int64_t ns = 0;
    if (sl_time_normalize(s, &once)) {
        sl_assert(sl_time_parse(s, &ns));
        sl_assert(sl_time_normalize(sl_buf_str(&once), &twice));
        sl_assert(sl_str_eq(sl_buf_str(&once), sl_buf_str(&twice)));
    }
}

static void check_codes(struct sl_str s)
{
    SL_AUTO(sl_buf) encoded = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) decoded = SL_BUF_EMPTY;
    sl_base64_add(&encoded, sl_str_bytes(s));
    sl_assert(sl_base64_parse(sl_buf_str(&encoded), &decoded));
    sl_assert(sl_str_eq(sl_buf_str(&decoded), s));
    sl_buf_clear(&encoded);
    sl_buf_clear(&decoded);
    sl_percent_encode(s, &encoded);
    sl_assert(sl_percent_decode(sl_buf_str(&encoded), &decoded));
    sl_assert(sl_str_eq(sl_buf_str(&decoded), s));
    sl_buf_clear(&decoded);
    (void)sl_base64_parse(s, &decoded);
    (void)sl_percent_decode(s, &decoded);
    (void)sl_hex_parse(s, &decoded);
    uint8_t uuid[SL_UUID_SIZE];
    char text[SL_UUID_TEXT_SIZE];
    if (sl_uuid_parse(s, uuid)) {
        sl_uuid_format(uuid, text);
        sl_assert(sl_uuid_parse((struct sl_str){text, sizeof(text)}, uuid));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_str s = {(const char *)data, size};
    check_number(s);
    check_time(s);
    check_codes(s);
    sl_assert(sl_utf8_valid_len(s) <= size);
    (void)sl_json_depth(sl_str_bytes(s));
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&out);
    sl_json_str(&w, s);
    sl_assert(sl_utf8_valid_len(sl_buf_str(&out)) == out.len);
    return 0;
}
