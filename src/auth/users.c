/* Users made at run time: /v1/users/db. Users of keys of the environment are listed with them, and
 * cannot be changed. A user is replaced as a whole, so that readers see the old or the new one;
 * record and key format are keys.c's. */
#include "auth/auth_int.h"

#include "base/str.h"

#define NAME_MAX  128
#define USERS_MAX 100000 /* each is kept in memory, about 600 bytes */

void sli_user_free(struct sli_user *user)
{
    if (user != NULL) {
        sl_arena_fini(&user->arena);
        sl_free(user);
    }
}

static sl_rc user_new(struct sl_str name, struct sl_str key_id, struct sli_user **ret,
                      struct sl_err *err)
{
    struct sli_user *user = sl_alloc_zero(1, sizeof(*user));
    if (user == NULL) {
        return SL_NOMEM(err);
    }
    user->name = sl_arena_str(&user->arena, name);
    user->key_id.name = sl_arena_str(&user->arena, key_id);
    user->is_active = true;
    if (user->name.ptr == NULL || user->key_id.name.ptr == NULL) {
        sli_user_free(user);
        return SL_NOMEM(err);
    }
    *ret = user;
    return SL_OK;
}

/* The same user, to be changed; key_id as given. */
static sl_rc user_copy(const struct sli_user *from, struct sl_str key_id, struct sli_user **ret,
                       struct sl_err *err)
{
    SL_TRY(user_new(from->name, key_id, ret, err));
    memcpy((*ret)->digest, from->digest, SL_SHA256_SIZE);
    memcpy((*ret)->first_letters, from->first_letters, sizeof(from->first_letters));
    (*ret)->created_ns = from->created_ns;
    (*ret)->is_active = from->is_active;
    atomic_store(&(*ret)->last_used_ns, atomic_load(&from->last_used_ns));
    return SL_OK;
}

/* ---- records ---- */

static void user_value(const struct sli_user *user, struct sl_buf *out)
{
    SL_AUTO(sl_buf) digest = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(out);
    sl_hex_add(&digest, SL_BYTES(user->digest, SL_SHA256_SIZE));
    sl_json_obj(&w);
    sl_json_key(&w, "active");
    sl_json_bool(&w, user->is_active);
    sl_json_key(&w, "created");
    sl_json_time_ns(&w, user->created_ns);
    sl_json_key(&w, "firstLetters");
    sl_json_text(&w, user->first_letters);
    sl_json_key(&w, "keyDigest");
    sl_json_str(&w, sl_buf_str(&digest));
    sl_json_key(&w, "keyId");
    sl_json_str(&w, user->key_id.name);
    sl_json_obj_end(&w);
    out->is_failed = out->is_failed || digest.is_failed;
}

static struct sl_str text_of(json_t *doc, const char *key)
{
    json_t *value = json_object_get(doc, key);
    return (struct sl_str){json_string_value(value), json_string_length(value)};
}

static sl_rc read_user(struct sl_str name, json_t *doc, struct sli_user **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) digest = SL_BUF_EMPTY;
    struct sl_str key_id = text_of(doc, "keyId"), letters = text_of(doc, "firstLetters");
    int64_t created = 0;
    if (!sl_hex_parse(text_of(doc, "keyDigest"), &digest) || digest.len != SL_SHA256_SIZE ||
        (key_id.len != SLI_KEY_ID && key_id.len != 0) ||
        letters.len >= sizeof((*ret)->first_letters) ||
        !sl_time_parse(text_of(doc, "created"), &created)) {
        return SL_FAIL(err, SL_ECORRUPT, "it is no user");
    }
    SL_TRY(user_new(name, key_id, ret, err));
    memcpy((*ret)->digest, digest.ptr, SL_SHA256_SIZE);
    memcpy((*ret)->first_letters, letters.ptr, letters.len);
    (*ret)->created_ns = created;
    (*ret)->is_active = json_is_true(json_object_get(doc, "active"));
    return SL_OK;
}

/* Room first: what is stored can then always be published. */
static sl_rc reserve(struct sl_auth *auth, struct sl_err *err)
{
    sl_rwlock_write(&auth->state);
    sl_rc rc = sli_set_reserve(&auth->users, err);
    if (rc == SL_OK) {
        rc = sli_set_reserve(&auth->key_ids, err);
    }
    sl_rwlock_unlock(&auth->state);
    return rc;
}

