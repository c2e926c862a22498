/* Objects, the truth about them, and the commands that make their classes; see weaviate_gen.h. */
#include "weaviate_gen.h"

#include "base/json.h"
#include "data.h"

static const char *const vector_names[NAMES_MAX] = {"default", "b_2", "_Z", "title"};
static const char *const multi_names[NAMES_MAX] = {"colbert", "m1", "M0", "zz"};

uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(rng_next(r) % n);
}

bool rng_chance(struct rng *r, double p)
{
    return (double)(rng_next(r) >> 11) < p * 9007199254740992.0;
}

/* ---- objects as the benchmarks have them ---- */

static sl_rc add_floats(struct gen *g, uint64_t n, uint32_t dims, struct sl_bytes *ret,
                        struct sl_err *err)
{
    uint8_t *at = sl_buf_reserve(&g->vectors, (size_t)dims * 4);
    if (at == NULL) {
        return SL_NOMEM(err);
    }
    data_vector(n, dims, (float *)(void *)at);
    g->vectors.len += (size_t)dims * 4;
    *ret = SL_BYTES(at, (size_t)dims * 4);
    return SL_OK;
}

static void add_properties(struct gen *g, const struct gen_class *c, uint64_t n)
{
    if (c->properties_bytes == 0) {
        data_properties(n, &g->texts);
        return;
    }
    sl_buf_add_text(&g->texts, "{\"body\":\"");
    for (uint32_t i = 0; i + 11 < c->properties_bytes; i++) {
        sl_buf_add_u8(&g->texts, (uint8_t)('a' + (n + i * i) % 26));
    }
    sl_buf_add_text(&g->texts, "\"}");
}

static sl_rc bench_object(struct gen *g, const struct bucket *b, const struct op *op,
                          struct sl_err *err)
{
    const struct gen_class *c = b->class;
    struct sl_object *o = g->object;
    /* The first version is the row of the other benchmarks. */
    uint64_t n = (b->uid << 32) + op->n + ((op->version - 1ull) << 48);
    SL_TRY(add_floats(g, n, c->dims, &o->vector, err));
    for (uint32_t i = 0; i < c->named_count; i++) {
        o->named[i].name = sl_str_from(vector_names[i]);
        SL_TRY(add_floats(g, n, c->dims_named, &o->named[i].floats, err));
    }
    o->named_count = c->named_count;
    SL_AUTO(sl_buf) row = SL_BUF_EMPTY;
    for (uint32_t i = 0; i < c->multi_count; i++) {
        size_t begun = g->vectors.len;
        uint8_t *at = sl_buf_reserve(&row, (size_t)c->dims_named * 4);
        if (at == NULL) {
            return SL_NOMEM(err);
        }
        for (uint32_t k = 0; k < 8; k++) {
            data_vector(n + k, c->dims_named, (float *)(void *)at);
            sl_buf_add_u16(&g->vectors, (uint16_t)c->dims_named);
            sl_buf_add(&g->vectors, SL_BYTES(at, (size_t)c->dims_named * 4));
        }
        o->multi[i] = (struct sl_multi_vector){
            .name = sl_str_from(multi_names[i]),
            .body = SL_BYTES(g->vectors.ptr + begun, g->vectors.len - begun),
            .row_count = 8,
        };
    }
    o->multi_count = c->multi_count;
    add_properties(g, c, n);
    o->properties = sl_buf_view(&g->texts);
    return SL_OK;
}

/* ---- small odd objects ---- */

static void add_odd_floats(struct gen *g, struct rng *r, uint32_t dims)
{
    static const uint32_t odd[] = {0,          0x80000000, 1,          0x807fffff, 0x00800000,
                                   0x7f7fffff, 0x3f800000, 0x3dcccccd, 0x49742400, 0x38d1b717,
                                   0x3727c5ac, 0x0f800000, 0x6b000000, 0x6c800000, 0x4b800000};
    for (uint32_t i = 0; i < dims; i++) {
        uint32_t bits =
            rng_chance(r, 0.2) ? odd[rng_below(r, SL_COUNT_OF(odd))] : (uint32_t)rng_next(r);
        if ((bits & 0x7f800000) == 0x7f800000) {
            bits &= ~0x40000000u; /* neither infinite nor NaN: a server refuses those */
        }
        sl_buf_add_u32(&g->vectors, bits);
    }
}

