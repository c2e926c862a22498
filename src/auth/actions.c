/* What can be allowed: actions, the domains they act on, and how both are told.
 *
 * An action of the API ("manage_backups", "read_data") is a set of verbs on a domain; a domain
 * names its things by up to three fields. Both tables are the reference's. A field of a permission
 * is a pattern in which '*' stands for any text; nothing else is special, so a pattern can neither
 * be slow nor mean more than it shows. */
#include "auth/actions.h"

#include <ctype.h>

#define V(verb) (1u << (verb))
#define CRUD    (V(SL_CREATE) | V(SL_READ) | V(SL_UPDATE) | V(SL_DELETE))

/* In the order in which the reference tells them. */
const struct sli_action sli_actions[] = {
    {"manage_backups", CRUD, SL_ON_BACKUPS},
    {"read_cluster", V(SL_READ), SL_ON_CLUSTER},
    {"create_data", V(SL_CREATE), SL_ON_DATA},
    {"read_data", V(SL_READ), SL_ON_DATA},
    {"update_data", V(SL_UPDATE), SL_ON_DATA},
    {"delete_data", V(SL_DELETE), SL_ON_DATA},
    {"read_nodes", V(SL_READ), SL_ON_NODES},
    {"create_roles", V(SL_CREATE), SL_ON_ROLES},
    {"read_roles", V(SL_READ), SL_ON_ROLES},
    {"update_roles", V(SL_UPDATE), SL_ON_ROLES},
    {"delete_roles", V(SL_DELETE), SL_ON_ROLES},
    {"create_collections", V(SL_CREATE), SL_ON_COLLECTIONS},
    {"read_collections", V(SL_READ), SL_ON_COLLECTIONS},
    {"update_collections", V(SL_UPDATE), SL_ON_COLLECTIONS},
    {"delete_collections", V(SL_DELETE), SL_ON_COLLECTIONS},
    {"assign_and_revoke_users", V(SL_ASSIGN), SL_ON_USERS},
    {"create_users", V(SL_CREATE), SL_ON_USERS},
    {"read_users", V(SL_READ), SL_ON_USERS},
    {"update_users", V(SL_UPDATE), SL_ON_USERS},
    {"delete_users", V(SL_DELETE), SL_ON_USERS},
    {"create_tenants", V(SL_CREATE), SL_ON_TENANTS},
    {"read_tenants", V(SL_READ), SL_ON_TENANTS},
    {"update_tenants", V(SL_UPDATE), SL_ON_TENANTS},
    {"delete_tenants", V(SL_DELETE), SL_ON_TENANTS},
    {"create_replicate", V(SL_CREATE), SL_ON_REPLICATE},
    {"read_replicate", V(SL_READ), SL_ON_REPLICATE},
    {"update_replicate", V(SL_UPDATE), SL_ON_REPLICATE},
    {"delete_replicate", V(SL_DELETE), SL_ON_REPLICATE},
    {"create_aliases", V(SL_CREATE), SL_ON_ALIASES},
    {"read_aliases", V(SL_READ), SL_ON_ALIASES},
    {"update_aliases", V(SL_UPDATE), SL_ON_ALIASES},
    {"delete_aliases", V(SL_DELETE), SL_ON_ALIASES},
    {"assign_and_revoke_groups", V(SL_ASSIGN), SL_ON_GROUPS},
    {"read_groups", V(SL_READ), SL_ON_GROUPS},
    {"create_mcp", V(SL_CREATE), SL_ON_MCP},
    {"read_mcp", V(SL_READ), SL_ON_MCP},
    {"update_mcp", V(SL_UPDATE), SL_ON_MCP},
    {"manage_namespaces", CRUD, SL_ON_NAMESPACES},
};
const uint32_t sli_action_count = SL_COUNT_OF(sli_actions);

/* Fields in the order in which refusals tell them; sorted: their order in JSON. */
static const struct sli_domain domains[] = {
    [SL_ON_BACKUPS] = {"backups", {{"collection", "Collection", "*"}}, {0}, 1, "backups/"},
    [SL_ON_CLUSTER] = {"cluster", {{0}}, {0}, 0, "cluster/"},
    [SL_ON_DATA] = {"data",
                    {{"collection", "Collection", "*"},
                     {"tenant", "Tenant", "*"},
                     {"object", "Object", "*"}},
                    {0, 2, 1},
                    3,
                    "data/"},
    [SL_ON_NODES] = {"nodes",
                     {{"verbosity", "Verbosity", "minimal"}, {"collection", "Collection", "*"}},
                     {1, 0},
                     2,
                     "nodes/"},
    [SL_ON_ROLES] =
        {"roles", {{"role", "Role", "*"}, {"scope", NULL, "match"}}, {0, 1}, 2, "roles/"},
    [SL_ON_COLLECTIONS] =
        {"collections", {{"collection", "Collection", "*"}}, {0}, 1, "schema/collections/"},
    [SL_ON_USERS] = {"users", {{"users", "User", "*"}}, {0}, 1, "users/"},
    [SL_ON_TENANTS] = {"tenants",
                       {{"collection", "Collection", "*"}, {"tenant", "Tenant", "*"}},
                       {0, 1},
                       2,
                       "schema/collections/"},
    [SL_ON_REPLICATE] = {"replicate",
                         {{"collection", "Collection", "*"}, {"shard", "Shard", "*"}},
                         {0, 1},
                         2,
                         "replicate/"},
    [SL_ON_ALIASES] = {"aliases",
                       {{"collection", "Collection", "*"}, {"alias", "Alias", "*"}},
                       {1, 0},
                       2,
                       "aliases/"},
    [SL_ON_GROUPS] = {"groups",
                      {{"group", "Group", "*"}, {"groupType", "GroupType", "oidc"}},
                      {0, 1},
                      2,
                      "groups/"},
    [SL_ON_MCP] = {"mcp", {{0}}, {0}, 0, "mcp/"},
    [SL_ON_NAMESPACES] = {"namespaces", {{"namespace", "Namespace", "*"}}, {0}, 1, "namespaces/"},
};

