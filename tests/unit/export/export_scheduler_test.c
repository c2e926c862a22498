/* The life of exports as callers see it: create, status, cancel, list, wait, close. */
#include "export_fixture.h"

/* ---- parking a range ---- */

struct park {
    struct gate *gate;
    uint64_t at_row;
};

static void park_at_row(void *arg, uint64_t row_no)
{
    struct park *p = arg;
    if (row_no == p->at_row) {
        gate_pass(p->gate);
    }
}

/* One worker, parked before row `at_row` of the first shard that has it. */
static void park(struct world *w, struct park *p, uint64_t at_row)
{
    *p = (struct park){&w->gate, at_row};
    w->settings.parallelism = 1;
    sl_source_mem_hook(w->mem_source, park_at_row, p);
}

static void movies(struct world *w)
{
    add_class(w, "Movies", "Zt9QyD4kP0aB");
    add_objects(w, "Movies", "Zt9QyD4kP0aB", 200);
}

/* ---- create ---- */

static void export_writes_a_file_for_each_shard_and_its_records(void **state)
{
    struct world *w = *state;
    movies(w);
    add_class(w, "Ten", NULL);
    add_tenant(w, "Ten", "t1", "");
    add_tenant(w, "Ten", "t2", "");
    add_objects(w, "Ten", "t1", 2);
    expect_ok(w, create(w, "exp-1"));
    assert_string_equal(sl_buf_cstr(&w->out),
                        "{\"backend\":\"filesystem\",\"classes\":[\"Movies\",\"Ten\"],\"id\":"
                        "\"exp-1\",\"path\":\"memory:exp-1\",\"startedAt\":"
                        "\"2026-11-23T10:25:40.907Z\",\"status\":\"STARTED\"}\n");
    struct sl_export_progress p = await(w, "exp-1");
    expect_state(p, SL_EXPORT_SUCCESS);
    assert_int_equal(p.objects_total, 202);
    assert_int_equal(p.objects_done, 202);
    assert_int_equal(p.files_done, 2);
    assert_int_equal(p.ranges_total, 2);
    assert_int_equal(p.ranges_done, 2);
    assert_true(p.raw_bytes > 202 * 36);
    assert_true(p.first_byte_ns > 0);
    assert_string_equal(keys(w), "exp-1/Movies_Zt9QyD4kP0aB_0000.parquet "
                                 "exp-1/Ten_t1_0000.parquet exp-1/export_metadata.json "
                                 "exp-1/node_node1_status.json");
    size_t bytes = 0;
    (void)content(w, "exp-1/Movies_Zt9QyD4kP0aB_0000.parquet");
    bytes += w->out.len;
    (void)content(w, "exp-1/Ten_t1_0000.parquet");
    bytes += w->out.len;
    assert_int_equal(p.bytes_written, bytes);
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
}

static void describe(struct world *w, const char *key, json_t **ret)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    uint64_t need = 0;
    (void)content(w, key);
    assert_int_equal(sl_pq_footer_describe(sl_buf_view(&w->out), w->out.len, &need, &text, &w->err),
                     SL_OK);
    *ret = parse(sl_buf_cstr(&text));
}

static void expect_pairs(struct world *w, const char *key, const char *want)
{
    json_t *doc = NULL;
    describe(w, key, &doc);
    begin(w);
    size_t i = 0;
    json_t *pair = NULL;
    json_array_foreach(json_object_get(doc, "key_value_metadata"), i, pair)
    {
        sl_buf_addf(&w->out, "%s%s=%s", i == 0 ? "" : " ",
                    json_string_value(json_object_get(pair, "key")),
                    json_string_value(json_object_get(pair, "value")));
    }
    assert_string_equal(sl_buf_cstr(&w->out), want);
    json_decref(doc);
}

static void files_say_collection_tenant_and_unit(void **state)
{
    struct world *w = *state;
    movies(w);
    add_class(w, "Ten", NULL);
    add_tenant(w, "Ten", "t1", "");
    add_objects(w, "Ten", "t1", 2);
    (void)export_all(w, "ns");
    expect_pairs(w, "ns/Movies_Zt9QyD4kP0aB_0000.parquet", "collection=Movies timestamp_unit=ns");
    expect_pairs(w, "ns/Ten_t1_0000.parquet", "collection=Ten tenant=t1 timestamp_unit=ns");
    w->settings.unit = SL_UNIT_MS;
    (void)export_all(w, "ms");
    expect_pairs(w, "ms/Ten_t1_0000.parquet", "collection=Ten tenant=t1 timestamp_unit=ms");
}

static const char *annotation_of(struct world *w, const char *key, size_t leaf, json_t **ret)
{
    describe(w, key, ret);
    json_t *column = json_array_get(json_object_get(*ret, "schema"), leaf + 1);
    return json_string_value(json_object_get(column, "converted_type"));
}