static struct sl_bytes odd_properties(struct gen *g, struct rng *r, const struct op *op)
{
    static const char *const texts[] = {
        "\"plain\"", "\"Gr\\u00fc\\u003cb\\u003e 漢字 😀 \\u2028 \\\\ \\\"\"",
        "[]",        "{\"a\":[1,2.5e-7]}",
        "\"\"",      "true"};
    uint32_t kind = rng_below(r, 10);
    if (kind == 0) {
        return SL_BYTES(NULL, 0); /* stored as null */
    }
    sl_buf_add_text(&g->texts, "{");
    if (kind > 1) {
        sl_buf_addf(&g->texts, "\"n\":%u,\"t\":%s,\"v\":%u", op->n,
                    texts[rng_below(r, SL_COUNT_OF(texts))], op->version);
    }
    if (kind == 9) {
        sl_buf_add_text(&g->texts, ",\"x\":\"");
        for (uint32_t i = rng_below(r, 20000); i > 0; i--) {
            sl_buf_add_u8(&g->texts, (uint8_t)('a' + rng_below(r, 26)));
        }
        sl_buf_add_text(&g->texts, "\"");
    }
    sl_buf_add_text(&g->texts, "}");
    return sl_buf_view(&g->texts);
}

static void odd_multi(struct gen *g, struct rng *r, const struct gen_class *c,
                      struct sl_multi_vector *ret)
{
    size_t begun = g->vectors.len;
    ret->row_count = rng_below(r, 5);
    for (uint32_t k = 0; k < ret->row_count; k++) {
        uint32_t dims = rng_chance(r, 0.1) ? 0 : c->dims_named;
        sl_buf_add_u16(&g->vectors, (uint16_t)dims);
        add_odd_floats(g, r, dims);
    }
    ret->body = SL_BYTES(g->vectors.ptr + begun, g->vectors.len - begun);
}

static void odd_object(struct gen *g, const struct bucket *b, const struct op *op)
{
    const struct gen_class *c = b->class;
    struct sl_object *o = g->object;
    struct rng r = {g->seed ^ (b->uid << 40) ^ ((uint64_t)op->version << 20) ^ op->n};
    uint32_t dims = rng_chance(&r, 0.8) ? c->dims : 0;
    add_odd_floats(g, &r, dims);
    o->vector = SL_BYTES(g->vectors.ptr, (size_t)dims * 4);
    for (uint32_t i = 0; i < c->named_count; i++) {
        if (rng_chance(&r, 0.7)) {
            size_t begun = g->vectors.len;
            add_odd_floats(g, &r, rng_chance(&r, 0.1) ? 0 : c->dims_named);
            o->named[o->named_count++] =
                (struct sl_named_vector){sl_str_from(vector_names[i]),
                                         SL_BYTES(g->vectors.ptr + begun, g->vectors.len - begun)};
        }
    }
    for (uint32_t i = 0; i < c->multi_count; i++) {
        if (rng_chance(&r, 0.7)) {
            struct sl_multi_vector *mv = &o->multi[o->multi_count++];
            mv->name = sl_str_from(multi_names[i]);
            odd_multi(g, &r, c, mv);
        }
    }
    o->properties = odd_properties(g, &r, op);
    if (rng_chance(&r, 0.2)) {
        o->additional = sl_str_bytes(SL_STR("{\"classification\":{\"id\":\"x\"}}"));
    }
    if (c->is_unnamed && rng_chance(&r, 0.7)) {
        o->class_name = (struct sl_str){0};
    }
}

