/* Settings: where values come from, what is refused and how, and that the table prints itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "config/config.h"

struct pair {
    const char *name, *value;
};

static const char *lookup(void *arg, const char *name)
{
    for (const struct pair *p = arg; p->name != NULL; p++) {
        if (strcmp(p->name, name) == 0) {
            return p->value;
        }
    }
    return NULL;
}

static void starts_with_no_configuration_at_all(void **state SL_UNUSED)
{
    struct pair none[] = {{NULL, NULL}};
    struct sl_config c;
    struct sl_err err = {0};
    assert_int_equal(sl_config_load(&c, lookup, none, NULL, &err), SL_OK);
    assert_string_equal(c.host, "127.0.0.1");
    assert_int_equal(c.port, 8080);
    assert_string_equal(c.data_path, "./data");
    assert_string_equal(c.source, "sluice");
    assert_false(c.export_enabled);
    assert_true(c.is_sync);
    assert_int_equal(c.memory_max, 268435456);
    sl_config_fini(&c);
}

static void reads_every_kind_from_the_environment(void **state SL_UNUSED)
{
    struct pair env[] = {{"EXPORT_ENABLED", "On"},        {"EXPORT_PARALLELISM", " 7 "},
                         {"SLUICE_MEMORY_MAX", "1GiB"},   {"EXPORT_DEFAULT_PATH", "  /x y  "},
                         {"SLUICE_TIMESTAMP_UNIT", "ms"}, {NULL, NULL}};
    struct sl_config c;
    struct sl_err err = {0};
    assert_int_equal(sl_config_load(&c, lookup, env, NULL, &err), SL_OK);
    assert_true(c.export_enabled);
    assert_int_equal(c.export_parallelism, 7);
    assert_int_equal(c.memory_max, 1073741824);
    assert_string_equal(c.export_path, "/x y");
    assert_int_equal(c.timestamp_unit, 3);
    sl_config_fini(&c);
}

/* The four words the reference takes for true, and their opposites. */
static void takes_all_words_of_truth(void **state SL_UNUSED)
{
    static const struct {
        const char *word;
        bool is_true;
    } words[] = {{"on", true},   {"enabled", true},   {"1", true},  {"true", true},  {"TRUE", true},
                 {"off", false}, {"disabled", false}, {"0", false}, {"false", false}};
    for (size_t i = 0; i < SL_COUNT_OF(words); i++) {
        struct pair env[] = {{"EXPORT_ENABLED", words[i].word}, {NULL, NULL}};
        struct sl_config c;
        assert_int_equal(sl_config_load(&c, lookup, env, NULL, NULL), SL_OK);
        assert_int_equal(c.export_enabled, words[i].is_true);
        sl_config_fini(&c);
    }
}

static void flag_wins_over_variable_over_default(void **state SL_UNUSED)
{
    struct pair env[] = {{"SLUICE_PORT", "9000"}, {"SLUICE_HOST", "::1"}, {NULL, NULL}};
    struct sl_flag flags[] = {
        {"port", "9001"}, {"source", "weaviate:/var/lib/weaviate"}, {NULL, NULL}};
    struct sl_config c;
    assert_int_equal(sl_config_load(&c, lookup, env, flags, NULL), SL_OK);
    assert_int_equal(c.port, 9001);
    assert_string_equal(c.host, "::1");
    assert_string_equal(c.source, "weaviate:/var/lib/weaviate");
    sl_config_fini(&c);
}

static void empty_variable_counts_as_absent(void **state SL_UNUSED)
{
    struct pair env[] = {{"SLUICE_PORT", ""}, {NULL, NULL}};
    struct sl_config c;
    assert_int_equal(sl_config_load(&c, lookup, env, NULL, NULL), SL_OK);
    assert_int_equal(c.port, 8080);
    sl_config_fini(&c);
}

