/* What the node tells about itself: the printed text of counters and histograms against the rules
 * of Prometheus' text format, the log's lines as they arrive at a file, and which of them are left
 * out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/budget.h"
#include "base/log.h"
#include "base/stats.h"

static struct sl_err err;

/* ---- metrics ---- */

static bool prints(const char *line)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sl_stats_print(SL_STATS_PROMETHEUS, &out);
    return strstr(sl_buf_cstr(&out), line) != NULL;
}

static void counters_gauges_and_seconds(void **state SL_UNUSED)
{
    sl_stat_add(SL_STAT_RANGES, 3);
    sl_stat_add(SL_STAT_RANGES, 4);
    assert_true(
        prints("# TYPE sluice_export_ranges_total counter\nsluice_export_ranges_total 7\n"));
    sl_stat_add(SL_STAT_RANGES_RUNNING, 5);
    sl_stat_sub(SL_STAT_RANGES_RUNNING, 3);
    assert_true(
        prints("# TYPE sluice_export_ranges_running gauge\nsluice_export_ranges_running 2\n"));
    sl_stat_add(SL_STAT_STORE_SYNC_NS, 1500000000);
    assert_true(prints("\nsluice_store_sync_seconds_total 1.5\n"));
    sl_stat_add(SL_STAT_EXPORTS_FAILED, 1);
    assert_true(prints("weaviate_export_operations_total{status=\"success\"} 0\n"
                       "weaviate_export_operations_total{status=\"failed\"} 1\n"
                       "weaviate_export_operations_total{status=\"canceled\"} 0\n"));
}

/* A bound belongs to its own bucket ("le"), and each bucket holds all below it. */
static void histograms_are_cumulative(void **state SL_UNUSED)
{
    sl_histogram_add(SL_HISTOGRAM_COORDINATION, 500000000);
    sl_histogram_add(SL_HISTOGRAM_COORDINATION, 1000000000);
    sl_histogram_add(SL_HISTOGRAM_COORDINATION, 1000000001);
    sl_histogram_add(SL_HISTOGRAM_COORDINATION, 61000000000);
    assert_true(prints("# TYPE weaviate_export_coordination_duration_seconds histogram\n"
                       "weaviate_export_coordination_duration_seconds_bucket{le=\"1\"} 2\n"
                       "weaviate_export_coordination_duration_seconds_bucket{le=\"5\"} 3\n"
                       "weaviate_export_coordination_duration_seconds_bucket{le=\"10\"} 3\n"
                       "weaviate_export_coordination_duration_seconds_bucket{le=\"15\"} 3\n"
                       "weaviate_export_coordination_duration_seconds_bucket{le=\"30\"} 3\n"
                       "weaviate_export_coordination_duration_seconds_bucket{le=\"45\"} 3\n"
                       "weaviate_export_coordination_duration_seconds_bucket{le=\"60\"} 3\n"
                       "weaviate_export_coordination_duration_seconds_bucket{le=\"+Inf\"} 4\n"
                       "weaviate_export_coordination_duration_seconds_sum 63.500000001\n"
                       "weaviate_export_coordination_duration_seconds_count 4\n"));
}

static void a_watched_budget_is_told(void **state SL_UNUSED)
{
    SL_AUTO_PTR(sl_budget) b = NULL;
    assert_int_equal(sl_budget_new(1000, &b, &err), SL_OK);
    sl_budget_watch(b, SL_BUDGET_PARTS);
    assert_true(prints("sluice_memory_budget_bytes{part=\"export_parts\"} 1000\n"));
    assert_true(sl_budget_try_take(b, 600));
    assert_int_equal(sl_budget_take(b, 300, NULL), SL_OK);
    assert_true(prints("sluice_memory_used_bytes{part=\"export_parts\"} 900\n"));
    sl_budget_give(b, 900);
    assert_true(prints("sluice_memory_used_bytes{part=\"export_parts\"} 0\n"));
    assert_true(prints("sluice_memory_used_bytes{part=\"bodies\"} 0\n"));
}

