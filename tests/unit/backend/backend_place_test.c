/* Places of destinations: which driver, bucket and prefix a URL means, and the base of stores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/store_int.h"
#include "base/fault.h"

static sl_rc init(struct sli_store *st, const struct sl_config *config, const char *prefix,
                  struct sl_err *err)
{
    static const struct sl_backend_ops ops = {.name = "test"};
    struct sl_backend_env env = {.config = config, .clock = sl_clock_real()};
    *st = (struct sli_store){0};
    return sli_store_init(st, &ops, &env, SL_STR("bucket"), sl_str_from(prefix), err);
}

static struct sl_config config_of(const char *ca)
{
    struct sl_config config = {.store_stall_ns = INT64_C(1000000000)};
    config.store_ca = (char *)(uintptr_t)ca;
    return config;
}

/* Printed by Go's path.Join(prefix, "KEY"), which the reference names its objects by; a prefix that
 * would lead out of the bucket ("..") stays inside here. */
static void prefixes_are_joined_as_the_reference_does(void **state SL_UNUSED)
{
    static const struct {
        const char *prefix, *want;
    } rows[] = {
        {"", "KEY"},
        {"a", "a/KEY"},
        {"a/", "a/KEY"},
        {"/a", "/a/KEY"},
        {"a//b", "a/b/KEY"},
        {"a/./b", "a/b/KEY"},
        {"a/../b", "b/KEY"},
        {"/", "/KEY"},
        {"//", "/KEY"},
        {"/../a", "/a/KEY"},
        {"a/b/..", "a/KEY"},
        {"./", "KEY"},
        {"a/b/c/", "a/b/c/KEY"},
        {"...", ".../KEY"},
        {"a/...", "a/.../KEY"},
        {"/a/..", "/KEY"},
        {".a", ".a/KEY"},
        {"a/.b/", "a/.b/KEY"},
        {"../a", "a/KEY"},
        {"a/../../b", "b/KEY"},
    };
    struct sl_config config = config_of("");
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct sli_store st;
        char joined[64];
        assert_int_equal(init(&st, &config, rows[i].prefix, NULL), SL_OK);
        (void)snprintf(joined, sizeof joined, "%sKEY", st.prefix);
        assert_string_equal(joined, rows[i].want);
        assert_string_equal(st.bucket, "bucket");
        sli_store_fini(&st);
    }
    assert_int_equal(sl_mem_live(), 0);
}

static void a_missing_file_of_authorities_is_told_by_its_variable(void **state SL_UNUSED)
{
    struct sl_config config = config_of("/no/such/file.pem");
    struct sli_store st;
    struct sl_err err = {0};
    assert_int_equal(init(&st, &config, "a", &err), SL_ENOTFOUND);
    assert_non_null(strstr(err.text, "SLUICE_STORE_CA"));
    assert_non_null(strstr(err.text, "/no/such/file.pem"));
    sli_store_fini(&st);
}

static void refused_memory_leaves_nothing(void **state SL_UNUSED)
{
    struct sl_config config = config_of("");
    for (int64_t n = 0;; n++) {
        struct sli_store st;
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = init(&st, &config, "a/b", NULL);
        sl_fault_clear();
        sli_store_fini(&st);
        assert_int_equal(sl_mem_live(), 0);
        if (rc == SL_OK) {
            assert_true(n > 2);
            return;
        }
        assert_int_equal(rc, SL_ENOMEM);
    }
}

static void a_store_has_a_scheme_and_a_folder_has_none(void **state SL_UNUSED)
{
    static const struct {
        const char *place;
        bool is_store;
    } rows[] = {{"s3://bucket/a", true}, {"gs://bucket", true},  {"az://container/a/b", true},
                {"ftp://host/a", true},  {"/var/a", false},      {"a/b", false},
                {"./s3://b", false},     {"file:///a/b", false}, {"", false},
                {"C:/a", false},         {"://a", false},        {"a:b", false}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        assert_int_equal(sl_backend_is_store(sl_str_from(rows[i].place)), rows[i].is_store);
    }
}

static void places_that_mean_nothing_are_refused(void **state SL_UNUSED)
{
    static const struct {
        const char *place, *want;
    } rows[] = {{"ftp://host/a", "s3://, gs:// or az:// is needed"},
                {"S3://bucket", "s3://, gs:// or az:// is needed"},
                {"az://", "no bucket"},
                {"az:///a/b", "no bucket"}};
    struct sl_config config = config_of("");
    struct sl_backend_env env = {.config = &config, .clock = sl_clock_real()};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct sl_backend *be = NULL;
        struct sl_err err = {0};
        assert_int_equal(sl_backend_open(&env, sl_str_from(rows[i].place), &be, &err), SL_EINVAL);
        assert_null(be);
        assert_non_null(strstr(err.text, rows[i].place));
        assert_non_null(strstr(err.text, rows[i].want));
    }
}

static void a_folder_is_opened_with_and_without_its_scheme(void **state SL_UNUSED)
{
    static const char *const places[] = {"/no/such/folder", "file:///no/such/folder"};
    struct sl_config config = config_of("");
    struct sl_backend_env env = {.config = &config, .clock = sl_clock_real()};
    for (size_t i = 0; i < SL_COUNT_OF(places); i++) {
        SL_AUTO(sl_buf) told = SL_BUF_EMPTY;
        struct sl_backend *be = NULL;
        assert_int_equal(sl_backend_open(&env, sl_str_from(places[i]), &be, NULL), SL_OK);
        assert_string_equal(be->ops->name, "filesystem");
        be->ops->describe(be, SL_STR("id"), &told);
        assert_string_equal(sl_buf_cstr(&told), "/no/such/folder/id");
        sl_backend_close(be);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_are_joined_as_the_reference_does),
        cmocka_unit_test(a_missing_file_of_authorities_is_told_by_its_variable),
        cmocka_unit_test(refused_memory_leaves_nothing),
        cmocka_unit_test(a_store_has_a_scheme_and_a_folder_has_none),
        cmocka_unit_test(places_that_mean_nothing_are_refused),
        cmocka_unit_test(a_folder_is_opened_with_and_without_its_scheme),
    };
    return cmocka_run_group_tests_name("backend place", tests, NULL, NULL);
}