static void json_is_annotated_only_when_asked_for(void **state)
{
    struct world *w = *state;
    json_t *doc = NULL;
    movies(w);
    (void)export_all(w, "plain");
    const char *key = "plain/Movies_Zt9QyD4kP0aB_0000.parquet";
    for (size_t leaf = 3; leaf < 7; leaf++) {
        assert_null(annotation_of(w, key, leaf, &doc));
        json_decref(doc);
    }
    w->settings.is_json_annotated = true;
    w->settings.compression = SL_COMPRESSION_SMALL;
    (void)export_all(w, "json");
    key = "json/Movies_Zt9QyD4kP0aB_0000.parquet";
    assert_null(annotation_of(w, key, 3, &doc)); /* vector is no JSON */
    json_decref(doc);
    for (size_t leaf = 4; leaf < 7; leaf++) {
        assert_string_equal(annotation_of(w, key, leaf, &doc), "JSON");
        json_decref(doc);
    }
}

static void equal_data_and_settings_make_equal_files(void **state)
{
    struct world *w = *state;
    SL_AUTO(sl_buf) first = SL_BUF_EMPTY;
    movies(w);
    (void)export_all(w, "one");
    (void)content(w, "one/Movies_Zt9QyD4kP0aB_0000.parquet");
    sl_buf_add(&first, sl_buf_view(&w->out));
    w->clock.wall += 12345678901;
    w->settings.parallelism = 1;
    (void)export_all(w, "two");
    (void)content(w, "two/Movies_Zt9QyD4kP0aB_0000.parquet");
    assert_true(sl_bytes_eq(sl_buf_view(&first), sl_buf_view(&w->out)));
}

static void colliding_names_make_two_files(void **state)
{
    struct world *w = *state;
    add_class(w, "A_B", "c");
    add_class(w, "A", NULL);
    add_tenant(w, "A", "B_c", "");
    add_objects(w, "A_B", "c", 3);
    add_objects(w, "A", "B_c", 5);
    struct sl_export_progress p = export_all(w, "x");
    assert_int_equal(p.objects_done, 8);
    assert_string_equal(keys(w), "x/A_B_c_0000.parquet x/A_B_c_0001.parquet "
                                 "x/export_metadata.json x/node_node1_status.json");
    expect_pairs(w, "x/A_B_c_0000.parquet", "collection=A tenant=B_c timestamp_unit=ns");
    expect_pairs(w, "x/A_B_c_0001.parquet", "collection=A_B timestamp_unit=ns");
}

static void large_shard_becomes_one_file_a_range(void **state)
{
    struct world *w = *state;
    add_class(w, "Big", "s");
    add_objects(w, "Big", "s", 100000);
    struct sl_export_progress p = export_all(w, "x");
    assert_int_equal(p.objects_done, 100000);
    assert_string_equal(keys(w), "x/Big_s_0000.parquet x/Big_s_0001.parquet "
                                 "x/export_metadata.json x/node_node1_status.json");
    json_t *doc = NULL;
    int64_t rows = 0;
    describe(w, "x/Big_s_0000.parquet", &doc);
    rows += json_integer_value(json_object_get(doc, "num_rows"));
    json_decref(doc);
    describe(w, "x/Big_s_0001.parquet", &doc);
    rows += json_integer_value(json_object_get(doc, "num_rows"));
    json_decref(doc);
    assert_int_equal(rows, 100000);
}

static void nothing_to_read_is_a_success_without_files(void **state)
{
    struct world *w = *state;
    add_class(w, "Ten", NULL);
    (void)export_all(w, "no-tenants");
    expect_member(content(w, "no-tenants/export_metadata.json"), "nodeAssignments", NULL);
    expect_ok(w, status(w, "no-tenants"));
    expect_member(sl_buf_cstr(&w->out), "shardStatus", NULL);
    expect_member(sl_buf_cstr(&w->out), "percent", "100");
    add_tenant(w, "Ten", "t1", "tenant status is FROZEN");
    add_tenant(w, "Ten", "t2", "");
    (void)export_all(w, "skipped");
    expect_ok(w, status(w, "skipped"));
    expect_member(sl_buf_cstr(&w->out), "shardStatus",
                  "{\"Ten\":{\"t1\":{\"skipReason\":\"tenant status is FROZEN\",\"status\":"
                  "\"SKIPPED\"},\"t2\":{\"skipReason\":\"no data\",\"status\":\"SKIPPED\"}}}");
    assert_string_equal(keys(w), "no-tenants/export_metadata.json "
                                 "no-tenants/node_node1_status.json skipped/export_metadata.json "
                                 "skipped/node_node1_status.json");
}

static void unknown_collections_are_told(void **state)
{
    struct world *w = *state;
    movies(w);
    expect_ok(w, create_of(w, "x", (const char *const[]){"Nope", "Movies", "movies", NULL}));
    expect_member(sl_buf_cstr(&w->out), "unknownCollections", "[\"Nope\",\"movies\"]");
    expect_state(await(w, "x"), SL_EXPORT_SUCCESS);
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "unknownCollections", "[\"Nope\",\"movies\"]");
    expect_member(sl_buf_cstr(&w->out), "classes", "[\"Movies\"]");
    (void)export_all(w, "y");
    expect_ok(w, status(w, "y"));
    expect_member(sl_buf_cstr(&w->out), "unknownCollections", NULL);
}