/* ---- the log ---- */

static int put_log_aside(void **state)
{
    char path[] = "/tmp/sl-log-test-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    (void)unlink(path);
    int *kept = malloc(sizeof *kept); /* allow: malloc, a test owns it */
    *kept = dup(STDERR_FILENO);
    (void)dup2(file, STDERR_FILENO);
    (void)close(file);
    *state = kept;
    return 0;
}

static int put_log_back(void **state)
{
    int *kept = *state;
    (void)dup2(*kept, STDERR_FILENO);
    (void)close(*kept);
    free(kept); /* allow: free, as above */
    sl_log_setup(SL_INFO, SL_LOG_JSON);
    return 0;
}

static const char *logged(char *room, size_t size)
{
    ssize_t len = pread(STDERR_FILENO, room, size - 1, 0);
    assert_true(len >= 0);
    room[len] = '\0';
    return room;
}

static uint32_t count(const char *text, const char *part)
{
    uint32_t n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

static void lines_hold_facts_of_every_kind(void **state SL_UNUSED)
{
    static const struct sl_str classes[] = {{"A", 1}, {"B\n", 2}};
    char room[4096];
    sl_log_setup(SL_INFO, SL_LOG_JSON);
    sl_log(SL_DEBUG, "x", "not told");
    sl_log(SL_INFO, "x", "told", SL_F_LIST("classes", classes, 2), SL_F_INT("n", -1),
           SL_F_BOOL("b", true), SL_F_F64("f", 0.5), SL_F_TEXT("t", "\"q\""));
    const char *text = logged(room, sizeof room);
    assert_null(strstr(text, "not told"));
    assert_non_null(
        strstr(text, "{\"action\":\"x\",\"level\":\"info\",\"msg\":\"told\",\"time\":\""));
    assert_non_null(strstr(
        text, "\"classes\":[\"A\",\"B\\n\"],\"n\":-1,\"b\":true,\"f\":0.5,\"t\":\"\\\"q\\\"\"}\n"));
}

static void a_text_line_stays_one_line(void **state SL_UNUSED)
{
    char room[4096];
    sl_log_setup(SL_INFO, SL_LOG_TEXT);
    sl_log(SL_INFO, "x", "two\nlines", SL_F_TEXT("why", "a\nb"));
    const char *text = logged(room, sizeof room);
    assert_int_equal(count(text, "\n"), 1);
    assert_non_null(strstr(text, " info x two?lines why=\"a\\nb\"\n"));
}

static void repeated_failures_are_counted(void **state SL_UNUSED)
{
    static char room[64 * 1024];
    sl_log_setup(SL_INFO, SL_LOG_JSON);
    uint64_t before = sl_stat_get(SL_STAT_LOG_DROPPED);
    for (int i = 0; i < 100; i++) {
        sl_log(SL_WARN, "x", "again", SL_F_INT("i", i));
        sl_log(SL_INFO, "x", "calm", SL_F_INT("i", i));
        sl_log(SL_ERROR, SL_LOG_AUDIT, "authorization denied");
    }
    sl_log(SL_ERROR, "x", "another");
    const char *text = logged(room, sizeof room);
    uint32_t written = count(text, "\"again\"");
    assert_true(written >= 20 && written < 100);
    assert_int_equal(written + (sl_stat_get(SL_STAT_LOG_DROPPED) - before), 100);
    assert_int_equal(count(text, "\"calm\""), 100);
    assert_int_equal(count(text, "\"authorize\""), 100);
    assert_int_equal(count(text, "\"another\""), 1);
}

int main(void)
{
#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, put_log_aside, put_log_back)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_gauges_and_seconds), cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(a_watched_budget_is_told),    LOG_TEST(lines_hold_facts_of_every_kind),
        LOG_TEST(a_text_line_stays_one_line),          LOG_TEST(repeated_failures_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
