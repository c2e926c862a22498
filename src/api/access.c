/* Questions to src/auth with their audit lines; see access.h. */
#include "api/access.h"

#include "base/log.h"
#include "base/str.h"

bool sli_may(const struct sli_asker *a, enum sl_verb verb, const struct sl_resource *what)
{
    return sl_auth_may(a->auth, &a->who, verb, what);
}

void sli_audit(const struct sli_asker *a, enum sl_verb verb, const struct sl_resource *what)
{
    static const char *const letters[] = {"C", "R", "U", "D", "A"};
    SL_AUTO(sl_buf) perm = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) resource = SL_BUF_EMPTY;
    sl_auth_action_text(verb, what->domain, &perm);
    sl_auth_resource_text(what, &resource);
    bool is_told = sl_auth_logs_ip(a->auth);
    sl_log(SL_ERROR, "authorize", "authorization denied", SL_F_TEXT("component", "RBAC"),
           SL_F_STR("user", a->who.kind == SL_ANONYMOUS ? SL_STR("anonymous") : a->who.name),
           SL_F_TEXT("request_action", letters[verb]), SL_F_TEXT("perm", sl_buf_cstr(&perm)),
           SL_F_TEXT("resource", sl_buf_cstr(&resource)),
           SL_F_STR("source_ip", is_told ? a->peer : SL_STR("")));
}

sl_rc sli_ask(const struct sli_asker *a, enum sl_verb verb, const struct sl_resource *what,
              struct sl_err *err)
{
    sl_rc rc = sl_auth_check(a->auth, &a->who, verb, what, err);
    if (rc == SL_EFORBIDDEN) {
        sli_audit(a, verb, what);
    }
    return rc;
}

struct sl_str sli_bearer(struct sl_str header)
{
    static const char scheme[] = "Bearer ";
    size_t len = sizeof(scheme) - 1;
    return header.len > len && sl_str_starts(header, scheme)
               ? (struct sl_str){header.ptr + len, header.len - len}
               : (struct sl_str){0};
}

/* SL_END: the last answer stands. */
static sl_rc ask_anew(struct sli_asked *last, struct sl_str class_name, struct sl_str tenant,
                      bool *ret_is_audited)
{
    bool is_same = last->is_asked && sl_str_eq(last->class_name, class_name) &&
                   sl_str_eq(last->tenant, tenant);
    *ret_is_audited = is_same;
    if (is_same && last->is_allowed) {
        return SL_END;
    }
    *last = (struct sli_asked){class_name, tenant, true, false};
    return SL_OK;
}

static sl_rc ask(const struct sli_asker *a, enum sl_verb verb, const struct sl_resource *what,
                 bool is_audited, struct sl_err *err)
{
    return is_audited ? sl_auth_check(a->auth, &a->who, verb, what, err)
                      : sli_ask(a, verb, what, err);
}

sl_rc sli_ask_store(const struct sli_asker *a, struct sl_db *db, struct sli_asked *last,
                    struct sl_str class_name, struct sl_str tenant, struct sl_err *err)
{
    bool is_audited = false;
    struct sl_resource what = {SL_ON_DATA, {class_name, tenant}};
    struct sl_resource collection = {SL_ON_COLLECTIONS, {class_name}};
    if (ask_anew(last, class_name, tenant, &is_audited) == SL_END) {
        return SL_OK;
    }
    SL_TRY(ask(a, SL_UPDATE, &what, is_audited, err));
    SL_TRY(ask(a, SL_CREATE, &what, is_audited, err));
    if (db != NULL && !sl_db_has_class(db, class_name)) {
        SL_TRY(ask(a, SL_CREATE, &collection, is_audited, err));
    }
    last->is_allowed = true;
    return SL_OK;
}

sl_rc sli_ask_update(const struct sli_asker *a, struct sli_asked *last, struct sl_str class_name,
                     struct sl_str tenant, struct sl_err *err)
{
    bool is_audited = false;
    struct sl_resource what = {SL_ON_DATA, {class_name, tenant}};
    if (ask_anew(last, class_name, tenant, &is_audited) == SL_END) {
        return SL_OK;
    }
    SL_TRY(ask(a, SL_UPDATE, &what, is_audited, err));
    last->is_allowed = true;
    return SL_OK;
}