/* Takes the user; gives the one it replaces. */
static struct sli_user *put_locked(struct sl_auth *auth, struct sli_user *user)
{
    struct sli_user *old = sli_set_put(&auth->users, user);
    if (old != NULL && old->key_id.name.len > 0) {
        (void)sli_set_remove(&auth->key_ids, old->key_id.name);
    }
    if (user->key_id.name.len > 0) {
        (void)sli_set_put(&auth->key_ids, &user->key_id);
    }
    return old;
}

sl_rc sli_user_load(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                    struct sl_err *err)
{
    struct sli_user *user = NULL;
    json_t *doc = json_loadb(value.ptr, value.len, 0, NULL);
    sl_rc rc = read_user(name, doc, &user, err);
    json_decref(doc);
    SL_TRY(rc);
    rc = reserve(auth, err);
    sli_user_free(rc == SL_OK ? put_locked(auth, user) : user);
    return rc;
}

static sl_rc publish(struct sl_auth *auth, struct sli_user *user, struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    struct sli_user *old = user;
    sl_buf_addf(&name, "user/%.*s", SL_STR_ARG(user->name));
    user_value(user, &value);
    sl_rc rc = name.is_failed || value.is_failed ? SL_NOMEM(err) : reserve(auth, err);
    if (rc == SL_OK) {
        struct sl_record record = {sl_buf_str(&name), sl_buf_str(&value)};
        rc = sli_store(auth, &record, 1, err);
    }
    if (rc == SL_OK) {
        sl_rwlock_write(&auth->state);
        old = put_locked(auth, user);
        sl_rwlock_unlock(&auth->state);
    }
    sli_user_free(old);
    return rc;
}

/* ---- changes ---- */

static sl_rc check_enabled(const struct sl_auth *auth, struct sl_err *err)
{
    return auth->opts.has_db_users
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL,
                         "db user management is not enabled; set AUTHENTICATION_DB_USERS_ENABLED");
}

/* A user of run time: SL_ENOTFOUND when there is none, SL_EINVAL for one of the environment. */
static sl_rc find_changeable(struct sl_auth *auth, struct sl_str name, struct sli_user **ret,
                             struct sl_err *err)
{
    SL_TRY(check_enabled(auth, err));
    *ret = sli_set_find(&auth->users, name);
    if (*ret != NULL) {
        return SL_OK;
    }
    return sli_is_env_user(auth, name)
               ? SL_FAIL(err, SL_EINVAL,
                         "user '%.*s' is static: it comes from AUTHENTICATION_APIKEY_USERS and is "
                         "changed there",
                         SL_STR_ARG(name))
               : SL_ENOTFOUND;
}

static void key_json(const struct sli_new_key *key, struct sl_buf *out)
{
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "apikey");
    sl_json_str(&w, sl_buf_str(&key->text));
    sl_json_obj_end(&w);
}

/* Gives the user the key and publishes it. */
static sl_rc publish_key(struct sl_auth *auth, struct sli_user *user, const struct sli_new_key *key,
                         struct sl_err *err)
{
    memcpy(user->digest, key->digest, SL_SHA256_SIZE);
    memcpy(user->first_letters, key->text.ptr, sizeof(user->first_letters) - 1);
    return publish(auth, user, err);
}

/* A name that settings give rights to is not handed out by who may only make users. */
static sl_rc check_plain(const struct sl_auth *auth, struct sl_str name, struct sl_err *err)
{
    const struct sli_list *const lists[] = {&auth->root_users, &auth->readonly_users,
                                            &auth->admin_users, &auth->list_users,
                                            &auth->list_readonly_users};
    for (size_t i = 0; i < SL_COUNT_OF(lists); i++) {
        if (sli_list_has(lists[i], name)) {
            return SL_FAIL(err, SL_EINVAL,
                           "user '%.*s' has rights by AUTHORIZATION_ settings; nobody gets a key "
                           "for that name here",
                           SL_STR_ARG(name));
        }
    }
    return SL_OK;
}

static sl_rc create_locked(struct sl_auth *auth, struct sl_str name, const struct sli_new_key *key,
                           struct sl_err *err)
{
    struct sli_user *user = NULL;
    if (sli_is_env_user(auth, name) || sli_set_find(&auth->users, name) != NULL) {
        return SL_FAIL(err, SL_ECONFLICT, "user '%.*s' already exists", SL_STR_ARG(name));
    }
    SL_TRY(check_plain(auth, name, err));
    if (auth->users.count >= USERS_MAX) {
        return SL_FAIL(err, SL_EINVAL, "there are %d users; no more are possible", USERS_MAX);
    }
    SL_TRY(user_new(name, (struct sl_str){key->id, SLI_KEY_ID}, &user, err));
    user->created_ns = sl_clock_wall_ns(auth->opts.clock);
    return publish_key(auth, user, key, err);
}

