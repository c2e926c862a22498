/* Roles, what is assigned to whom, users and their keys: /v1/authz and /v1/users. All of it is
 * src/auth's; here are paths, statuses and who may. */
#include "api/api_int.h"

/* A failure without a sentence is a reply without a body. */
static sl_rc done(struct sli_call *c, sl_rc rc, int status, const struct sl_err *err)
{
    if (rc != SL_OK && err->text[0] == '\0' && (rc == SL_ENOTFOUND || rc == SL_ECONFLICT)) {
        sl_buf_clear(&c->out);
        c->status = sl_rc_http(rc);
        return SL_OK;
    }
    if (rc == SL_OK) {
        c->status = status;
    }
    if (rc == SL_OK && c->out.len > 0) {
        sl_buf_add_u8(&c->out, '\n');
    }
    return rc;
}

/* ---- roles ---- */

/* The call itself asked; the audit line is still missing. */
static sl_rc audited(struct sli_call *c, sl_rc rc, enum sl_verb verb, struct sl_str role)
{
    if (rc == SL_EFORBIDDEN) {
        struct sl_resource what = {SL_ON_ROLES, {role}};
        sli_audit(&c->asker, verb, &what);
    }
    return rc;
}

sl_rc sli_post_role(struct sli_call *c, struct sl_err *err)
{
    json_t *name = json_object_get(c->body, "name");
    sl_rc rc = sl_auth_role_create(c->opts->auth, &c->asker.who, c->body, err);
    struct sl_str text = {json_string_value(name), json_string_length(name)};
    return done(c, audited(c, rc, SL_CREATE, text), 201, err);
}

sl_rc sli_get_roles(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_role_list(c->opts->auth, &c->asker.who, &c->out, err), 200, err);
}

sl_rc sli_get_role(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_role_get(c->opts->auth, c->segments[0], &c->out, err), 200, err);
}

sl_rc sli_delete_role(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_role_delete(c->opts->auth, c->segments[0], err), 204, err);
}

sl_rc sli_add_permissions(struct sli_call *c, struct sl_err *err)
{
    sl_rc rc = sl_auth_role_add(c->opts->auth, &c->asker.who, c->segments[0], c->body, err);
    return done(c, audited(c, rc, SL_UPDATE, c->segments[0]), 200, err);
}

sl_rc sli_remove_permissions(struct sli_call *c, struct sl_err *err)
{
    sl_rc rc = sl_auth_role_remove(c->opts->auth, &c->asker.who, c->segments[0], c->body, err);
    return done(c, audited(c, rc, SL_UPDATE, c->segments[0]), 200, err);
}

sl_rc sli_has_permission(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_role_has(c->opts->auth, c->segments[0], c->body, &c->out, err), 200,
                err);
}

static sl_rc holders(struct sli_call *c, enum sl_holders form, struct sl_err *err)
{
    return done(c, sl_auth_role_holders(c->opts->auth, c->segments[0], form, &c->out, err), 200,
                err);
}

sl_rc sli_get_role_users(struct sli_call *c, struct sl_err *err)
{
    return holders(c, SL_HOLDERS_USERS, err);
}

sl_rc sli_get_role_user_ids(struct sli_call *c, struct sl_err *err)
{
    return holders(c, SL_HOLDERS_USER_IDS, err);
}

sl_rc sli_get_role_groups(struct sli_call *c, struct sl_err *err)
{
    return holders(c, SL_HOLDERS_GROUPS, err);
}

/* ---- assignments ---- */

sl_rc sli_assign_user(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_assign(c->opts->auth, false, c->segments[0], c->body, err), 200, err);
}

sl_rc sli_revoke_user(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_revoke(c->opts->auth, false, c->segments[0], c->body, err), 200, err);
}

sl_rc sli_assign_group(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_assign(c->opts->auth, true, c->segments[0], c->body, err), 200, err);
}

sl_rc sli_revoke_group(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_revoke(c->opts->auth, true, c->segments[0], c->body, err), 200, err);
}

static sl_rc roles_of(struct sli_call *c, bool is_group, struct sl_err *err)
{
    bool is_full = sl_str_is(sli_query(c, "includeFullRoles"), "true");
    sl_rc rc = sl_auth_roles_of(c->opts->auth, is_group, c->segments[0], c->segments[1], is_full,
                                &c->out, err);
    return done(c, rc, 200, err);
}

/* Everybody may ask for their own. */
sl_rc sli_get_user_roles(struct sli_call *c, struct sl_err *err)
{
    const struct sl_subject *who = &c->asker.who;
    bool is_oidc = sl_str_is(c->segments[1], "oidc");
    bool is_own = who->kind != SL_ANONYMOUS && (who->kind == SL_OIDC) == is_oidc &&
                  sl_str_eq(who->name, c->segments[0]);
    if (!is_own) {
        struct sl_resource what = {SL_ON_USERS, {c->segments[0]}};
        SL_TRY(sli_ask(&c->asker, SL_READ, &what, err));
    }
    return roles_of(c, false, err);
}

sl_rc sli_get_group_roles(struct sli_call *c, struct sl_err *err)
{
    return roles_of(c, true, err);
}

sl_rc sli_get_groups(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_group_list(c->opts->auth, &c->out, err), 200, err);
}

/* ---- users ---- */

sl_rc sli_get_own_info(struct sli_call *c, struct sl_err *err)
{
    if (c->asker.who.kind == SL_ANONYMOUS) {
        c->status = 401; /* nobody in particular asks */
        return SL_OK;
    }
    return done(c, sl_auth_own_info(c->opts->auth, &c->asker.who, &c->out, err), 200, err);
}

static bool wants_last_used(const struct sli_call *c)
{
    return sl_str_is(sli_query(c, "includeLastUsedTime"), "true");
}

sl_rc sli_get_users(struct sli_call *c, struct sl_err *err)
{
    sl_rc rc = sl_auth_user_list(c->opts->auth, &c->asker.who, wants_last_used(c), &c->out, err);
    return done(c, rc, 200, err);
}

sl_rc sli_get_user(struct sli_call *c, struct sl_err *err)
{
    sl_rc rc = sl_auth_user_get(c->opts->auth, c->segments[0], wants_last_used(c), &c->out, err);
    return done(c, rc, 200, err);
}

sl_rc sli_post_user(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_user_create(c->opts->auth, c->segments[0], &c->out, err), 201, err);
}

sl_rc sli_delete_user(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_user_delete(c->opts->auth, c->segments[0], err), 204, err);
}

sl_rc sli_rotate_key(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_user_rotate(c->opts->auth, c->segments[0], &c->out, err), 200, err);
}

sl_rc sli_activate_user(struct sli_call *c, struct sl_err *err)
{
    return done(c, sl_auth_user_activate(c->opts->auth, c->segments[0], err), 200, err);
}

sl_rc sli_deactivate_user(struct sli_call *c, struct sl_err *err)
{
    bool is_revoked = json_is_true(json_object_get(c->body, "revoke_key"));
    sl_rc rc =
        sl_auth_user_deactivate(c->opts->auth, &c->asker.who, c->segments[0], is_revoked, err);
    return done(c, rc, 200, err);
}
