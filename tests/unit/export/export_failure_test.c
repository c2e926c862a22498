/* What goes wrong while an export runs, and what a restart finds.
 *
 * The sweeps fail call 0, 1, 2 ... of one kind, and every later one, until an export comes through.
 * After each: no call said SUCCESS that was none, the slot is free, no view stays; and after the
 * restart that follows, no record says STARTED, and what says SUCCESS is whole. */
#include "export_fixture.h"

#include <dirent.h>
#include <unistd.h>

#include "base/file.h"
#include "base/stats.h"

static struct sl_backend_ops patched_ops; /* of shared_backend, some calls replaced */
static const struct sl_backend_ops *true_ops;

static void patch(void)
{
    true_ops = shared_backend->ops;
    patched_ops = *true_ops;
    shared_backend->ops = &patched_ops;
}

static void unpatch(void)
{
    shared_backend->ops = true_ops;
}

static void two_classes(struct world *w)
{
    add_class(w, "A", "s");
    add_class(w, "Ten", NULL);
    add_tenant(w, "Ten", "t1", "");
    add_tenant(w, "Ten", "t2", "");
    add_objects(w, "A", "s", 100);
    add_objects(w, "Ten", "t1", 10);
}

/* ---- single failures ---- */

static void damaged_object_fails_the_export_and_names_its_shard(void **state)
{
    struct world *w = *state;
    uint8_t uuid[SL_UUID_SIZE] = {0};
    two_classes(w);
    uuid[15] = 50;
    assert_int_equal(
        sl_source_mem_put_bytes(w->mem_source, "A", "s", uuid, SL_BYTES("\1?", 2), NULL), SL_OK);
    expect_ok(w, create(w, "x"));
    struct sl_export_progress p = await(w, "x");
    expect_state(p, SL_EXPORT_FAILED);
    assert_int_equal(p.error.rc, SL_ECORRUPT);
    assert_non_null(strstr(p.error.text, "node node1 failed: failed to export class A shard s: "));
    assert_null(strstr(keys(w), "x/A_s"));
    expect_member(content(w, "x/export_metadata.json"), "status", "\"FAILED\"");
    expect_ok(w, status(w, "x"));
    json_t *doc = parse(sl_buf_cstr(&w->out));
    json_t *shard = json_object_get(json_object_get(json_object_get(doc, "shardStatus"), "A"), "s");
    assert_string_equal(json_string_value(json_object_get(shard, "status")), "FAILED");
    assert_non_null(json_object_get(shard, "error"));
    json_decref(doc);
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
}

static void time_no_nanosecond_holds_names_the_object(void **state)
{
    struct world *w = *state;
    struct sl_object *obj = calloc(1, sizeof *obj); /* allow: calloc, a test owns it */
    two_classes(w);
    obj->uuid[0] = 0xAB;
    obj->create_ms = INT64_MAX / 1000;
    assert_int_equal(sl_source_mem_put(w->mem_source, "A", "s", obj, NULL), SL_OK);
    free(obj); /* allow: free, a test owns it */
    expect_ok(w, create(w, "x"));
    struct sl_export_progress p = await(w, "x");
    expect_state(p, SL_EXPORT_FAILED);
    assert_non_null(strstr(p.error.text, "object ab000000-0000-0000-0000-000000000000: time"));
    w->settings.unit = SL_UNIT_MS;
    (void)export_all(w, "y");
}

static sl_rc part_full(struct sl_backend *be SL_UNUSED, struct sl_upload *up SL_UNUSED,
                       uint32_t part_no SL_UNUSED, uint64_t offset SL_UNUSED,
                       struct sl_bytes b SL_UNUSED, struct sl_err *err)
{
    return SL_FAIL(err, SL_ENOSPACE, "/exports: no space left on device");
}