static sl_rc rotate_locked(struct sl_auth *auth, struct sl_str name, const struct sli_new_key *key,
                           struct sl_err *err)
{
    struct sli_user *old = NULL, *user = NULL;
    SL_TRY(find_changeable(auth, name, &old, err));
    SL_TRY(check_plain(auth, name, err));
    SL_TRY(user_copy(old, (struct sl_str){key->id, SLI_KEY_ID}, &user, err));
    return publish_key(auth, user, key, err);
}

typedef sl_rc key_fn(struct sl_auth *auth, struct sl_str name, const struct sli_new_key *key,
                     struct sl_err *err);

static sl_rc with_key(struct sl_auth *auth, struct sl_str name, key_fn *change, struct sl_buf *out,
                      struct sl_err *err)
{
    struct sli_new_key key = {.text = SL_BUF_EMPTY};
    sl_rc rc = sli_apikey_make(&key, err);
    if (rc == SL_OK) {
        sl_mutex_lock(&auth->change);
        rc = change(auth, name, &key, err);
        sl_mutex_unlock(&auth->change);
    }
    if (rc == SL_OK) {
        key_json(&key, out);
        rc = sl_buf_done(out, err);
    }
    sl_buf_fini(&key.text);
    return rc;
}

sl_rc sl_auth_user_create(struct sl_auth *auth, struct sl_str name, struct sl_buf *out,
                          struct sl_err *err)
{
    SL_TRY(check_enabled(auth, err));
    if (!sli_is_name(name, "-_@.", NAME_MAX + 1)) {
        return SL_FAIL(err, SL_EINVAL, "'%.*s' is not a valid user name",
                       (int)SL_MIN(name.len, (size_t)200), name.ptr);
    }
    return with_key(auth, name, create_locked, out, err);
}

sl_rc sl_auth_user_rotate(struct sl_auth *auth, struct sl_str name, struct sl_buf *out,
                          struct sl_err *err)
{
    return with_key(auth, name, rotate_locked, out, err);
}

static sl_rc set_active(struct sl_auth *auth, struct sl_str name, bool is_active,
                        bool is_key_revoked, struct sl_err *err)
{
    struct sli_user *old = NULL, *user = NULL;
    SL_TRY(find_changeable(auth, name, &old, err));
    if (old->is_active == is_active) {
        return SL_ECONFLICT;
    }
    SL_TRY(user_copy(old, is_key_revoked ? SL_STR("") : old->key_id.name, &user, err));
    user->is_active = is_active;
    return publish(auth, user, err);
}

sl_rc sl_auth_user_activate(struct sl_auth *auth, struct sl_str name, struct sl_err *err)
{
    sl_mutex_lock(&auth->change);
    sl_rc rc = set_active(auth, name, true, false, err);
    sl_mutex_unlock(&auth->change);
    return rc;
}

sl_rc sl_auth_user_deactivate(struct sl_auth *auth, const struct sl_subject *who,
                              struct sl_str name, bool is_key_revoked, struct sl_err *err)
{
    if (who->kind != SL_OIDC && sl_str_eq(who->name, name)) {
        return SL_FAIL(err, SL_EINVAL, "user '%.*s' cannot self-deactivate", SL_STR_ARG(name));
    }
    sl_mutex_lock(&auth->change);
    sl_rc rc = set_active(auth, name, false, is_key_revoked, err);
    sl_mutex_unlock(&auth->change);
    return rc;
}

static sl_rc delete_locked(struct sl_auth *auth, struct sl_str name, struct sl_err *err)
{
    struct sli_user *user = NULL;
    SL_TRY(find_changeable(auth, name, &user, err));
    SL_AUTO(sl_buf) user_key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) grant_key = SL_BUF_EMPTY;
    sl_buf_addf(&user_key, "user/%.*s", SL_STR_ARG(name));
    sl_buf_addf(&grant_key, "grant/db:%.*s", SL_STR_ARG(name));
    SL_TRY(sl_buf_done(&user_key, err));
    SL_TRY(sl_buf_done(&grant_key, err));
    struct sl_record gone[] = {{.name = sl_buf_str(&user_key)}, {.name = sl_buf_str(&grant_key)}};
    SL_TRY(sli_store(auth, gone, SL_COUNT_OF(gone), err));
    sl_rwlock_write(&auth->state);
    (void)sli_set_remove(&auth->users, user->name);
    if (user->key_id.name.len > 0) {
        (void)sli_set_remove(&auth->key_ids, user->key_id.name);
    }
    struct sli_grant *grant = sli_grant_take_locked(auth, user->name);
    sl_rwlock_unlock(&auth->state);
    sli_grant_free(grant);
    sli_user_free(user);
    return SL_OK;
}

