/* API keys: those of the environment, and those of users made at run time.
 *
 * Only digests are kept, and digests are compared in constant time. SHA-256 without salt or
 * stretching is enough for our own keys: they hold 256 random bits, so that neither a dictionary
 * nor a table helps, and stretching (Argon2 in the reference) would only make each request slower.
 * Keys of the environment are chosen by people; they are digested so that all comparisons have one
 * length, are in plain in the environment anyway, and peers.c slows down who tries them.
 *
 * A key of ours is base64 of "<16 letters>_<base64 of 32 random bytes>_v200", as the reference's.
 * The letters find the user, so a request costs one digest however many users there are.
 *
 * Records: user/NAME -> {"active","created","firstLetters","keyDigest" (hex),"keyId"}. */
#include "auth/auth_int.h"

#include "base/num.h"
#include "base/str.h"

#define SECRET_BYTES 32
#define TAIL         "_v200"
#define TOKEN_MAX    8192 /* OIDC tokens reach 4 KiB; no key does */

/* ---- the environment ---- */

static struct sl_str next_item(const char **at)
{
    size_t len = strcspn(*at, ",");
    struct sl_str item = {*at, len};
    *at += len + ((*at)[len] == ',');
    return item;
}

static uint32_t count_items(const char *text)
{
    uint32_t count = 1;
    for (const char *p = text; *p != '\0'; p++) {
        count += *p == ',';
    }
    return count;
}

static sl_rc add_key(struct sl_auth *auth, struct sl_str key, struct sl_str user,
                     struct sl_err *err)
{
    struct sli_env_key *k = &auth->env_keys[auth->env_key_count];
    if (key.len == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_APIKEY_ALLOWED_KEYS: key %u is empty; keys are divided by "
                       "commas",
                       auth->env_key_count + 1);
    }
    if (user.len == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_APIKEY_USERS: user %u is empty; users are divided by commas",
                       auth->env_key_count + 1);
    }
    SL_TRY(sl_sha256(sl_str_bytes(key), k->digest, err));
    for (uint32_t i = 0; i < auth->env_key_count; i++) {
        if (sl_secret_eq(auth->env_keys[i].digest, k->digest, SL_SHA256_SIZE)) {
            return SL_FAIL(err, SL_EINVAL,
                           "AUTHENTICATION_APIKEY_ALLOWED_KEYS: keys %u and %u are the same; each "
                           "key must be unique",
                           i + 1, auth->env_key_count + 1);
        }
    }
    k->user = sl_arena_str(&auth->arena, user);
    auth->env_key_count++;
    return k->user.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

sl_rc sli_keys_parse(struct sl_auth *auth, const struct sl_auth_opts *o, struct sl_err *err)
{
    if (!o->has_keys) {
        return SL_OK;
    }
    const char *keys = o->keys, *users = o->key_users;
    if (keys[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_APIKEY_ALLOWED_KEYS: at least one key is needed while "
                       "AUTHENTICATION_APIKEY_ENABLED is on");
    }
    uint32_t key_count = count_items(keys), user_count = count_items(users);
    if (user_count != 1 && user_count != key_count) {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_APIKEY_USERS: %u users for %u keys; name one user for all "
                       "keys, or one for each",
                       user_count, key_count);
    }
    auth->env_keys = sl_arena_array(&auth->arena, struct sli_env_key, key_count);
    if (auth->env_keys == NULL) {
        return SL_NOMEM(err);
    }
    struct sl_str user = {0};
    for (uint32_t i = 0; i < key_count; i++) {
        user = i == 0 || user_count > 1 ? next_item(&users) : user;
        SL_TRY(add_key(auth, next_item(&keys), user, err));
    }
    return SL_OK;
}

bool sli_is_env_user(const struct sl_auth *auth, struct sl_str name)
{
    for (uint32_t i = 0; i < auth->env_key_count; i++) {
        if (sl_str_eq(auth->env_keys[i].user, name)) {
            return true;
        }
    }
    return false;
}

/* ---- our own keys ---- */

