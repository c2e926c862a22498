/* Tests of keys, users, roles and decisions. Expected: section 4 of the REST contract of Weaviate
 * and what was recorded from a 1.39.0 server (texts in full); the refusals of settings are our own
 * and name the variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/auth.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"

/* Records as a store keeps them; a list is enough here. */
#define RECORDS_MAX 64
struct store {
    char *name[RECORDS_MAX], *value[RECORDS_MAX];
    uint32_t count;
    bool is_broken;
};

static sl_rc keep(void *arg, const struct sl_record *changes, uint32_t count, struct sl_err *err)
{
    struct store *s = arg;
    if (s->is_broken) {
        return SL_FAIL(err, SL_EIO, "the disk is broken");
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;
        while (at < s->count && !sl_str_is(changes[i].name, s->name[at])) {
            at++;
        }
        if (at < s->count) {
            free(s->name[at]);
            free(s->value[at]);
            s->count--;
            s->name[at] = s->name[s->count];
            s->value[at] = s->value[s->count];
        }
        if (changes[i].value.ptr != NULL) {
            assert_true(s->count < RECORDS_MAX);
            s->name[s->count] = strndup(changes[i].name.ptr, changes[i].name.len);
            s->value[s->count++] = strndup(changes[i].value.ptr, changes[i].value.len);
        }
    }
    return SL_OK;
}

struct world {
    struct store store;
    struct sl_clock_fake *clock;
    struct sl_auth *auth;
    struct sl_arena arena;
    struct sl_err err;
    struct sl_buf out;
};

static struct sl_auth_opts options(struct world *w)
{
    return (struct sl_auth_opts){.anonymous = "",
                                 .has_keys = true,
                                 .keys = "root-key,bob-key",
                                 .key_users = "root,bob",
                                 .has_db_users = true,
                                 .has_rbac = true,
                                 .root_users = "root",
                                 .clock = sl_clock_fake_clock(w->clock),
                                 .store = keep,
                                 .store_arg = &w->store};
}

static void start(struct world *w, const struct sl_auth_opts *opts)
{
    assert_int_equal(sl_auth_open(opts, &w->auth, &w->err), SL_OK);
    for (uint32_t i = 0; i < w->store.count; i++) {
        assert_int_equal(sl_auth_load(w->auth, sl_str_from(w->store.name[i]),
                                      sl_str_from(w->store.value[i]), &w->err),
                         SL_OK);
    }
}

static void restart(struct world *w)
{
    struct sl_auth_opts opts = options(w);
    sl_auth_close(w->auth);
    w->auth = NULL;
    start(w, &opts);
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->clock = sl_clock_fake_new(1767225600000000000, 0); /* 2026-01-01 */
    struct sl_auth_opts opts = options(w);
    start(w, &opts);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    sl_auth_close(w->auth);
    sl_clock_fake_free(w->clock);
    sl_arena_fini(&w->arena);
    sl_buf_fini(&w->out);
    for (uint32_t i = 0; i < w->store.count; i++) {
        free(w->store.name[i]);
        free(w->store.value[i]);
    }
    free(w);
    return 0;
}

static sl_rc identify(struct world *w, const char *token, struct sl_subject *ret)
{
    w->err = (struct sl_err){0};
    return sl_auth_identify(w->auth, sl_str_from(token), SL_STR("192.0.2.1"), &w->arena, ret,
                            &w->err);
}

static void says(struct world *w, sl_rc got, sl_rc want, const char *text)
{
    if (got != want || strcmp(w->err.text, text) != 0) {
        fail_msg("%s: %s, want %s: %s", sl_rc_name(got), w->err.text, sl_rc_name(want), text);
    }
    w->err = (struct sl_err){0};
}

static const char *said(struct world *w)
{
    return sl_buf_cstr(&w->out);
}

static json_t *parse(const char *text)
{
    json_t *doc = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(doc);
    return doc;
}

static const struct sl_subject root = {.kind = SL_ENV_KEY, .name = {"root", 4}};
static const struct sl_subject bob = {.kind = SL_ENV_KEY, .name = {"bob", 3}};

static sl_rc create_role(struct world *w, const struct sl_subject *who, const char *body)
{
    json_t *doc = parse(body);
    sl_rc rc = sl_auth_role_create(w->auth, who, doc, &w->err);
    json_decref(doc);
    return rc;
}

