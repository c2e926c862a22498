/* Schema of a foreign Parquet file: its elements, and the columns they make.
 *
 * The tree is stored with parents before their children. Walking it in that order with a stack of
 * open groups gives every leaf its levels: an optional node adds a definition level, a repeated one
 * a definition and a repetition level. */
#include "parquet/reader_int.h"

/* Unions say by their one field which of them they are. */
static enum sl_pq_meaning time_unit(struct sli_tr *t)
{
    int16_t id = 0;
    uint8_t type = 0;
    enum sl_pq_meaning unit = SL_PQ_M_OTHER;
    while (sli_tr_field(t, &id, &type)) {
        unit = id == 1   ? SL_PQ_M_TIMESTAMP_MS
               : id == 2 ? SL_PQ_M_TIMESTAMP_US
               : id == 3 ? SL_PQ_M_TIMESTAMP_NS
                         : unit;
        sli_tr_skip(t, type);
    }
    return unit;
}

static enum sl_pq_meaning timestamp(struct sli_tr *t)
{
    int16_t id = 0;
    uint8_t type = 0;
    enum sl_pq_meaning unit = SL_PQ_M_OTHER;
    while (sli_tr_field(t, &id, &type)) {
        if (id == 2 && type == SLI_T_STRUCT) {
            unit = time_unit(t);
        } else {
            sli_tr_skip(t, type);
        }
    }
    return unit;
}

static enum sl_pq_meaning logical_type(struct sli_tr *t)
{
    static const uint8_t meanings[] = {
        [1] = SL_PQ_M_STRING, [12] = SL_PQ_M_JSON, [14] = SL_PQ_M_UUID, [15] = SL_PQ_M_FLOAT16};
    int16_t id = 0;
    uint8_t type = 0;
    enum sl_pq_meaning meaning = SL_PQ_M_OTHER;
    while (sli_tr_field(t, &id, &type)) {
        if (id == 8 && type == SLI_T_STRUCT) {
            meaning = timestamp(t);
            continue;
        }
        if (id > 0 && (size_t)id < SL_COUNT_OF(meanings) && meanings[id] != SL_PQ_M_NONE) {
            meaning = (enum sl_pq_meaning)meanings[id];
        }
        sli_tr_skip(t, type);
    }
    return meaning;
}

static enum sl_pq_meaning converted_meaning(int64_t converted)
{
    switch (converted) {
    case -1:
        return SL_PQ_M_NONE;
    case SLI_CONVERTED_UTF8:
        return SL_PQ_M_STRING;
    case SLI_CONVERTED_JSON:
        return SL_PQ_M_JSON;
    case 9:
        return SL_PQ_M_TIMESTAMP_MS;
    case 10:
        return SL_PQ_M_TIMESTAMP_US;
    default:
        return SL_PQ_M_OTHER;
    }
}

sl_rc sli_element_read(struct sli_tr *t, struct sli_element *ret, struct sl_err *err)
{
    struct sli_element e = {.converted = -1};
    int64_t *const numbers[] = {NULL, &e.type,        &e.width,    &e.repetition,
                                NULL, &e.child_count, &e.converted};
    int16_t id = 0;
    uint8_t type = 0;
    while (sli_tr_field(t, &id, &type)) {
        bool is_known = id > 0 && (size_t)id < SL_COUNT_OF(numbers);
        if (is_known && numbers[id] != NULL && type == SLI_T_I32) {
            *numbers[id] = sli_tr_zigzag(t);
            e.has_type = e.has_type || id == 1;
        } else if (id == 4 && type == SLI_T_BINARY) {
            e.name = sl_bytes_str(sli_tr_binary(t));
        } else if (id == 10 && type == SLI_T_STRUCT) {
            e.meaning = logical_type(t);
        } else {
            sli_tr_skip(t, type);
        }
    }
    if (e.meaning == SL_PQ_M_NONE) {
        e.meaning = converted_meaning(e.converted);
    }
    if (e.repetition < 0 || e.repetition > 2 || e.child_count < 0 ||
        e.child_count > SLI_SCHEMA_MAX || e.name.len > UINT16_MAX) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "footer: schema element before offset %zu: repetition %lld, %lld children",
                       t->rd.at, (long long)e.repetition, (long long)e.child_count);
    }
    *ret = e;
    return SL_OK;
}

/* ---- the walk ---- */

struct open_group {
    int64_t children_left;
    size_t path_len; /* of its own path */
    uint8_t def, rep;
    uint8_t top_def, repeated_def[SL_PQ_REPEATED_MAX];
};
struct walk {
    struct open_group open[SLI_SCHEMA_DEPTH];
    uint32_t depth;
    struct sl_buf path;
};

