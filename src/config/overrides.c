/* The overrides file: libyaml's only home. Text in, settings out; reload.c has file and threads.
 *
 * The first document of the file is a map from keys of the option table to single values. Other
 * keys mean nothing here: one file may serve several programs. Words and numbers are what YAML 1.1
 * and the reference take for them, and only unquoted ones: "2" in quotes is a text. null is the
 * same as an absent key. */
#include <yaml.h>

#include "base/num.h"
#include "base/str.h"
#include "config/config_int.h"

static struct sl_str text_of(const yaml_node_t *node)
{
    return (struct sl_str){(const char *)node->data.scalar.value, node->data.scalar.length};
}

static bool is_plain(const yaml_node_t *node)
{
    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_one_of(struct sl_str text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sl_str_is(text, words[i])) {
            return true;
        }
    }
    return false;
}

static bool is_null(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    return node->type == YAML_SCALAR_NODE && is_plain(node) &&
           is_one_of(text_of(node), words, SL_COUNT_OF(words));
}

/* A truth word of YAML 1.1 as load.c knows it; NULL when it is none. */
static const char *truth(struct sl_str text)
{
    static const char *const yes[] = {"true", "True", "TRUE", "y",  "Y", "yes",
                                      "Yes",  "YES",  "on",   "On", "ON"};
    static const char *const no[] = {"false", "False", "FALSE", "n",   "N",  "no",
                                     "No",    "NO",    "off",   "Off", "OFF"};
    return is_one_of(text, yes, SL_COUNT_OF(yes)) ? "true"
           : is_one_of(text, no, SL_COUNT_OF(no)) ? "false"
                                                  : NULL;
}

/* The value for sli_option_set; NULL when the node is of another kind than the setting. */
static const char *value_of(const struct sl_option *opt, const yaml_node_t *node)
{
    int64_t number = 0;
    if (node->type != YAML_SCALAR_NODE) {
        return NULL;
    }
    struct sl_str text = text_of(node);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL) {
        return NULL;
    }
    if (opt->kind == SL_OPT_BOOL) {
        return is_plain(node) ? truth(text) : NULL;
    }
    if (opt->kind == SL_OPT_INT && !(is_plain(node) && sl_i64_parse(text, &number))) {
        return NULL;
    }
    return text.ptr; /* libyaml ends it with a NUL */
}

static const char *kind_name(const struct sl_option *opt)
{
    return opt->kind == SL_OPT_BOOL  ? "true or false"
           : opt->kind == SL_OPT_INT ? "a whole number"
                                     : "a text";
}

/* Sets one row; a value that is not allowed puts it back. */
static sl_rc apply_value(const struct sli_overriding *how, const struct sl_option *opt,
                         const yaml_node_t *node, struct sl_config *io, struct sl_err *err)
{
    struct sli_origin o = {opt, value_of(opt, node), SLI_FILE};
    if (o.value == NULL) {
        SL_AUTO(sl_buf) sentence = SL_BUF_EMPTY;
        struct sl_str seen =
            node->type == YAML_SCALAR_NODE ? text_of(node) : SL_STR("a list or a map");
        sl_buf_addf(&sentence, "%s: \"%.*s\" is not %s", opt->key, (int)SL_MIN(seen.len, 100U),
                    seen.ptr, kind_name(opt));
        how->fault(how->fault_arg, opt, SLI_FAULT_KIND, sl_buf_cstr(&sentence));
        return SL_OK;
    }
    struct sl_config before = {0};
    struct sl_err why = {0};
    SL_TRY(sli_config_copy(io, &before, err));
    sl_rc rc = sli_option_set(io, &o, &why);
    if (rc == SL_OK && how->check != NULL) {
        rc = how->check(how->check_arg, opt, io, &why);
    }
    if (rc != SL_OK && rc != SL_ENOMEM) {
        how->fault(how->fault_arg, opt, SLI_FAULT_VALUE, sl_err_text(&why, rc));
        rc = sli_option_copy(opt, &before, io, &why);
    }
    sl_config_fini(&before);
    return rc == SL_OK ? SL_OK : SL_FAIL(err, rc, "%s", sl_err_text(&why, rc));
}

/* The node of a key; NULL when it is absent or null. */
static sl_rc find(yaml_document_t *doc, const yaml_node_t *root, const char *key,
                  const yaml_node_t **ret, struct sl_err *err)
{
    bool is_found = false;
    *ret = NULL;
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *name = yaml_document_get_node(doc, p->key);
        if (name->type != YAML_SCALAR_NODE || !sl_str_is(text_of(name), key)) {
            continue;
        }
        if (is_found) {
            return SL_FAIL(err, SL_EINVAL, "line %zu: %s is there twice", name->start_mark.line + 1,
                           key);
        }
        const yaml_node_t *value = yaml_document_get_node(doc, p->value);
        is_found = true;
        *ret = is_null(value) ? NULL : value;
    }
    return SL_OK;
}

static sl_rc apply_document(const struct sli_overriding *how, yaml_document_t *doc,
                            struct sl_config *io, struct sl_err *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc);
    bool is_empty = root == NULL || is_null(root);
    if (!is_empty && root->type != YAML_MAPPING_NODE) {
        return SL_FAIL(err, SL_EINVAL, "it is not a map of keys to values");
    }
    for (size_t i = 0; i < sl_option_count; i++) {
        const struct sl_option *opt = &sl_options[i];
        const yaml_node_t *node = NULL;
        if (opt->key == NULL) {
            continue;
        }
        if (!is_empty) {
            SL_TRY(find(doc, root, opt->key, &node, err));
        }
        SL_TRY(node == NULL ? sli_option_copy(opt, how->config, io, err)
                            : apply_value(how, opt, node, io, err));
    }
    return SL_OK;
}

sl_rc sli_overrides_apply(const struct sli_overriding *how, struct sl_bytes text,
                          struct sl_config *io, struct sl_err *err)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    if (yaml_parser_initialize(&parser) == 0) {
        return SL_NOMEM(err);
    }
    yaml_parser_set_input_string(&parser, text.ptr, text.len);
    sl_rc rc = SL_OK;
    if (yaml_parser_load(&parser, &doc) == 0) {
        rc = parser.error == YAML_MEMORY_ERROR
                 ? SL_NOMEM(err)
                 : SL_FAIL(err, SL_EINVAL, "line %zu: %s", parser.problem_mark.line + 1,
                           parser.problem == NULL ? "it is not YAML" : parser.problem);
    } else {
        rc = apply_document(how, &doc, io, err);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return rc;
}
