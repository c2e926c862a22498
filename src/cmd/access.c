/* Hands the settings of authentication and authorization over, loads what was stored of users and
 * roles, and stores their changes. */
#include "cmd/access.h"

#include "database/records.h"

static sl_rc store(void *kv, const struct sl_record *changes, uint32_t count, struct sl_err *err)
{
    return sl_records_store(kv, changes, count, err);
}

static sl_rc load(void *auth, struct sl_str name, struct sl_str value, struct sl_err *err)
{
    return sl_auth_load(auth, name, value, err);
}

static const char *either(const char *now, const char *old)
{
    return now[0] != '\0' ? now : old;
}

static struct sl_auth_opts opts_of(const struct sl_config *c)
{
    return (struct sl_auth_opts){
        .anonymous = c->anonymous,
        .has_keys = c->has_keys,
        .keys = c->keys,
        .key_users = c->key_users,
        .has_db_users = c->has_db_users,
        .has_rbac = c->has_rbac || c->has_rbac_old,
        .root_users = either(c->root_users, c->root_users_old),
        .root_groups = c->root_groups,
        .readonly_users = c->readonly_users,
        .readonly_groups = c->readonly_groups,
        .admin_users = c->admin_users,
        .has_adminlist = c->has_adminlist,
        .list_users = c->list_users,
        .list_readonly_users = c->list_readonly_users,
        .list_groups = c->list_groups,
        .list_readonly_groups = c->list_readonly_groups,
        .requests_per_s = (uint32_t)c->peer_requests_max,
        .is_ip_unlogged = c->is_ip_unlogged,
        .clock = sl_clock_real(),
        .verify = c->has_oidc ? sl_jwks_verify : NULL,
    };
}

sl_rc sli_access_check(const struct sl_config *c, struct sl_err *err)
{
    SL_AUTO_PTR(sl_auth) auth = NULL;
    struct sl_auth_opts opts = opts_of(c);
    return sl_auth_open(&opts, &auth, err);
}

sl_rc sli_access_open(const struct sl_config *c, struct sl_kv *kv, struct sl_jwks *jwks,
                      struct sl_auth **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_auth) auth = NULL;
    struct sl_auth_opts opts = opts_of(c);
    opts.store = store;
    opts.store_arg = kv;
    opts.verify_arg = jwks;
    SL_TRY(sl_auth_open(&opts, &auth, err));
    SL_TRY(sl_records_load(kv, load, auth, err));
    *ret = sl_move(&auth);
    return SL_OK;
}
