/* May this subject do this there? Pure but for the lock of what was assigned.
 *
 *   no scheme     whoever was identified may do all
 *   admin list    users and groups of one list may do all, of the other read
 *   roles         what the roles of the subject allow, by environment or assigned
 *
 * The built-in roles root and admin allow all, viewer and read-only allow reading all, backups
 * included, although the permissions they show do not say it: so the reference decides. */
#include "auth/actions.h"

#include "base/str.h"

struct question {
    enum sl_verb verb;
    const struct sl_resource *what;
};

static bool role_allows(void *arg, const struct sli_role *role)
{
    const struct question *q = arg;
    if (sli_is_builtin(role->name)) {
        bool is_reader = sl_str_is(role->name, "viewer") || sl_str_is(role->name, "read-only");
        return !is_reader || q->verb == SL_READ;
    }
    for (uint32_t i = 0; i < role->count; i++) {
        if (sli_permission_allows(&role->permissions[i], q->verb, q->what)) {
            return true;
        }
    }
    return false;
}

static bool any_group_of(const struct sl_subject *who, const struct sli_list *list)
{
    for (uint32_t i = 0; i < who->group_count; i++) {
        if (sli_list_has(list, who->groups[i])) {
            return true;
        }
    }
    return false;
}

static struct sl_str name_of(const struct sl_subject *who)
{
    return who->kind == SL_ANONYMOUS ? SL_STR("anonymous") : who->name;
}

static bool list_allows(const struct sl_auth *auth, const struct sl_subject *who, enum sl_verb verb)
{
    struct sl_str name = name_of(who);
    if (sli_list_has(&auth->list_users, name) || any_group_of(who, &auth->list_groups)) {
        return true;
    }
    return verb == SL_READ && (sli_list_has(&auth->list_readonly_users, name) ||
                               any_group_of(who, &auth->list_readonly_groups));
}

bool sl_auth_may(struct sl_auth *auth, const struct sl_subject *who, enum sl_verb verb,
                 const struct sl_resource *what)
{
    if (auth->opts.has_adminlist) {
        return list_allows(auth, who, verb);
    }
    if (!auth->opts.has_rbac) {
        return true;
    }
    struct question q = {verb, what};
    sl_rwlock_read(&auth->state);
    bool is_allowed = sli_each_role_locked(auth, who, role_allows, &q);
    sl_rwlock_unlock(&auth->state);
    return is_allowed;
}

static void add_groups(const struct sl_subject *who, struct sl_buf *out)
{
    for (uint32_t i = 0; i < who->group_count; i++) {
        sl_buf_addf(out, "%s'%.*s'",
                    i == 0 ? (who->group_count == 1 ? " (of group " : " (of groups ") : ", ",
                    (int)SL_MIN(who->groups[i].len, (size_t)100), who->groups[i].ptr);
    }
    sl_buf_add_text(out, who->group_count == 0 ? "" : ")");
}

sl_rc sl_auth_check(struct sl_auth *auth, const struct sl_subject *who, enum sl_verb verb,
                    const struct sl_resource *what, struct sl_err *err)
{
    if (sl_auth_may(auth, who, verb, what)) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) action = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) place = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) groups = SL_BUF_EMPTY;
    struct sl_str name = name_of(who);
    if (auth->opts.has_adminlist) {
        sl_buf_add_u8(&action, (uint8_t) "CRUDA"[verb]);
        sl_buf_add_text(&place, "[");
        sli_resource_path(what, &place);
        sl_buf_add_text(&place, "]");
    } else {
        sl_auth_action_text(verb, what->domain, &action);
        sl_buf_add_text(&place, "[");
        sl_auth_resource_text(what, &place);
        sl_buf_add_text(&place, "]");
    }
    add_groups(who, &groups);
    return SL_FAIL(
        err, SL_EFORBIDDEN,
        "%s: authorization, forbidden action: user '%.*s'%s has insufficient permissions "
        "to %s %s",
        auth->opts.has_adminlist ? "adminlist" : "rbac", SL_STR_ARG(name), sl_buf_cstr(&groups),
        sl_buf_cstr(&action), sl_buf_cstr(&place));
}
