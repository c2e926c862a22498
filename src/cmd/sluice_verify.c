/* sluice verify DEST: is an export whole and unharmed? In a folder or an object store. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cmd/cmd_int.h"
#include "config/config.h"
#include "export/export.h"

struct request {
    const char *dest;
    bool is_deep, is_json;
    uint32_t parallelism;
};

enum { KEY_DEEP = 0x100 };

static const struct argp_option verify_options[] = {
    {"deep", KEY_DEEP, NULL, 0,
     "Decode every page of every file, too, and compare the hash of all rows", 0},
    {"parallelism", 'p', "N", 0, "Files read at the same time (one per CPU)", 0},
    {"json", 'j', NULL, 0, "Print JSON for programs", 0},
    {0},
};

static error_t parse_verify(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;
    switch (key) {
    case KEY_DEEP:
        r->is_deep = true;
        return 0;
    case 'p':
        r->parallelism = sli_parse_parallelism(arg, 0, SLI_PARALLELISM_MAX, state);
        return 0;
    case 'j':
        r->is_json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (r->dest != NULL) {
            return ARGP_ERR_UNKNOWN;
        }
        r->dest = arg;
        return 0;
    case ARGP_KEY_END:
        if (r->dest == NULL) {
            argp_error(state, "DEST is missing");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp verify_argp = {
    verify_options,
    parse_verify,
    "DEST",
    "Checks an export: a folder, or s3://bucket/path/id, gs://..., az://.... Every file of its "
    "manifest must be there with its size, SHA-256, footer and number of rows, and no other. An "
    "export without a manifest, as Weaviate writes it, is checked by its footers and counts.\v"
    "Exit codes: 0 good, 1 bad or unreadable, 2 wrong usage, 3 good, but made without what was "
    "damaged in its source (--skip-damaged). Credentials of stores come from the environment, as "
    "for sluice export.",
    NULL,
    NULL,
    NULL};

static const char *from_environment(void *arg SL_UNUSED, const char *name)
{
    return getenv(name);
}

static long long left_out(const json_t *doc)
{
    return (long long)json_integer_value(json_object_get(doc, "leftOut"));
}

static void print(const struct request *r, const json_t *doc)
{
    const json_t *one = NULL;
    size_t i = 0;
    if (r->is_json) {
        (void)json_dumpf(doc, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
        return;
    }
    json_array_foreach(json_object_get(doc, "problems"), i, one)
    {
        (void)printf("%s\n", json_string_value(one));
    }
    (void)printf("%s: %zu files, %lld rows, %zu problems\n",
                 json_string_value(json_object_get(doc, "status")),
                 json_array_size(json_object_get(doc, "files")),
                 (long long)json_integer_value(json_object_get(doc, "rows")),
                 json_array_size(json_object_get(doc, "problems")));
    if (left_out(doc) > 0) {
        (void)printf("%lld damaged parts of the source were left out of it: leftOut in "
                     "_manifest.json\n",
                     left_out(doc));
    }
}

int sli_cmd_verify(int argc, char **argv)
{
    struct request r = {0};
    struct sl_config config = {0};
    struct sl_err err = {0};
    json_t *doc = NULL;
    if (argp_parse(&verify_argp, argc, argv, 0, NULL, &r) != 0) {
        return SLI_EXIT_USAGE;
    }
    /* Each column chunk takes and frees buffers of a page; glibc would hand their memory back to
     * the system and ask for it again, zeroed, each time. */
    (void)mallopt(M_MMAP_THRESHOLD, 8 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 32 << 20);
    sl_rc rc = sl_config_load(&config, from_environment, NULL, NULL, &err);
    if (rc == SL_OK) {
        struct sl_backend_env env = {.config = &config, .clock = sl_clock_real()};
        rc = sl_export_verify(&env, sl_str_from(r.dest), r.is_deep, r.parallelism, &doc, &err);
    }
    sl_config_fini(&config);
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    bool is_good = strcmp(json_string_value(json_object_get(doc, "status")), "good") == 0;
    int code = !is_good ? SLI_EXIT_FAILED : left_out(doc) > 0 ? SLI_EXIT_DAMAGED : SLI_EXIT_DONE;
    print(&r, doc);
    json_decref(doc);
    return code;
}
