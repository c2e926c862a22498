/* weaviate-dir DIR: writes a data directory as a Weaviate server leaves it on disk.
 *
 * One class `Bench` of any size, in segments and, with --logs, a log; or, with --random, a small
 * directory of a random history: odd objects, all styles of files, what crashes leave behind.
 * --truth tells what a reader must find. The rows are those of the other benchmarks. Prints one
 * JSON line. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "weaviate_gen.h"

#define OBJECTS_MAX 100000000u
#define LOG_SPILL   (1u << 20)
#define TENANTS_MAX 1000000u

struct options {
    const char *path, *truth;
    uint32_t objects, dims, segments, tenants, properties_bytes, version;
    bool is_named, is_multi, has_log, is_random;
    double overwrite_share, delete_share;
    uint64_t seed;
};

enum {
    KEY_NAMED = 0x100,
    KEY_MULTI,
    KEY_LOGS,
    KEY_OVERWRITE,
    KEY_DELETE,
    KEY_VERSION,
    KEY_PROPERTIES,
    KEY_RANDOM
};

static const struct argp_option options_known[] = {
    {"objects", 'o', "N", 0, "Objects, of each tenant if there are tenants (1000)", 0},
    {"dims", 'd', "N", 0, "Dimensions of the vectors (1536)", 0},
    {"named", KEY_NAMED, NULL, 0, "A named vector instead of the unnamed one", 0},
    {"multi", KEY_MULTI, NULL, 0, "A multi-vector of eight rows instead of the unnamed vector", 0},
    {"segments", 's', "N", 0, "Segments of each shard (3); 0: a log alone", 0},
    {"logs", KEY_LOGS, NULL, 0, "Keep the newest part in a log", 0},
    {"tenants", 't', "N", 0, "Tenants instead of one shard", 0},
    {"overwrite-share", KEY_OVERWRITE, "0..1", 0, "Objects written a second time later (0)", 0},
    {"delete-share", KEY_DELETE, "0..1", 0, "Objects deleted later (0)", 0},
    {"version-bytes", KEY_VERSION, "0|1", 0, "Header version; 1: with checksums (0)", 0},
    {"properties-bytes", KEY_PROPERTIES, "N", 0, "JSON of each object (about 1 KB of words)", 0},
    {"seed", 'r', "N", 0, "Of all that is random (1)", 0},
    {"truth", 'T', "FILE", 0, "Write what a reader must find, JSON lines, bytes in hex", 0},
    {"random", KEY_RANDOM, NULL, 0, "A small directory of a random history; only --seed counts", 0},
    {0},
};

static uint32_t parse_number(const char *arg, uint32_t most, struct argp_state *state)
{
    char *end = NULL;
    unsigned long n = strtoul(arg, &end, 10);
    if (*end != '\0' || arg[0] == '\0' || n > most) {
        argp_error(state, "\"%s\" is not a number from 0 to %u", arg, most);
    }
    return (uint32_t)n;
}

static double parse_share(const char *arg, struct argp_state *state)
{
    char *end = NULL;
    double share = strtod(arg, &end);
    if (*end != '\0' || arg[0] == '\0' || !(share >= 0 && share <= 1)) {
        argp_error(state, "\"%s\" is not a number from 0 to 1", arg);
    }
    return share;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 'o':
        o->objects = parse_number(arg, OBJECTS_MAX, state);
        return 0;
    case 'd':
        o->dims = parse_number(arg, SL_OBJECT_DIMS_MAX, state);
        return 0;
    case 's':
        o->segments = parse_number(arg, SEGMENTS_MAX, state);
        return 0;
    case 't':
        o->tenants = parse_number(arg, TENANTS_MAX, state);
        return 0;
    case 'r':
        o->seed = strtoull(arg, NULL, 10);
        return 0;
    case 'T':
        o->truth = arg;
        return 0;
    case KEY_NAMED:
        o->is_named = true;
        return 0;
    case KEY_MULTI:
        o->is_multi = true;
        return 0;
    case KEY_LOGS:
        o->has_log = true;
        return 0;
    case KEY_RANDOM:
        o->is_random = true;
        return 0;
    case KEY_OVERWRITE:
        o->overwrite_share = parse_share(arg, state);
        return 0;
    case KEY_DELETE:
        o->delete_share = parse_share(arg, state);
        return 0;
    case KEY_VERSION:
        o->version = parse_number(arg, 1, state);
        return 0;
    case KEY_PROPERTIES:
        o->properties_bytes = parse_number(arg, 1u << 20, state);
        return 0;
    case ARGP_KEY_ARG:
        o->path = arg;
        return state->arg_num == 0 ? 0 : ARGP_ERR_UNKNOWN;
    case ARGP_KEY_END:
        if (o->path == NULL || strlen(o->path) > ROOT_MAX) {
            argp_error(state, "DIR is needed, a path of at most %d bytes", ROOT_MAX);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp arguments = {
    options_known, parse, "DIR", "Writes a Weaviate data directory.", NULL, NULL, NULL};

/* ---- one class ---- */