static void full_destination_fails_the_export_in_its_words(void **state)
{
    struct world *w = *state;
    two_classes(w);
    patch();
    patched_ops.part = part_full;
    expect_ok(w, create(w, "x"));
    struct sl_export_progress p = await(w, "x");
    expect_state(p, SL_EXPORT_FAILED);
    assert_int_equal(p.error.rc, SL_ENOSPACE);
    assert_non_null(strstr(p.error.text, "/exports: no space left on device"));
    assert_null(strstr(p.error.text, "object "));
    unpatch();
    assert_string_equal(keys(w), "x/export_metadata.json x/node_node1_status.json");
    (void)export_all(w, "y");
}

static sl_rc probe_refused(struct sl_backend *be SL_UNUSED, struct sl_err *err)
{
    return SL_FAIL(err, SL_EACCESS, "folder /exports: permission denied");
}

static void destination_that_cannot_be_written_is_told_at_once(void **state)
{
    struct world *w = *state;
    two_classes(w);
    patch();
    patched_ops.probe = probe_refused;
    expect_refusal(w, create(w, "x"), SL_EINVAL,
                   "export validation error: initialize backend: folder /exports: permission "
                   "denied");
    unpatch();
    assert_string_equal(keys(w), "");
}

static atomic_int metadata_puts_left;

static sl_rc put_some(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                      enum sl_put_mode mode, struct sl_err *err)
{
    if (sl_str_ends(key, "/export_metadata.json") &&
        atomic_fetch_sub(&metadata_puts_left, 1) <= 0) {
        return SL_FAIL(err, SL_EIO, "the record cannot be written");
    }
    return true_ops->put(be, key, b, mode, err);
}

static void success_needs_its_record(void **state)
{
    struct world *w = *state;
    two_classes(w);
    w->settings.is_manifest = true;
    patch();
    patched_ops.put = put_some;
    metadata_puts_left = 1; /* the claim */
    expect_ok(w, create(w, "x"));
    struct sl_export_progress p = await(w, "x");
    expect_state(p, SL_EXPORT_FAILED);
    assert_string_equal(p.error.text, "the record of the end could not be stored: the record "
                                      "cannot be written");
    assert_int_equal(p.files_done, 2);
    unpatch();
    assert_null(strstr(keys(w), "/_")); /* nothing looks finished */
    world_reopen(w);                    /* the journal was not final: the records are repaired */
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "status", "\"FAILED\"");
}

static struct sl_exports *stopped_in_time;

static sl_rc put_and_stop(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                          enum sl_put_mode mode, struct sl_err *err)
{
    if (sl_str_ends(key, "/_SUCCESS")) {
        sl_exports_stop(stopped_in_time);
    }
    return true_ops->put(be, key, b, mode, err);
}

static void stop_that_finds_all_files_written_takes_nothing_back(void **state)
{
    struct world *w = *state;
    two_classes(w);
    w->settings.is_manifest = true;
    patch();
    patched_ops.put = put_and_stop;
    stopped_in_time = w->ex;
    expect_state(export_all(w, "x"), SL_EXPORT_SUCCESS);
    unpatch();
    expect_member(content(w, "x/export_metadata.json"), "status", "\"SUCCESS\"");
    expect_member(content(w, "x/export_metadata.json"), "error", NULL);
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "error", NULL);
}

static const char *refused_mark;

static sl_rc put_no_mark(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                         enum sl_put_mode mode, struct sl_err *err)
{
    return sl_str_ends(key, refused_mark) ? SL_FAIL(err, SL_EACCESS, "permission denied")
                                          : true_ops->put(be, key, b, mode, err);
}

static void success_needs_each_of_its_marks(void **state)
{
    static const char *const marks[] = {"_schema.json", "_manifest.json", "_SUCCESS"};
    struct world *w = *state;
    two_classes(w);
    w->settings.is_manifest = true;
    for (size_t i = 0; i < SL_COUNT_OF(marks); i++) {
        SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
        char id[8];
        snprintf(id, sizeof id, "x-%zu", i);
        patch();
        patched_ops.put = put_no_mark;
        refused_mark = marks[i];
        expect_ok(w, create(w, id));
        struct sl_export_progress p = await(w, id);
        unpatch();
        expect_state(p, SL_EXPORT_FAILED);
        sl_buf_addf(&want, "the record of the end could not be stored: %s: permission denied",
                    marks[i]);
        assert_string_equal(p.error.text, sl_buf_cstr(&want));
        assert_null(strstr(keys(w), "/_"));
    }
}