sl_rc sl_auth_user_delete(struct sl_auth *auth, struct sl_str name, struct sl_err *err)
{
    sl_mutex_lock(&auth->change);
    sl_rc rc = delete_locked(auth, name, err);
    sl_mutex_unlock(&auth->change);
    return rc;
}

/* ---- questions ---- */

static void time_json(struct sl_json *w, const char *key, int64_t ns)
{
    sl_json_key(w, key);
    if (ns == 0) {
        sl_json_text(w, "0001-01-01T00:00:00.000Z"); /* as the reference says "never" */
    } else {
        sl_json_time_ms(w, ns);
    }
}

/* user NULL: `name` is of the environment. */
static void user_json(struct sl_auth *auth, const struct sli_user *user, struct sl_str name,
                      bool has_last_used, struct sl_json *w)
{
    struct sl_subject who = {.kind = user == NULL ? SL_ENV_KEY : SL_DB_USER, .name = name};
    bool is_used_told = user != NULL && has_last_used;
    sl_json_obj(w);
    sl_json_key(w, "active");
    sl_json_bool(w, user == NULL || user->is_active);
    if (user != NULL && user->key_id.name.len > 0) {
        sl_json_key(w, "apiKeyFirstLetters");
        sl_json_text(w, user->first_letters);
    }
    time_json(w, "createdAt", user == NULL ? 0 : user->created_ns);
    sl_json_key(w, "dbUserType");
    sl_json_text(w, user == NULL ? "db_env_user" : "db_user");
    time_json(w, "lastUsedAt", is_used_told ? atomic_load(&user->last_used_ns) : 0);
    sl_json_key(w, "roles");
    sli_role_names_json(auth, &who, w);
    sl_json_key(w, "userId");
    sl_json_str(w, name);
    sl_json_obj_end(w);
}

sl_rc sl_auth_user_get(struct sl_auth *auth, struct sl_str name, bool has_last_used,
                       struct sl_buf *out, struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    SL_TRY(check_enabled(auth, err));
    sl_rwlock_read(&auth->state);
    const struct sli_user *user = sli_set_find(&auth->users, name);
    bool is_known = user != NULL || sli_is_env_user(auth, name);
    if (is_known) {
        user_json(auth, user, name, has_last_used, &w);
    }
    sl_rwlock_unlock(&auth->state);
    return is_known ? sl_buf_done(out, err) : SL_ENOTFOUND;
}

/* Names of all users, each once. */
static uint32_t names_of_all(struct sl_auth *auth, struct sl_arena *arena, struct sl_str **ret)
{
    uint32_t n = 0;
    sl_rwlock_read(&auth->state);
    struct sl_str *names =
        sl_arena_array(arena, struct sl_str, auth->users.count + auth->env_key_count + 1);
    for (uint32_t i = 0; names != NULL && i < auth->users.count; i++) {
        names[n] = sl_arena_str(arena, ((const struct sli_user *)auth->users.items[i])->name);
        n += names[n].ptr != NULL;
    }
    sl_rwlock_unlock(&auth->state);
    for (uint32_t i = 0; names != NULL && i < auth->env_key_count; i++) {
        bool is_new = true;
        for (uint32_t k = 0; k < i; k++) {
            is_new = is_new && !sl_str_eq(auth->env_keys[k].user, auth->env_keys[i].user);
        }
        names[n] = auth->env_keys[i].user;
        n += is_new;
    }
    *ret = names;
    return n;
}

sl_rc sl_auth_user_list(struct sl_auth *auth, const struct sl_subject *who, bool has_last_used,
                        struct sl_buf *out, struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_str *names = NULL;
    SL_TRY(check_enabled(auth, err));
    uint32_t count = names_of_all(auth, &arena, &names);
    sl_json_arr(&w);
    for (uint32_t i = 0; i < count; i++) {
        struct sl_resource what = {SL_ON_USERS, {names[i]}};
        if (sl_auth_may(auth, who, SL_READ, &what)) {
            sl_rwlock_read(&auth->state);
            const struct sli_user *user = sli_set_find(&auth->users, names[i]);
            if (user != NULL || sli_is_env_user(auth, names[i])) {
                user_json(auth, user, names[i], has_last_used, &w);
            }
            sl_rwlock_unlock(&auth->state);
        }
    }
    sl_json_arr_end(&w);
    sl_arena_fini(&arena);
    return names == NULL ? SL_NOMEM(err) : sl_buf_done(out, err);
}