static sl_rc assign(struct world *w, const char *user, const char *body)
{
    json_t *doc = parse(body);
    sl_rc rc = sl_auth_assign(w->auth, false, sl_str_from(user), doc, &w->err);
    json_decref(doc);
    return rc;
}

static bool may(struct world *w, const struct sl_subject *who, enum sl_verb verb,
                enum sl_domain domain, const char *first, const char *second)
{
    struct sl_resource what = {domain, {sl_str_from(first), sl_str_from(second)}};
    return sl_auth_may(w->auth, who, verb, &what);
}

/* The key in {"apikey":"..."}. */
static const char *key_of(struct world *w)
{
    json_t *doc = parse(said(w));
    struct sl_str key =
        sl_arena_str(&w->arena, sl_str_from(json_string_value(json_object_get(doc, "apikey"))));
    json_decref(doc);
    sl_buf_clear(&w->out);
    return key.ptr;
}

/* ---- settings ---- */

static void settings_that_contradict_each_other_name_their_variable(void **state)
{
    struct world *w = *state;
    struct sl_auth_opts good = options(w);
    struct {
        struct sl_auth_opts opts;
        const char *begin;
    } cases[12];
    size_t n = 0;
#define CASE(begin_, ...)                        \
    do {                                         \
        cases[n].opts = good;                    \
        struct sl_auth_opts *o = &cases[n].opts; \
        __VA_ARGS__;                             \
        cases[n++].begin = (begin_);             \
    } while (0)
    CASE("AUTHENTICATION_APIKEY_ALLOWED_KEYS: ", o->keys = "");
    CASE("AUTHENTICATION_APIKEY_ALLOWED_KEYS: key 2 is empty", o->keys = "a,", o->key_users = "u");
    CASE("AUTHENTICATION_APIKEY_ALLOWED_KEYS: keys 1 and 3 are the same", o->keys = "a,b,a",
         o->key_users = "u");
    CASE("AUTHENTICATION_APIKEY_USERS: 3 users for 2 keys", o->key_users = "a,b,c");
    CASE("AUTHENTICATION_APIKEY_USERS: user 1 is empty", o->key_users = "");
    CASE("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: \"maybe\"", o->anonymous = "maybe");
    CASE("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: cannot enable anonymous access and rbac",
         o->anonymous = "true");
    CASE("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: cannot enable anonymous access and rbac",
         o->has_keys = o->has_db_users = false);
    CASE("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: nobody", o->anonymous = "false", o->has_rbac = 0,
         o->has_keys = o->has_db_users = false);
    CASE("AUTHORIZATION_ADMINLIST_ENABLED: cannot enable rbac and admin list",
         o->has_adminlist = true);
    CASE("AUTHORIZATION_ADMINLIST_READONLY_USERS: \"ann\"", o->list_users = "bob,ann",
         o->list_readonly_users = "ann");
#undef CASE
    for (size_t i = 0; i < n; i++) {
        struct sl_auth *auth = NULL;
        struct sl_err err = {0};
        assert_int_equal(sl_auth_open(&cases[i].opts, &auth, &err), SL_EINVAL);
        if (strncmp(err.text, cases[i].begin, strlen(cases[i].begin)) != 0) {
            fail_msg("%s, want %s", err.text, cases[i].begin);
        }
        assert_null(strstr(err.text, "root-key"));
    }
}

static void anonymous_is_on_only_without_another_scheme(void **state)
{
    struct world *w = *state;
    struct sl_subject who;
    struct sl_auth_opts opts = options(w);
    opts.has_rbac = false;
    says(w, identify(w, NULL, &who), SL_EUNAUTH,
         "anonymous access not enabled. Please authenticate through one of the available methods: "
         "[API-keys]");
    sl_auth_close(w->auth);
    opts.has_keys = opts.has_db_users = false;
    start(w, &opts);
    assert_int_equal(identify(w, NULL, &who), SL_OK);
    assert_int_equal(who.kind, SL_ANONYMOUS);
    assert_true(may(w, &who, SL_DELETE, SL_ON_COLLECTIONS, "A", NULL));
    says(w, identify(w, "key", &who), SL_EUNAUTH,
         "no authentication scheme is configured (API Key or OIDC), but an 'Authorization' header "
         "was provided. Please configure an auth scheme or remove the header for anonymous access");
}

/* ---- keys ---- */