static sl_rc put_after_hiccup(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                              enum sl_put_mode mode, struct sl_err *err)
{
    if (mode == SL_PUT_REPLACE && atomic_fetch_sub(&metadata_puts_left, 1) > 0) {
        return SL_FAIL(err, SL_EIO, "try again");
    }
    return true_ops->put(be, key, b, mode, err);
}

static void short_hiccup_at_the_end_is_ridden_out(void **state)
{
    struct world *w = *state;
    two_classes(w);
    patch();
    patched_ops.put = put_after_hiccup;
    metadata_puts_left = 4;
    (void)export_all(w, "x");
    unpatch();
    assert_int_equal(w->clock.mono, 1500000000); /* 0.1 + 0.2 + 0.4 + 0.8 s were slept */
}

static sl_rc put_but_say_no(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                            enum sl_put_mode mode, struct sl_err *err)
{
    sl_rc rc = true_ops->put(be, key, b, mode, err);
    return rc == SL_OK ? SL_FAIL(err, SL_EIO, "the answer was lost") : rc;
}

static void claim_with_a_lost_answer_is_taken_back(void **state)
{
    struct world *w = *state;
    two_classes(w);
    patch();
    patched_ops.put = put_but_say_no;
    expect_refusal(w, create(w, "x"), SL_EIO,
                   "failed to write export metadata: the answer was lost");
    unpatch();
    assert_string_equal(keys(w), "");
    (void)export_all(w, "x"); /* the id is free */
}

static sl_rc put_marks_but_say_no(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                                  enum sl_put_mode mode, struct sl_err *err)
{
    sl_rc rc = true_ops->put(be, key, b, mode, err);
    bool is_mark = memmem(key.ptr, key.len, "/_", 2) != NULL;
    return is_mark && rc == SL_OK ? SL_FAIL(err, SL_EIO, "the answer was lost") : rc;
}

static void marks_with_lost_answers_are_found_to_be_ours(void **state)
{
    struct world *w = *state;
    two_classes(w);
    w->settings.is_manifest = true;
    patch();
    patched_ops.put = put_marks_but_say_no;
    (void)export_all(w, "x");
    unpatch();
    assert_non_null(strstr(keys(w), "x/_SUCCESS x/_manifest.json x/_schema.json"));
}

static sl_rc put_after_other(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                             enum sl_put_mode mode, struct sl_err *err)
{
    if (mode == SL_PUT_NEW) {
        SL_TRY(true_ops->put(be, key, SL_BYTES("{\"id\":\"theirs\"}", 15), SL_PUT_NEW, err));
    }
    return true_ops->put(be, key, b, mode, err);
}

static void lost_race_for_an_id_leaves_the_winner_alone(void **state)
{
    struct world *w = *state;
    two_classes(w);
    patch();
    patched_ops.put = put_after_other;
    expect_refusal(w, create(w, "x"), SL_ECONFLICT,
                   "export already exists: export \"x\" already exists at \"memory:x\"");
    unpatch();
    assert_string_equal(content(w, "x/export_metadata.json"), "{\"id\":\"theirs\"}");
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
    world_reopen(w);
    assert_string_equal(content(w, "x/export_metadata.json"), "{\"id\":\"theirs\"}");
}

static void file_that_is_there_already_is_never_replaced(void **state)
{
    struct world *w = *state;
    two_classes(w);
    assert_int_equal(sl_backend_put(shared_backend, SL_STR("x/A_s_0000.parquet"),
                                    SL_BYTES("theirs", 6), SL_PUT_NEW, NULL),
                     SL_OK);
    expect_ok(w, create(w, "x"));
    expect_state(await(w, "x"), SL_EXPORT_FAILED);
    assert_string_equal(content(w, "x/A_s_0000.parquet"), "theirs");
}