/* Each row breaks one more rule than the row before it, from the last check to the first. */
static void first_broken_rule_is_the_one_told(void **state)
{
    struct world *w = *state;
    struct sl_str movie = SL_STR("Movies");
    char long_id[130];
    memset(long_id, 'a', sizeof long_id - 1);
    long_id[129] = '\0';
    movies(w);
    (void)export_all(w, "taken");
    const struct {
        const char *backend, *id, *text;
        bool is_disabled, is_both, is_excluded;
        sl_rc rc;
    } rows[] = {
        {"filesystem", "taken",
         "export already exists: export \"taken\" already exists at \"memory:taken\"",
         .rc = SL_ECONFLICT},
        {"tape", "taken",
         "export validation error: backend tape not available: backup: tape not found",
         .rc = SL_EINVAL},
        {"tape", "taken", "export validation error: no exportable classes", .is_excluded = true,
         .rc = SL_EINVAL},
        {"tape", "taken",
         "export validation error: resolve classes: cannot specify both 'include' and 'exclude'",
         .is_excluded = true, .is_both = true, .rc = SL_EINVAL},
        {"s3", "taken",
         "export validation error: EXPORT_DEFAULT_BUCKET is required for backend \"s3\"",
         .is_excluded = true, .is_both = true, .rc = SL_EINVAL},
        {"s3", "A B",
         "export validation error: invalid export id: 'A B' allowed characters are lowercase, 0-9, "
         "_, -",
         .is_excluded = true, .is_both = true, .rc = SL_EINVAL},
        {"s3", long_id, "export validation error: export id too long: 129 characters, max 128",
         .is_excluded = true, .is_both = true, .rc = SL_EINVAL},
        {"s3", long_id,
         "export API is disabled; enable it via EXPORT_ENABLED=true or the runtime config",
         .is_disabled = true, .is_excluded = true, .is_both = true, .rc = SL_EINVAL},
        {"s3", "", "export ID is required", .is_disabled = true, .is_excluded = true,
         .is_both = true, .rc = SL_EINVAL},
    };
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct sl_export_request request = {.backend = sl_str_from(rows[i].backend),
                                            .id = sl_str_from(rows[i].id),
                                            .include = &movie,
                                            .include_count = rows[i].is_both,
                                            .exclude = &movie,
                                            .exclude_count = rows[i].is_excluded};
        begin(w);
        w->settings.is_enabled = !rows[i].is_disabled;
        sl_rc rc = sl_export_create(w->ex, &w->settings, &request, &w->out, &w->err);
        expect_refusal(w, rc, rows[i].rc, rows[i].text);
    }
    w->settings.is_enabled = true;
    (void)export_all(w, "free"); /* no refusal took the slot */
}

static void longest_and_oddest_good_ids_are_taken(void **state)
{
    struct world *w = *state;
    char id[129];
    memset(id, 'z', sizeof id - 1);
    id[128] = '\0';
    movies(w);
    (void)export_all(w, id);
    (void)export_all(w, "-");
    (void)export_all(w, "_0-9_az");
}

static void destinations_not_built_in_are_refused(void **state)
{
    struct world *w = *state;
    movies(w);
    sl_exports_close(w->ex);
    struct sl_exports_opts opts = {
        .source = w->source, .clock = &w->clock.clock, .node_name = SL_STR("node1")};
    assert_int_equal(sl_exports_open(&opts, &w->ex, &w->err), SL_OK);
    w->settings.bucket = SL_STR("bucket");
    static const char *const names[] = {"S3", "gs", "az", "backup-", "Filesystem"};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        char text[160];
        struct sl_export_request request = {.backend = sl_str_from(names[i]), .id = SL_STR("x")};
        begin(w);
        sl_rc rc = sl_export_create(w->ex, &w->settings, &request, &w->out, &w->err);
        snprintf(text, sizeof text,
                 "export validation error: backend %s not available: backup: %s not found",
                 names[i], names[i]);
        expect_refusal(w, rc, SL_EINVAL, text);
    }
}

static char seen_place[64]; /* by the opener below */

static sl_rc note_place(const struct sl_backend_env *env SL_UNUSED, struct sl_str place,
                        struct sl_backend **ret SL_UNUSED, struct sl_err *err)
{
    snprintf(seen_place, sizeof seen_place, "%.*s", SL_STR_ARG(place));
    return SL_FAIL(err, SL_EACCESS, "seen");
}