static void bad_value_names_variable_value_and_what_is_allowed(void **state SL_UNUSED)
{
    static const struct {
        const char *name, *value, *allowed;
    } cases[] = {
        {"EXPORT_PARALLELISM", "-1", "0 to 1024"},
        {"EXPORT_PARALLELISM", "abc", "0 to 1024"},
        {"EXPORT_PARALLELISM", "1e3", "0 to 1024"},
        {"SLUICE_PORT", "65536", "0 to 65535"},
        {"EXPORT_ENABLED", "perhaps", "enabled"},
        {"SLUICE_MEMORY_MAX", "64MiB", "134217728"},
        {"SLUICE_MEMORY_MAX", "256MB", "MiB"},
        {"SLUICE_MEMORY_MAX", "99999999TiB", "TiB"},
        {"LOG_LEVEL", "loud", "debug|info|warning|error"},
        {"LOG_FORMAT", "", NULL},
        {"RUNTIME_OVERRIDES_LOAD_INTERVAL", "2", "1ms to 24h"},
        {"RUNTIME_OVERRIDES_LOAD_INTERVAL", "25h", "1ms to 24h"},
        {"RUNTIME_OVERRIDES_LOAD_INTERVAL", "0", "1ms to 24h"},
        {"PERSISTENCE_DATA_PATH", "\xff", "UTF-8"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct pair env[] = {{cases[i].name, cases[i].value}, {NULL, NULL}};
        struct sl_config c;
        struct sl_err err = {0};
        sl_rc rc = sl_config_load(&c, lookup, env, NULL, &err);
        if (cases[i].allowed == NULL) {
            assert_int_equal(rc, SL_OK);
            sl_config_fini(&c);
            continue;
        }
        assert_int_equal(rc, SL_EINVAL);
        assert_non_null(strstr(err.text, cases[i].name));
        assert_non_null(strstr(err.text, cases[i].value));
        assert_non_null(strstr(err.text, cases[i].allowed));
        assert_null(strchr(err.text, '\n'));
    }
}

/* As Go's time.ParseDuration reads them. */
static void reads_durations(void **state SL_UNUSED)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } cases[] = {
        {"2m", 120000000000},
        {"1h30m", 5400000000000},
        {"1.5s", 1500000000},
        {"300ms", 300000000},
        {"0", 0},
        {"7us", 7000},
        {"7\xc2\xb5s", 7000},
        {"9ns", 9},
        {"", -1},
        {"2", -1},
        {"m", -1},
        {"2 m", -1},
        {"-2m", -1},
        {"2d", -1},
        {"1..5s", -1},
        {"99999999999999h", -1},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        int64_t ns = -1;
        print_message("%s\n", cases[i].text);
        assert_int_equal(sl_duration_parse(sl_str_from(cases[i].text), &ns), cases[i].ns >= 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void secrets_are_never_printed(void **state SL_UNUSED)
{
    struct pair env[] = {{"AUTHENTICATION_APIKEY_ALLOWED_KEYS", "secret\xff"}, {NULL, NULL}};
    struct sl_config c;
    struct sl_err err = {0};
    assert_int_equal(sl_config_load(&c, lookup, env, NULL, &err), SL_EINVAL);
    assert_null(strstr(err.text, "secret"));
    assert_non_null(strstr(err.text, "AUTHENTICATION_APIKEY_ALLOWED_KEYS: \"***\""));
    env[0].value = "secret";
    assert_int_equal(sl_config_load(&c, lookup, env, NULL, NULL), SL_OK);
    for (size_t i = 0; i < sl_option_count; i++) {
        struct sl_fact fact = sl_option_fact(&sl_options[i], &c, sl_options[i].env);
        assert_false(fact.kind == SL_FACT_STR && sl_str_is(fact.s, "secret"));
        assert_int_equal(fact.kind == SL_FACT_STR && sl_str_is(fact.s, "***"),
                         strcmp(sl_options[i].env, env[0].name) == 0);
    }
    sl_config_fini(&c);
}

static void every_problem_has_its_line(void **state SL_UNUSED)
{
    struct pair env[] = {
        {"SLUICE_PORT", "x"}, {"LOG_LEVEL", "loud"}, {"GRPC_PORT", "1"}, {NULL, NULL}};
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    assert_int_equal(sl_config_problems(lookup, env, NULL, &out), 2);
    assert_non_null(strstr(sl_buf_cstr(&out), "SLUICE_PORT: \"x\""));
    assert_non_null(strstr(sl_buf_cstr(&out), "\nLOG_LEVEL: \"loud\""));
    struct pair alone[] = {{"RUNTIME_OVERRIDES_ENABLED", "true"}, {NULL, NULL}};
    sl_buf_clear(&out);
    assert_int_equal(sl_config_problems(lookup, alone, NULL, &out), 1);
    assert_non_null(strstr(sl_buf_cstr(&out), "RUNTIME_OVERRIDES_PATH"));
}

static void refused_allocation_leaves_nothing(void **state SL_UNUSED)
{
    struct pair none[] = {{NULL, NULL}};
    int64_t before = sl_mem_live();
    for (int64_t n = 0;; n++) {
        struct sl_config c;
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_config_load(&c, lookup, none, NULL, NULL);
        sl_fault_clear();
        if (rc == SL_OK) {
            sl_config_fini(&c);
            assert_true(n > 0);
            break;
        }
        assert_int_equal(rc, SL_ENOMEM);
        assert_int_equal(sl_mem_live(), before);
    }
    assert_int_equal(sl_mem_live(), before);
}

static void every_row_is_printed_in_every_form(void **state SL_UNUSED)
{
    static const enum sl_options_format forms[] = {SL_OPTIONS_HELP, SL_OPTIONS_ROFF,
                                                   SL_OPTIONS_MARKDOWN};
    for (size_t f = 0; f < SL_COUNT_OF(forms); f++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        sl_options_print(forms[f], &out);
        const char *text = sl_buf_cstr(&out);
        for (size_t i = 0; i < sl_option_count; i++) {
            assert_non_null(strstr(text, sl_options[i].env));
            assert_non_null(strstr(text, sl_options[i].text));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_no_configuration_at_all),
        cmocka_unit_test(reads_every_kind_from_the_environment),
        cmocka_unit_test(takes_all_words_of_truth),
        cmocka_unit_test(flag_wins_over_variable_over_default),
        cmocka_unit_test(empty_variable_counts_as_absent),
        cmocka_unit_test(bad_value_names_variable_value_and_what_is_allowed),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(secrets_are_never_printed),
        cmocka_unit_test(every_problem_has_its_line),
        cmocka_unit_test(refused_allocation_leaves_nothing),
        cmocka_unit_test(every_row_is_printed_in_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
