/* sluice inspect: one stored object, all that is in it. */
#include "base/json.h"
#include "base/num.h"
#include "cmd/inspect_int.h"

static void add_floats(struct sl_json *w, struct sl_bytes floats)
{
    uint32_t dims = (uint32_t)(floats.len / 4);
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    uint8_t *at = sl_buf_reserve(&text, SL_F32_ARRAY_MAX(dims));
    uint64_t nonfinite = 0;
    if (at != NULL) {
        text.len = sl_f32_array_format(floats.ptr, dims, (char *)at, &nonfinite);
    }
    sl_json_raw(w, sl_buf_str(&text));
}

static sl_rc add_multi(struct sl_json *w, const struct sl_multi_vector *mv, struct sl_err *err)
{
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    struct sl_rd rd = sl_rd_over(mv->body);
    sl_json_key_str(w, mv->name);
    sl_json_arr(w);
    for (uint32_t i = 0; i < mv->row_count; i++) {
        struct sl_bytes floats = {0};
        SL_TRY(sl_multi_vector_row(mv, &rd, &scratch, &floats, err));
        add_floats(w, floats);
    }
    sl_json_arr_end(w);
    return SL_OK;
}

sl_rc sli_inspect_object(struct sl_bytes value, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO_MEM(struct sl_object) obj = sl_alloc(sizeof(*obj));
    if (obj == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_object_read(value, obj, err));
    struct sl_json w = sl_json_over(out);
    char uuid[SL_UUID_TEXT_SIZE];
    sl_uuid_format(obj->uuid, uuid);
    sl_json_obj(&w);
    sl_json_key(&w, "id");
    sl_json_str(&w, (struct sl_str){uuid, sizeof(uuid)});
    sl_json_key(&w, "class");
    sl_json_str(&w, obj->class_name);
    sl_json_key(&w, "docId");
    sl_json_u64(&w, obj->doc_id);
    sl_json_key(&w, "creationTimeUnix");
    sl_json_i64(&w, obj->create_ms);
    sl_json_key(&w, "lastUpdateTimeUnix");
    sl_json_i64(&w, obj->update_ms);
    sl_json_key(&w, "properties");
    sl_json_raw(&w, obj->properties.len == 0 ? SL_STR("null") : sl_bytes_str(obj->properties));
    sl_json_key(&w, "vector");
    add_floats(&w, obj->vector);
    sl_json_key(&w, "namedVectors");
    sl_json_obj(&w);
    for (uint32_t i = 0; i < obj->named_count; i++) {
        sl_json_key_str(&w, obj->named[i].name);
        add_floats(&w, obj->named[i].floats);
    }
    sl_json_obj_end(&w);
    sl_json_key(&w, "multiVectors");
    sl_json_obj(&w);
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        SL_TRY(add_multi(&w, &obj->multi[i], err));
    }
    sl_json_obj_end(&w);
    sl_json_obj_end(&w);
    return sl_buf_done(out, err);
}
