/* Checking an export by several workers: the answer is the same whoever looks at which file, and
 * says nothing good of what could not be read. Files and their damages one by one:
 * tests/system/verify_test.py. */
#include "base/clock.h"
#include "base/file.h"
#include "export_fixture.h"

#define TENANTS 24 /* a file each */
#define FEW     6  /* tenants of the sweeps, which check the export hundreds of times */
#define MANY    8  /* workers; of one CPU four */

static char folder[64];

static sl_rc open_folder(const struct sl_backend_env *env SL_UNUSED, struct sl_str root SL_UNUSED,
                         struct sl_backend **ret, struct sl_err *err)
{
    return sl_backend_filesystem_open(folder, ret, err);
}

/* The export "x" in a folder of its own. */
static void export_tenants(struct world *w, uint32_t count, bool is_manifest)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/sluice-verify-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(folder));
    add_class(w, "Ten", NULL);
    for (uint32_t n = 0; n < count; n++) {
        char tenant[16];
        snprintf(tenant, sizeof tenant, "t%02u", n);
        add_tenant(w, "Ten", tenant, "");
        add_objects(w, "Ten", tenant, 3 + n);
    }
    w->settings.is_manifest = is_manifest;
    world_reopen_with(w, open_folder);
    (void)export_all(w, "x");
}

static void remove_export(void)
{
    assert_int_equal(sl_dir_remove_tree(folder, NULL), SL_OK);
}

static sl_rc verify_until(struct world *w, uint32_t parallelism, bool is_deep,
                          struct sl_cancel *cancel, json_t **ret)
{
    char place[80];
    struct sl_backend_env env = {.clock = sl_clock_real(), .cancel = cancel};
    snprintf(place, sizeof place, "%s/x", folder);
    *ret = NULL;
    begin(w);
    return sl_export_verify(&env, sl_str_from(place), is_deep, parallelism, ret, &w->err);
}

/* The answer as text; libc's memory. */
static char *told(struct world *w, uint32_t parallelism, bool is_deep)
{
    json_t *doc = NULL;
    expect_ok(w, verify_until(w, parallelism, is_deep, NULL, &doc));
    char *text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    assert_non_null(text);
    return text;
}

/* One worker and many say the same; libc's memory. */
static char *told_by_both(struct world *w, bool is_deep)
{
    char *one = told(w, 1, is_deep);
    for (int i = 0; i < 5; i++) {
        char *many = told(w, MANY, is_deep);
        assert_string_equal(many, one);
        free(many); /* allow: free, jansson's */
    }
    return one;
}

/* at: below zero from the end. */
static void flip(uint32_t tenant, int64_t at)
{
    char path[128];
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    snprintf(path, sizeof path, "%s/x/Ten_t%02u_0000.parquet", folder, tenant);
    assert_int_equal(sl_file_read_all(path, MIB, &bytes, NULL), SL_OK);
    bytes.ptr[at < 0 ? (int64_t)bytes.len + at : at] ^= 1;
    assert_int_equal(sl_file_write_all(path, sl_buf_view(&bytes), NULL), SL_OK);
}

static size_t count_of(const char *text, const char *word)
{
    size_t n = 0;
    while ((text = strstr(text, word)) != NULL) {
        text += strlen(word);
        n++;
    }
    return n;
}

static void answer_is_the_same_by_any_number_of_workers(void **state)
{
    struct world *w = *state;
    char start[64];
    for (int is_manifest = 0; is_manifest < 2; is_manifest++) {
        export_tenants(w, TENANTS, is_manifest);
        for (int is_deep = 0; is_deep < 2; is_deep++) {
            char *text = told_by_both(w, is_deep);
            snprintf(start, sizeof start, "{\"status\":\"good\",\"files\":[{\"path\":\"Ten_t00_");
            assert_memory_equal(text, start, strlen(start));
            assert_int_equal(count_of(text, "\"status\":\"good\"}"), TENANTS);
            assert_non_null(strstr(text, "\"problems\":[],"));
            free(text); /* allow: free, jansson's */
        }
        remove_export();
        assert_int_equal(world_close(state), 0);
        assert_int_equal(world_open(state), 0);
        w = *state;
    }
}