static void place_is_of_backend_bucket_and_path(void **state)
{
    static const struct {
        const char *backend, *place;
    } cases[] = {
        {"filesystem", "/data/exports"}, {"backup-filesystem", "/data/exports"},
        {"s3", "s3://bucket/a/b"},       {"backup-s3", "s3://bucket/a/b"},
        {"gcs", "gs://bucket/a/b"},      {"backup-gcs", "gs://bucket/a/b"},
        {"azure", "az://bucket/a/b"},    {"backup-azure", "az://bucket/a/b"},
    };
    struct world *w = *state;
    movies(w);
    world_reopen_with(w, note_place);
    w->settings.store_path = SL_STR("a/b");
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct sl_export_request request = {.backend = sl_str_from(cases[i].backend),
                                            .id = SL_STR("x")};
        bool is_store = strstr(cases[i].place, "://") != NULL;
        if (is_store) { /* a bucket is asked for */
            begin(w);
            w->settings.bucket = SL_STR("");
            assert_int_equal(sl_export_create(w->ex, &w->settings, &request, &w->out, &w->err),
                             SL_EINVAL);
            assert_non_null(strstr(w->err.text, "EXPORT_DEFAULT_BUCKET"));
        }
        w->settings.bucket = SL_STR("bucket");
        begin(w);
        assert_int_equal(sl_export_create(w->ex, &w->settings, &request, &w->out, &w->err),
                         SL_EACCESS);
        assert_string_equal(seen_place, cases[i].place);
    }
    w->settings.path = SL_STR("s3://bucket/a");
    begin(w);
    struct sl_export_request request = {.backend = SL_STR("filesystem"), .id = SL_STR("x")};
    assert_int_equal(sl_export_create(w->ex, &w->settings, &request, &w->out, &w->err), SL_EINVAL);
}

static void module_s_name_of_the_backend_is_accepted_and_echoed(void **state)
{
    struct world *w = *state;
    movies(w);
    struct sl_export_request request = {.backend = SL_STR("backup-filesystem"), .id = SL_STR("x")};
    begin(w);
    expect_ok(w, sl_export_create(w->ex, &w->settings, &request, &w->out, &w->err));
    expect_member(sl_buf_cstr(&w->out), "backend", "\"backup-filesystem\"");
    expect_state(await(w, "x"), SL_EXPORT_SUCCESS);
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "backend", "\"backup-filesystem\"");
    world_reopen(w); /* from the record */
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "backend", "\"backup-filesystem\"");
}

static void ids_are_never_used_again(void **state)
{
    struct world *w = *state;
    static const char taken[] =
        "export already exists: export \"x\" already exists at \"memory:x\"";
    static const char known[] =
        "export already exists: export \"x\" already exists at \"/data/exports/x\"";
    movies(w);
    (void)export_all(w, "x");
    expect_refusal(w, create(w, "x"), SL_ECONFLICT, taken);
    /* Even when somebody cleared the destination, or another one is asked for: where it was. */
    assert_int_equal(
        shared_backend->ops->remove(shared_backend, SL_STR("x/export_metadata.json"), NULL), SL_OK);
    expect_refusal(w, create(w, "x"), SL_ECONFLICT, known);
    world_reopen(w);
    expect_refusal(w, create(w, "x"), SL_ECONFLICT, known);
    /* And when another node that shares the destination took it. */
    assert_int_equal(sl_backend_put(shared_backend, SL_STR("y/export_metadata.json"),
                                    SL_BYTES("{}", 2), SL_PUT_NEW, NULL),
                     SL_OK);
    assert_int_equal(create(w, "y"), SL_ECONFLICT);
}

/* ---- one at a time ---- */

static void second_export_of_a_node_is_refused_until_the_first_ended(void **state)
{
    struct world *w = *state;
    struct park p;
    movies(w);
    park(w, &p, 0);
    expect_ok(w, create(w, "first"));
    gate_await(&w->gate, 1);
    expect_refusal(w, create(w, "second"), SL_ECONFLICT,
                   "prepare node node1: export already active: export \"first\" already in "
                   "progress");
    struct sl_export_progress progress = {0};
    assert_int_equal(sl_export_wait(w->ex, SL_STR("first"), 1, &progress, &w->err), SL_ETIMEOUT);
    assert_int_equal(progress.state, SL_EXPORT_TRANSFERRING);
    gate_open(&w->gate);
    expect_state(await(w, "first"), SL_EXPORT_SUCCESS);
    (void)export_all(w, "second");
    assert_int_equal(sl_export_wait(w->ex, SL_STR("third"), 1, &progress, &w->err), SL_ENOTFOUND);
    assert_int_equal(sl_export_progress(w->ex, SL_STR("third"), &progress, &w->err), SL_ENOTFOUND);
}

struct racer {
    struct world *w;
    char id[16];
    sl_rc rc;
};

static void race(void *arg)
{
    struct racer *r = arg;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_export_request request = {.backend = SL_STR("filesystem"), .id = sl_str_from(r->id)};
    r->rc = sl_export_create(r->w->ex, &r->w->settings, &request, &out, NULL);
}

