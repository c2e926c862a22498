/* The overrides file: what its text means, and what becomes of the settings when it changes, goes
 * bad or is not there. Expectations follow the reference's rules for its run-time settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/workers.h"
#include "config/config_int.h"

/* printf 'export_enabled: true\n' | sha256sum */
#define HASH "8e67835ed57a3faeb703bb0986aa2348b65d37f1bd9ba591581e2789dd9ea955"

static char folder[] = "/tmp/sluice-overrides-XXXXXX";
static char path[128];

/* The environment of all tests; `path` once it is made. */
static const char *lookup(void *arg SL_UNUSED, const char *name)
{
    return strcmp(name, "EXPORT_DEFAULT_BUCKET") == 0       ? "env-bucket"
           : strcmp(name, "EXPORT_PARALLELISM") == 0        ? "5"
           : strcmp(name, "RUNTIME_OVERRIDES_ENABLED") == 0 ? "true"
           : strcmp(name, "RUNTIME_OVERRIDES_PATH") == 0    ? path
                                                            : NULL;
}

static int make_folder(void **state SL_UNUSED)
{
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/overrides.yaml", folder);
    return 0;
}

static int remove_folder(void **state SL_UNUSED)
{
    return sl_dir_remove_tree(folder, NULL) == SL_OK ? 0 : 1;
}

static void load(struct sl_config *c)
{
    assert_int_equal(sl_config_load(c, lookup, NULL, NULL, NULL), SL_OK);
}

static void put(const char *text)
{
    assert_int_equal(sl_file_write_all(path, SL_BYTES(text, strlen(text)), NULL), SL_OK);
}

struct faults {
    char text[512];
};

static void note(void *arg, const struct sl_option *opt, enum sli_fault fault, const char *sentence)
{
    struct faults *f = arg;
    size_t len = strlen(f->text);
    assert_non_null(strstr(sentence, opt->key));
    (void)snprintf(f->text + len, sizeof f->text - len, "%s %s;", opt->key,
                   fault == SLI_FAULT_KIND ? "kind" : "value");
}

/* Settings before: enabled, bucket "before", path "/before", parallelism 1. */
static sl_rc apply(const char *text, size_t len, struct sl_config *ret, struct faults *faults)
{
    static const char before[] = "export_enabled: true\nexport_default_bucket: before\n"
                                 "export_default_path: /before\nexport_parallelism: 1\n";
    struct sl_config c;
    load(&c);
    load(ret);
    struct sli_overriding how = {&c, NULL, NULL, note, faults};
    assert_int_equal(sli_overrides_apply(&how, SL_BYTES(before, sizeof before - 1), ret, NULL),
                     SL_OK);
    assert_string_equal(faults->text, "");
    struct sl_err err = {0};
    sl_rc rc = sli_overrides_apply(&how, SL_BYTES(text, len), ret, &err);
    assert_true(rc == SL_OK || err.text[0] != '\0');
    sl_config_fini(&c);
    return rc;
}