sl_rc gen_object(struct gen *g, const struct bucket *b, const struct op *op, struct sl_err *err)
{
    struct sl_object *o = g->object;
    sl_buf_clear(&g->vectors);
    sl_buf_clear(&g->texts);
    /* Views point into it, so it must not move. */
    if (sl_buf_reserve(&g->vectors, 4u << 20) == NULL) {
        return SL_NOMEM(err);
    }
    *o = (struct sl_object){
        .doc_id = ((uint64_t)op->version << 20) + op->n,
        .create_ms = 1700000000000 + (int64_t)op->n,
        .update_ms = 1700000000000 + (int64_t)op->n + 1000 * (op->version - 1ll),
        .class_name = sl_str_from(b->class->name),
    };
    memcpy(o->uuid, op->key, SL_UUID_SIZE);
    if (b->class->is_random) {
        odd_object(g, b, op);
    } else {
        SL_TRY(bench_object(g, b, op, err));
    }
    SL_TRY(sl_buf_done(&g->texts, err));
    return sl_buf_done(&g->vectors, err);
}

sl_rc gen_value(struct gen *g, const struct bucket *b, const struct op *op, struct sl_err *err)
{
    SL_TRY(gen_object(g, b, op, err));
    sl_buf_clear(&g->value);
    SL_TRY(sl_object_write(g->object, &g->value, err));
    SL_TRY(sl_buf_done(&g->value, err));
    /* An empty section is eight bytes, and older servers did not write the last ones. */
    g->value.len -= 8u * b->class->tail_cut;
    return SL_OK;
}

/* ---- truth ---- */

static void json_hex(struct sl_json *w, struct sl_bytes b)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_hex_add(&text, b);
    sl_json_str(w, sl_buf_str(&text));
}

static void json_vectors(struct sl_json *w, const struct sl_object *o)
{
    sl_json_key(w, "named");
    sl_json_obj(w);
    for (uint32_t i = 0; i < o->named_count; i++) {
        sl_json_key_str(w, o->named[i].name);
        json_hex(w, o->named[i].floats);
    }
    sl_json_obj_end(w);
    sl_json_key(w, "multi");
    sl_json_obj(w);
    for (uint32_t i = 0; i < o->multi_count; i++) {
        sl_json_key_str(w, o->multi[i].name);
        sl_json_arr(w);
        const uint8_t *at = o->multi[i].body.ptr;
        for (uint32_t k = 0; k < o->multi[i].row_count; k++) {
            size_t len = 4u * (at[0] + 256u * at[1]);
            json_hex(w, SL_BYTES(at + 2, len));
            at += 2 + len;
        }
        sl_json_arr_end(w);
    }
    sl_json_obj_end(w);
}

static void json_row(struct sl_json *w, const struct bucket *b, const struct sl_object *o)
{
    char id[SL_UUID_TEXT_SIZE];
    sl_uuid_format(o->uuid, id);
    sl_json_obj(w);
    sl_json_key(w, "class");
    sl_json_text(w, b->class->name);
    sl_json_key(w, "shard");
    sl_json_text(w, b->shard);
    sl_json_key(w, "tenant");
    if (b->class->is_multi_tenant) {
        sl_json_text(w, b->shard);
    } else {
        sl_json_null(w);
    }
    sl_json_key(w, "id");
    sl_json_str(w, (struct sl_str){id, sizeof(id)});
    sl_json_key(w, "created");
    sl_json_i64(w, o->create_ms);
    sl_json_key(w, "updated");
    sl_json_i64(w, o->update_ms);
    sl_json_key(w, "vector");
    json_hex(w, o->vector);
    json_vectors(w, o);
    sl_json_key(w, "properties");
    json_hex(w, o->properties);
    sl_json_obj_end(w);
}

sl_rc gen_truth(struct gen *g, const struct bucket *b, struct sl_err *err)
{
    for (uint32_t n = 0; n < b->n_max; n++) {
        if (!b->states[n].is_live) {
            continue;
        }
        g->objects++;
        if (g->truth == NULL) {
            continue;
        }
        struct op op = bucket_op(b, n, false);
        SL_TRY(gen_object(g, b, &op, err));
        sl_buf_clear(&g->truth_out);
        struct sl_json w = sl_json_over(&g->truth_out);
        json_row(&w, b, g->object);
        sl_buf_add_text(&g->truth_out, "\n");
        SL_TRY(sl_buf_done(&g->truth_out, err));
        SL_TRY(sl_file_append(g->truth, sl_buf_view(&g->truth_out), err));
    }
    return SL_OK;
}

/* ---- schema ---- */

