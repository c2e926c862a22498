/* The door of the layouts: opens one of them, hands rows on, names the object of a failure. */
#include "layout/layout_int.h"

static const struct {
    const char *name;
    int64_t per_ms;
    const char *whole;
} units[] = {
    [SL_UNIT_AUTO] = {"auto", 0, ""},
    [SL_UNIT_NS] = {"ns", 1000000, "nanoseconds"},
    [SL_UNIT_US] = {"us", 1000, "microseconds"},
    [SL_UNIT_MS] = {"ms", 1, "milliseconds"},
};

const char *sl_timestamp_unit_name(enum sl_timestamp_unit u)
{
    return units[u].name;
}

enum sl_timestamp_unit sl_layout_unit(enum sl_layout_kind kind, enum sl_timestamp_unit wanted)
{
    if (wanted != SL_UNIT_AUTO) {
        return wanted;
    }
    return kind == SL_LAYOUT_LAKE ? SL_UNIT_US : SL_UNIT_NS;
}

sl_rc sli_time_of(const struct sl_layout *l, int64_t ms, int64_t *ret, struct sl_err *err)
{
    if (__builtin_mul_overflow(ms, units[l->opts.unit].per_ms, ret)) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "time %lld ms does not fit %s; export with SLUICE_TIMESTAMP_UNIT=ms",
                       (long long)ms, units[l->opts.unit].whole);
    }
    return SL_OK;
}

bool sli_is_wanted(const struct sl_layout *l, struct sl_str name)
{
    bool is_wanted = l->opts.column_count == 0;
    for (uint32_t i = 0; i < l->opts.column_count; i++) {
        struct sl_str wanted = l->opts.columns[i];
        bool is_it = sl_str_eq(wanted, name);
        bool is_inside = wanted.len > name.len && wanted.ptr[name.len] == '.' &&
                         memcmp(wanted.ptr, name.ptr, name.len) == 0;
        if (is_it && l->opts.is_met != NULL) {
            l->opts.is_met[i] = true;
        }
        is_wanted |= is_it || is_inside;
    }
    return is_wanted;
}

bool sli_has_properties(const struct sl_object *obj)
{
    return obj->properties.len > 0 && !sl_str_is(sl_bytes_str(obj->properties), "null");
}

sl_rc sl_layout_open(const struct sl_layout_opts *opts, struct sl_layout **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_layout) l = sl_alloc_zero(1, sizeof(*l));
    if (l == NULL) {
        return SL_NOMEM(err);
    }
    l->opts = *opts;
    if (opts->kind == SL_LAYOUT_WEAVIATE) {
        sli_weaviate_open(l);
    } else {
        SL_TRY(sli_lake_open(l, opts->class_json, err));
    }
    l->opts.class_json = SL_STR("");
    l->opts.columns = NULL;
    l->opts.is_met = NULL;
    *ret = sl_move(&l);
    return SL_OK;
}

void sl_layout_close(struct sl_layout *l)
{
    if (l != NULL) {
        sl_buf_fini(&l->scratch);
        sl_buf_fini(&l->half);
        sl_arena_fini(&l->arena);
        sl_free(l);
    }
}

void sl_layout_schema(const struct sl_layout *l, struct sl_pq_opts *opts)
{
    bool is_lake = l->opts.kind == SL_LAYOUT_LAKE;
    opts->nodes = is_lake ? l->lake.nodes : l->weaviate;
    opts->node_count = is_lake ? l->lake.node_count : l->weaviate_count;
    opts->sorted_column = 0; /* id */
    opts->has_arrow_schema = is_lake;
}

static void add_column(struct sl_json *w, const char *prefix, struct sl_str column,
                       const char *kind, struct sl_str name)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_addf(&path, "%s%.*s", prefix, SL_STR_ARG(column));
    w->out->is_failed |= path.is_failed;
    sl_json_obj(w);
    sl_json_key(w, "column");
    sl_json_str(w, sl_buf_str(&path));
    sl_json_key(w, kind);
    sl_json_str(w, name);
    sl_json_obj_end(w);
}

void sl_layout_columns_json(const struct sl_layout *l, struct sl_json *w)
{
    const struct sli_lake *lake = &l->lake;
    sl_json_arr(w);
    for (uint32_t i = 0; i < lake->named_count; i++) {
        if (lake->named[i].column != SL_PQ_NOWHERE) {
            add_column(w, "", lake->named[i].column_name, "vector", lake->named[i].name);
        }
    }
    for (uint32_t i = 0; i < lake->multi_count; i++) {
        if (lake->multi[i].column != SL_PQ_NOWHERE) {
            add_column(w, "", lake->multi[i].column_name, "multiVector", lake->multi[i].name);
        }
    }
    for (uint32_t i = 0; i < lake->properties.field_count; i++) {
        const struct sli_field *f = &lake->properties.fields[i];
        add_column(w, "properties.", f->name, "property", f->key);
    }
    sl_json_arr_end(w);
}

struct sl_layout_tally sl_layout_tally(const struct sl_layout *l)
{
    return l->tally;
}

sl_rc sl_layout_put(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                    struct sl_err *err)
{
    sl_rc rc = l->opts.kind == SL_LAYOUT_LAKE ? sli_lake_put(l, w, obj, err)
                                              : sli_weaviate_put(l, w, obj, err);
    /* Other failures are the destination's: this object has no part in them. */
    if (SL_UNLIKELY(rc == SL_ECORRUPT || rc == SL_ETOOBIG)) {
        char id[SL_UUID_TEXT_SIZE];
        sl_uuid_format(obj->uuid, id);
        sl_err_prefix(err, "object %.*s", SL_UUID_TEXT_SIZE, id);
    }
    return rc;
}
