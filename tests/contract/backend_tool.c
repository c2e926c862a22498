/* A backend driven line by line from a script: settings from the environment, the place as the one
 * argument, a command on each line of standard input, an answer as a line of JSON.
 *
 * Scripts start real or scripted stores, give orders here and judge by what the store holds. A line
 * is fields divided by tabs:
 *   probe | describe
 *   put KEY TEXT | replace KEY TEXT | get KEY MAX | read KEY OFFSET LEN | remove KEY
 *   list PREFIX | folders PREFIX | sweep PREFIX
 *   upload KEY FILE PART_BYTES     a stream, parts on four threads
 *   abandon KEY FILE PART_BYTES    the same, aborted before its end
 *   leave KEY FILE PART_BYTES      parts sent, then the process ends as if it were killed */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"

#define UPLOADERS   4
#define FIELDS_MAX  4
#define BUDGET      (256u << 20)
#define PIECE_BYTES 100000u /* of one write into a stream */
#define PATIENCE_NS INT64_C(30000000000)

struct tool {
    struct sl_backend *be;
    struct sl_workers *workers;
    struct sl_json out;
    struct sl_str field[FIELDS_MAX];
    uint32_t field_count;
};

static uint64_t number(const struct tool *t, uint32_t no)
{
    uint64_t v = 0;
    if (no >= t->field_count || !sl_u64_parse(t->field[no], &v)) {
        fprintf(stderr, "backend_tool: field %u is no number\n", no);
        exit(2); /* allow: exit, a test program */
    }
    return v;
}

static sl_rc add_listed(void *arg, struct sl_str key, uint64_t size, struct sl_err *err)
{
    struct sl_json *w = arg;
    (void)err;
    sl_json_arr(w);
    sl_json_str(w, key);
    sl_json_u64(w, size);
    sl_json_arr_end(w);
    return SL_OK;
}

static sl_rc list(struct tool *t, struct sl_err *err)
{
    bool is_folders = sl_str_is(t->field[0], "folders");
    sl_json_key(&t->out, "listed");
    sl_json_arr(&t->out);
    sl_rc rc = (is_folders ? t->be->ops->list_folders : t->be->ops->list)(t->be, t->field[1],
                                                                          add_listed, &t->out, err);
    sl_json_arr_end(&t->out);
    return rc;
}

/* Bytes are told by size and SHA-256, which any script can compute. */
static sl_rc tell_bytes(struct tool *t, const struct sl_buf *b, struct sl_err *err)
{
    uint8_t digest[SL_SHA256_SIZE];
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    SL_TRY(sl_sha256(sl_buf_view(b), digest, err));
    sl_hex_add(&hex, SL_BYTES(digest, sizeof digest));
    sl_json_key(&t->out, "size");
    sl_json_u64(&t->out, b->len);
    sl_json_key(&t->out, "sha256");
    sl_json_str(&t->out, sl_buf_str(&hex));
    return SL_OK;
}

static sl_rc get(struct tool *t, struct sl_err *err)
{
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    SL_TRY(sl_str_is(t->field[0], "get")
               ? sl_backend_get(t->be, t->field[1], number(t, 2), &b, err)
               : t->be->ops->read(t->be, t->field[1], number(t, 2), (size_t)number(t, 3), &b, err));
    return tell_bytes(t, &b, err);
}

static sl_rc put(struct tool *t, struct sl_err *err)
{
    return sl_backend_put(t->be, t->field[1], sl_str_bytes(t->field[2]),
                          sl_str_is(t->field[0], "put") ? SL_PUT_NEW : SL_PUT_REPLACE, err);
}

static sl_rc load(const struct tool *t, struct sl_buf *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_add_str(&path, t->field[2]);
    return sl_file_read_all(sl_buf_cstr(&path), UINT64_C(1) << 33, ret, err);
}

static sl_rc write_all(struct sl_sink *s, const struct sl_buf *b, struct sl_err *err)
{
    for (size_t at = 0; at < b->len; at += PIECE_BYTES) {
        SL_TRY(sl_sink_write(s, SL_BYTES(b->ptr + at, SL_MIN(b->len - at, PIECE_BYTES)), err));
    }
    return SL_OK;
}

/* Until a part has arrived or failed: an upload that is aborted before has nothing to clear away.
 */
static void await_part(struct sl_sink *s, const _Atomic uint64_t *sent)
{
    struct sl_clock *clock = sl_clock_real();
    int64_t begun = sl_clock_mono_ns(clock), now = begun;
    while (atomic_load(sent) == 0 && now - begun < PATIENCE_NS &&
           sl_sink_write(s, (struct sl_bytes){0}, NULL) == SL_OK) {
        now = sl_clock_mono_ns(clock);
        SL_IGNORE(sl_clock_sleep_until(clock, now + 1000000, NULL), "nothing cancels it");
    }
}