static void of_many_at_once_one_wins(void **state)
{
    enum { RACERS = 8 };
    struct world *w = *state;
    struct racer racers[RACERS];
    struct sl_thread *threads[RACERS];
    struct park p;
    const char *winner = NULL;
    movies(w);
    park(w, &p, 0);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.w = w};
        snprintf(racers[i].id, sizeof racers[i].id, "id-%d", i / 2); /* pairs want the same id */
        assert_int_equal(sl_thread_start("racer", race, &racers[i], &threads[i], NULL), SL_OK);
    }
    for (int i = 0; i < RACERS; i++) {
        sl_thread_join(threads[i]);
        if (racers[i].rc == SL_OK) {
            assert_null(winner);
            winner = racers[i].id;
        } else {
            assert_int_equal(racers[i].rc, SL_ECONFLICT);
        }
    }
    assert_non_null(winner);
    gate_open(&w->gate);
    expect_state(await(w, winner), SL_EXPORT_SUCCESS);
    for (int i = 0; i < RACERS; i++) { /* losers left nothing: their ids are free */
        if (strcmp(racers[i].id, winner) != 0 && i % 2 == 0) {
            (void)export_all(w, racers[i].id);
        }
    }
}

/* ---- the instant ---- */

static void what_is_written_after_the_reply_is_not_in(void **state)
{
    struct world *w = *state;
    struct park p;
    movies(w);
    add_class(w, "Other", "s");
    add_objects(w, "Other", "s", 10);
    park(w, &p, 0);
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    add_objects(w, "Movies", "Zt9QyD4kP0aB", 300);
    sl_source_mem_empty(w->mem_source, "Other", "s");
    add_class(w, "Later", "s");
    gate_open(&w->gate);
    struct sl_export_progress done = await(w, "x");
    expect_state(done, SL_EXPORT_SUCCESS);
    assert_int_equal(done.objects_done, 210);
}

/* ---- status ---- */

static void status_is_live(void **state)
{
    struct world *w = *state;
    struct park p;
    movies(w);
    park(w, &p, 130);
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    w->clock.mono += INT64_C(2000000000);
    expect_ok(w, status(w, "x")); /* rows are counted by 64 */
    const char *reply = sl_buf_cstr(&w->out);
    expect_member(reply, "status", "\"TRANSFERRING\"");
    expect_member(reply, "objectsTotal", "200");
    expect_member(reply, "objectsExported", "128");
    expect_member(reply, "percent", "64");
    expect_member(reply, "etaSeconds", "1.1000000000000001"); /* 72 rows at 64 a second */
    expect_member(reply, "completedAt", NULL);
    expect_member(reply, "tookInMs", NULL);
    expect_member(reply, "error", NULL);
    expect_member(reply, "shardStatus",
                  "{\"Movies\":{\"Zt9QyD4kP0aB\":{\"objectsExported\":128,\"status\":"
                  "\"TRANSFERRING\"}}}");
    w->clock.wall += INT64_C(46881000000);
    gate_open(&w->gate);
    expect_state(await(w, "x"), SL_EXPORT_SUCCESS);
    expect_ok(w, status(w, "x"));
    reply = sl_buf_cstr(&w->out);
    expect_member(reply, "status", "\"SUCCESS\"");
    expect_member(reply, "percent", "100");
    expect_member(reply, "etaSeconds", NULL);
    expect_member(reply, "completedAt", "\"2026-11-23T10:26:27.788Z\"");
    expect_member(reply, "tookInMs", "46881");
    assert_int_equal(reply[strlen(reply) - 1], '\n');
}

static void poll_writes_nothing(void **state)
{
    struct world *w = *state;
    struct park p;
    movies(w);
    park(w, &p, 10);
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    sl_fault_fail_after(SL_FAULT_BACKEND, 0); /* any call would fail, and the poll with it */
    sl_fault_fail_after(SL_FAULT_KV, 0);
    expect_ok(w, status(w, "x"));
    sl_fault_clear();
    assert_string_equal(keys(w), "x/export_metadata.json");
    gate_open(&w->gate);
    expect_state(await(w, "x"), SL_EXPORT_SUCCESS);
}

static void running_export_is_known_whatever_the_settings_say_now(void **state)
{
    struct world *w = *state;
    struct park p;
    movies(w);
    (void)export_all(w, "before");
    park(w, &p, 10);
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    w->settings.path = SL_STR("/somewhere/else");
    w->settings.is_enabled = false;
    expect_ok(w, status(w, "x"));
    expect_ok(w, status(w, "before"));
    static const char disabled[] =
        "export API is disabled; enable it via EXPORT_ENABLED=true or the runtime config";
    expect_refusal(w, create(w, "y"), SL_EINVAL, disabled);
    expect_refusal(w, status(w, "unknown"), SL_EINVAL, disabled);
    expect_refusal(w, cancel(w, "unknown"), SL_EINVAL, disabled);
    assert_int_equal(cancel(w, "before"), SL_ECONFLICT);
    gate_open(&w->gate);
    expect_state(await(w, "x"), SL_EXPORT_SUCCESS);
}