static sl_rc write_log(struct gen *g, struct bucket *b, const struct wv_style *style,
                       struct sl_err *err)
{
    char path[PATH_SIZE];
    struct wv_log log = {.out = SL_BUF_EMPTY};
    SL_AUTO_PTR(sl_file) f = NULL;
    bucket_path(b, bucket_id(b), ".wal", path);
    SL_TRY(sl_file_open(path, SL_FILE_REPLACE, &f, err));
    sl_rc rc = SL_OK;
    for (uint32_t i = 0; rc == SL_OK && i < b->memtable.count; i++) {
        rc = log_add(g, b, &b->memtable.list[i], style, &log, err);
        if (rc == SL_OK && (log.out.len >= LOG_SPILL || i + 1 == b->memtable.count)) {
            g->bytes += log.out.len;
            rc = sl_file_append(f, sl_buf_view(&log.out), err);
            sl_buf_clear(&log.out);
        }
    }
    sl_buf_fini(&log.out);
    return rc;
}

/* Object n is first written in part n % parts, so that the parts' keys are all mixed; in a later
 * part it may come again, or go. The parts become the segments and the log. */
static sl_rc fill_shard(struct gen *g, const struct options *o, const struct gen_class *c,
                        const char *shard, uint64_t uid, struct sl_err *err)
{
    struct unit like = {.has_info_name = true,
                        .style = {.version = (uint16_t)o->version,
                                  .secondary_count = 1,
                                  .is_tombstone_timed = true,
                                  .has_tombstone_doc_id = true}};
    bool has_log = o->has_log || o->segments == 0;
    uint32_t parts = o->segments + (has_log ? 1u : 0u);
    struct bucket b;
    sl_rc rc = bucket_init(g, &b, c, shard, uid, o->objects, err);
    for (uint32_t part = 0; rc == SL_OK && part < parts; part++) {
        for (uint32_t n = 0; rc == SL_OK && n < o->objects; n++) {
            struct rng r = {g->seed ^ (uid << 32) ^ n};
            uint32_t base = n % parts;
            double roll = (double)rng_below(&r, 1000000) / 1e6;
            uint32_t again = base + 1 < parts ? base + 1 + rng_below(&r, parts - base - 1) : base;
            bool is_delete = roll >= o->overwrite_share;
            if (part == base) {
                rc = bucket_put(&b, n, false, err);
            } else if (part == again && roll < o->overwrite_share + o->delete_share) {
                rc = bucket_put(&b, n, is_delete, err);
            }
        }
        if (rc == SL_OK && part < o->segments) {
            rc = bucket_flush(&b, &like, err);
        }
    }
    if (rc == SL_OK) {
        rc = bucket_write(g, &b, err);
    }
    if (rc == SL_OK && has_log) {
        rc = write_log(g, &b, &like.style, err);
    }
    if (rc == SL_OK) {
        rc = gen_truth(g, &b, err);
    }
    bucket_fini(&b);
    return rc;
}