static void keys_of_the_environment_name_their_user(void **state)
{
    struct world *w = *state;
    struct sl_subject who;
    assert_int_equal(identify(w, "bob-key", &who), SL_OK);
    assert_int_equal(who.kind, SL_ENV_KEY);
    assert_true(sl_str_is(who.name, "bob"));
    static const char *const wrong[] = {"bob-ke", "bob-key ", "BOB-KEY", "root-key,bob-key", "a"};
    for (size_t i = 0; i < SL_COUNT_OF(wrong); i++) {
        says(w, identify(w, wrong[i], &who), SL_EUNAUTH, "unauthorized: invalid api key");
    }
    sl_auth_close(w->auth);
    struct sl_auth_opts opts = options(w);
    opts.key_users = "all"; /* one user for all keys */
    start(w, &opts);
    assert_int_equal(identify(w, "bob-key", &who), SL_OK);
    assert_true(sl_str_is(who.name, "all"));
}

static void a_user_lives_through_restart_rotation_and_deactivation(void **state)
{
    struct world *w = *state;
    struct sl_subject who;
    struct sl_str ann = SL_STR("ann");
    assert_int_equal(sl_auth_user_create(w->auth, ann, &w->out, &w->err), SL_OK);
    const char *first = key_of(w);
    for (uint32_t i = 0; i < w->store.count; i++) { /* no part of the secret is kept */
        assert_null(strstr(w->store.value[i], first));
        assert_null(strstr(w->store.value[i], first + strlen(first) / 2));
    }
    says(w, sl_auth_user_create(w->auth, ann, &w->out, &w->err), SL_ECONFLICT,
         "user 'ann' already exists");
    says(w, sl_auth_user_create(w->auth, SL_STR("bob"), &w->out, &w->err), SL_ECONFLICT,
         "user 'bob' already exists");
    says(w, sl_auth_user_create(w->auth, SL_STR("1 x"), &w->out, &w->err), SL_EINVAL,
         "'1 x' is not a valid user name");
    restart(w);
    assert_int_equal(identify(w, first, &who), SL_OK);
    assert_int_equal(who.kind, SL_DB_USER);
    assert_true(sl_str_is(who.name, "ann"));
    assert_int_equal(sl_auth_user_rotate(w->auth, ann, &w->out, &w->err), SL_OK);
    const char *second = key_of(w);
    says(w, identify(w, first, &who), SL_EUNAUTH, "unauthorized: invalid api key: invalid token");
    restart(w);
    says(w, identify(w, first, &who), SL_EUNAUTH, "unauthorized: invalid api key: invalid token");
    assert_int_equal(identify(w, second, &who), SL_OK);
    assert_int_equal(sl_auth_user_deactivate(w->auth, &root, ann, false, &w->err), SL_OK);
    says(w, sl_auth_user_deactivate(w->auth, &root, ann, false, &w->err), SL_ECONFLICT, "");
    restart(w);
    says(w, identify(w, second, &who), SL_EUNAUTH,
         "unauthorized: invalid api key: user deactivated");
    assert_int_equal(sl_auth_user_activate(w->auth, ann, &w->err), SL_OK);
    says(w, sl_auth_user_activate(w->auth, ann, &w->err), SL_ECONFLICT, "");
    assert_int_equal(identify(w, second, &who), SL_OK);
    assert_int_equal(sl_auth_user_deactivate(w->auth, &root, ann, true, &w->err), SL_OK);
    assert_int_equal(sl_auth_user_activate(w->auth, ann, &w->err), SL_OK);
    says(w, identify(w, second, &who), SL_EUNAUTH, "unauthorized: invalid api key: invalid token");
    assert_int_equal(sl_auth_user_delete(w->auth, ann, &w->err), SL_OK);
    says(w, sl_auth_user_delete(w->auth, ann, &w->err), SL_ENOTFOUND, "");
    assert_int_equal(w->store.count, 0);
}

/* Who may make users must not make themselves root by the name of one. */
static void a_name_with_rights_by_settings_gets_no_key(void **state)
{
    struct world *w = *state;
    struct sl_auth_opts opts = options(w);
    assert_int_equal(sl_auth_user_create(w->auth, SL_STR("later"), &w->out, &w->err), SL_OK);
    opts.root_users = "root,alice,later";
    sl_auth_close(w->auth);
    start(w, &opts);
    static const char *const refused = "has rights by AUTHORIZATION_ settings";
    assert_int_equal(sl_auth_user_create(w->auth, SL_STR("alice"), &w->out, &w->err), SL_EINVAL);
    assert_non_null(strstr(w->err.text, refused));
    assert_int_equal(sl_auth_user_rotate(w->auth, SL_STR("later"), &w->out, &w->err), SL_EINVAL);
    assert_non_null(strstr(w->err.text, refused));
}