/* Destinations by their root: what the fixture shares, and one that holds nothing. */
static sl_rc open_by_root(const struct sl_backend_env *env, struct sl_str root,
                          struct sl_backend **ret, struct sl_err *err)
{
    if (sl_str_is(root, "/elsewhere")) {
        return sl_backend_mem_open(ret, err);
    }
    return open_shared(env, root, ret, err);
}

static void exports_are_found_where_they_wrote(void **state)
{
    struct world *w = *state;
    struct sl_err *err = &w->err;
    movies(w);
    world_reopen_with(w, open_by_root);
    expect_ok(w, create(w, "x"));
    expect_state(await(w, "x"), SL_EXPORT_SUCCESS);
    w->settings.path = SL_STR("/elsewhere");
    for (int restarted = 0; restarted < 2; restarted++) {
        expect_ok(w, status(w, "x"));
        assert_non_null(strstr(sl_buf_cstr(&w->out), "\"status\":\"SUCCESS\""));
        assert_non_null(strstr(sl_buf_cstr(&w->out), "\"path\":\"memory:x\""));
        assert_int_equal(
            sl_export_cancel(w->ex, &w->settings, SL_STR("filesystem"), SL_STR("x"), err),
            SL_ECONFLICT);
        assert_int_equal(status(w, "y"), SL_ENOTFOUND);
        sl_buf_clear(&w->out);
        assert_int_equal(sl_export_list(w->ex, &w->settings, SL_STR("filesystem"), &w->out, err),
                         SL_OK);
        /* The list is of the place of now, and of what this process still holds. */
        assert_int_equal(strstr(sl_buf_cstr(&w->out), "\"id\":\"x\"") != NULL, restarted == 0);
        world_reopen_with(w, open_by_root);
    }
    assert_int_equal(create(w, "x"), SL_ECONFLICT);
}

static void unknown_ids_are_not_found(void **state)
{
    struct world *w = *state;
    expect_refusal(w, status(w, "nope"), SL_ENOTFOUND, "export not found");
    expect_refusal(w, cancel(w, "nope"), SL_ENOTFOUND, "export not found");
    expect_refusal(w, status(w, "A B"), SL_EINVAL,
                   "export validation error: invalid export id: 'A B' allowed characters are "
                   "lowercase, 0-9, _, -");
    begin(w);
    sl_rc rc = sl_export_status(w->ex, &w->settings, SL_STR("s3"), SL_STR("x"), &w->out, &w->err);
    expect_refusal(w, rc, SL_EINVAL,
                   "export validation error: EXPORT_DEFAULT_BUCKET is required for backend \"s3\"");
}

static void damaged_record_is_an_error_of_its_own(void **state)
{
    struct world *w = *state;
    assert_int_equal(sl_backend_put(shared_backend, SL_STR("x/export_metadata.json"),
                                    SL_BYTES("{\"id\":", 6), SL_PUT_NEW, NULL),
                     SL_OK);
    expect_refusal(w, status(w, "x"), SL_ECORRUPT,
                   "get export metadata: memory:x/export_metadata.json is not JSON");
}

/* 20 exports: the first ones are answered from their records by then. */
static void old_exports_are_told_from_their_records(void **state)
{
    struct world *w = *state;
    char id[16];
    movies(w);
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "x-%02d", i);
        (void)export_all(w, id);
    }
    struct sl_export_progress p = {0};
    assert_int_equal(sl_export_progress(w->ex, SL_STR("x-03"), &p, &w->err), SL_ENOTFOUND);
    assert_int_equal(sl_export_progress(w->ex, SL_STR("x-04"), &p, &w->err), SL_OK);
    for (int i = 3; i < 5; i++) { /* the last from a record, the first from memory */
        snprintf(id, sizeof id, "x-%02d", i);
        expect_ok(w, status(w, id));
        const char *reply = sl_buf_cstr(&w->out);
        expect_member(reply, "status", "\"SUCCESS\"");
        expect_member(reply, "classes", "[\"Movies\"]");
        expect_member(reply, "objectsTotal", "200");
        expect_member(reply, "completedAt", "\"2026-11-23T10:25:40.907Z\"");
        expect_member(reply, "startedAt", "\"2026-11-23T10:25:40.907Z\"");
        expect_member(reply, "shardStatus",
                      "{\"Movies\":{\"Zt9QyD4kP0aB\":{\"objectsExported\":200,\"status\":"
                      "\"SUCCESS\"}}}");
        assert_int_equal(cancel(w, id), SL_ECONFLICT);
    }
}

/* ---- while POST is at work ---- */

static struct sl_backend_ops patched_ops; /* of shared_backend, some calls replaced */
static const struct sl_backend_ops *true_ops;
static struct gate *claim_gate;

static sl_rc put_behind_gate(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                             enum sl_put_mode mode, struct sl_err *err)
{
    sl_rc rc = true_ops->put(be, key, b, mode, err);
    if (mode == SL_PUT_NEW) {
        gate_pass(claim_gate); /* stored, but its caller does not know yet */
    }
    return rc;
}

