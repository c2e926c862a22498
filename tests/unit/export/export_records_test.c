/* The two records beside the files, byte for byte against those a real server wrote (tests/data/
 * export), and replies made from its records.
 *
 * Two things differ on purpose: the version, and the time of a failure, which the reference does
 * not record in the node's file. */
#include "export_fixture.h"

static struct sl_backend_ops patched_ops; /* of shared_backend, some calls replaced */
static const struct sl_backend_ops *true_ops;

/* A file of tests/data/export with some words replaced; libc's memory. */
static char *golden(const char *name, const char *const (*replaced)[2], size_t count)
{
    char path[1024];
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    snprintf(path, sizeof path, "%s/export/%s", SL_TEST_DATA, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    int c;
    while ((c = fgetc(file)) != EOF) {
        sl_buf_add_u8(&text, (uint8_t)c);
    }
    fclose(file);
    for (size_t i = 0; i < count; i++) {
        SL_AUTO(sl_buf) before = text;
        text = SL_BUF_EMPTY;
        const char *at = sl_buf_cstr(&before), *hit;
        assert_non_null(strstr(at, replaced[i][0]));
        for (; (hit = strstr(at, replaced[i][0])) != NULL; at = hit + strlen(replaced[i][0])) {
            sl_buf_add(&text, SL_BYTES(at, (size_t)(hit - at)));
            sl_buf_add_text(&text, replaced[i][1]);
        }
        sl_buf_add_text(&text, at);
    }
    return strdup(sl_buf_cstr(&text)); /* allow: strdup, the caller frees it */
}

static void expect_golden(struct world *w, const char *key, const char *name,
                          const char *const (*replaced)[2], size_t count)
{
    char *want = golden(name, replaced, count);
    assert_string_equal(content(w, key), want);
    free(want); /* allow: free, libc's */
}

static const char *const our_version[1][2] = {{"1.39.0", SL_VERSION}};

/* The clock reaches the end of the export while its first object is read. */
struct ending {
    struct world *w;
    int64_t wall;
};

static void end_at(void *arg, uint64_t row_no SL_UNUSED)
{
    struct ending *e = arg;
    e->w->clock.wall = e->wall;
}

static void begin_and_end_at(struct world *w, struct ending *e, const char *begun, const char *end)
{
    *e = (struct ending){w, time_of(end)};
    w->clock.wall = time_of(begun);
    sl_source_mem_hook(w->mem_source, end_at, e);
}

static void two_collections(struct world *w)
{
    add_class(w, "AllTypes", "ms9ofesD2SSp");
    add_class(w, "PlainProps", "LYydsWQWZycV");
    add_objects(w, "AllTypes", "ms9ofesD2SSp", 4);
    add_objects(w, "PlainProps", "LYydsWQWZycV", 18);
}

static void records_of_a_success_are_the_reference_s(void **state)
{
    struct world *w = *state;
    struct ending e;
    two_collections(w);
    begin_and_end_at(w, &e, "2026-11-23T10:25:40.907169402Z", "2026-11-23T10:25:40.955849958Z");
    expect_ok(w, create_of(w, "exp-1", (const char *const[]){"PlainProps", "AllTypes", NULL}));
    expect_state(await(w, "exp-1"), SL_EXPORT_SUCCESS);
    expect_golden(w, "exp-1/export_metadata.json", "exp-1__export_metadata.json", NULL, 0);
    expect_golden(w, "exp-1/node_node1_status.json", "exp-1__node_node1_status.json", our_version,
                  1);
}

static void records_of_skipped_tenants_are_the_reference_s(void **state)
{
    struct world *w = *state;
    struct ending e;
    add_class(w, "Ten", NULL);
    add_tenant(w, "Ten", "t3", "tenant has no data on disk");
    add_tenant(w, "Ten", "t2", "");
    add_tenant(w, "Ten", "t1", "");
    add_objects(w, "Ten", "t1", 2);
    begin_and_end_at(w, &e, "2026-11-23T10:25:48.758062204Z", "2026-11-23T10:25:48.76184768Z");
    expect_ok(w, create(w, "exp-mt"));
    expect_state(await(w, "exp-mt"), SL_EXPORT_SUCCESS);
    expect_golden(w, "exp-mt/export_metadata.json", "exp-mt__export_metadata.json", NULL, 0);
    expect_golden(w, "exp-mt/node_node1_status.json", "exp-mt__node_node1_status.json", our_version,
                  1);
}

static void first_record_says_started_without_an_end(void **state)
{
    struct world *w = *state;
    two_collections(w);
    struct sli_job *job = sli_job_new(w->ex);
    struct sl_export_request all = {0};
    job->id = SL_STR("my-export-1");
    job->backend_name = SL_STR("s3");
    job->started_ns = time_of("2026-08-20T17:25:14.123456789Z");
    job->parallelism = 1;
    assert_int_equal(sli_select(w->source, &all, job, &w->err), SL_OK);
    assert_int_equal(w->source->ops->freeze(w->source, SL_STR("v"), &job->frozen, NULL), SL_OK);
    assert_int_equal(sli_plan(job, &(struct sl_export_request){0}, &w->err), SL_OK);
    begin(w);
    sli_metadata_write(job, &w->out);
    assert_string_equal(sl_buf_cstr(&w->out), "{\n"
                                              "  \"id\": \"my-export-1\",\n"
                                              "  \"backend\": \"s3\",\n"
                                              "  \"startedAt\": \"2026-08-20T17:25:14.123456789Z\","
                                              "\n"
                                              "  \"completedAt\": \"0001-01-01T00:00:00Z\",\n"
                                              "  \"status\": \"STARTED\",\n"
                                              "  \"classes\": [\n"
                                              "    \"AllTypes\",\n"
                                              "    \"PlainProps\"\n"
                                              "  ],\n"
                                              "  \"nodeAssignments\": {\n"
                                              "    \"node1\": {\n"
                                              "      \"AllTypes\": [\n"
                                              "        \"ms9ofesD2SSp\"\n"
                                              "      ],\n"
                                              "      \"PlainProps\": [\n"
                                              "        \"LYydsWQWZycV\"\n"
                                              "      ]\n"
                                              "    }\n"
                                              "  }\n"
                                              "}");
    begin(w);
    sli_node_status_write(job, &w->out);
    assert_string_equal(
        sl_buf_cstr(&w->out),
        "{\"nodeName\":\"node1\",\"status\":\"TRANSFERRING\",\"shardProgress\":{\"AllTypes\":{"
        "\"ms9ofesD2SSp\":{\"status\":\"TRANSFERRING\",\"objectsExported\":0}},\"PlainProps\":{"
        "\"LYydsWQWZycV\":{\"status\":\"TRANSFERRING\",\"objectsExported\":0}}},\"completedAt\":"
        "\"0001-01-01T00:00:00Z\",\"version\":\"" SL_VERSION "\"}");
    sli_job_free(job);
}

/* ---- failure of one of two collections ---- */

static struct gate *first_done;

#define CAUSE                                                             \
    "writing buffered pages of row group column 4: open file "            \
    "\\\"/data/exports/exp-fail/Big_lYDJ2P3E1gIR_0000.parquet\\\": open " \
    "/data/exports/exp-fail/Big_lYDJ2P3E1gIR_0000.parquet: is a directory"

/* The file of Big fails once the other one is stored. */
static sl_rc complete_but_big(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                              uint64_t size, struct sl_err *err)
{
    if (size < 3000) { /* PlainProps: 18 rows */
        sl_rc rc = true_ops->complete(be, up, part_count, size, err);
        gate_open(first_done);
        return rc;
    }
    gate_pass(first_done);
    return SL_FAIL(err, SL_EIO, "the test's failure");
}

static void records_of_a_failure_are_the_reference_s(void **state)
{
    static const char *const metadata[][2] = {
        {CAUSE "; " CAUSE, "the test's failure"},
        {CAUSE, "the test's failure"},
    };
    static const char *const node[][2] = {
        {CAUSE "; " CAUSE, "the test's failure"},
        {CAUSE, "the test's failure"},
        {"0001-01-01T00:00:00Z", "2026-11-23T10:26:03.975954549Z"},
        {"1.39.0", SL_VERSION},
    };
    struct world *w = *state;
    struct ending e;
    add_class(w, "Big", "lYDJ2P3E1gIR");
    add_class(w, "PlainProps", "LYydsWQWZycV");
    add_objects(w, "Big", "lYDJ2P3E1gIR", 1000);
    add_objects(w, "PlainProps", "LYydsWQWZycV", 18);
    first_done = &w->gate;
    true_ops = shared_backend->ops;
    patched_ops = *true_ops;
    patched_ops.complete = complete_but_big;
    shared_backend->ops = &patched_ops;
    begin_and_end_at(w, &e, "2026-11-23T10:26:02.820214608Z", "2026-11-23T10:26:03.975954549Z");
    expect_ok(w, create(w, "exp-fail"));
    struct sl_export_progress p = await(w, "exp-fail");
    shared_backend->ops = true_ops;
    expect_state(p, SL_EXPORT_FAILED);
    assert_string_equal(p.error.text, "node node1 failed: failed to export class Big shard "
                                      "lYDJ2P3E1gIR: the test's failure");
    expect_golden(w, "exp-fail/export_metadata.json", "exp-fail__export_metadata.json", metadata,
                  SL_COUNT_OF(metadata));
    expect_golden(w, "exp-fail/node_node1_status.json", "exp-fail__node_node1_status.json", node,
                  SL_COUNT_OF(node));
    expect_ok(w, status(w, "exp-fail"));
    expect_member(sl_buf_cstr(&w->out), "tookInMs", "1155");
    assert_string_equal(keys(w), "exp-fail/PlainProps_LYydsWQWZycV_0000.parquet "
                                 "exp-fail/export_metadata.json exp-fail/node_node1_status.json");
}

/* ---- replies from the reference's own records ---- */

static void expect_reply(struct world *w, const char *id, const char *file, const char *want)
{
    char key[128];
    char *text = golden(file, NULL, 0);
    snprintf(key, sizeof key, "%s/export_metadata.json", id);
    assert_int_equal(sl_backend_put(shared_backend, sl_str_from(key), SL_BYTES(text, strlen(text)),
                                    SL_PUT_NEW, NULL),
                     SL_OK);
    free(text); /* allow: free, libc's */
    expect_ok(w, status(w, id));
    json_t *got = parse(sl_buf_cstr(&w->out)), *expected = parse(want);
    (void)json_object_del(got, "objectsExported"); /* ours alone */
    (void)json_object_del(got, "objectsTotal");
    if (!json_equal(got, expected)) {
        fail_msg("%s instead of %s", sl_buf_cstr(&w->out), want);
    }
    json_decref(got);
    json_decref(expected);
}

/* The replies the real server gave, with the path of this destination. */
static void records_of_the_reference_are_told_as_it_tells_them(void **state)
{
    struct world *w = *state;
    expect_reply(w, "exp-1", "exp-1__export_metadata.json",
                 "{\"backend\":\"filesystem\",\"classes\":[\"PlainProps\",\"AllTypes\"],"
                 "\"completedAt\":\"2026-11-23T10:25:40.955Z\",\"id\":\"exp-1\",\"path\":"
                 "\"memory:exp-1\",\"shardStatus\":{\"AllTypes\":{\"ms9ofesD2SSp\":{"
                 "\"objectsExported\":4,\"status\":\"SUCCESS\"}},\"PlainProps\":{\"LYydsWQWZycV\":{"
                 "\"objectsExported\":18,\"status\":\"SUCCESS\"}}},\"startedAt\":"
                 "\"2026-11-23T10:25:40.907Z\",\"status\":\"SUCCESS\",\"tookInMs\":48}");
    expect_reply(
        w, "exp-mt", "exp-mt__export_metadata.json",
        "{\"backend\":\"filesystem\",\"classes\":[\"Ten\"],\"completedAt\":"
        "\"2026-11-23T10:25:48.761Z\",\"id\":\"exp-mt\",\"path\":\"memory:exp-mt\","
        "\"shardStatus\":{\"Ten\":{\"t1\":{\"objectsExported\":2,\"status\":\"SUCCESS\"},"
        "\"t2\":{\"skipReason\":\"no data\",\"status\":\"SKIPPED\"},\"t3\":{"
        "\"skipReason\":\"tenant has no data on disk\",\"status\":\"SKIPPED\"}}},"
        "\"startedAt\":\"2026-11-23T10:25:48.758Z\",\"status\":\"SUCCESS\",\"tookInMs\":3}");
    expect_reply(w, "exp-run", "exp-run__export_metadata.json",
                 "{\"backend\":\"filesystem\",\"classes\":[\"Big\",\"PlainProps\"],\"completedAt\":"
                 "\"2026-11-23T10:26:01.190Z\",\"error\":\"export was canceled\",\"id\":"
                 "\"exp-run\",\"path\":\"memory:exp-run\",\"startedAt\":"
                 "\"2026-11-23T10:25:50.005Z\",\"status\":\"CANCELED\",\"tookInMs\":11185}");
}

static void record_nobody_ended_is_told_as_failed(void **state)
{
    static const char started[] = "{\"id\":\"x\",\"backend\":\"filesystem\",\"startedAt\":"
                                  "\"2026-11-23T10:25:40.907169402Z\",\"completedAt\":"
                                  "\"0001-01-01T00:00:00Z\",\"status\":\"STARTED\",\"classes\":"
                                  "[\"A\"]}";
    struct world *w = *state;
    assert_int_equal(sl_backend_put(shared_backend, SL_STR("x/export_metadata.json"),
                                    SL_BYTES(started, sizeof started - 1), SL_PUT_NEW, NULL),
                     SL_OK);
    expect_ok(w, status(w, "x"));
    const char *reply = sl_buf_cstr(&w->out);
    expect_member(reply, "status", "\"FAILED\"");
    expect_member(reply, "error", "\"node node1 is no longer running export x\"");
    expect_member(reply, "completedAt", NULL);
    assert_string_equal(content(w, "x/export_metadata.json"), started); /* told, never written */
}

/* ---- the record while it runs ---- */

static struct gate *status_stored;

static sl_rc put_and_tell(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                          enum sl_put_mode mode, struct sl_err *err)
{
    sl_rc rc = true_ops->put(be, key, b, mode, err);
    if (sl_str_ends(key, "_status.json")) {
        gate_open(status_stored);
    }
    return rc;
}

static void park_first(void *arg, uint64_t row_no)
{
    if (row_no == 0) {
        gate_pass(arg);
    }
}

static void node_record_is_written_every_ten_seconds(void **state)
{
    struct world *w = *state;
    struct sl_clock_fake *ticks = sl_clock_fake_new(0, 0);
    struct sl_ticker *ticker = NULL;
    struct gate stored;
    gate_init(&stored);
    status_stored = &stored;
    two_collections(w);
    assert_int_equal(sl_ticker_new(sl_clock_fake_clock(ticks), &ticker, NULL), SL_OK);
    sl_exports_close(w->ex);
    struct sl_exports_opts opts = {.source = w->source,
                                   .journal = w->kv,
                                   .clock = &w->clock.clock,
                                   .ticker = ticker,
                                   .node_name = SL_STR("node1")};
    assert_int_equal(sli_exports_open(&opts, open_shared, &w->ex, &w->err), SL_OK);
    true_ops = shared_backend->ops;
    patched_ops = *true_ops;
    patched_ops.put = put_and_tell;
    shared_backend->ops = &patched_ops;
    w->settings.parallelism = 1;
    sl_source_mem_hook(w->mem_source, park_first, &w->gate);
    expect_ok(w, create(w, "x"));
    gate_await(&w->gate, 1);
    assert_string_equal(keys(w), "x/export_metadata.json");
    sl_clock_fake_advance(ticks, INT64_C(10000000000));
    gate_pass(&stored);
    const char *record = content(w, "x/node_node1_status.json");
    expect_member(record, "status", "\"TRANSFERRING\"");
    expect_member(record, "completedAt", "\"0001-01-01T00:00:00Z\"");
    gate_open(&w->gate);
    expect_state(await(w, "x"), SL_EXPORT_SUCCESS);
    expect_member(content(w, "x/node_node1_status.json"), "status", "\"SUCCESS\"");
    shared_backend->ops = true_ops;
    sl_exports_close(w->ex);
    w->ex = NULL;
    sl_ticker_free(ticker);
    sl_clock_fake_free(ticks);
    gate_fini(&stored);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(records_of_a_success_are_the_reference_s),
        T(records_of_skipped_tenants_are_the_reference_s),
        T(first_record_says_started_without_an_end),
        T(records_of_a_failure_are_the_reference_s),
        T(records_of_the_reference_are_told_as_it_tells_them),
        T(record_nobody_ended_is_told_as_failed),
        T(node_record_is_written_every_ten_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