static void a_change_that_cannot_be_stored_did_not_happen(void **state)
{
    struct world *w = *state;
    struct sl_subject who;
    assert_int_equal(sl_auth_user_create(w->auth, SL_STR("ann"), &w->out, &w->err), SL_OK);
    const char *key = key_of(w);
    w->store.is_broken = true;
    says(w, sl_auth_user_rotate(w->auth, SL_STR("ann"), &w->out, &w->err), SL_EIO,
         "the disk is broken");
    says(w, sl_auth_user_delete(w->auth, SL_STR("ann"), &w->err), SL_EIO, "the disk is broken");
    says(w, create_role(w, &root, "{\"name\":\"r\",\"permissions\":[]}"), SL_EIO,
         "the disk is broken");
    assert_int_equal(identify(w, key, &who), SL_OK);
    assert_int_equal(sl_auth_role_get(w->auth, SL_STR("r"), &w->out, &w->err), SL_ENOTFOUND);
    assert_int_equal(w->out.len, 0);
}

static void guessing_from_one_address_is_slowed_down(void **state)
{
    struct world *w = *state;
    struct sl_subject who;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(identify(w, "guess", &who), SL_EUNAUTH);
    }
    assert_int_equal(identify(w, "guess", &who), SL_ETOOMANY);
    assert_int_equal(identify(w, "bob-key", &who), SL_ETOOMANY); /* right or wrong is not told */
    assert_int_equal(identify(w, NULL, &who), SL_EUNAUTH);       /* no token is no guess */
    assert_int_equal(
        sl_auth_identify(w->auth, SL_STR("bob-key"), SL_STR("192.0.2.2"), &w->arena, &who, &w->err),
        SL_OK);
    sl_clock_fake_advance(w->clock, 1000000000);
    assert_int_equal(identify(w, "bob-key", &who), SL_OK);
}

/* Addresses of one /64 are one; the table stays as large as it is. */
static void many_addresses_are_one_network_or_forgotten(void **state)
{
    struct world *w = *state;
    struct sl_subject who;
    char peer[64];
    for (int i = 0; i < 10; i++) {
        (void)snprintf(peer, sizeof peer, "2001:db8:0:7:%x::1", i);
        assert_int_equal(
            sl_auth_identify(w->auth, SL_STR("guess"), sl_str_from(peer), &w->arena, &who, &w->err),
            SL_EUNAUTH);
    }
    assert_int_equal(sl_auth_identify(w->auth, SL_STR("guess"), SL_STR("2001:db8:0:7:ffff::9"),
                                      &w->arena, &who, &w->err),
                     SL_ETOOMANY);
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(peer, sizeof peer, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        assert_int_equal(
            sl_auth_identify(w->auth, SL_STR("guess"), sl_str_from(peer), &w->arena, &who, &w->err),
            SL_EUNAUTH);
    }
}

/* ---- roles ---- */

static void a_role_reads_as_it_was_written_after_a_restart(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        create_role(w, &root,
                    "{\"name\":\"r\",\"permissions\":[{\"action\":\"manage_backups\"},"
                    "{\"action\":\"read_data\",\"data\":{\"collection\":\"movies*\"}},"
                    "{\"action\":\"read_data\",\"data\":{\"collection\":\"Movies*\"}},"
                    "{\"action\":\"read_cluster\"},"
                    "{\"action\":\"read_nodes\",\"nodes\":{\"verbosity\":\"verbose\"}},"
                    "{\"action\":\"update_tenants\",\"tenants\":{\"collection\":\"A\",\"tenant\":"
                    "\"t-1\"}}]}"),
        SL_OK);
    restart(w);
    assert_int_equal(sl_auth_role_get(w->auth, SL_STR("r"), &w->out, &w->err), SL_OK);
    assert_string_equal(
        said(w), "{\"name\":\"r\",\"permissions\":[{\"action\":\"manage_backups\",\"backups\":{"
                 "\"collection\":\"*\"}},{\"action\":\"read_data\",\"data\":{\"collection\":"
                 "\"Movies*\",\"object\":\"*\",\"tenant\":\"*\"}},{\"action\":\"read_cluster\"},{"
                 "\"action\":\"read_nodes\",\"nodes\":{\"collection\":\"*\",\"verbosity\":"
                 "\"verbose\"}},{\"action\":\"update_tenants\",\"tenants\":{\"collection\":\"A\","
                 "\"tenant\":\"t-1\"}}]}");
}

