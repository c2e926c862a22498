/* The settings of sluiced at work; see settings.h. */
#include "cmd/settings.h"

#include <stdio.h>
#include <unistd.h>

#include "api/api.h"
#include "backend/backend.h"
#include "base/file.h"
#include "base/path.h"
#include "cmd/access.h"
#include "cmd/node.h"

sl_rc sli_node_name(const struct sl_config *c, struct sl_buf *out, struct sl_err *err)
{
    char host[256] = "";
    if (c->node_name[0] == '\0' && (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')) {
        (void)snprintf(host, sizeof(host), "node1");
    }
    const char *name = c->node_name[0] != '\0' ? c->node_name : host;
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (name[len] != '\0' || len > 200) {
        return SL_FAIL(
            err, SL_EINVAL,
            "CLUSTER_HOSTNAME: \"%s\" is not allowed; allowed: letters, digits, '.', '_' "
            "and '-', at most 200",
            name);
    }
    sl_buf_add_text(out, name);
    return sl_buf_done(out, err);
}

sl_rc sli_settings_check(void *arg SL_UNUSED, const struct sl_option *opt,
                         const struct sl_config *candidate, struct sl_err *err)
{
    enum sl_source_kind kind;
    const char *foreign_path = NULL;
    if (strcmp(opt->env, "EXPORT_DEFAULT_PATH") != 0 || candidate->export_path[0] == '\0') {
        return SL_OK;
    }
    SL_TRY(sli_source_parse(candidate->source, &kind, &foreign_path, err));
    return foreign_path == NULL
               ? SL_OK
               : sli_check_apart(opt->env, candidate->export_path, foreign_path, err);
}

/* ---- lending ---- */

/* `own`, or a folder of the data folder when it is empty. */
static sl_rc add_folder(const struct sl_config *c, const char *own, const char *name,
                        struct sl_buf *out, struct sl_err *err)
{
    if (own[0] != '\0') {
        sl_buf_add_text(out, own);
    } else {
        sl_path_join(out, sl_str_from(c->data_path), sl_str_from(name));
    }
    return sl_buf_done(out, err);
}

static sl_rc fill(const struct sl_config *c, struct sl_arena *arena, struct sl_export_settings *ret,
                  struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_TRY(add_folder(c, c->export_path, "exports", &path, err));
    struct sl_export_settings s = {
        .is_enabled = c->export_enabled,
        .bucket = sl_arena_str(arena, sl_str_from(c->export_bucket)),
        .path = sl_arena_str(arena, sl_buf_str(&path)),
        .store_path = sl_arena_str(arena, sl_str_from(c->export_path)),
        .is_probe_skipped = c->is_probe_skipped,
        .parallelism = (uint32_t)c->export_parallelism,
        .memory_bytes = sli_memory_divide(c->memory_max).export_bytes,
        .layout = (enum sl_layout_kind)c->layout,
        .unit = (enum sl_timestamp_unit)c->timestamp_unit,
        .compression = (enum sl_compression)c->compression,
        .is_json_annotated = c->json_annotation,
        .is_manifest = c->manifest,
    };
    if (s.bucket.ptr == NULL || s.path.ptr == NULL || s.store_path.ptr == NULL) {
        return SL_NOMEM(err);
    }
    *ret = s;
    return SL_OK;
}

sl_rc sli_settings_lend(void *arg, struct sl_arena *arena, struct sl_export_settings *ret,
                        struct sl_err *err)
{
    struct sl_overrides *overrides = arg;
    const struct sl_config *c = sl_overrides_take(overrides);
    sl_rc rc = fill(c, arena, ret, err);
    sl_overrides_give(overrides, c);
    return rc;
}

struct sl_jwks_opts sli_settings_oidc(const struct sl_config *c)
{
    return (struct sl_jwks_opts){
        .oidc = {.issuer = c->oidc_issuer,
                 .client_id = c->oidc_client_id,
                 .is_any_client = c->is_oidc_any_client,
                 .username_claim = c->oidc_username_claim,
                 .groups_claim = c->oidc_groups_claim},
        .scopes = c->oidc_scopes,
        .jwks_url = c->oidc_jwks_url,
        .certificate = c->oidc_certificate,
        .is_tls_unverified = c->is_oidc_tls_unverified,
        .clock = sl_clock_real(),
    };
}

/* ---- telling ---- */

void sli_settings_log(const struct sl_config *c)
{
    struct sl_fact *facts = sl_alloc_zero(sl_option_count, sizeof(*facts));
    if (facts == NULL) {
        return; /* memory will be missed by something that matters more */
    }
    for (size_t i = 0; i < sl_option_count; i++) {
        facts[i] = sl_option_fact(&sl_options[i], c, sl_options[i].env);
    }
    sli_log(SL_INFO, "startup", "settings in effect", facts, sl_option_count);
    sl_free(facts);
}

/* ---- judging ---- */

struct problems {
    struct sl_buf *out;
    uint32_t count;
};

static void add(struct problems *p, const char *setting, sl_rc rc, const struct sl_err *err)
{
    if (rc != SL_OK) {
        sl_buf_addf(p->out, "%s%s%s\n", setting, setting[0] == '\0' ? "" : ": ",
                    sl_err_text(err, rc));
        p->count++;
    }
}

static void judge_folder(struct problems *p, const struct sl_config *c, const char *setting,
                         const char *own, const char *name)
{
    struct sl_err err = {0};
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_rc rc = SL_OK;
    if (sl_backend_is_store(sl_str_from(own))) {
        rc = SL_FAIL(&err, SL_EINVAL, "\"%s\" is not allowed; a folder is needed", own);
    }
    if (rc == SL_OK) {
        rc = add_folder(c, own, name, &path, &err);
    }
    add(p, setting, rc == SL_OK ? sl_dir_check(sl_buf_cstr(&path), SL_DIR_WRITE, &err) : rc, &err);
}

static void judge_store(struct problems *p, const struct sl_config *c, const char *setting,
                        const char *place)
{
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_backend) store = NULL;
    struct sl_backend_env env = {.config = c, .clock = sl_clock_real()};
    sl_rc rc = sl_backend_open(&env, sl_str_from(place), &store, &err);
    add(p, setting, rc == SL_OK ? store->ops->probe(store, &err) : rc, &err);
}