static void bad_file_is_told_whoever_meets_it(void **state)
{
    struct world *w = *state;
    export_tenants(w, TENANTS, true);
    for (uint32_t bad = 0; bad < TENANTS; bad++) {
        char want[96];
        flip(bad, -1);
        char *text = told_by_both(w, false);
        snprintf(want, sizeof want,
                 "\"problems\":[\"Ten_t%02u_0000.parquet: SHA-256: the manifest ", bad);
        assert_non_null(strstr(text, want));
        assert_int_equal(count_of(text, "\"status\":\"good\"}"), TENANTS - 1);
        free(text); /* allow: free, jansson's */
        flip(bad, -1);
    }
    remove_export();
}

static void bad_files_are_told_in_their_order(void **state)
{
    struct world *w = *state;
    for (int is_manifest = 0; is_manifest < 2; is_manifest++) {
        export_tenants(w, TENANTS, is_manifest);
        for (uint32_t bad = 0; bad < TENANTS; bad += 2) {
            flip(bad, bad % 4 == 0 ? -1 : 60);
        }
        char *text = told_by_both(w, true);
        const char *at = strstr(text, "\"problems\":[");
        for (uint32_t bad = 0; bad < TENANTS; bad += 2) {
            char want[32];
            snprintf(want, sizeof want, "Ten_t%02u_0000.parquet: ", bad);
            at = strstr(at, want);
            assert_non_null(at);
        }
        free(text); /* allow: free, jansson's */
        remove_export();
        assert_int_equal(world_close(state), 0);
        assert_int_equal(world_open(state), 0);
        w = *state;
    }
}

/* No answer, or the same as without the failure: never a good word of what was not read. */
static void sweep(struct world *w, enum sl_fault fault, sl_rc want, uint32_t parallelism)
{
    char *good = told(w, 1, true);
    bool is_through = false;
    int64_t n = 0;
    for (; !is_through; n++) {
        json_t *doc = NULL;
        sl_fault_fail_after(fault, n);
        sl_rc rc = verify_until(w, parallelism, true, NULL, &doc);
        sl_fault_clear();
        is_through = rc == SL_OK;
        if (is_through) {
            char *text = json_dumps(doc, JSON_COMPACT);
            assert_string_equal(text, good);
            free(text); /* allow: free, jansson's */
        } else {
            assert_int_equal(rc, want);
            assert_int_not_equal(strlen(w->err.text), 0);
            assert_null(doc);
        }
        json_decref(doc);
    }
    assert_true(n > 3 * FEW);
    free(good); /* allow: free, jansson's */
}

static void failure_to_read_ends_it_all(void **state)
{
    struct world *w = *state;
    export_tenants(w, FEW, true);
    sweep(w, SL_FAULT_FILE, SL_EIO, 1);
    sweep(w, SL_FAULT_FILE, SL_EIO, MANY);
    remove_export();
}

static void refused_memory_ends_it_all(void **state)
{
    struct world *w = *state;
    export_tenants(w, FEW, true);
    sweep(w, SL_FAULT_ALLOC, SL_ENOMEM, 1);
    sweep(w, SL_FAULT_ALLOC, SL_ENOMEM, MANY);
    remove_export();
}

static void cancel_ends_it(void **state)
{
    struct world *w = *state;
    struct sl_cancel cancel;
    json_t *doc = NULL;
    export_tenants(w, TENANTS, true);
    sl_cancel_init(&cancel);
    sl_cancel_set(&cancel);
    assert_int_equal(verify_until(w, MANY, false, &cancel, &doc), SL_ECANCELED);
    assert_null(doc);
    sl_cancel_fini(&cancel);
    remove_export();
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(answer_is_the_same_by_any_number_of_workers),
        T(bad_file_is_told_whoever_meets_it),
        T(bad_files_are_told_in_their_order),
        T(failure_to_read_ends_it_all),
        T(refused_memory_ends_it_all),
        T(cancel_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