static void wrong_roles_are_refused_in_the_words_of_the_reference(void **state)
{
    static const struct {
        const char *body;
        sl_rc rc;
        const char *text;
    } cases[] = {
        {"{\"name\":\"admin\",\"permissions\":[]}", SL_EBADREQ,
         "you cannot create role with the same name as built-in role admin"},
        {"{\"name\":\"1 bad\",\"permissions\":[]}", SL_EBADREQ, "role name is invalid"},
        {"{\"name\":\"\",\"permissions\":[]}", SL_EBADREQ, "role name is invalid"},
        {"{\"permissions\":[]}", SL_EINVAL, "name in body is required"},
        {"{\"name\":\"x\"}", SL_EINVAL, "permissions in body is required"},
        {"{\"name\":\"x\",\"permissions\":[{}]}", SL_EINVAL,
         "permissions.0.action in body is required"},
        {"{\"name\":\"x\",\"permissions\":[{\"action\":\"manage_backups\",\"backups\":"
         "{\"collection\":\"A/B\"}}]}",
         SL_EINVAL,
         "role permissions are invalid: 'A/B' is not a valid name or pattern: only '*', for any "
         "text, is special"},
        {"{\"name\":\"x\",\"permissions\":[{\"action\":\"manage_backups\",\"backups\":"
         "{\"collection\":\"A|B\"}}]}",
         SL_EINVAL,
         "role permissions are invalid: 'A|B' is not a valid name or pattern: only '*', for any "
         "text, is special"},
        {"{\"name\":\"x\",\"permissions\":[{\"action\":\"read_roles\",\"roles\":"
         "{\"scope\":\"some\"}}]}",
         SL_EINVAL, "role permissions are invalid: 'some' is not one of the values of this field"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        says(w, create_role(w, &root, cases[i].body), cases[i].rc, cases[i].text);
    }
    assert_int_equal(create_role(w, &root, "{\"name\":\"r\",\"permissions\":[]}"), SL_OK);
    says(w, create_role(w, &root, "{\"name\":\"r\",\"permissions\":[]}"), SL_ECONFLICT,
         "role with name r already exists");
    assert_int_equal(create_role(w, &root, "{\"name\":\"y\",\"permissions\":[{\"action\":\"x\"}]}"),
                     SL_EINVAL);
    assert_int_equal(w->err.sys_errno, 606);
    assert_non_null(strstr(w->err.text, "permissions.0.action in body should be one of "
                                        "[manage_backups read_cluster create_data "));
}

static void patterns_match_whole_names(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool is_allowed;
    } cases[] = {
        {"Movies*", "Movies", true},  {"Movies*", "Movies2", true},
        {"Movies*", "movies2", true}, {"movies*", "Movies", true},
        {"Movies", "Movies2", false}, {"Movies", "AMovies", false},
        {"*", "Anything", true},      {"*", "", true},
        {"Movies*", "", false},       {"*s", "Movies", true},
        {"*s", "Movie", false},       {"M*v*s", "Movies", true},
        {"M*v*s", "Mosiv", false},    {"M**s", "Ms", true},
        {"M.vies", "Movies", false},  {"A*A*A*A*B", "AAAAAA", false},
    };
    struct world *w = *state;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        char body[200];
        (void)snprintf(body, sizeof body,
                       "{\"name\":\"p%zu\",\"permissions\":[{\"action\":\"read_collections\","
                       "\"collections\":{\"collection\":\"%s\"}}]}",
                       i, cases[i].pattern);
        assert_int_equal(create_role(w, &root, body), SL_OK);
        (void)snprintf(body, sizeof body, "{\"roles\":[\"p%zu\"]}", i);
        assert_int_equal(assign(w, "bob", body), SL_OK);
        if (may(w, &bob, SL_READ, SL_ON_COLLECTIONS, cases[i].name, NULL) != cases[i].is_allowed) {
            fail_msg("%s on %s", cases[i].pattern, cases[i].name);
        }
        (void)snprintf(body, sizeof body, "p%zu", i);
        assert_int_equal(sl_auth_role_delete(w->auth, sl_str_from(body), &w->err), SL_OK);
    }
}

