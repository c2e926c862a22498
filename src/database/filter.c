/* One object against a filter; see database.h for what a filter is.
 *
 * A filter is checked against the class once and its values are brought into the form they are
 * compared in; after that an object costs the parsing of the properties that are asked for. A list
 * matches when one of its elements does. Texts are compared by their tokens, as the property's
 * tokenization divides them, so "Equal" finds a word inside a longer text as the reference does.
 * Called by search.c. */
#include "database/object_int.h"

#include <locale.h>
#include <stdlib.h>
#include <wctype.h>

#include "base/num.h"

#define DEPTH_MAX 64 /* nested operators */

enum subject { OF_PROPERTY, OF_ID, OF_CREATED, OF_UPDATED };

struct tokens {
    struct sl_str *list;
    uint32_t count, cap;
};

/* A value in the form it is compared in. */
struct want {
    struct tokens tokens; /* SL_DB_TEXT */
    double number;        /* SL_DB_INT, SL_DB_NUMBER; milliseconds of OF_CREATED, OF_UPDATED */
    int64_t time_ns;      /* SL_DB_DATE */
    uint8_t uuid[SL_UUID_SIZE];
    bool boolean;
};

struct sli_match {
    enum sl_db_op op;
    struct sli_match *children;
    uint32_t child_count;
    enum subject subject;
    const struct sl_db_property *property; /* OF_PROPERTY */
    struct want *wants;
    uint32_t want_count;
};

/* ---- tokens ---- */

/* Letters and cases of all scripts; made once, never freed. 0 on a system without C.UTF-8: then
 * only ASCII has cases. */
static locale_t letters(void)
{
    static _Atomic(locale_t) made;
    locale_t l = made;
    if (l == (locale_t)0) {
        l = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
        made = l;
    }
    return l;
}

/* The character at s[*at], which moves behind it. The text is valid UTF-8: JSON was parsed. */
static uint32_t next_char(struct sl_str s, size_t *at)
{
    uint8_t first = (uint8_t)s.ptr[(*at)++];
    uint32_t more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    uint32_t c = first < 0x80 ? first : first & (0x3Fu >> more);
    for (; more > 0 && *at < s.len; more--) {
        c = c << 6 | ((uint8_t)s.ptr[(*at)++] & 0x3F);
    }
    return c;
}

static void add_char(struct sl_buf *out, uint32_t c)
{
    if (c < 0x80) {
        sl_buf_add_u8(out, (uint8_t)c);
        return;
    }
    uint32_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    sl_buf_add_u8(out, (uint8_t)(0xF0u << (3 - more) | c >> 6 * more));
    while (more-- > 0) {
        sl_buf_add_u8(out, (uint8_t)(0x80 | (c >> 6 * more & 0x3F)));
    }
}

