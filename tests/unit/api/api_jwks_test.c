/* Keys fetched from an issuer over HTTP: rotation, limits of asking, an issuer that is away, many
 * requests at once. Tokens and keys are those of tests/unit/auth/oidc_cases.py (the argument), the
 * fake clock stands at their time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jwks.h"
#include "base/str.h"
#include "base/workers.h"

#define NOW_NS (INT64_C(1700000000) * 1000000000)
#define TEN_S  INT64_C(10000000000)

static json_t *cases;

/* What happens to a token of this name. */
static const char *token_of(const char *name)
{
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        if (strcmp(json_string_value(json_object_get(c, "name")), name) == 0) {
            return json_string_value(json_object_get(c, "token"));
        }
    }
    fail_msg("no case %s", name);
    return NULL;
}

/* The keys of the case "RS256" whose kid is in `kids`, as a JWK set. */
static char *set_of(const char *kids)
{
    json_t *set = json_pack("{s:[]}", "keys");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        if (strcmp(json_string_value(json_object_get(c, "name")), "RS256") != 0) {
            continue;
        }
        json_t *all = json_loads(json_string_value(json_object_get(c, "jwks")), 0, NULL);
        const json_t *list = json_object_get(all, "keys");
        for (size_t k = 0; k < json_array_size(list); k++) {
            json_t *key = json_array_get(list, k);
            if (strstr(kids, json_string_value(json_object_get(key, "kid"))) != NULL) {
                (void)json_array_append(json_object_get(set, "keys"), key);
            }
        }
        json_decref(all);
    }
    char *text = json_dumps(set, 0);
    json_decref(set);
    return text;
}

struct issuer {
    struct MHD_Daemon *daemon;
    uint16_t port;
    _Atomic(const char *) set;
    atomic_uint fetches;
};

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    (void)url, (void)method, (void)version, (void)data, (void)size, (void)state;
    struct issuer *issuer = arg;
    const char *set = atomic_load(&issuer->set);
    atomic_fetch_add(&issuer->fetches, 1);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(set), (void *)(uintptr_t)set, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result sent = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return sent;
}