static void each_action_allows_its_verbs_on_its_domain_only(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        create_role(w, &root,
                    "{\"name\":\"r\",\"permissions\":["
                    "{\"action\":\"manage_backups\",\"backups\":{\"collection\":\"A\"}},"
                    "{\"action\":\"update_data\",\"data\":{\"collection\":\"A\","
                    "\"tenant\":\"t*\"}}]}"),
        SL_OK);
    assert_int_equal(assign(w, "bob", "{\"roles\":[\"r\"],\"userType\":\"db\"}"), SL_OK);
    for (int v = SL_CREATE; v <= SL_DELETE; v++) {
        assert_true(may(w, &bob, (enum sl_verb)v, SL_ON_BACKUPS, "A", NULL));
        assert_false(may(w, &bob, (enum sl_verb)v, SL_ON_BACKUPS, "B", NULL));
        assert_false(may(w, &bob, (enum sl_verb)v, SL_ON_BACKUPS, NULL, NULL));
        assert_false(may(w, &bob, (enum sl_verb)v, SL_ON_COLLECTIONS, "A", NULL));
        assert_int_equal(may(w, &bob, (enum sl_verb)v, SL_ON_DATA, "A", "t1"), v == SL_UPDATE);
    }
    assert_false(may(w, &bob, SL_UPDATE, SL_ON_DATA, "A", "other"));
    assert_false(may(w, &bob, SL_UPDATE, SL_ON_DATA, "A", NULL)); /* that would be all tenants */
}

static void built_in_roles_decide_as_the_reference_does(void **state)
{
    struct world *w = *state;
    assert_int_equal(assign(w, "bob", "{\"roles\":[\"viewer\"]}"), SL_OK);
    assert_true(may(w, &bob, SL_READ, SL_ON_BACKUPS, "A", NULL));
    assert_true(may(w, &bob, SL_READ, SL_ON_DATA, NULL, NULL));
    assert_false(may(w, &bob, SL_CREATE, SL_ON_BACKUPS, "A", NULL));
    assert_false(may(w, &bob, SL_ASSIGN, SL_ON_USERS, "bob", NULL));
    assert_int_equal(assign(w, "bob", "{\"roles\":[\"admin\"]}"), SL_OK);
    assert_true(may(w, &bob, SL_DELETE, SL_ON_BACKUPS, NULL, NULL));
    assert_true(may(w, &root, SL_ASSIGN, SL_ON_USERS, NULL, NULL));
    says(w, assign(w, "bob", "{\"roles\":[\"root\"]}"), SL_EFORBIDDEN,
         "assigning: modifying 'root' role or changing its assignments is not allowed");
    says(w, assign(w, "bob", "{\"roles\":[\"nope\"]}"), SL_ENOTFOUND,
         "one or more of the roles requested doesn't exist");
    says(w, assign(w, "ghost", "{\"roles\":[\"viewer\"]}"), SL_ENOTFOUND,
         "username to assign role to doesn't exist");
}

/* Who has a name at an issuer is not the user of a key with that name. */
static void users_of_keys_and_of_an_issuer_are_different_people(void **state)
{
    struct world *w = *state;
    struct sl_str staff = SL_STR("staff");
    struct sl_subject oidc_bob = {.kind = SL_OIDC, .name = SL_STR("bob")};
    struct sl_subject member = {
        .kind = SL_OIDC, .name = SL_STR("eve"), .groups = &staff, .group_count = 1};
    assert_int_equal(assign(w, "bob", "{\"roles\":[\"viewer\"],\"userType\":\"db\"}"), SL_OK);
    assert_false(may(w, &oidc_bob, SL_READ, SL_ON_DATA, "A", NULL));
    assert_int_equal(assign(w, "bob", "{\"roles\":[\"viewer\"],\"userType\":\"oidc\"}"), SL_OK);
    assert_true(may(w, &oidc_bob, SL_READ, SL_ON_DATA, "A", NULL));
    json_t *body = parse("{\"roles\":[\"viewer\"],\"groupType\":\"oidc\"}");
    assert_int_equal(sl_auth_assign(w->auth, true, staff, body, &w->err), SL_OK);
    json_decref(body);
    restart(w);
    assert_true(may(w, &member, SL_READ, SL_ON_DATA, "A", NULL));
    struct sl_resource what = {SL_ON_BACKUPS, {SL_STR("A")}};
    says(w, sl_auth_check(w->auth, &member, SL_DELETE, &what, &w->err), SL_EFORBIDDEN,
         "rbac: authorization, forbidden action: user 'eve' (of group 'staff') has insufficient "
         "permissions to delete_backups [[Domain: backups,Collection: A]]");
}