struct wv_command *gen_command(struct gen *g, uint32_t type, const char *class_name)
{
    struct wv_command *grown =
        sl_realloc(g->commands, (g->command_count + 1u) * sizeof(*g->commands));
    if (grown == NULL) {
        return NULL;
    }
    g->commands = grown;
    struct wv_command *c = &grown[g->command_count++];
    *c = (struct wv_command){.type = type};
    text_make(c->class_name, sizeof(c->class_name), "%s", class_name);
    return c;
}

static void json_class(struct sl_json *w, const struct gen_class *c)
{
    sl_json_key(w, "Class");
    sl_json_obj(w);
    sl_json_key(w, "class");
    sl_json_text(w, c->name);
    sl_json_key(w, "multiTenancyConfig");
    sl_json_obj(w);
    sl_json_key(w, "enabled");
    sl_json_bool(w, c->is_multi_tenant);
    sl_json_obj_end(w);
    sl_json_key(w, "replicationConfig");
    sl_json_raw(w, SL_STR("{\"factor\":1}"));
    if (c->named_count + c->multi_count > 0) {
        sl_json_key(w, "vectorConfig");
        sl_json_obj(w);
        for (uint32_t i = 0; i < c->named_count + c->multi_count; i++) {
            sl_json_key(w, i < c->named_count ? vector_names[i] : multi_names[i - c->named_count]);
            sl_json_raw(w, SL_STR("{\"vectorIndexType\":\"hnsw\",\"vectorizer\":{\"none\":{}}}"));
        }
        sl_json_obj_end(w);
    } else {
        sl_json_key(w, "vectorIndexType");
        sl_json_text(w, "hnsw");
        sl_json_key(w, "vectorizer");
        sl_json_text(w, "none");
    }
    sl_json_obj_end(w);
}

sl_rc gen_add_class(struct gen *g, const struct gen_class *c, const char *const *shards,
                    uint32_t shard_count, struct sl_err *err)
{
    struct wv_command *command = gen_command(g, WV_ADD_CLASS, c->name);
    if (command == NULL) {
        return SL_NOMEM(err);
    }
    struct sl_json w = sl_json_over(&command->body);
    sl_json_obj(&w);
    json_class(&w, c);
    sl_json_key(&w, "State");
    sl_json_obj(&w);
    sl_json_key(&w, "indexID");
    sl_json_text(&w, c->name);
    sl_json_key(&w, "physical");
    sl_json_obj(&w);
    for (uint32_t i = 0; i < shard_count; i++) {
        sl_json_key(&w, shards[i]);
        sl_json_obj(&w);
        sl_json_key(&w, "name");
        sl_json_text(&w, shards[i]);
        sl_json_key(&w, "ownsPercentage");
        sl_json_f64(&w, 1.0 / shard_count);
        sl_json_key(&w, "belongsToNodes");
        sl_json_raw(&w, SL_STR("[\"node1\"]"));
        sl_json_obj_end(&w);
    }
    sl_json_obj_end(&w);
    sl_json_key(&w, "virtual");
    sl_json_null(&w);
    sl_json_key(&w, "partitioningEnabled");
    sl_json_bool(&w, c->is_multi_tenant);
    sl_json_obj_end(&w);
    sl_json_obj_end(&w);
    return sl_buf_done(&command->body, err);
}

sl_rc gen_add_tenants(struct gen *g, const struct gen_class *c, const char *const *tenants,
                      const char *const *states, uint32_t count, struct sl_err *err)
{
    struct wv_command *command = gen_command(g, WV_ADD_TENANT, c->name);
    if (command == NULL) {
        return SL_NOMEM(err);
    }
    SL_AUTO(sl_buf) one = SL_BUF_EMPTY;
    wv_proto_bytes(&command->body, 1, sl_str_bytes(SL_STR("node1")));
    for (uint32_t i = 0; i < count; i++) {
        sl_buf_clear(&one);
        wv_proto_bytes(&one, 1, sl_str_bytes(sl_str_from(tenants[i])));
        wv_proto_bytes(&one, 2, sl_str_bytes(sl_str_from(states[i])));
        wv_proto_bytes(&command->body, 2, sl_buf_view(&one));
    }
    SL_TRY(sl_buf_done(&one, err));
    return sl_buf_done(&command->body, err);
}