static struct sl_source_ops lying_source;
static struct sl_frozen_ops lying_view;
static const struct sl_source_ops *true_source;
static const struct sl_frozen_ops *true_view;

static sl_rc shards_with_one_more(struct sl_frozen *fz, struct sl_str class_name,
                                  struct sl_arena *arena, struct sl_shard **ret,
                                  uint32_t *ret_count, struct sl_err *err)
{
    SL_TRY(true_view->shards(fz, class_name, arena, ret, ret_count, err));
    (*ret)[0].object_count++;
    return SL_OK;
}

static sl_rc freeze_lying(struct sl_source *src, struct sl_str name, struct sl_frozen **ret,
                          struct sl_err *err)
{
    SL_TRY(true_source->freeze(src, name, ret, err));
    true_view = (*ret)->ops;
    lying_view = *true_view;
    lying_view.shards = shards_with_one_more;
    (*ret)->ops = &lying_view;
    return SL_OK;
}

static void rows_that_are_missing_are_no_success(void **state)
{
    struct world *w = *state;
    two_classes(w);
    true_source = w->mem_source->ops;
    lying_source = *true_source;
    lying_source.freeze = freeze_lying;
    w->mem_source->ops = &lying_source;
    expect_ok(w, create_of(w, "x", (const char *const[]){"A", NULL}));
    struct sl_export_progress p = await(w, "x");
    expect_state(p, SL_EXPORT_FAILED);
    assert_string_equal(p.error.text, "100 objects were read, the store counts 101");
}

/* ---- restart ---- */

static void park_once(void *arg, uint64_t row_no)
{
    if (row_no == 5) {
        gate_pass(arg);
    }
}

/* Parks an export at a row, then takes everything away that it would need to tell its end: what
 * stays is what a killed process leaves. */
static void kill_at_row(struct world *w, const char *id, bool is_cancel_wanted)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    w->settings.parallelism = 1;
    sl_source_mem_hook(w->mem_source, park_once, &w->gate);
    expect_ok(w, create(w, id));
    gate_await(&w->gate, 1);
    if (is_cancel_wanted) { /* as cancel does first */
        assert_int_equal(sli_journal_put(w->ex->jobs, SL_EXPORT_CANCELED, false, NULL), SL_OK);
    }
    sl_fault_fail_after(SL_FAULT_BACKEND, 0);
    sl_fault_fail_after(SL_FAULT_KV, 0);
    gate_open(&w->gate);
    expect_state(await(w, id), SL_EXPORT_FAILED);
    sl_exports_close(w->ex);
    w->ex = NULL;
    sl_fault_clear();
    sl_source_mem_hook(w->mem_source, NULL, NULL);
    /* The view of a killed process stays too: its name is in the journal. */
    sl_buf_add_text(&key, "j");
    sl_buf_add_u64be(&key, 0);
    sl_buf_add_text(&key, id);
    assert_int_equal(sl_kv_get(w->mem_kv, NULL, sl_buf_view(&key), &value, NULL), SL_OK);
    json_t *record = parse(sl_buf_cstr(&value));
    const char *name = json_string_value(json_object_get(record, "freeze"));
    struct sl_frozen *fz = NULL;
    assert_int_equal(w->source->ops->freeze(w->source, sl_str_from(name), &fz, NULL), SL_OK);
    sl_frozen_release(fz, false);
    json_decref(record);
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 1);
    assert_string_equal(keys(w), "x/export_metadata.json");
    expect_member(content(w, "x/export_metadata.json"), "status", "\"STARTED\"");
}