static sl_rc leaf_width(const struct sli_element *e, uint32_t *ret, struct sl_err *err)
{
    static const uint8_t widths[] = {
        [SL_PQ_P_BOOLEAN] = 1, [SL_PQ_P_INT32] = 4, [SL_PQ_P_INT64] = 8,
        [SL_PQ_P_INT96] = 12,  [SL_PQ_P_FLOAT] = 4, [SL_PQ_P_DOUBLE] = 8};
    bool is_fixed = e->type == SL_PQ_P_FIXED;
    if (e->type < 0 || e->type > SL_PQ_P_FIXED ||
        (is_fixed && (e->width <= 0 || e->width > INT32_MAX))) {
        return SL_FAIL(err, SL_ECORRUPT, "footer: column %.*s: type %lld of %lld bytes",
                       SL_STR_ARG(e->name), (long long)e->type, (long long)e->width);
    }
    *ret = is_fixed ? (uint32_t)e->width : e->type == SL_PQ_P_BYTE_ARRAY ? 0 : widths[e->type];
    return SL_OK;
}

/* Levels of the node below the innermost open group. */
static sl_rc enter(const struct walk *w, const struct sli_element *e, struct open_group *ret,
                   struct sl_err *err)
{
    struct open_group g = w->open[w->depth - 1];
    g.children_left = e->child_count;
    g.def = (uint8_t)(g.def + (e->repetition != 0));
    if (e->repetition == 2) {
        if (g.rep == SL_PQ_REPEATED_MAX) {
            return SL_FAIL(err, SL_EUNSUPPORTED, "column %.*s: more than %d lists in one another",
                           SL_STR_ARG(e->name), SL_PQ_REPEATED_MAX);
        }
        g.repeated_def[g.rep++] = g.def;
    }
    if (w->depth == 1) {
        g.top_def = e->repetition == 1;
    }
    *ret = g;
    return SL_OK;
}

/* The buffer may move while it grows: paths are made of lengths first, and pointed at afterwards.
 */
static sl_rc add_leaf(struct sl_pq_file *f, struct walk *w, const struct sli_element *e,
                      const struct open_group *g, struct sl_err *err)
{
    struct sl_pq_leaf *leaf = &f->leaves[f->leaf_count];
    SL_TRY(leaf_width(e, &leaf->width, err));
    leaf->type = (enum sl_pq_physical)e->type;
    leaf->meaning = e->meaning;
    leaf->max_def = g->def;
    leaf->max_rep = g->rep;
    leaf->top_def = g->top_def;
    memcpy(leaf->repeated_def, g->repeated_def, sizeof(leaf->repeated_def));
    leaf->path.len = w->path.len;
    leaf->name.len = w->depth == 1 ? w->path.len : w->open[1].path_len;
    sl_buf_add(&f->paths, sl_buf_view(&w->path));
    f->leaf_count++;
    return sl_buf_done(&f->paths, err);
}

static sl_rc add_node(struct sl_pq_file *f, struct walk *w, const struct sli_element *e,
                      struct sl_err *err)
{
    struct open_group g;
    SL_TRY(enter(w, e, &g, err));
    sl_buf_add_text(&w->path, w->depth > 1 ? "." : "");
    sl_buf_add_str(&w->path, e->name);
    SL_TRY(sl_buf_done(&w->path, err));
    w->open[w->depth - 1].children_left--;
    if (e->has_type) {
        SL_TRY(add_leaf(f, w, e, &g, err));
    } else if (w->depth == SLI_SCHEMA_DEPTH) {
        return SL_FAIL(err, SL_ECORRUPT, "footer: schema nested deeper than %d", SLI_SCHEMA_DEPTH);
    } else {
        g.path_len = w->path.len;
        w->open[w->depth++] = g;
    }
    while (w->depth > 1 && w->open[w->depth - 1].children_left == 0) {
        w->depth--;
    }
    w->path.len = w->open[w->depth - 1].path_len;
    return SL_OK;
}

static sl_rc walk_nodes(struct sl_pq_file *f, struct walk *w, const struct sli_element *e,
                        uint32_t count, struct sl_err *err)
{
    for (uint32_t i = 1; i < count; i++) {
        if (w->open[w->depth - 1].children_left == 0) {
            return SL_FAIL(err, SL_ECORRUPT, "footer: schema element %u belongs to no group", i);
        }
        SL_TRY(add_node(f, w, &e[i], err));
        if (f->paths.len > SLI_PATHS_MAX) {
            return SL_FAIL(err, SL_ECORRUPT, "footer: names of columns longer than %u bytes",
                           SLI_PATHS_MAX);
        }
    }
    return w->depth == 1 && w->open[0].children_left == 0
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "footer: schema ends inside a group");
}

sl_rc sli_schema_resolve(struct sl_pq_file *f, const struct sli_element *e, uint32_t count,
                         struct sl_err *err)
{
    if (count == 0 || e[0].has_type) {
        return SL_FAIL(err, SL_ECORRUPT, "footer: schema without a root");
    }
    f->leaves = sl_alloc_zero(count, sizeof(*f->leaves));
    if (f->leaves == NULL) {
        return SL_NOMEM(err);
    }
    struct walk w = {.depth = 1, .open = {{.children_left = e[0].child_count}}};
    sl_rc rc = walk_nodes(f, &w, e, count, err);
    sl_buf_fini(&w.path);
    SL_TRY(rc);
    size_t at = 0;
    for (uint32_t i = 0; i < f->leaf_count; i++) {
        f->leaves[i].path.ptr = f->leaves[i].name.ptr = (const char *)f->paths.ptr + at;
        at += f->leaves[i].path.len;
    }
    return SL_OK;
}