static void export_is_unknown_until_its_post_is_answered(void **state)
{
    struct world *w = *state;
    struct racer r = {.w = w, .id = "x"};
    struct sl_thread *thread = NULL;
    movies(w);
    claim_gate = &w->gate;
    true_ops = shared_backend->ops;
    patched_ops = *true_ops;
    patched_ops.put = put_behind_gate;
    shared_backend->ops = &patched_ops;
    assert_int_equal(sl_thread_start("post", race, &r, &thread, NULL), SL_OK);
    gate_await(&w->gate, 1);
    assert_string_equal(keys(w), "x/export_metadata.json");
    expect_refusal(w, status(w, "x"), SL_ENOTFOUND, "export not found");
    expect_refusal(w, cancel(w, "x"), SL_ENOTFOUND, "export not found");
    begin(w);
    expect_ok(w, sl_export_list(w->ex, &w->settings, SL_STR("filesystem"), &w->out, &w->err));
    assert_string_equal(sl_buf_cstr(&w->out), "{\"exports\":[]}\n");
    gate_open(&w->gate);
    sl_thread_join(thread);
    assert_int_equal(r.rc, SL_OK);
    expect_state(await(w, "x"), SL_EXPORT_SUCCESS);
    shared_backend->ops = true_ops;
}

/* ---- cancel ---- */

struct canceler {
    struct world *w;
    sl_rc rc;
    struct sl_err err;
};

static void cancel_x(void *arg)
{
    struct canceler *c = arg;
    c->rc = sl_export_cancel(c->w->ex, &c->w->settings, SL_STR("filesystem"), SL_STR("x"), &c->err);
}

/* Cancels x, whose one range is parked, and lets the range go on once the wish is known. */
static void cancel_parked(struct world *w)
{
    struct canceler c = {.w = w};
    struct sl_thread *thread = NULL;
    assert_int_equal(sl_thread_start("cancel", cancel_x, &c, &thread, NULL), SL_OK);
    assert_true(sl_cancel_wait_for(&w->ex->jobs->cancel, FOREVER));
    gate_open(&w->gate);
    sl_thread_join(thread);
    assert_string_equal(c.err.text, "");
    assert_int_equal(c.rc, SL_OK);
}

static void cancel_is_sticky_and_leaves_no_partial_file(void **state)
{
    struct world *w = *state;
    struct park p;
    movies(w);
    add_class(w, "Zoo", "s");
    add_objects(w, "Zoo", "s", 1000);
    park(w, &p, 900); /* Movies is whole by then */
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    w->clock.wall += INT64_C(3000000000);
    cancel_parked(w);
    assert_string_equal(keys(w), "x/Movies_Zt9QyD4kP0aB_0000.parquet x/export_metadata.json "
                                 "x/node_node1_status.json");
    expect_ok(w, status(w, "x"));
    const char *reply = sl_buf_cstr(&w->out);
    expect_member(reply, "status", "\"CANCELED\"");
    expect_member(reply, "error", "\"export was canceled\"");
    expect_member(reply, "completedAt", "\"2026-11-23T10:25:43.907Z\"");
    expect_member(reply, "tookInMs", "3000");
    expect_member(reply, "shardStatus", NULL);
    expect_member(content(w, "x/export_metadata.json"), "status", "\"CANCELED\"");
    expect_member(content(w, "x/node_node1_status.json"), "status", "\"FAILED\"");
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
    expect_refusal(w, cancel(w, "x"), SL_ECONFLICT, "export has already finished");
    assert_int_equal(create(w, "x"), SL_ECONFLICT); /* the id stays burned */
    (void)export_all(w, "y");                       /* the slot is free */
    world_reopen(w);
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "status", "\"CANCELED\"");
    expect_refusal(w, cancel(w, "x"), SL_ECONFLICT, "export has already finished");
}

static void cancel_wins_over_a_later_failure(void **state)
{
    struct world *w = *state;
    struct park p;
    movies(w);
    park(w, &p, 10);
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    sl_fault_fail_after(SL_FAULT_SOURCE, 0); /* the next object would fail */
    cancel_parked(w);
    sl_fault_clear();
    expect_state(await(w, "x"), SL_EXPORT_CANCELED);
}

static void finished_export_cannot_be_canceled(void **state)
{
    struct world *w = *state;
    movies(w);
    (void)export_all(w, "x");
    expect_refusal(w, cancel(w, "x"), SL_ECONFLICT, "export has already finished");
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "status", "\"SUCCESS\"");
}

/* ---- list ---- */