static sl_rc fill_tenants(struct gen *g, const struct options *o, const struct gen_class *c,
                          struct sl_err *err)
{
    SL_AUTO_MEM(const char *) names = sl_alloc_zero(o->tenants + 1u, sizeof(*names));
    SL_AUTO_MEM(const char *) states = sl_alloc_zero(o->tenants + 1u, sizeof(*states));
    SL_AUTO_MEM(char) text = sl_alloc_zero(o->tenants + 1u, 16);
    if (names == NULL || states == NULL || text == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < o->tenants; i++) {
        names[i] = text + 16 * (size_t)i;
        states[i] = "HOT";
        text_make(text + 16 * (size_t)i, 16, "tenant-%06u", i);
        SL_TRY(fill_shard(g, o, c, names[i], i, err));
    }
    SL_TRY(gen_add_class(g, c, NULL, 0, err));
    return gen_add_tenants(g, c, names, states, o->tenants, err);
}

static sl_rc fill(struct gen *g, const struct options *o, struct sl_err *err)
{
    static const char *const shard = "Kx3mQ9aTz0Lw";
    struct gen_class c = {.name = "Bench",
                          .is_multi_tenant = o->tenants > 0,
                          .dims = o->is_named || o->is_multi ? 0 : o->dims,
                          .named_count = o->is_named,
                          .multi_count = o->is_multi,
                          .dims_named = o->dims,
                          .properties_bytes = o->properties_bytes};
    if (o->tenants > 0) {
        return fill_tenants(g, o, &c, err);
    }
    SL_TRY(fill_shard(g, o, &c, shard, 0, err));
    return gen_add_class(g, &c, &shard, 1, err);
}

static sl_rc run(struct gen *g, const struct options *o, struct sl_err *err)
{
    char raft[PATH_SIZE];
    SL_TRY(folder_make(o->path, err));
    if (o->truth != NULL) {
        SL_TRY(sl_file_open(o->truth, SL_FILE_REPLACE, &g->truth, err));
    }
    g->object = sl_alloc_zero(1, sizeof(*g->object));
    if (g->object == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(o->is_random ? random_dir(g, err) : fill(g, o, err));
    if (g->command_count == 0) {
        return SL_OK;
    }
    text_make(raft, sizeof(raft), "%s/raft", o->path);
    SL_TRY(folder_make(raft, err));
    text_make(raft, sizeof(raft), "%s/raft/raft.db", o->path);
    return wv_raft_write(raft, g->commands, g->command_count, err);
}

static void gen_fini(struct gen *g)
{
    for (uint32_t i = 0; i < g->command_count; i++) {
        sl_buf_fini(&g->commands[i].body);
    }
    sl_free(g->commands);
    sl_file_close(g->truth);
    sl_free(g->object);
    sl_buf_fini(&g->truth_out);
    sl_buf_fini(&g->vectors);
    sl_buf_fini(&g->texts);
    sl_buf_fini(&g->value);
}

int main(int argc, char **argv)
{
    struct options o = {.objects = 1000, .dims = 1536, .segments = 3, .seed = 1};
    if (argp_parse(&arguments, argc, argv, 0, NULL, &o) != 0) {
        return 2;
    }
    struct gen g = {.path = o.path, .seed = o.seed};
    struct sl_err err = {0};
    int64_t begun = sl_clock_mono_ns(sl_clock_real());
    sl_rc rc = run(&g, &o, &err);
    if (rc != SL_OK) {
        (void)fprintf(stderr, "weaviate-dir: %s\n", sl_err_text(&err, rc));
        return 1;
    }
    gen_fini(&g);
    (void)printf("{\"bench\":\"weaviate-dir\",\"objects\":%llu,\"bytes\":%llu,\"seconds\":%.2f}\n",
                 (unsigned long long)g.objects, (unsigned long long)g.bytes,
                 (double)(sl_clock_mono_ns(sl_clock_real()) - begun) / 1e9);
    return 0;
}