static void killed_export_is_failed_interrupted_after_the_restart(void **state)
{
    struct world *w = *state;
    two_classes(w);
    kill_at_row(w, "x", false);
    w->clock.wall += INT64_C(5000000000);
    uint64_t failed = sl_stat_get(SL_STAT_EXPORTS_FAILED);
    world_reopen(w);
    assert_int_equal(sl_stat_get(SL_STAT_EXPORTS_FAILED), failed + 1);
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
    static const char reason[] = "\"interrupted: the node stopped while the export was running\"";
    const char *record = content(w, "x/export_metadata.json");
    expect_member(record, "status", "\"FAILED\"");
    expect_member(record, "error", reason);
    expect_member(record, "completedAt", "\"2026-11-23T10:25:45.907169402Z\"");
    expect_member(record, "nodeAssignments", "{\"node1\":{\"A\":[\"s\"],\"Ten\":[\"t1\",\"t2\"]}}");
    record = content(w, "x/node_node1_status.json");
    expect_member(record, "nodeName", "\"node1\"");
    expect_member(record, "status", "\"FAILED\"");
    expect_member(record, "error", reason);
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "status", "\"FAILED\"");
    expect_member(sl_buf_cstr(&w->out), "error", reason);
    expect_member(sl_buf_cstr(&w->out), "tookInMs", "5000");
    assert_int_equal(cancel(w, "x"), SL_ECONFLICT);
    assert_int_equal(create(w, "x"), SL_ECONFLICT);
    (void)export_all(w, "y"); /* the slot is free */
    w->clock.wall += INT64_C(5000000000);
    world_reopen(w); /* what is ended is not ended again */
    expect_member(content(w, "x/export_metadata.json"), "completedAt",
                  "\"2026-11-23T10:25:45.907169402Z\"");
}

static void cancel_that_was_wanted_before_the_kill_stays(void **state)
{
    struct world *w = *state;
    two_classes(w);
    kill_at_row(w, "x", true);
    world_reopen(w);
    expect_member(content(w, "x/export_metadata.json"), "status", "\"CANCELED\"");
    expect_member(content(w, "x/export_metadata.json"), "error", "\"export was canceled\"");
    expect_member(content(w, "x/node_node1_status.json"), "status", "\"FAILED\"");
}

static void end_that_cannot_be_written_yet_is_told(void **state)
{
    struct world *w = *state;
    two_classes(w);
    kill_at_row(w, "x", true);
    patch();
    patched_ops.put = put_some;
    metadata_puts_left = 0;
    world_reopen(w);
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "status", "\"CANCELED\"");
    expect_member(sl_buf_cstr(&w->out), "error", "\"export was canceled\"");
    assert_int_equal(cancel(w, "x"), SL_ECONFLICT);
    expect_member(content(w, "x/export_metadata.json"), "status", "\"STARTED\"");
    sl_exports_close(w->ex);
    w->ex = NULL;
    unpatch();
    world_reopen(w);
    expect_member(content(w, "x/export_metadata.json"), "status", "\"CANCELED\"");
}

static void end_the_destination_tells_is_not_rewritten(void **state)
{
    struct world *w = *state;
    SL_AUTO(sl_buf) stored = SL_BUF_EMPTY;
    two_classes(w);
    (void)export_all(w, "x");
    (void)content(w, "x/export_metadata.json");
    sl_buf_add(&stored, sl_buf_view(&w->out));
    /* Killed between the record and the journal. */
    assert_int_equal(sli_journal_put(w->ex->jobs, SL_EXPORT_STARTED, false, NULL), SL_OK);
    w->clock.wall += INT64_C(5000000000);
    world_reopen(w);
    assert_string_equal(content(w, "x/export_metadata.json"), sl_buf_cstr(&stored));
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "status", "\"SUCCESS\"");
    assert_int_equal(create(w, "x"), SL_ECONFLICT);
}

static void export_killed_before_its_claim_never_was(void **state)
{
    struct world *w = *state;
    two_classes(w);
    (void)export_all(w, "x");
    assert_int_equal(sli_journal_put(w->ex->jobs, SL_EXPORT_STARTED, false, NULL), SL_OK);
    assert_int_equal(
        shared_backend->ops->remove(shared_backend, SL_STR("x/export_metadata.json"), NULL), SL_OK);
    world_reopen(w);
    expect_refusal(w, status(w, "x"), SL_ENOTFOUND, "export not found");
    assert_int_equal(
        shared_backend->ops->remove(shared_backend, SL_STR("x/A_s_0000.parquet"), NULL), SL_OK);
    assert_int_equal(
        shared_backend->ops->remove(shared_backend, SL_STR("x/Ten_t1_0000.parquet"), NULL), SL_OK);
    (void)export_all(w, "x");
}