static sl_rc stream(struct tool *t, struct sl_err *err)
{
    _Atomic uint64_t sent = 0;
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    struct sl_budget *budget = NULL;
    struct sl_part_pool *pool = NULL;
    struct sl_sink *s = NULL;
    struct sl_receipt receipt = {0};
    SL_TRY(load(t, &b, err));
    SL_TRY(sl_budget_new(BUDGET, &budget, err));
    sl_rc rc = sl_part_pool_new(budget, number(t, 3), &pool, err);
    if (rc == SL_OK) {
        struct sl_stream_opts opts = {.uploaders = t->workers, .parts = pool, .sent_bytes = &sent};
        rc = sl_stream_open(t->be, t->field[1], &opts, &s, err);
    }
    if (rc == SL_OK) {
        rc = write_all(s, &b, err);
        if (rc != SL_OK || sl_str_is(t->field[0], "abandon")) {
            if (b.len > number(t, 3)) {
                await_part(s, &sent);
            }
            sl_sink_abort(s);
        } else {
            rc = sl_sink_close(s, &receipt, err);
        }
    }
    sl_part_pool_free(pool);
    sl_budget_free(budget);
    return rc;
}

static sl_rc leave(struct tool *t, struct sl_err *err)
{
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    struct sl_upload *up = NULL;
    uint64_t part_bytes = number(t, 3);
    SL_TRY(load(t, &b, err));
    SL_TRY(t->be->ops->begin(t->be, t->field[1], &up, err));
    uint32_t no = 1;
    for (size_t at = 0; at < b.len; at += part_bytes, no++) {
        size_t len = SL_MIN(b.len - at, (size_t)part_bytes);
        sl_rc rc = t->be->ops->part(t->be, up, no, at, SL_BYTES(b.ptr + at, len), err);
        if (rc != SL_OK) {
            t->be->ops->cancel(t->be, up);
            return rc;
        }
    }
    _exit(9); /* allow: _exit, a test program that plays a kill */
}

static sl_rc run(struct tool *t, struct sl_err *err)
{
    static const struct {
        const char *name;
        uint32_t field_count;
        sl_rc (*fn)(struct tool *t, struct sl_err *err);
    } rows[] = {{"put", 3, put},       {"replace", 3, put},    {"get", 3, get},
                {"read", 4, get},      {"list", 2, list},      {"folders", 2, list},
                {"upload", 4, stream}, {"abandon", 4, stream}, {"leave", 4, leave}};
    struct sl_str name = t->field[0];
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        if (sl_str_is(name, rows[i].name) && t->field_count == rows[i].field_count) {
            return rows[i].fn(t, err);
        }
    }
    if (sl_str_is(name, "probe")) {
        return t->be->ops->probe(t->be, err);
    }
    if (sl_str_is(name, "remove") && t->field_count == 2) {
        return t->be->ops->remove(t->be, t->field[1], err);
    }
    if (sl_str_is(name, "sweep") && t->field_count == 2) {
        return t->be->ops->sweep(t->be, t->field[1], err);
    }
    if (sl_str_is(name, "describe")) {
        SL_AUTO(sl_buf) place = SL_BUF_EMPTY;
        t->be->ops->describe(t->be, (struct sl_str){NULL, 0}, &place);
        sl_json_key(&t->out, "place");
        sl_json_str(&t->out, sl_buf_str(&place));
        return SL_OK;
    }
    return SL_FAIL(err, SL_EBADREQ, "no such command: %.*s", SL_STR_ARG(name));
}

static void answer(struct tool *t, char *line)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    struct sl_err err = {0};
    t->field_count = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *at = line; t->field_count < FIELDS_MAX;) {
        size_t len = strcspn(at, "\t");
        t->field[t->field_count++] = (struct sl_str){at, len};
        if (at[len] == '\0') {
            break;
        }
        at += len + 1;
    }
    t->out = sl_json_over(&text);
    sl_json_obj(&t->out);
    sl_rc rc = run(t, &err);
    sl_json_key(&t->out, "rc");
    sl_json_text(&t->out, sl_rc_name(rc));
    sl_json_key(&t->out, "text");
    sl_json_text(&t->out, rc == SL_OK ? "" : sl_err_text(&err, rc));
    sl_json_obj_end(&t->out);
    puts(sl_buf_cstr(&text));
    (void)fflush(stdout);
}

static const char *environment(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

static int fail(sl_rc rc, const struct sl_err *err)
{
    fprintf(stderr, "%s\n", sl_err_text(err, rc));
    return 1;
}

int main(int argc, char **argv)
{
    struct sl_config config;
    struct sl_err err = {0};
    struct tool t = {.be = NULL};
    char *line = NULL;
    size_t size = 0;
    sl_rc rc = argc == 2 ? sl_config_load(&config, environment, NULL, NULL, &err)
                         : SL_FAIL(&err, SL_EBADREQ, "usage: backend_tool PLACE");
    if (rc != SL_OK) {
        return fail(rc, &err);
    }
    struct sl_backend_env env = {.config = &config, .clock = sl_clock_real()};
    rc = sl_backend_open(&env, sl_str_from(argv[1]), &t.be, &err);
    if (rc == SL_OK) {
        rc = sl_workers_new("upload", UPLOADERS, 2 * UPLOADERS, &t.workers, &err);
    }
    while (rc == SL_OK && getline(&line, &size, stdin) > 0) {
        answer(&t, line);
    }
    free(line); /* allow: free, getline made it */
    sl_workers_free(t.workers);
    sl_backend_close(t.be);
    sl_config_fini(&config);
    return rc == SL_OK ? 0 : fail(rc, &err);
}