static bool is_letter(uint32_t c, enum sl_db_tokens how, bool keeps_wild)
{
    locale_t l = letters();
    if (keeps_wild && (c == '*' || c == '?')) {
        return true;
    }
    if (how != SL_DB_WORD) {
        return c > ' ';
    }
    if (c >= 0x80) {
        return l == (locale_t)0 || iswalnum_l((wint_t)c, l) != 0;
    }
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static uint32_t fold(uint32_t c, enum sl_db_tokens how)
{
    locale_t l = letters();
    if (how == SL_DB_WHITESPACE || how == SL_DB_FIELD) {
        return c;
    }
    if (c < 0x80 || l == (locale_t)0) {
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    }
    return (uint32_t)towlower_l((wint_t)c, l);
}

static sl_rc add_token(struct tokens *t, struct sl_arena *arena, struct sl_buf *token,
                       struct sl_err *err)
{
    if (token->len == 0) {
        return SL_OK;
    }
    struct sl_str *grown = sl_arena_grow(arena, t->list, t->count, &t->cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    t->list = grown;
    t->list[t->count] = sl_arena_str(arena, sl_buf_str(token));
    sl_buf_clear(token);
    return t->list[t->count++].ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc split(struct sl_str text, enum sl_db_tokens how, bool keeps_wild,
                   struct sl_arena *arena, struct tokens *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    *ret = (struct tokens){0};
    if (how == SL_DB_FIELD) {
        sl_buf_add_str(&token, sl_str_trim(text));
        SL_TRY(sl_buf_done(&token, err));
        return add_token(ret, arena, &token, err);
    }
    for (size_t at = 0; at < text.len;) {
        uint32_t c = next_char(text, &at);
        if (is_letter(c, how, keeps_wild)) {
            add_char(&token, fold(c, how));
        } else {
            SL_TRY(add_token(ret, arena, &token, err));
        }
    }
    SL_TRY(sl_buf_done(&token, err));
    return add_token(ret, arena, &token, err);
}

/* '*' is any text, '?' one character. One place to come back to is enough: a later star can do what
 * an earlier one could. */
static bool is_like(struct sl_str pattern, struct sl_str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, back = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            back = t;
        } else if (p < pattern.len && pattern.ptr[p] == '?') {
            p++;
            (void)next_char(text, &t);
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            (void)next_char(text, &back);
            p = star;
            t = back;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

/* ---- from filter to match ---- */

static sl_rc refuse_value(const struct sl_db_filter *f, const char *wanted, struct sl_err *err)
{
    return SL_FAIL(err, SL_EINVAL, "filter on property '%.*s': the value must be %s",
                   SL_STR_ARG(f->property), wanted);
}

static sl_rc want_text(struct sl_arena *arena, const struct sl_db_property *p,
                       const struct sl_db_filter *f, const struct sl_db_value *v, struct want *ret,
                       struct sl_err *err)
{
    if (v->kind != SL_DB_VALUE_TEXT) {
        return refuse_value(f, "a text", err);
    }
    if (sl_utf8_valid_len(v->text) != v->text.len) {
        return refuse_value(f, "valid UTF-8", err);
    }
    return split(v->text, p->tokens, f->op == SL_DB_LIKE, arena, &ret->tokens, err);
}

static sl_rc want_of_property(struct sl_arena *arena, const struct sl_db_property *p,
                              const struct sl_db_filter *f, const struct sl_db_value *v,
                              struct want *ret, struct sl_err *err)
{
    switch (p->type) {
    case SL_DB_TEXT:
        return want_text(arena, p, f, v, ret, err);
    case SL_DB_INT:
    case SL_DB_NUMBER:
        ret->number = v->number;
        return v->kind == SL_DB_VALUE_NUMBER ? SL_OK : refuse_value(f, "a number", err);
    case SL_DB_BOOLEAN:
        ret->boolean = v->boolean;
        return v->kind == SL_DB_VALUE_BOOLEAN ? SL_OK : refuse_value(f, "a boolean", err);
    case SL_DB_DATE:
        return v->kind == SL_DB_VALUE_TEXT && sl_time_parse(v->text, &ret->time_ns)
                   ? SL_OK
                   : refuse_value(f, "an RFC 3339 date", err);
    case SL_DB_UUID:
        return v->kind == SL_DB_VALUE_TEXT && sl_uuid_parse(v->text, ret->uuid)
                   ? SL_OK
                   : refuse_value(f, "a UUID", err);
    case SL_DB_BLOB:
    case SL_DB_GEO:
    case SL_DB_PHONE:
    case SL_DB_OBJECT:
    case SL_DB_REFERENCE:
        break;
    }
    return SL_FAIL(err, SL_EUNSUPPORTED, "filters on properties of type %.*s are not done here",
                   SL_STR_ARG(p->type_name));
}

/* Times of an object are asked for as milliseconds, in digits or as a number, or as a date. */
static sl_rc want_time(const struct sl_db_filter *f, const struct sl_db_value *v, struct want *ret,
                       struct sl_err *err)
{
    uint64_t ms = 0;
    int64_t ns = 0;
    if (v->kind == SL_DB_VALUE_NUMBER) {
        ret->number = v->number;
    } else if (v->kind == SL_DB_VALUE_TEXT && sl_u64_parse(v->text, &ms)) {
        ret->number = (double)ms;
    } else if (v->kind == SL_DB_VALUE_TEXT && sl_time_parse(v->text, &ns)) {
        ret->number = (double)ns / 1e6;
    } else {
        return refuse_value(f, "a time in milliseconds or an RFC 3339 date", err);
    }
    return SL_OK;
}

static sl_rc make_want(struct sl_arena *arena, const struct sli_match *m,
                       const struct sl_db_filter *f, const struct sl_db_value *v, struct want *ret,
                       struct sl_err *err)
{
    switch (m->subject) {
    case OF_PROPERTY:
        return want_of_property(arena, m->property, f, v, ret, err);
    case OF_ID:
        return v->kind == SL_DB_VALUE_TEXT && sl_uuid_parse(v->text, ret->uuid)
                   ? SL_OK
                   : refuse_value(f, "a UUID", err);
    case OF_CREATED:
    case OF_UPDATED:
        return want_time(f, v, ret, err);
    }
    return SL_OK;
}

static sl_rc find_subject(const struct sli_class *c, const struct sl_db_filter *f,
                          struct sli_match *m, struct sl_err *err)
{
    static const char *const names[] = {
        [OF_ID] = "_id", [OF_CREATED] = "_creationTimeUnix", [OF_UPDATED] = "_lastUpdateTimeUnix"};
    for (size_t i = OF_ID; i < SL_COUNT_OF(names); i++) {
        if (sl_str_is(f->property, names[i])) {
            m->subject = (enum subject)i;
            return SL_OK;
        }
    }
    m->subject = OF_PROPERTY;
    m->property = sli_property_find(c->properties, c->property_count, f->property);
    return m->property != NULL
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL,
                         "no such prop with name '%.*s' found in class '%.*s' in the schema. Check "
                         "your schema files for which properties in this class are available",
                         (int)SL_MIN(f->property.len, (size_t)255), f->property.ptr,
                         SL_STR_ARG(c->name));
}

static bool is_group(enum sl_db_op op)
{
    return op == SL_DB_AND || op == SL_DB_OR || op == SL_DB_NOT;
}

static bool is_contains(enum sl_db_op op)
{
    return op == SL_DB_CONTAINS_ANY || op == SL_DB_CONTAINS_ALL || op == SL_DB_CONTAINS_NONE;
}

static sl_rc fill_leaf(struct sl_arena *arena, const struct sli_class *c,
                       const struct sl_db_filter *f, struct sli_match *m, struct sl_err *err)
{
    SL_TRY(find_subject(c, f, m, err));
    if (f->value_count == 0 || (f->value_count != 1 && !is_contains(f->op))) {
        return refuse_value(f, is_contains(f->op) ? "a list" : "one value", err);
    }
    if (f->op == SL_DB_LIKE && (m->subject != OF_PROPERTY || m->property->type != SL_DB_TEXT)) {
        return SL_FAIL(err, SL_EINVAL, "filter on property '%.*s': Like is for texts",
                       SL_STR_ARG(f->property));
    }
    m->wants = sl_arena_array(arena, struct want, f->value_count);
    if (m->wants == NULL) {
        return SL_NOMEM(err);
    }
    m->want_count = f->value_count;
    if (f->op == SL_DB_IS_NULL) {
        m->wants[0].boolean = f->values[0].boolean;
        return f->values[0].kind == SL_DB_VALUE_BOOLEAN ? SL_OK : refuse_value(f, "a boolean", err);
    }
    for (uint32_t i = 0; i < f->value_count; i++) {
        SL_TRY(make_want(arena, m, f, &f->values[i], &m->wants[i], err));
    }
    return SL_OK;
}

static sl_rc fill(struct sl_arena *arena, const struct sli_class *c, const struct sl_db_filter *f,
                  uint32_t depth, struct sli_match *m, struct sl_err *err)
{
    m->op = f->op;
    if (!is_group(f->op)) {
        return fill_leaf(arena, c, f, m, err);
    }
    if (depth == DEPTH_MAX || f->child_count == 0 || (f->op == SL_DB_NOT && f->child_count != 1)) {
        return SL_FAIL(err, SL_EINVAL,
                       "a filter needs at least one operand for And and Or, exactly one for Not, "
                       "and at most %d levels",
                       DEPTH_MAX);
    }
    m->children = sl_arena_array(arena, struct sli_match, f->child_count);
    if (m->children == NULL) {
        return SL_NOMEM(err);
    }
    m->child_count = f->child_count;
    for (uint32_t i = 0; i < f->child_count; i++) {
        SL_TRY(fill(arena, c, &f->children[i], depth + 1, &m->children[i], err));
    }
    return SL_OK;
}

sl_rc sli_match_new(struct sl_arena *arena, const struct sli_class *c,
                    const struct sl_db_filter *filter, const struct sli_match **ret,
                    struct sl_err *err)
{
    struct sli_match *m = sl_arena_alloc(arena, sizeof *m);
    if (m == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(fill(arena, c, filter, 0, m, err));
    *ret = m;
    return SL_OK;
}

/* ---- one object ---- */

/* Where a value lies: -1 below, 0 at, 1 above what is wanted; 2 nowhere. */
enum { INCOMPARABLE = 2 };

static int order_of(double a, double b)
{
    return a < b ? -1 : a > b ? 1 : a == b ? 0 : INCOMPARABLE;
}

/* Texts are ordered by their bytes, token against token. */
static bool text_fits(enum sl_db_op op, const struct want *w, const struct tokens *have)
{
    for (uint32_t i = 0; i < w->tokens.count; i++) {
        bool is_found = false;
        for (uint32_t k = 0; k < have->count && !is_found; k++) {
            int c = sl_bytes_cmp(sl_str_bytes(have->list[k]), sl_str_bytes(w->tokens.list[i]));
            is_found = op == SL_DB_LIKE            ? is_like(w->tokens.list[i], have->list[k])
                       : op == SL_DB_GREATER       ? c > 0
                       : op == SL_DB_GREATER_EQUAL ? c >= 0
                       : op == SL_DB_LESS          ? c < 0
                       : op == SL_DB_LESS_EQUAL    ? c <= 0
                                                   : c == 0;
        }
        if (!is_found) {
            return false;
        }
    }
    return w->tokens.count > 0;
}

static int compare_value(const struct sl_db_property *p, const struct want *w, json_t *v)
{
    uint8_t uuid[SL_UUID_SIZE];
    int64_t ns = 0;
    struct sl_str text = {json_string_value(v), json_string_length(v)};
    if (p->type == SL_DB_BOOLEAN) {
        return json_is_boolean(v) ? order_of(json_is_true(v), w->boolean) : INCOMPARABLE;
    }
    if (p->type == SL_DB_INT || p->type == SL_DB_NUMBER) {
        return json_is_number(v) ? order_of(json_number_value(v), w->number) : INCOMPARABLE;
    }
    if (p->type == SL_DB_UUID && sl_uuid_parse(text, uuid)) {
        int c = memcmp(uuid, w->uuid, sizeof uuid);
        return (c > 0) - (c < 0);
    }
    if (p->type == SL_DB_DATE && sl_time_parse(text, &ns)) {
        return (ns > w->time_ns) - (ns < w->time_ns);
    }
    return INCOMPARABLE;
}

static bool order_fits(enum sl_db_op op, int order)
{
    switch (op) {
    case SL_DB_GREATER:
        return order == 1;
    case SL_DB_GREATER_EQUAL:
        return order == 0 || order == 1;
    case SL_DB_LESS:
        return order == -1;
    case SL_DB_LESS_EQUAL:
        return order == 0 || order == -1;
    case SL_DB_EQUAL:
    case SL_DB_NOT_EQUAL:
    case SL_DB_CONTAINS_ANY:
    case SL_DB_CONTAINS_ALL:
    case SL_DB_CONTAINS_NONE:
        return order == 0;
    case SL_DB_AND:
    case SL_DB_OR:
    case SL_DB_NOT:
    case SL_DB_LIKE:
    case SL_DB_IS_NULL:
        break;
    }
    return false;
}

/* The elements of the property's value: of a list its own, else the value itself. */
static size_t element_count(json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : v == NULL || json_is_null(v) ? 0 : 1;
}

static json_t *element(json_t *v, size_t i)
{
    return json_is_array(v) ? json_array_get(v, i) : v;
}

static sl_rc text_tokens(const struct sl_db_property *p, json_t *v, struct sl_arena *scratch,
                         struct tokens **ret, size_t *ret_count, struct sl_err *err)
{
    size_t count = element_count(v);
    struct tokens *list = sl_arena_array(scratch, struct tokens, count + 1);
    if (list == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < count; i++) {
        json_t *e = element(v, i);
        struct sl_str text = {json_string_value(e), json_string_length(e)};
        SL_TRY(split(text, p->tokens, false, scratch, &list[i], err));
    }
    *ret = list;
    *ret_count = count;
    return SL_OK;
}

/* Does any element fit the want? */
static bool fits_any(const struct sli_match *m, const struct want *w, json_t *v,
                     const struct tokens *tokens)
{
    for (size_t i = 0; i < element_count(v); i++) {
        bool is_fit = m->property->type == SL_DB_TEXT
                          ? text_fits(m->op, w, &tokens[i])
                          : order_fits(m->op, compare_value(m->property, w, element(v, i)));
        if (is_fit) {
            return true;
        }
    }
    return false;
}

/* Joins the answers for single wants by what the operator asks. */
static bool join(const struct sli_match *m, const bool *fits)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->want_count; i++) {
        count += fits[i];
    }
    return m->op == SL_DB_CONTAINS_ALL                                ? count == m->want_count
           : m->op == SL_DB_CONTAINS_NONE || m->op == SL_DB_NOT_EQUAL ? count == 0
                                                                      : count > 0;
}

static sl_rc run_property(const struct sli_match *m, const struct sl_object *obj,
                          struct sl_arena *scratch, bool *ret, struct sl_err *err)
{
    struct sli_members members;
    struct tokens *tokens = NULL;
    size_t token_count = 0;
    struct sl_str stored = {(const char *)obj->properties.ptr, obj->properties.len};
    SL_TRY(sli_members_split(scratch, stored, &members, err));
    struct sl_str text = sli_members_get(&members, m->property->name);
    json_t *v = text.len == 0 ? NULL : json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);
    if (m->op == SL_DB_IS_NULL) {
        *ret = (element_count(v) == 0) == m->wants[0].boolean;
        json_decref(v);
        return SL_OK;
    }
    sl_rc rc = SL_OK;
    bool *fits = sl_arena_array(scratch, bool, m->want_count);
    if (m->property->type == SL_DB_TEXT) {
        rc = text_tokens(m->property, v, scratch, &tokens, &token_count, err);
    }
    if (fits == NULL) {
        rc = SL_NOMEM(err);
    }
    for (uint32_t i = 0; rc == SL_OK && i < m->want_count; i++) {
        fits[i] = fits_any(m, &m->wants[i], v, tokens);
    }
    json_decref(v);
    if (rc == SL_OK) {
        *ret = join(m, fits);
    }
    return rc;
}

static sl_rc run_meta(const struct sli_match *m, const struct sl_object *obj,
                      struct sl_arena *scratch, bool *ret, struct sl_err *err)
{
    bool *fits = sl_arena_array(scratch, bool, m->want_count);
    if (fits == NULL) {
        return SL_NOMEM(err);
    }
    if (m->op == SL_DB_IS_NULL) {
        *ret = !m->wants[0].boolean; /* always there */
        return SL_OK;
    }
    double ms = (double)(m->subject == OF_CREATED ? obj->create_ms : obj->update_ms);
    for (uint32_t i = 0; i < m->want_count; i++) {
        int c = memcmp(obj->uuid, m->wants[i].uuid, SL_UUID_SIZE);
        fits[i] = order_fits(m->op, m->subject == OF_ID ? (c > 0) - (c < 0)
                                                        : order_of(ms, m->wants[i].number));
    }
    *ret = join(m, fits);
    return SL_OK;
}

sl_rc sli_match_run(const struct sli_match *m, const struct sl_object *obj,
                    struct sl_arena *scratch, bool *ret, struct sl_err *err)
{
    if (!is_group(m->op)) {
        return m->subject == OF_PROPERTY ? run_property(m, obj, scratch, ret, err)
                                         : run_meta(m, obj, scratch, ret, err);
    }
    bool is_fit = m->op == SL_DB_AND;
    for (uint32_t i = 0; i < m->child_count; i++) {
        SL_TRY(sli_match_run(&m->children[i], obj, scratch, &is_fit, err));
        if (is_fit == (m->op == SL_DB_OR)) {
            break; /* one true ends an Or, one false an And */
        }
    }
    *ret = m->op == SL_DB_NOT ? !is_fit : is_fit;
    return SL_OK;
}

/* ---- ids ---- */

/* How many ids the match names, at most; UINT32_MAX: it allows others. */
static uint32_t count_ids(const struct sli_match *m)
{
    if (m->subject == OF_ID && (m->op == SL_DB_EQUAL || m->op == SL_DB_CONTAINS_ANY)) {
        return m->want_count;
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->child_count; i++) {
        uint32_t n = count_ids(&m->children[i]);
        if (m->op == SL_DB_AND && n != UINT32_MAX) {
            return n;
        }
        sum += n;
    }
    return m->op == SL_DB_OR && sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

static void add_ids(const struct sli_match *m, uint8_t (*out)[SL_UUID_SIZE], uint32_t *count)
{
    for (uint32_t i = 0; i < m->want_count; i++) {
        memcpy(out[(*count)++], m->wants[i].uuid, SL_UUID_SIZE);
    }
    for (uint32_t i = 0; i < m->child_count; i++) {
        if (m->op == SL_DB_OR) {
            add_ids(&m->children[i], out, count);
        } else if (count_ids(&m->children[i]) != UINT32_MAX) {
            add_ids(&m->children[i], out, count);
            return;
        }
    }
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, SL_UUID_SIZE);
}

bool sli_match_ids(const struct sli_match *m, struct sl_arena *arena,
                   const uint8_t (**ret)[SL_UUID_SIZE], uint32_t *ret_count)
{
    uint32_t most = count_ids(m), count = 0, kept = 0;
    uint8_t(*ids)[SL_UUID_SIZE] =
        most == UINT32_MAX ? NULL : sl_arena_alloc(arena, ((size_t)most + 1) * sizeof *ids);
    if (ids == NULL) {
        return false; /* without memory for the list all objects are tried: slower, not wrong */
    }
    add_ids(m, ids, &count);
    if (count > 0) {
        qsort(ids, count, sizeof *ids, compare_ids);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || memcmp(ids[kept - 1], ids[i], SL_UUID_SIZE) != 0) {
            memmove(ids[kept++], ids[i], SL_UUID_SIZE);
        }
    }
    *ret = (const uint8_t(*)[SL_UUID_SIZE])ids;
    *ret_count = kept;
    return true;
}