static void unreachable_destination_does_not_keep_the_node_down(void **state)
{
    struct world *w = *state;
    two_classes(w);
    kill_at_row(w, "x", false);
    sl_fault_fail_after(SL_FAULT_BACKEND, 0);
    world_reopen(w);
    expect_member(content(w, "x/export_metadata.json"), "status", "\"STARTED\"");
    sl_fault_clear();
    expect_ok(w, status(w, "x")); /* but nobody is told that it runs */
    expect_member(sl_buf_cstr(&w->out), "status", "\"FAILED\"");
    (void)export_all(w, "y");
    while (strstr(content(w, "x/export_metadata.json"), "STARTED") != NULL) {
        continue; /* it is tried again */
    }
    expect_member(content(w, "x/export_metadata.json"), "status", "\"FAILED\"");
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
}

static struct sl_backend_ops watched_ops;
static int sweep_count;

static sl_rc count_sweep(struct sl_backend *be SL_UNUSED, struct sl_str prefix SL_UNUSED,
                         struct sl_err *err SL_UNUSED)
{
    sweep_count++;
    return SL_OK;
}

static sl_rc open_watched(const struct sl_backend_env *env, struct sl_str root,
                          struct sl_backend **ret, struct sl_err *err)
{
    SL_TRY(open_shared(env, root, ret, err));
    watched_ops = *(*ret)->ops;
    watched_ops.sweep = count_sweep;
    (*ret)->ops = &watched_ops;
    return SL_OK;
}

static void uploads_of_a_killed_export_go(void **state)
{
    struct world *w = *state;
    two_classes(w);
    kill_at_row(w, "x", false);
    sweep_count = 0;
    world_reopen_with(w, open_watched);
    assert_int_equal(sweep_count, 1);
}

/* Killed before its claim; then another node took the id. */
static void uploads_of_another_node_stay(void **state)
{
    static const char theirs[] = "{\"id\":\"x\",\"status\":\"STARTED\","
                                 "\"startedAt\":\"2026-11-23T10:25:41Z\"}";
    struct world *w = *state;
    two_classes(w);
    kill_at_row(w, "x", false);
    assert_int_equal(sl_backend_put(shared_backend, SL_STR("x/export_metadata.json"),
                                    SL_BYTES(theirs, strlen(theirs)), SL_PUT_REPLACE, NULL),
                     SL_OK);
    sweep_count = 0;
    world_reopen_with(w, open_watched);
    assert_int_equal(sweep_count, 0);
    assert_string_equal(content(w, "x/export_metadata.json"), theirs);
}

static void unreadable_journal_keeps_the_node_down(void **state)
{
    struct world *w = *state;
    sl_exports_close(w->ex);
    w->ex = NULL;
    struct sl_exports_opts opts = {.source = w->source,
                                   .journal = w->kv,
                                   .clock = &w->clock.clock,
                                   .node_name = SL_STR("node1")};
    sl_fault_fail_after(SL_FAULT_KV, 0);
    assert_int_equal(sl_exports_open(&opts, &w->ex, &w->err), SL_EIO);
    assert_null(w->ex);
}

/* ---- sweeps ---- */

static bool is_said_success(struct world *w, const char *id)
{
    sl_rc rc = status(w, id);
    return rc == SL_OK && strstr(sl_buf_cstr(&w->out), "\"status\":\"SUCCESS\",") != NULL;
}