/* A folder, or a store, which is tried. */
static void judge_offload(struct problems *p, const struct sl_config *c)
{
    if (!sl_backend_is_store(sl_str_from(c->offload_path))) {
        judge_folder(p, c, "SLUICE_OFFLOAD_PATH", c->offload_path, "offload");
        return;
    }
    judge_store(p, c, "SLUICE_OFFLOAD_PATH", c->offload_path);
}

static void judge_source(struct problems *p, const struct sl_config *c)
{
    struct sl_err err = {0};
    enum sl_source_kind kind = SL_KIND_SLUICE, found = SL_KIND_SLUICE;
    const char *path = NULL;
    sl_rc rc = sli_source_parse(c->source, &kind, &path, &err);
    add(p, "", rc, &err);
    if (rc != SL_OK || path == NULL) {
        return;
    }
    if (sl_backend_is_store(sl_str_from(path))) {
        judge_store(p, c, "SLUICE_SOURCE", path);
        return;
    }
    rc = sl_dir_check(path, SL_DIR_READ, &err);
    if (rc == SL_OK) {
        rc = sl_source_detect(path, &found, &err);
    }
    if (rc == SL_OK && found != kind) {
        rc = SL_FAIL(&err, SL_EINVAL, "%s is %s", path,
                     found == SL_KIND_WEAVIATE ? "a data directory of Weaviate; say weaviate:FOLDER"
                     : found == SL_KIND_BACKUP ? "a backup; say backup:FOLDER"
                                               : "a data folder of Sluice");
    }
    add(p, "SLUICE_SOURCE", rc, &err);
    add(p, "", sli_check_apart("PERSISTENCE_DATA_PATH", c->data_path, path, &err), &err);
    for (size_t i = 0; p->count == 0 && i < sl_option_count; i++) {
        add(p, "", sli_settings_check(NULL, &sl_options[i], c, &err), &err);
    }
}

static void judge_certificate(struct problems *p, const struct sl_config *c)
{
    struct sl_err err = {0};
    struct sl_tls *tls = NULL;
    if (c->tls_cert[0] == '\0') {
        return;
    }
    sl_rc rc = sl_tls_open(c->tls_cert, c->tls_key, &tls, &err);
    if (rc == SL_OK && sl_tls_expires_ns(tls) <= sl_clock_wall_ns(sl_clock_real())) {
        rc = SL_FAIL(&err, SL_EINVAL, "%s: the certificate has expired", c->tls_cert);
    }
    add(p, "SLUICE_TLS_CERT, SLUICE_TLS_KEY", rc, &err);
    sl_tls_close(tls);
}

static void judge_authorities(struct problems *p, const struct sl_config *c)
{
    struct sl_err err = {0};
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    if (c->store_ca[0] != '\0') {
        add(p, "SLUICE_STORE_CA", sl_file_read_all(c->store_ca, SL_BACKEND_CA_MAX, &text, &err),
            &err);
    }
}

static void judge_ports(struct problems *p, const struct sl_config *c)
{
    struct sl_err err = {0};
    if (c->port != 0 && c->port == c->grpc_port) {
        add(p, "GRPC_PORT", SL_FAIL(&err, SL_EINVAL, "%d is SLUICE_PORT, too", (int)c->port), &err);
    }
}

uint32_t sli_settings_problems(const struct sl_config *c, struct sl_buf *out)
{
    struct problems p = {out, 0};
    struct sl_err err = {0};
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    add(&p, "", sli_node_name(c, &name, &err), &err);
    judge_folder(&p, c, "PERSISTENCE_DATA_PATH", c->data_path, "");
    if (c->export_bucket[0] == '\0') { /* else it is the beginning of names in the bucket */
        judge_folder(&p, c, "EXPORT_DEFAULT_PATH", c->export_path, "exports");
    }
    judge_offload(&p, c);
    judge_source(&p, c);
    judge_certificate(&p, c);
    judge_authorities(&p, c);
    judge_ports(&p, c);
    add(&p, "", sli_access_check(c, &err), &err);
    struct sl_jwks_opts oidc = sli_settings_oidc(c);
    add(&p, "", c->has_oidc ? sl_jwks_check_opts(&oidc, &err) : SL_OK, &err);
    p.count += sl_overrides_problems(c, sli_settings_check, NULL, out);
    return p.count;
}
