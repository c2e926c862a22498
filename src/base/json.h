/* Sticky JSON writer with Go's exact text, which jansson cannot produce.
 *
 * Commas and colons are placed by the writer; misuse (a value without a key inside an object) is a
 * failed assert. Strings escape as Go's encoding/json (1.22 and later): \" \\ \b \f \n \r \t, other
 * control characters and (with html on) < > & as \u00XX in lower-case hex, U+2028/2029 as \u2028/9;
 * DEL stays raw; each byte of invalid UTF-8 becomes \ufffd. Numbers by base/num. Failure of the
 * buffer shows in sl_buf_done(w->out). */
#ifndef SL_BASE_JSON_H
#define SL_BASE_JSON_H

#include "base/buf.h"

#define SL_JSON_DEPTH_MAX 128

struct sl_json {
    struct sl_buf *out; /* borrowed */
    uint32_t depth;
    bool is_html_escaped; /* stored properties: yes; API replies: no */
    uint8_t indent;       /* 0 compact; 2 as json.MarshalIndent(v, "", "  ") */
    bool is_after_key;
    bool has_member[SL_JSON_DEPTH_MAX];
    char closer[SL_JSON_DEPTH_MAX]; /* '}' or ']' of each open level */
};

struct sl_json sl_json_over(struct sl_buf *out);
void sl_json_obj(struct sl_json *w);
void sl_json_obj_end(struct sl_json *w);
void sl_json_arr(struct sl_json *w);
void sl_json_arr_end(struct sl_json *w);
void sl_json_key(struct sl_json *w, const char *key);
void sl_json_key_str(struct sl_json *w, struct sl_str key);
void sl_json_str(struct sl_json *w, struct sl_str s);
void sl_json_text(struct sl_json *w, const char *text);
void sl_json_i64(struct sl_json *w, int64_t v);
void sl_json_u64(struct sl_json *w, uint64_t v);
void sl_json_f64(struct sl_json *w, double v); /* finite; NaN and infinities become null */
void sl_json_bool(struct sl_json *w, bool v);
void sl_json_null(struct sl_json *w);
/* A value whose JSON text is ready (trusted). */
void sl_json_raw(struct sl_json *w, struct sl_str json);
/* Times as API replies print them (quoted, sl_time_add_ms) and as files do (sl_time_add_ns). */
void sl_json_time_ms(struct sl_json *w, int64_t wall_ns);
void sl_json_time_ns(struct sl_json *w, int64_t wall_ns);

/* Nesting depth of JSON text without parsing it, counting strings right; UINT32_MAX when it is
 * unbalanced. Asked before jansson so that a bomb of brackets costs one pass. */
uint32_t sl_json_depth(struct sl_bytes text);

#endif