/* After the fault is gone and the node restarted: records agree with what was told. */
static void check_after(struct world *w, const char *id, bool is_success)
{
    char key[160];
    world_reopen(w);
    snprintf(key, sizeof key, "%s/export_metadata.json", id);
    const char *record = content(w, key);
    assert_null(strstr(record, "\"STARTED\""));
    if (is_success) {
        expect_member(record, "status", "\"SUCCESS\"");
    }
    if (strstr(record, "\"SUCCESS\",\n  \"classes\"") != NULL) { /* even if nobody was told */
        SL_AUTO(sl_buf) all = SL_BUF_EMPTY;
        sl_buf_add_text(&all, keys(w));
        snprintf(key, sizeof key, "%s/A_s_0000.parquet", id);
        assert_non_null(strstr(sl_buf_cstr(&all), key));
        snprintf(key, sizeof key, "%s/Ten_t1_0000.parquet", id);
        assert_non_null(strstr(sl_buf_cstr(&all), key));
        snprintf(key, sizeof key, "%s/_SUCCESS %s/_manifest.json %s/_schema.json", id, id, id);
        assert_non_null(strstr(sl_buf_cstr(&all), key));
    } else {
        snprintf(key, sizeof key, "%s/_", id);
        assert_null(strstr(keys(w), key));
    }
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
}

/* One export with the n-th call of a kind failing; true when nothing failed. */
static bool run_with_fault(struct world *w, enum sl_fault fault, int64_t n, const char *id,
                           sl_rc want)
{
    struct sl_export_progress p = {0};
    sl_fault_fail_after(fault, n);
    sl_rc rc = create(w, id);
    if (rc == SL_OK) {
        p = await(w, id);
        assert_true(p.state == SL_EXPORT_SUCCESS || p.state == SL_EXPORT_FAILED);
    }
    sl_fault_clear();
    if (rc != SL_OK) {
        assert_true(rc == want || rc == SL_EINVAL); /* EINVAL: the probe */
        assert_int_not_equal(strlen(w->err.text), 0);
        assert_int_equal(w->out.len, 0);
        assert_false(is_said_success(w, id));
    } else if (p.state == SL_EXPORT_FAILED) {
        assert_int_equal(p.error.rc, want);
        assert_int_not_equal(strlen(p.error.text), 0);
        assert_false(is_said_success(w, id));
    } else {
        assert_true(is_said_success(w, id));
    }
    assert_false(w->ex->is_slot_taken);
    return rc == SL_OK && p.state == SL_EXPORT_SUCCESS;
}

static void sweep(struct world *w, enum sl_fault fault, sl_rc want, int64_t least)
{
    int64_t n = 0;
    w->settings.is_manifest = true;
    for (bool is_through = false; !is_through; n++) {
        char id[32];
        snprintf(id, sizeof id, "x-%lld", (long long)n);
        is_through = run_with_fault(w, fault, n, id, want);
        check_after(w, id, is_through);
    }
    assert_true(n > least);
}

static void failing_source_never_makes_a_success(void **state)
{
    struct world *w = *state;
    two_classes(w);
    sweep(w, SL_FAULT_SOURCE, SL_EIO, 110);
}

static void failing_destination_never_makes_a_success(void **state)
{
    struct world *w = *state;
    two_classes(w);
    sweep(w, SL_FAULT_BACKEND, SL_EIO, 8);
}

static void failing_journal_never_makes_a_success(void **state)
{
    struct world *w = *state;
    two_classes(w);
    sweep(w, SL_FAULT_KV, SL_EIO, 4);
}

static void refused_memory_never_makes_a_success(void **state)
{
    struct world *w = *state;
    two_classes(w);
    sweep(w, SL_FAULT_ALLOC, SL_ENOMEM, 100);
}

/* A failed attempt that left its id free lets the same id go through later. */
static void failed_create_leaves_its_id_free(void **state)
{
    struct world *w = *state;
    two_classes(w);
    for (int64_t n = 0;; n++) {
        sl_fault_fail_after(SL_FAULT_SOURCE, n);
        sl_rc rc = create(w, "x");
        sl_fault_clear();
        if (rc == SL_OK) {
            break;
        }
        assert_int_equal(rc, SL_EIO);
        assert_string_equal(keys(w), "");
        assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
    }
    SL_IGNORE(sl_export_wait(w->ex, SL_STR("x"), FOREVER, &(struct sl_export_progress){0}, NULL),
              "its end is of no interest here");
}