const struct sli_domain *sli_domain_of(enum sl_domain domain)
{
    return &domains[domain];
}

static bool is_class(enum sl_domain domain, uint32_t i)
{
    const char *key = domains[domain].fields[i].key;
    return key != NULL && strcmp(key, "collection") == 0;
}

/* Callers may begin a class as they like; it is one with a large letter. */
static char char_at(struct sl_str text, size_t i, bool is_of_class)
{
    return is_of_class && i == 0 ? (char)toupper((uint8_t)text.ptr[0]) : text.ptr[i];
}

bool sli_pattern_fits(struct sl_str pattern, struct sl_str text, bool is_of_class)
{
    size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            from = t;
        } else if (p < pattern.len && pattern.ptr[p] == char_at(text, t, is_of_class)) {
            p++;
            t++;
        } else if (star != SIZE_MAX) { /* the last star takes one more */
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

/* Some fields are no patterns: the wider value includes the other. */
static bool field_fits(enum sl_domain domain, uint32_t i, struct sl_str allowed,
                       struct sl_str asked)
{
    if ((domain == SL_ON_ROLES && i == 1 && sl_str_is(allowed, "all")) ||
        (domain == SL_ON_NODES && i == 0 && sl_str_is(allowed, "verbose"))) {
        return true;
    }
    return sli_pattern_fits(allowed, asked, is_class(domain, i));
}

static struct sl_str asked(const struct sl_resource *what, uint32_t i)
{
    return what->names[i].len == 0 ? SL_STR("*") : what->names[i];
}

bool sli_permission_allows(const struct sli_permission *p, enum sl_verb verb,
                           const struct sl_resource *what)
{
    const struct sli_action *a = &sli_actions[p->action];
    if (a->domain != what->domain || (a->verbs & V(verb)) == 0) {
        return false;
    }
    for (uint32_t i = 0; i < domains[a->domain].field_count; i++) {
        if (!field_fits(a->domain, i, p->fields[i], asked(what, i))) {
            return false;
        }
    }
    return true;
}

/* ---- how they are told ---- */

void sl_auth_action_text(enum sl_verb verb, enum sl_domain domain, struct sl_buf *out)
{
    static const char *const verbs[] = {"create", "read", "update", "delete", "assign_and_revoke"};
    sl_buf_addf(out, "%s_%s", verbs[verb], domains[domain].name);
}

void sl_auth_resource_text(const struct sl_resource *what, struct sl_buf *out)
{
    const struct sli_domain *d = &domains[what->domain];
    const char *comma = what->domain == SL_ON_BACKUPS ? "," : ", "; /* as the reference does */
    sl_buf_addf(out, "[Domain: %s", d->name);
    for (uint32_t i = 0; i < d->field_count; i++) {
        if (d->fields[i].label != NULL) {
            struct sl_str name = asked(what, i);
            sl_buf_addf(out, "%s%s: ", comma, d->fields[i].label);
            sl_buf_add_u8(out, (uint8_t)char_at(name, 0, is_class(what->domain, i)));
            sl_buf_add_str(out, (struct sl_str){name.ptr + 1, SL_MIN(name.len, (size_t)256) - 1});
        }
    }
    sl_buf_add_text(out, "]");
}

void sli_resource_path(const struct sl_resource *what, struct sl_buf *out)
{
    sl_buf_add_text(out, domains[what->domain].path);
    struct sl_str name = asked(what, 0), second = asked(what, 1);
    switch (what->domain) {
    case SL_ON_BACKUPS:
        sl_buf_addf(out, "collections/%.*s", SL_STR_ARG(name));
        return;
    case SL_ON_DATA:
        sl_buf_addf(out, "collections/%.*s/shards/%.*s/objects/%.*s", SL_STR_ARG(name),
                    SL_STR_ARG(second), SL_STR_ARG(asked(what, 2)));
        return;
    case SL_ON_COLLECTIONS:
        sl_buf_addf(out, "%.*s/shards/#", SL_STR_ARG(name));
        return;
    case SL_ON_TENANTS:
        sl_buf_addf(out, "%.*s/shards/%.*s", SL_STR_ARG(name), SL_STR_ARG(second));
        return;
    case SL_ON_NODES:
        sl_buf_addf(out, "verbosity/%.*s/collections/%.*s", SL_STR_ARG(name), SL_STR_ARG(second));
        return;
    case SL_ON_CLUSTER:
    case SL_ON_ROLES:
    case SL_ON_USERS:
    case SL_ON_REPLICATE:
    case SL_ON_ALIASES:
    case SL_ON_GROUPS:
    case SL_ON_MCP:
    case SL_ON_NAMESPACES:
        sl_buf_add_str(out, name);
        return;
    }
}