static void text_becomes_settings(void **state SL_UNUSED)
{
    static const struct {
        const char *text;
        bool is_enabled;
        const char *bucket, *path;
        int64_t parallelism;
        const char *faults;
    } cases[] = {
        /* nothing said: the environment's values */
        {"", false, "env-bucket", "", 5, ""},
        {"# only a remark\n", false, "env-bucket", "", 5, ""},
        {"---\n...\n", false, "env-bucket", "", 5, ""},
        {"null\n", false, "env-bucket", "", 5, ""},
        {"export_parallelism: 4\n", false, "env-bucket", "", 4, ""},
        {"{export_parallelism: 4, export_enabled: true}", true, "env-bucket", "", 4, ""},
        {"export_default_bucket: ~\nexport_parallelism: null\nexport_enabled:\n", false,
         "env-bucket", "", 5, ""},
        /* words of truth of YAML 1.1 */
        {"export_enabled: on", true, "env-bucket", "", 5, ""},
        {"export_enabled: Yes", true, "env-bucket", "", 5, ""},
        {"export_enabled: FALSE", false, "env-bucket", "", 5, ""},
        /* texts as they stand, blanks included; what looks like a number too */
        {"export_default_path: \"  /x  \"", false, "env-bucket", "  /x  ", 5, ""},
        {"export_default_path:   /x  \n", false, "env-bucket", "/x", 5, ""},
        {"export_default_bucket: 12", false, "12", "", 5, ""},
        {"export_default_bucket: ''", false, "", "", 5, ""},
        {"a: &x buck\nexport_default_bucket: *x", false, "buck", "", 5, ""},
        /* keys of others, and what follows the first document */
        {"other: {deep: [1, 2]}\n? [a]\n: 1\nexport_parallelism: 4\n", false, "env-bucket", "", 4,
         ""},
        {"export_parallelism: 4\n---\nexport_parallelism: 9\n", false, "env-bucket", "", 4, ""},
        /* a bad value stays as it was before, the others apply */
        {"export_parallelism: -3", false, "env-bucket", "", 1, "export_parallelism value;"},
        {"export_parallelism: 1025", false, "env-bucket", "", 1, "export_parallelism value;"},
        {"export_parallelism: \"2\"\nexport_enabled: off", false, "env-bucket", "", 1,
         "export_parallelism kind;"},
        {"export_parallelism: 2.5", false, "env-bucket", "", 1, "export_parallelism kind;"},
        {"export_parallelism: 99999999999999999999", false, "env-bucket", "", 1,
         "export_parallelism kind;"},
        {"export_enabled: \"maybe\"\nexport_parallelism: 3", true, "env-bucket", "", 3,
         "export_enabled kind;"},
        {"export_enabled: 1", true, "env-bucket", "", 5, "export_enabled kind;"},
        {"export_enabled: \"true\"", true, "env-bucket", "", 5, "export_enabled kind;"},
        {"export_default_bucket: [a]", false, "before", "", 5, "export_default_bucket kind;"},
        {"export_default_path: \"a\\0b\"", false, "env-bucket", "/before", 5,
         "export_default_path kind;"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct sl_config c;
        struct faults faults = {""};
        print_message("%s\n", cases[i].text);
        assert_int_equal(apply(cases[i].text, strlen(cases[i].text), &c, &faults), SL_OK);
        assert_int_equal(c.export_enabled, cases[i].is_enabled);
        assert_string_equal(c.export_bucket, cases[i].bucket);
        assert_string_equal(c.export_path, cases[i].path);
        assert_int_equal(c.export_parallelism, cases[i].parallelism);
        assert_string_equal(faults.text, cases[i].faults);
        assert_int_equal(c.port, 8080); /* no other row has a key */
        sl_config_fini(&c);
    }
}

static void what_is_no_flat_map_is_refused(void **state SL_UNUSED)
{
    static const char *const cases[] = {
        "export_enabled: [",
        "\texport_enabled: true",
        "- export_enabled",
        "just words",
        "export_enabled: true\nexport_enabled: false\n",
        "export_default_bucket: *nobody",
        "export_default_bucket: \"\xff\"",
        "a: b: c",
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct sl_config c;
        struct faults faults = {""};
        print_message("%s\n", cases[i]);
        assert_int_equal(apply(cases[i], strlen(cases[i]), &c, &faults), SL_EINVAL);
        sl_config_fini(&c);
    }
    SL_AUTO(sl_buf) deep = SL_BUF_EMPTY;
    sl_buf_add_text(&deep, "export_default_bucket: ");
    for (int i = 0; i < 100000; i++) {
        sl_buf_add_u8(&deep, '[');
    }
    struct sl_config c;
    struct faults faults = {""};
    assert_int_equal(apply((const char *)deep.ptr, deep.len, &c, &faults), SL_EINVAL);
    sl_config_fini(&c);
}

/* ---- the file ---- */

static struct sl_overrides_state state_of(struct sl_overrides *o)
{
    struct sl_overrides_state s;
    sl_overrides_state(o, &s);
    return s;
}

static void expect(struct sl_overrides *o, bool is_good, int64_t parallelism)
{
    const struct sl_config *now = sl_overrides_take(o);
    assert_int_equal(now->export_parallelism, parallelism);
    sl_overrides_give(o, now);
    assert_int_equal(state_of(o).is_last_load_good, is_good);
}

static void a_missing_file_is_looked_for_again(void **state SL_UNUSED)
{
    struct sl_config c;
    struct sl_overrides *o = NULL;
    load(&c);
    assert_int_equal(sl_file_unlink(path, NULL), SL_OK);
    assert_int_equal(sl_overrides_open(&c, NULL, NULL, &o, NULL), SL_OK);
    expect(o, false, 5);
    assert_string_equal(state_of(o).sha256, "");
    put("export_enabled: true\n");
    sl_overrides_reload(o);
    expect(o, true, 5);
    assert_string_equal(state_of(o).sha256, HASH);
    put("export_parallelism: 7\nexport_enabled: [");
    sl_overrides_reload(o);
    expect(o, false, 5);
    assert_string_equal(state_of(o).sha256, HASH);
    put("export_parallelism: 7\n");
    sl_overrides_reload(o);
    expect(o, true, 7);
    assert_int_equal(sl_file_unlink(path, NULL), SL_OK);
    sl_overrides_reload(o);
    expect(o, false, 7); /* a deleted file changes nothing */
    put("export_parallelism: 7\n");
    sl_overrides_reload(o);
    expect(o, true, 7); /* known content, readable again */
    put("export_parallelism: -7\n");
    sl_overrides_reload(o);
    expect(o, true, 7); /* one bad value does not make the file bad */
    put("");
    sl_overrides_reload(o);
    expect(o, true, 5);
    assert_int_equal(sl_file_unlink(path, NULL), SL_OK);
    assert_int_equal(sl_dir_create(path, NULL), SL_OK);
    sl_overrides_reload(o);
    expect(o, false, 5); /* a folder */
    assert_int_equal(sl_dir_remove_tree(path, NULL), SL_OK);
    sl_overrides_close(o);
    sl_config_fini(&c);
}

static void what_was_taken_stays_as_it_is(void **state SL_UNUSED)
{
    struct sl_config c;
    struct sl_overrides *o = NULL;
    load(&c);
    put("export_default_bucket: one\n");
    assert_int_equal(sl_overrides_open(&c, NULL, NULL, &o, NULL), SL_OK);
    const struct sl_config *one = sl_overrides_take(o);
    put("export_default_bucket: two\n");
    sl_overrides_reload(o);
    const struct sl_config *two = sl_overrides_take(o);
    assert_string_equal(one->export_bucket, "one");
    assert_string_equal(two->export_bucket, "two");
    sl_overrides_give(o, one);
    sl_overrides_give(o, two);
    sl_overrides_close(o);
    sl_config_fini(&c);
}

static sl_rc refuse_slash_no(void *arg, const struct sl_option *opt,
                             const struct sl_config *candidate, struct sl_err *err)
{
    (*(int *)arg)++;
    return strcmp(opt->key, "export_default_path") == 0 &&
                   strcmp(candidate->export_path, "/no") == 0
               ? SL_FAIL(err, SL_EIO, "export_default_path")
               : SL_OK;
}

static void the_node_may_refuse_a_value(void **state SL_UNUSED)
{
    struct sl_config c;
    struct sl_overrides *o = NULL;
    int asked = 0;
    load(&c);
    put("export_default_path: /yes\n");
    assert_int_equal(sl_overrides_open(&c, refuse_slash_no, &asked, &o, NULL), SL_OK);
    put("export_default_path: /no\nexport_parallelism: 2\n");
    sl_overrides_reload(o);
    const struct sl_config *now = sl_overrides_take(o);
    assert_string_equal(now->export_path, "/yes");
    assert_int_equal(now->export_parallelism, 2);
    assert_int_equal(asked, 3);
    sl_overrides_give(o, now);
    sl_overrides_close(o);
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    assert_int_equal(sl_overrides_problems(&c, refuse_slash_no, &asked, &out), 1);
    put("a: [\n");
    assert_int_equal(sl_overrides_problems(&c, NULL, NULL, &out), 1);
    assert_non_null(strstr(sl_buf_cstr(&out), "RUNTIME_OVERRIDES_PATH: line 2"));
    put("export_parallelism: x\nexport_enabled: x\n");
    assert_int_equal(sl_overrides_problems(&c, NULL, NULL, &out), 2);
    put("");
    assert_int_equal(sl_overrides_problems(&c, NULL, NULL, &out), 0);
    sl_config_fini(&c);
}

struct readers {
    struct sl_overrides *o;
    atomic_bool is_over;
};

/* Bucket and path always change together. */
static void read_pairs(void *arg)
{
    struct readers *r = arg;
    while (!atomic_load(&r->is_over)) {
        const struct sl_config *now = sl_overrides_take(r->o);
        sl_assert(strcmp(now->export_bucket, now->export_path) == 0);
        sl_overrides_give(r->o, now);
    }
}

static void readers_see_whole_changes(void **state SL_UNUSED)
{
    struct sl_config c;
    struct readers r = {0};
    struct sl_thread *threads[3] = {NULL};
    load(&c);
    put("export_default_bucket: x\nexport_default_path: x\n");
    assert_int_equal(sl_overrides_open(&c, NULL, NULL, &r.o, NULL), SL_OK);
    for (size_t i = 0; i < SL_COUNT_OF(threads); i++) {
        assert_int_equal(sl_thread_start("reader", read_pairs, &r, &threads[i], NULL), SL_OK);
    }
    sl_log_setup(SL_ERROR, SL_LOG_JSON);
    for (int i = 0; i < 100; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "export_default_bucket: v%d\nexport_default_path: v%d\n",
                       i, i);
        put(text);
        sl_overrides_reload(r.o);
    }
    sl_log_setup(SL_INFO, SL_LOG_JSON);
    atomic_store(&r.is_over, true);
    for (size_t i = 0; i < SL_COUNT_OF(threads); i++) {
        sl_thread_join(threads[i]);
    }
    sl_overrides_close(r.o);
    sl_config_fini(&c);
}