static void list_tells_failures(void **state)
{
    struct world *w = *state;
    two_classes(w);
    (void)export_all(w, "x");
    world_reopen(w);
    for (int64_t n = 0;; n++) {
        begin(w);
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_export_list(w->ex, &w->settings, SL_STR("filesystem"), &w->out, &w->err);
        sl_fault_clear();
        if (rc == SL_OK && strstr(sl_buf_cstr(&w->out), "\"id\":\"x\"") != NULL) {
            assert_true(n > 3);
            return;
        }
        assert_int_equal(rc, SL_ENOMEM);
    }
}

/* ---- on a real folder ---- */

static char folder[64];

static sl_rc open_folder(const struct sl_backend_env *env SL_UNUSED, struct sl_str root SL_UNUSED,
                         struct sl_backend **ret, struct sl_err *err)
{
    return sl_backend_filesystem_open(folder, ret, err);
}

static bool has_temp_file(const char *id)
{
    char path[128];
    bool has = false;
    snprintf(path, sizeof path, "%s/%s", folder, id);
    DIR *dir = opendir(path);
    struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        has = has || strstr(e->d_name, "sluice-tmp") != NULL;
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return has;
}

static void failing_file_calls_leave_no_partial_file(void **state)
{
    struct world *w = *state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/sluice-export-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(folder));
    two_classes(w);
    world_reopen_with(w, open_folder);
    bool is_through = false;
    for (int64_t n = 0; !is_through; n++) {
        char id[32];
        struct sl_export_progress p = {0};
        snprintf(id, sizeof id, "x-%lld", (long long)n);
        sl_fault_fail_after(SL_FAULT_FILE, n);
        sl_rc rc = create(w, id);
        if (rc == SL_OK) {
            p = await(w, id);
        }
        sl_fault_clear();
        is_through = rc == SL_OK && p.state == SL_EXPORT_SUCCESS;
        assert_int_equal(is_said_success(w, id), is_through);
        world_reopen_with(w, open_folder);
        assert_false(has_temp_file(id));
        rc = status(w, id);
        assert_true(rc == SL_ENOTFOUND || rc == SL_OK);
        assert_true(rc == SL_ENOTFOUND || p.state == SL_EXPORT_SUCCESS ||
                    strstr(sl_buf_cstr(&w->out), "\"FAILED\"") != NULL ||
                    strstr(sl_buf_cstr(&w->out), "\"SUCCESS\"") != NULL);
    }
    assert_int_equal(sl_dir_remove_tree(folder, NULL), SL_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(damaged_object_fails_the_export_and_names_its_shard),
        T(time_no_nanosecond_holds_names_the_object),
        T(full_destination_fails_the_export_in_its_words),
        T(destination_that_cannot_be_written_is_told_at_once),
        T(success_needs_its_record),
        T(success_needs_each_of_its_marks),
        T(stop_that_finds_all_files_written_takes_nothing_back),
        T(marks_with_lost_answers_are_found_to_be_ours),
        T(short_hiccup_at_the_end_is_ridden_out),
        T(claim_with_a_lost_answer_is_taken_back),
        T(lost_race_for_an_id_leaves_the_winner_alone),
        T(file_that_is_there_already_is_never_replaced),
        T(rows_that_are_missing_are_no_success),
        T(killed_export_is_failed_interrupted_after_the_restart),
        T(cancel_that_was_wanted_before_the_kill_stays),
        T(end_that_cannot_be_written_yet_is_told),
        T(end_the_destination_tells_is_not_rewritten),
        T(export_killed_before_its_claim_never_was),
        T(unreachable_destination_does_not_keep_the_node_down),
        T(uploads_of_a_killed_export_go),
        T(uploads_of_another_node_stay),
        T(unreadable_journal_keeps_the_node_down),
        T(failing_source_never_makes_a_success),
        T(failing_destination_never_makes_a_success),
        T(failing_journal_never_makes_a_success),
        T(refused_memory_never_makes_a_success),
        T(failed_create_leaves_its_id_free),
        T(list_tells_failures),
        T(failing_file_calls_leave_no_partial_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