static void what_goes_takes_its_assignments_along(void **state)
{
    struct world *w = *state;
    static const char body[] = "{\"name\":\"r\",\"permissions\":[{\"action\":\"read_cluster\"}]}";
    assert_int_equal(create_role(w, &root, body), SL_OK);
    assert_int_equal(assign(w, "bob", "{\"roles\":[\"r\",\"viewer\"]}"), SL_OK);
    assert_int_equal(sl_auth_role_delete(w->auth, SL_STR("r"), &w->err), SL_OK);
    assert_int_equal(sl_auth_role_delete(w->auth, SL_STR("r"), &w->err), SL_OK);
    assert_int_equal(create_role(w, &root, body), SL_OK);
    restart(w);
    assert_int_equal(
        sl_auth_role_holders(w->auth, SL_STR("r"), SL_HOLDERS_USER_IDS, &w->out, &w->err), SL_OK);
    assert_string_equal(said(w), "[]");
    assert_int_equal(sl_auth_user_create(w->auth, SL_STR("ann"), &w->out, &w->err), SL_OK);
    assert_int_equal(assign(w, "ann", "{\"roles\":[\"viewer\"]}"), SL_OK);
    assert_int_equal(sl_auth_user_delete(w->auth, SL_STR("ann"), &w->err), SL_OK);
    assert_int_equal(sl_auth_user_create(w->auth, SL_STR("ann"), &w->out, &w->err), SL_OK);
    struct sl_subject ann = {.kind = SL_DB_USER, .name = SL_STR("ann")};
    assert_false(may(w, &ann, SL_READ, SL_ON_DATA, "A", NULL));
}

/* With the scope "match" nobody makes a role that may more than they may. */
static void nobody_hands_out_more_than_they_have(void **state)
{
    struct world *w = *state;
    assert_int_equal(create_role(w, &root,
                                 "{\"name\":\"maker\",\"permissions\":["
                                 "{\"action\":\"create_roles\",\"roles\":{\"role\":\"m*\"}},"
                                 "{\"action\":\"read_data\",\"data\":{\"collection\":\"A*\"}}]}"),
                     SL_OK);
    assert_int_equal(assign(w, "bob", "{\"roles\":[\"maker\"]}"), SL_OK);
    assert_int_equal(create_role(w, &bob,
                                 "{\"name\":\"mine\",\"permissions\":[{\"action\":\"read_data\","
                                 "\"data\":{\"collection\":\"Ab*\"}}]}"),
                     SL_OK);
    says(w,
         create_role(w, &bob,
                     "{\"name\":\"more\",\"permissions\":[{\"action\":\"read_data\",\"data\":"
                     "{\"collection\":\"*\"}}]}"),
         SL_EFORBIDDEN,
         "can only create roles with less or equal permissions as the current user: rbac: "
         "authorization, forbidden action: user 'bob' has insufficient permissions to read_data "
         "[[Domain: data, Collection: *, Tenant: *, Object: *]]");
    says(w, create_role(w, &bob, "{\"name\":\"z\",\"permissions\":[]}"), SL_EFORBIDDEN,
         "can only create roles with less or equal permissions as the current user: rbac: "
         "authorization, forbidden action: user 'bob' has insufficient permissions to create_roles "
         "[[Domain: roles, Role: z]]");
}