static void list_shows_newest_first_and_nothing_foreign(void **state)
{
    struct world *w = *state;
    struct park p;
    begin(w);
    expect_ok(w, sl_export_list(w->ex, &w->settings, SL_STR("filesystem"), &w->out, &w->err));
    assert_string_equal(sl_buf_cstr(&w->out), "{\"exports\":[]}\n");
    movies(w);
    (void)export_all(w, "b");
    w->clock.wall += INT64_C(1000000000);
    (void)export_all(w, "c");
    world_reopen(w); /* both from their records */
    static const char *const foreign[] = {"Photos/a.jpg", "empty/x.txt",
                                          "bad/export_metadata.json"};
    for (size_t i = 0; i < SL_COUNT_OF(foreign); i++) {
        assert_int_equal(sl_backend_put(shared_backend, sl_str_from(foreign[i]), SL_BYTES("{", 1),
                                        SL_PUT_NEW, NULL),
                         SL_OK);
    }
    w->clock.wall += INT64_C(1000000000);
    park(w, &p, 100);
    expect_ok(w, create(w, "a"));
    gate_await(&w->gate, 1);
    begin(w);
    expect_ok(w, sl_export_list(w->ex, &w->settings, SL_STR("filesystem"), &w->out, &w->err));
    json_t *doc = parse(sl_buf_cstr(&w->out));
    json_t *list = json_object_get(doc, "exports");
    static const char *const ids[] = {"a", "c", "b"};
    static const char *const states[] = {"TRANSFERRING", "SUCCESS", "SUCCESS"};
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++) {
        json_t *one = json_array_get(list, i);
        assert_string_equal(json_string_value(json_object_get(one, "id")), ids[i]);
        assert_string_equal(json_string_value(json_object_get(one, "status")), states[i]);
        assert_int_equal(json_array_size(json_object_get(one, "classes")), 1);
        assert_non_null(json_object_get(one, "startedAt"));
        assert_non_null(json_object_get(one, "path"));
        assert_null(json_object_get(one, "shardStatus"));
    }
    json_decref(doc);
    gate_open(&w->gate);
    expect_state(await(w, "a"), SL_EXPORT_SUCCESS);
}

/* ---- the end of the node ---- */

static void stopped_node_refuses_new_exports_and_ends_the_running_one(void **state)
{
    struct world *w = *state;
    struct park p;
    movies(w);
    park(w, &p, 10);
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    sl_exports_stop(w->ex);
    expect_refusal(w, create(w, "y"), SL_ECLOSED, "server is shutting down");
    expect_ok(w, status(w, "x"));
    gate_open(&w->gate);
    struct sl_export_progress end = await(w, "x");
    expect_state(end, SL_EXPORT_FAILED);
    assert_string_equal(end.error.text, "interrupted: the node was stopped");
}

static void open_when_stopped(void *arg)
{
    struct world *w = arg;
    assert_true(sl_cancel_wait_for(&w->ex->jobs->cancel, FOREVER));
    gate_open(&w->gate);
}

static void closing_ends_the_running_export_as_interrupted(void **state)
{
    struct world *w = *state;
    struct sl_thread *thread = NULL;
    struct park p;
    movies(w);
    park(w, &p, 10);
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    assert_int_equal(sl_thread_start("opener", open_when_stopped, w, &thread, NULL), SL_OK);
    struct sl_exports *ex = w->ex;
    sl_exports_close(ex);
    w->ex = NULL;
    sl_thread_join(thread);
    assert_string_equal(keys(w), "x/export_metadata.json x/node_node1_status.json");
    world_reopen(w);
    expect_ok(w, status(w, "x"));
    expect_member(sl_buf_cstr(&w->out), "status", "\"FAILED\"");
    expect_member(sl_buf_cstr(&w->out), "error", "\"interrupted: the node was stopped\"");
    assert_int_equal(sl_source_mem_frozen_count(w->mem_source), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(export_writes_a_file_for_each_shard_and_its_records),
        T(files_say_collection_tenant_and_unit),
        T(json_is_annotated_only_when_asked_for),
        T(equal_data_and_settings_make_equal_files),
        T(colliding_names_make_two_files),
        T(large_shard_becomes_one_file_a_range),
        T(nothing_to_read_is_a_success_without_files),
        T(unknown_collections_are_told),
        T(first_broken_rule_is_the_one_told),
        T(longest_and_oddest_good_ids_are_taken),
        T(destinations_not_built_in_are_refused),
        T(place_is_of_backend_bucket_and_path),
        T(module_s_name_of_the_backend_is_accepted_and_echoed),
        T(ids_are_never_used_again),
        T(second_export_of_a_node_is_refused_until_the_first_ended),
        T(of_many_at_once_one_wins),
        T(what_is_written_after_the_reply_is_not_in),
        T(status_is_live),
        T(poll_writes_nothing),
        T(running_export_is_known_whatever_the_settings_say_now),
        T(exports_are_found_where_they_wrote),
        T(unknown_ids_are_not_found),
        T(damaged_record_is_an_error_of_its_own),
        T(old_exports_are_told_from_their_records),
        T(export_is_unknown_until_its_post_is_answered),
        T(cancel_is_sticky_and_leaves_no_partial_file),
        T(cancel_wins_over_a_later_failure),
        T(finished_export_cannot_be_canceled),
        T(list_shows_newest_first_and_nothing_foreign),
        T(stopped_node_refuses_new_exports_and_ends_the_running_one),
        T(closing_ends_the_running_export_as_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