sl_rc sli_apikey_make(struct sli_new_key *ret, struct sl_err *err)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
    uint8_t bytes[SLI_KEY_ID], secret[SECRET_BYTES];
    SL_AUTO(sl_buf) inner = SL_BUF_EMPTY;
    SL_TRY(sl_random_bytes(bytes, sizeof(bytes), err));
    SL_TRY(sl_random_bytes(secret, sizeof(secret), err));
    for (size_t i = 0; i < SLI_KEY_ID; i++) {
        ret->id[i] = letters[bytes[i] % 64];
    }
    sl_buf_add(&inner, SL_BYTES(ret->id, SLI_KEY_ID));
    sl_buf_add_text(&inner, "_");
    sl_base64_add(&inner, SL_BYTES(secret, sizeof(secret)));
    sl_buf_add_text(&inner, TAIL);
    SL_TRY(sl_buf_done(&inner, err));
    sl_base64_add(&ret->text, sl_buf_view(&inner));
    SL_TRY(sl_buf_done(&ret->text, err));
    return sl_sha256(sl_buf_view(&ret->text), ret->digest, err);
}

/* Has the token the form of a key of ours? Then its id. */
static bool read_id(struct sl_str token, struct sl_buf *inner, struct sl_str *ret)
{
    if (!sl_base64_parse(token, inner)) {
        return false;
    }
    struct sl_str text = sl_buf_str(inner);
    *ret = (struct sl_str){text.ptr, SLI_KEY_ID};
    return text.len > SLI_KEY_ID && text.ptr[SLI_KEY_ID] == '_' && sl_str_ends(text, TAIL);
}

static sl_rc refuse(const char *more, struct sl_err *err)
{
    return SL_FAIL(err, SL_EUNAUTH, "unauthorized: invalid api key%s", more);
}

static sl_rc check_user_locked(struct sl_auth *auth, struct sl_str id,
                               const uint8_t digest[SL_SHA256_SIZE], struct sl_arena *arena,
                               struct sl_subject *ret, struct sl_err *err)
{
    struct sli_key_id *found = sli_set_find(&auth->key_ids, id);
    struct sli_user *user = found == NULL ? NULL : SL_CONTAINER_OF(found, struct sli_user, key_id);
    if (user == NULL || !sl_secret_eq(user->digest, digest, SL_SHA256_SIZE)) {
        return refuse(": invalid token", err);
    }
    if (!user->is_active) {
        return refuse(": user deactivated", err);
    }
    atomic_store_explicit(&user->last_used_ns, sl_clock_wall_ns(auth->opts.clock),
                          memory_order_relaxed);
    *ret = (struct sl_subject){.kind = SL_DB_USER, .name = sl_arena_str(arena, user->name)};
    return ret->name.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

sl_rc sli_apikey_check(struct sl_auth *auth, struct sl_str token, struct sl_arena *arena,
                       struct sl_subject *ret, struct sl_err *err)
{
    uint8_t digest[SL_SHA256_SIZE];
    SL_AUTO(sl_buf) inner = SL_BUF_EMPTY;
    struct sl_str id;
    const struct sli_env_key *known = NULL;
    if (token.len > TOKEN_MAX) {
        return refuse("", err);
    }
    SL_TRY(sl_sha256(sl_str_bytes(token), digest, err));
    for (uint32_t i = 0; i < auth->env_key_count; i++) { /* all of them, always */
        if (sl_secret_eq(auth->env_keys[i].digest, digest, SL_SHA256_SIZE)) {
            known = &auth->env_keys[i];
        }
    }
    if (known != NULL) {
        *ret = (struct sl_subject){.kind = SL_ENV_KEY, .name = known->user};
        return SL_OK;
    }
    if (!auth->opts.has_db_users || !read_id(token, &inner, &id)) {
        return refuse("", err);
    }
    sl_rwlock_read(&auth->state);
    sl_rc rc = check_user_locked(auth, id, digest, arena, ret, err);
    sl_rwlock_unlock(&auth->state);
    return rc;
}