static void admin_lists_let_some_do_all_and_others_read(void **state)
{
    struct world *w = *state;
    struct sl_auth_opts opts = options(w);
    opts.has_rbac = false;
    opts.has_adminlist = true;
    opts.list_users = "root";
    opts.list_readonly_users = "ro,anonymous";
    opts.anonymous = "true";
    sl_auth_close(w->auth);
    start(w, &opts);
    struct sl_subject ro = {.kind = SL_ENV_KEY, .name = SL_STR("ro")};
    struct sl_subject nobody = {.kind = SL_ANONYMOUS};
    assert_true(may(w, &root, SL_DELETE, SL_ON_BACKUPS, "A", NULL));
    assert_true(may(w, &ro, SL_READ, SL_ON_BACKUPS, "A", NULL));
    assert_true(may(w, &nobody, SL_READ, SL_ON_BACKUPS, "A", NULL));
    assert_false(may(w, &bob, SL_READ, SL_ON_BACKUPS, "A", NULL));
    struct sl_resource what = {SL_ON_BACKUPS, {SL_STR("A")}};
    says(w, sl_auth_check(w->auth, &ro, SL_DELETE, &what, &w->err), SL_EFORBIDDEN,
         "adminlist: authorization, forbidden action: user 'ro' has insufficient permissions to D "
         "[backups/collections/A]");
}

/* ---- memory ---- */

static sl_rc all_steps(struct world *w)
{
    json_t *role = parse("{\"name\":\"r\",\"permissions\":[{\"action\":\"read_data\"}]}");
    json_t *given = parse("{\"roles\":[\"r\"]}");
    struct sl_subject who;
    sl_rc rc = sl_auth_role_create(w->auth, &root, role, &w->err);
    if (rc == SL_OK) {
        rc = sl_auth_user_create(w->auth, SL_STR("ann"), &w->out, &w->err);
    }
    if (rc == SL_OK) {
        rc = sl_auth_assign(w->auth, false, SL_STR("ann"), given, &w->err);
    }
    if (rc == SL_OK) {
        sl_buf_clear(&w->out);
        rc = sl_auth_user_list(w->auth, &root, true, &w->out, &w->err);
    }
    if (rc == SL_OK) {
        rc = sl_auth_role_list(w->auth, &root, &w->out, &w->err);
    }
    if (rc == SL_OK) {
        rc = sl_auth_own_info(w->auth, &bob, &w->out, &w->err);
    }
    if (rc == SL_OK) {
        rc = identify(w, "root-key", &who);
    }
    if (rc == SL_OK) {
        rc = sl_auth_role_delete(w->auth, SL_STR("r"), &w->err);
    }
    if (rc == SL_OK) {
        rc = sl_auth_user_delete(w->auth, SL_STR("ann"), &w->err);
    }
    json_decref(role);
    json_decref(given);
    return rc;
}

static void every_refused_allocation_is_told_and_nothing_is_lost(void **state)
{
    struct world *w = *state;
    int64_t before = sl_mem_live();
    bool is_done = false;
    for (int64_t n = 0; !is_done && n < 1000; n++) {
        struct world one = {.clock = w->clock};
        struct sl_auth_opts opts = options(&one);
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_auth_open(&opts, &one.auth, &one.err);
        rc = rc == SL_OK ? all_steps(&one) : rc;
        sl_fault_clear();
        assert_true(rc == SL_OK || rc == SL_ENOMEM);
        is_done = rc == SL_OK;
        sl_auth_close(one.auth);
        sl_arena_fini(&one.arena);
        sl_buf_fini(&one.out);
        for (uint32_t i = 0; i < one.store.count; i++) {
            free(one.store.name[i]);
            free(one.store.value[i]);
        }
        assert_int_equal(sl_mem_live(), before);
    }
    assert_true(is_done);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(settings_that_contradict_each_other_name_their_variable),
        TEST(anonymous_is_on_only_without_another_scheme),
        TEST(keys_of_the_environment_name_their_user),
        TEST(a_user_lives_through_restart_rotation_and_deactivation),
        TEST(a_name_with_rights_by_settings_gets_no_key),
        TEST(a_change_that_cannot_be_stored_did_not_happen),
        TEST(guessing_from_one_address_is_slowed_down),
        TEST(many_addresses_are_one_network_or_forgotten),
        TEST(a_role_reads_as_it_was_written_after_a_restart),
        TEST(wrong_roles_are_refused_in_the_words_of_the_reference),
        TEST(patterns_match_whole_names),
        TEST(each_action_allows_its_verbs_on_its_domain_only),
        TEST(built_in_roles_decide_as_the_reference_does),
        TEST(users_of_keys_and_of_an_issuer_are_different_people),
        TEST(what_goes_takes_its_assignments_along),
        TEST(nobody_hands_out_more_than_they_have),
        TEST(admin_lists_let_some_do_all_and_others_read),
        TEST(every_refused_allocation_is_told_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
