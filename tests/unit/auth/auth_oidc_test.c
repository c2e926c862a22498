/* The check of tokens against what the openssl program made (oidc_cases.py; its output is the
 * argument), and the reading of JWK sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "auth/oidc.h"
#include "base/buf.h"
#include "base/fault.h"

static const char *cases_path;

static const char *text(const json_t *object, const char *key)
{
    const char *found = json_string_value(json_object_get(object, key));
    assert_non_null(found);
    return found;
}

static void assert_person(const struct sl_subject *p, const json_t *c, const char *name)
{
    const json_t *groups = json_object_get(c, "groups");
    if (!sl_str_is(p->name, text(c, "user")) || p->group_count != json_array_size(groups)) {
        fail_msg("%s: user %.*s of %u groups", name, SL_STR_ARG(p->name), p->group_count);
    }
    for (uint32_t i = 0; i < p->group_count; i++) {
        assert_true(sl_str_is(p->groups[i], json_string_value(json_array_get(groups, i))));
    }
}

static void run_case(const json_t *c)
{
    const char *name = text(c, "name"), *token = text(c, "token");
    const json_t *o = json_object_get(c, "opts");
    struct sl_oidc_opts opts = {.issuer = text(o, "issuer"),
                                .client_id = text(o, "client_id"),
                                .is_any_client = json_is_true(json_object_get(o, "any_client")),
                                .username_claim = text(o, "username_claim"),
                                .groups_claim = text(o, "groups_claim")};
    struct sl_err err = {0};
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_subject person = {0};
    SL_AUTO_PTR(sl_oidc_keys) keys = NULL;
    assert_int_equal(sl_oidc_keys_parse(sl_str_bytes(sl_str_from(text(c, "jwks"))), &keys, &err),
                     SL_OK);
    int64_t now_s = json_integer_value(json_object_get(c, "now"));
    sl_rc rc = sl_oidc_check(&opts, keys, sl_str_from(token), now_s, &arena, &person, &err);
    if (strcmp(sl_rc_name(rc), text(c, "want")) != 0) {
        fail_msg("%s: %s: %s", name, sl_rc_name(rc), sl_err_text(&err, rc));
    }
    if (rc == SL_OK) {
        assert_person(&person, c, name);
    } else {
        if (strncmp(err.text, "unauthorized: ", 14) != 0 ||
            strstr(err.text, text(c, "text")) == NULL ||
            (strlen(token) > 3 && strstr(err.text, token) != NULL)) {
            fail_msg("%s: \"%s\"", name, err.text);
        }
        assert_int_equal(person.name.len, 0); /* nothing is told of who was refused */
    }
    sl_arena_fini(&arena);
}

static void tokens_are_accepted_and_refused(void **state)
{
    (void)state;
    int64_t live = sl_mem_live();
    json_t *cases = json_load_file(cases_path, 0, NULL);
    assert_true(json_array_size(cases) > 80);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        run_case(json_array_get(cases, i));
    }
    json_decref(cases);
    assert_int_equal(sl_mem_live(), live);
}

/* Keys and check with the allocation after `n` good ones refused. */
static sl_rc check_with_faults(const json_t *c, int64_t n)
{
    static const struct sl_oidc_opts opts = {.issuer = "https://idp.example",
                                             .client_id = "sluice",
                                             .username_claim = "sub",
                                             .groups_claim = "groups"};
    struct sl_err err = {0};
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_subject person;
    struct sl_oidc_keys *keys = NULL;
    sl_fault_fail_after(SL_FAULT_ALLOC, n);
    sl_rc rc = sl_oidc_keys_parse(sl_str_bytes(sl_str_from(text(c, "jwks"))), &keys, &err);
    if (rc == SL_OK) {
        rc = sl_oidc_check(&opts, keys, sl_str_from(text(c, "token")),
                           json_integer_value(json_object_get(c, "now")), &arena, &person, &err);
    }
    sl_fault_clear();
    sl_oidc_keys_free(keys);
    sl_arena_fini(&arena);
    return rc;
}

static void a_refused_allocation_is_told(void **state)
{
    (void)state;
    json_t *cases = json_load_file(cases_path, 0, NULL);
    const json_t *c = NULL;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *at = json_array_get(cases, i);
        c = strcmp(text(at, "name"), "groups") == 0 ? at : c;
    }
    assert_non_null(c);
    int64_t live = sl_mem_live(), n = 0;
    for (sl_rc rc = SL_ENOMEM; rc != SL_OK; n++) {
        rc = check_with_faults(c, n);
        assert_true(rc == SL_OK || rc == SL_ENOMEM);
        assert_int_equal(sl_mem_live(), live);
    }
    assert_true(n > 5);
    json_decref(cases);
}

static sl_rc parse(const char *jwks, uint32_t *ret_count)
{
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_oidc_keys) keys = NULL;
    SL_TRY(sl_oidc_keys_parse(sl_str_bytes(sl_str_from(jwks)), &keys, &err));
    *ret_count = sl_oidc_keys_count(keys);
    return SL_OK;
}

static void what_is_no_key_set_is_told(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]", "null"};
    uint32_t count = 0;
    for (size_t i = 0; i < SL_COUNT_OF(bad); i++) {
        assert_int_equal(parse(bad[i], &count), SL_EINVAL);
    }
    assert_int_equal(
        parse("{\"keys\":[{\"kty\":\"RSA\"},{\"kty\":\"EC\",\"crv\":\"P-256\"}]}", &count), SL_OK);
    assert_int_equal(count, 0);
}

static void a_set_has_a_limit(void **state)
{
    (void)state;
    for (int n = 64; n <= 65; n++) {
        uint32_t count = 0;
        SL_AUTO(sl_buf) set = SL_BUF_EMPTY;
        sl_buf_add_text(&set, "{\"keys\":[");
        for (int i = 0; i < n; i++) {
            sl_buf_addf(&set,
                        "%s{\"kty\":\"EC\",\"crv\":\"P-256\","
                        "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
                        i == 0 ? "" : ",");
        }
        sl_buf_add_text(&set, "]}");
        assert_int_equal(parse(sl_buf_cstr(&set), &count), n == 64 ? SL_OK : SL_ETOOBIG);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_accepted_and_refused),
        cmocka_unit_test(a_refused_allocation_is_told),
        cmocka_unit_test(what_is_no_key_set_is_told),
        cmocka_unit_test(a_set_has_a_limit),
    };
    if (argc != 2) {
        return 2;
    }
    cases_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