static void issuer_start(struct issuer *issuer, const char *set)
{
    atomic_store(&issuer->set, set);
    issuer->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, issuer->port, NULL, NULL, answer, issuer,
                         MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    assert_non_null(issuer->daemon);
    issuer->port = MHD_get_daemon_info(issuer->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

struct world {
    struct issuer issuer;
    struct sl_clock_fake *clock;
    struct sl_jwks *jwks;
    char url[64];
    char *rsa, *ec;
};

static void world_init(struct world *w)
{
    struct sl_err err = {0};
    w->rsa = set_of("r");
    w->ec = set_of("e");
    issuer_start(&w->issuer, w->rsa);
    w->clock = sl_clock_fake_new(NOW_NS, 0);
    (void)snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u/keys", w->issuer.port);
    struct sl_jwks_opts opts = {.oidc = {.issuer = "https://idp.example",
                                         .client_id = "sluice",
                                         .username_claim = "sub",
                                         .groups_claim = "groups"},
                                .scopes = "",
                                .jwks_url = w->url,
                                .certificate = "",
                                .clock = sl_clock_fake_clock(w->clock)};
    if (sl_jwks_start(&opts, &w->jwks, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
}

static void world_fini(struct world *w)
{
    sl_jwks_stop(w->jwks);
    if (w->issuer.daemon != NULL) {
        MHD_stop_daemon(w->issuer.daemon);
    }
    sl_clock_fake_free(w->clock);
    free(w->rsa);
    free(w->ec);
}

static sl_rc verify(struct world *w, const char *name)
{
    struct sl_err err = {0};
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_subject person = {0};
    sl_rc rc = sl_jwks_verify(w->jwks, sl_str_from(token_of(name)), &arena, &person, &err);
    if (rc == SL_OK) {
        assert_true(sl_str_is(person.name, "alice"));
    } else if (rc == SL_EUNAUTH) {
        assert_int_equal(strncmp(err.text, "unauthorized: ", 14), 0);
    }
    sl_arena_fini(&arena);
    return rc;
}

static void a_new_key_is_fetched_when_a_token_names_it(void **state)
{
    (void)state;
    struct world w = {0};
    world_init(&w);
    assert_int_equal(verify(&w, "RS256"), SL_OK);
    assert_int_equal(verify(&w, "RS256"), SL_OK);
    assert_int_equal(verify(&w, "expired"), SL_EUNAUTH);
    assert_int_equal(atomic_load(&w.issuer.fetches), 1);
    atomic_store(&w.issuer.set, w.ec);
    assert_int_equal(verify(&w, "RS256"), SL_OK); /* still known */
    assert_int_equal(verify(&w, "ES256"), SL_OK);
    assert_int_equal(atomic_load(&w.issuer.fetches), 2);
    assert_int_equal(verify(&w, "RS256"), SL_EUNAUTH); /* withdrawn */
    world_fini(&w);
}

static void strangers_cannot_make_us_ask_without_end(void **state)
{
    (void)state;
    struct world w = {0};
    world_init(&w);
    assert_int_equal(verify(&w, "RS256"), SL_OK);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(verify(&w, "unknown kid"), SL_EUNAUTH);
    }
    assert_int_equal(atomic_load(&w.issuer.fetches), 1 + 4);
    assert_int_equal(verify(&w, "RS256"), SL_OK);
    sl_clock_fake_advance(w.clock, TEN_S);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(verify(&w, "wrong key"), SL_EUNAUTH);
    }
    assert_int_equal(atomic_load(&w.issuer.fetches), 1 + 4 + 1);
    world_fini(&w);
}

static void known_keys_outlive_the_issuer(void **state)
{
    (void)state;
    struct world w = {0};
    world_init(&w);
    assert_int_equal(verify(&w, "RS256"), SL_OK);
    MHD_stop_daemon(w.issuer.daemon);
    w.issuer.daemon = NULL;
    assert_int_equal(verify(&w, "ES256"), SL_EUNAUTH);
    assert_int_equal(verify(&w, "RS256"), SL_OK);
    issuer_start(&w.issuer, "no JWK set");
    assert_int_equal(verify(&w, "ES256"), SL_EUNAUTH);
    assert_int_equal(verify(&w, "RS256"), SL_OK);
    atomic_store(&w.issuer.set, w.ec);
    assert_int_equal(verify(&w, "ES256"), SL_OK);
    world_fini(&w);
}

static void without_keys_nobody_can_tell(void **state)
{
    (void)state;
    struct world w = {0};
    world_init(&w);
    sl_jwks_stop(w.jwks);
    MHD_stop_daemon(w.issuer.daemon);
    w.issuer.daemon = NULL;
    struct sl_err err = {0};
    struct sl_jwks_opts opts = {.oidc = {.issuer = "https://idp.example",
                                         .client_id = "sluice",
                                         .username_claim = "sub",
                                         .groups_claim = ""},
                                .scopes = "",
                                .jwks_url = w.url,
                                .certificate = "",
                                .clock = sl_clock_fake_clock(w.clock)};
    assert_int_equal(sl_jwks_start(&opts, &w.jwks, &err), SL_OK);
    assert_int_equal(verify(&w, "RS256"), SL_EBUSY);
    assert_int_equal(verify(&w, "expired"), SL_EUNAUTH); /* this one is told without keys */
    issuer_start(&w.issuer, w.rsa);
    assert_int_equal(verify(&w, "RS256"), SL_OK);
    world_fini(&w);
}

static void check_often(void *arg)
{
    for (int i = 0; i < 200; i++) {
        sl_rc rc = verify(arg, i % 2 == 0 ? "RS256" : "ES256");
        assert_true(rc == SL_OK || rc == SL_EUNAUTH || rc == SL_EBUSY);
    }
}

static void keys_change_under_many_requests(void **state)
{
    (void)state;
    struct world w = {0};
    struct sl_err err = {0};
    struct sl_thread *threads[6] = {0};
    world_init(&w);
    for (size_t i = 0; i < SL_COUNT_OF(threads); i++) {
        assert_int_equal(sl_thread_start("check", check_often, &w, &threads[i], &err), SL_OK);
    }
    for (int i = 0; i < 200; i++) {
        atomic_store(&w.issuer.set, i % 2 == 0 ? w.ec : w.rsa);
        sl_clock_fake_advance(w.clock, TEN_S / 1000);
        (void)verify(&w, i % 2 == 0 ? "ES256" : "RS256");
    }
    for (size_t i = 0; i < SL_COUNT_OF(threads); i++) {
        sl_thread_join(threads[i]);
    }
    world_fini(&w);
}

static void settings_that_cannot_work_are_named(void **state)
{
    (void)state;
    const struct sl_jwks_opts good = {.oidc = {.issuer = "https://idp.example",
                                               .client_id = "sluice",
                                               .username_claim = "sub",
                                               .groups_claim = ""},
                                      .scopes = "",
                                      .jwks_url = "",
                                      .certificate = ""};
    struct {
        const char *name;
        struct sl_jwks_opts opts;
    } bad[] = {
        {"AUTHENTICATION_OIDC_ISSUER", good},    {"AUTHENTICATION_OIDC_ISSUER", good},
        {"AUTHENTICATION_OIDC_CLIENT_ID", good}, {"AUTHENTICATION_OIDC_USERNAME_CLAIM", good},
        {"AUTHENTICATION_OIDC_JWKS_URL", good},  {"AUTHENTICATION_OIDC_CERTIFICATE", good}};
    bad[0].opts.oidc.issuer = "";
    bad[1].opts.oidc.issuer = "idp.example";
    bad[2].opts.oidc.client_id = "";
    bad[3].opts.oidc.username_claim = "";
    bad[4].opts.jwks_url = "file:///etc/passwd";
    bad[5].opts.certificate = "/nowhere/ca.pem";
    struct sl_err err = {0};
    assert_int_equal(sl_jwks_check_opts(&good, &err), SL_OK);
    for (size_t i = 0; i < SL_COUNT_OF(bad); i++) {
        assert_true(sl_jwks_check_opts(&bad[i].opts, &err) != SL_OK);
        assert_non_null(strstr(err.text, bad[i].name));
    }
    bad[2].opts.oidc.is_any_client = true;
    assert_int_equal(sl_jwks_check_opts(&bad[2].opts, &err), SL_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_key_is_fetched_when_a_token_names_it),
        cmocka_unit_test(strangers_cannot_make_us_ask_without_end),
        cmocka_unit_test(known_keys_outlive_the_issuer),
        cmocka_unit_test(without_keys_nobody_can_tell),
        cmocka_unit_test(keys_change_under_many_requests),
        cmocka_unit_test(settings_that_cannot_work_are_named),
    };
    if (argc != 2) {
        return 2;
    }
    cases = json_load_file(argv[1], 0, NULL);
    int failed = cases == NULL ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(cases);
    return failed;
}