static void refused_memory_keeps_the_settings(void **state SL_UNUSED)
{
    struct sl_config c;
    struct sl_overrides *o = NULL;
    load(&c);
    put("");
    int64_t before = sl_mem_live();
    sl_log_setup(SL_ERROR, SL_LOG_TEXT);
    for (int64_t n = 0;; n++) {
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_overrides_open(&c, NULL, NULL, &o, NULL);
        sl_fault_clear();
        if (rc == SL_OK) {
            break;
        }
        assert_int_equal(rc, SL_ENOMEM);
        assert_int_equal(sl_mem_live(), before);
    }
    put("export_parallelism: 2\n");
    for (int64_t n = 0;; n++) {
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_overrides_reload(o);
        sl_fault_clear();
        if (state_of(o).is_last_load_good) {
            expect(o, true, 2);
            break;
        }
        expect(o, false, 5);
    }
    sl_log_setup(SL_INFO, SL_LOG_JSON);
    sl_overrides_close(o);
    assert_int_equal(sl_mem_live(), before);
    sl_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_settings),
        cmocka_unit_test(what_is_no_flat_map_is_refused),
        cmocka_unit_test(a_missing_file_is_looked_for_again),
        cmocka_unit_test(what_was_taken_stays_as_it_is),
        cmocka_unit_test(the_node_may_refuse_a_value),
        cmocka_unit_test(readers_see_whole_changes),
        cmocka_unit_test(refused_memory_keeps_the_settings),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
