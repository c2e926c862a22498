/* bench-fill DATA CLASS ROWS DIMS primary|named: writes rows into a data folder that no node uses.
 *
 * Goes through the database's own bulk call, so the folder is what a load over REST leaves, minus
 * the parsing. Prints one JSON line with rows and seconds. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "data.h"
#include "database/database.h"

#define BATCH 500

static sl_rc create(struct sl_db *db, const char *name, bool is_named, struct sl_err *err)
{
    json_t *body = is_named
                       ? json_pack("{s:s, s:{s:{s:s, s:{s:{}}}}}", "class", name, "vectorConfig",
                                   "default", "vectorIndexType", "flat", "vectorizer", "none")
                       : json_pack("{s:s, s:s, s:s}", "class", name, "vectorizer", "none",
                                   "vectorIndexType", "flat");
    /* Of data_properties. */
    static const char *const properties[][2] = {{"body", "text"},
                                                {"isActive", "boolean"},
                                                {"rank", "int"},
                                                {"score", "number"},
                                                {"title", "text"}};
    json_t *list = json_array();
    for (size_t i = 0; i < SL_COUNT_OF(properties); i++) {
        (void)json_array_append_new(list, json_pack("{s:s, s:[s]}", "name", properties[i][0],
                                                    "dataType", properties[i][1]));
    }
    (void)json_object_set_new(body, "properties", list);
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sl_rc rc = sl_db_class_create(db, body, &out, err);
    json_decref(body);
    return rc;
}

static sl_rc fill(struct sl_db *db, const char *name, uint64_t rows, uint32_t dims, bool is_named,
                  struct sl_err *err)
{
    struct sl_object *objects = sl_alloc_zero(BATCH, sizeof(*objects));
    float *vectors = sl_alloc((size_t)BATCH * dims * sizeof(float));
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    if (objects == NULL || vectors == NULL || sl_buf_reserve(&text, BATCH * 4096) == NULL) {
        return SL_NOMEM(err); /* the program ends: nothing to undo */
    }
    sl_rc rc = SL_OK;
    for (uint64_t n = 0; rc == SL_OK && n < rows; n += BATCH) {
        uint32_t count = (uint32_t)SL_MIN((uint64_t)BATCH, rows - n);
        sl_buf_clear(&text);
        for (uint32_t i = 0; i < count; i++) {
            struct sl_object *o = &objects[i];
            struct sl_bytes floats = SL_BYTES(vectors + (size_t)i * dims, (size_t)dims * 4);
            data_uuid(n + i, o->uuid);
            data_vector(n + i, dims, vectors + (size_t)i * dims);
            o->create_ms = o->update_ms = 1700000000000 + (int64_t)(n + i);
            o->class_name = sl_str_from(name);
            size_t at = text.len;
            data_properties(n + i, &text);
            o->properties = SL_BYTES(text.ptr + at, text.len - at);
            o->vector = is_named ? SL_BYTES(NULL, 0) : floats;
            o->named_count = is_named ? 1 : 0;
            o->named[0] = (struct sl_named_vector){SL_STR("default"), floats};
        }
        struct sl_db_where where = {.class_name = sl_str_from(name)};
        rc = sl_db_put_stored(db, where, objects, count, n + count >= rows, err);
    }
    sl_free(objects);
    sl_free(vectors);
    return rc;
}

static sl_rc run(char **argv, struct sl_err *err)
{
    bool is_named = strcmp(argv[5], "named") == 0;
    SL_AUTO(sl_buf) db_path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) lock_path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) freeze_path = SL_BUF_EMPTY;
    sl_buf_addf(&db_path, "%s/db", argv[1]);
    sl_buf_addf(&lock_path, "%s/LOCK", argv[1]);
    sl_buf_addf(&freeze_path, "%s/freeze", argv[1]);
    SL_TRY(sl_dir_create(argv[1], err));
    SL_AUTO_PTR(sl_file) lock = NULL;
    SL_TRY(sl_file_open(sl_buf_cstr(&lock_path), SL_FILE_LOCK, &lock, err));
    struct sl_kv_rocksdb_opts kv_opts = {.memory_bytes = 256 << 20,
                                         .freeze_path = sl_buf_cstr(&freeze_path)};
    SL_AUTO_PTR(sl_kv) kv = NULL;
    SL_TRY(sl_kv_rocksdb_open(sl_buf_cstr(&db_path), &kv_opts, &kv, err));
    struct sl_db_opts db_opts = {.clock = sl_clock_real(), .limit_default = 10, .limit_max = 10};
    SL_AUTO_PTR(sl_db) db = NULL;
    SL_TRY(sl_db_open(kv, &db_opts, &db, err));
    SL_TRY(create(db, argv[2], is_named, err));
    return fill(db, argv[2], strtoull(argv[3], NULL, 10), (uint32_t)strtoul(argv[4], NULL, 10),
                is_named, err);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        (void)fputs("usage: bench-fill DATA CLASS ROWS DIMS primary|named\n", stderr);
        return 2;
    }
    struct sl_err err = {0};
    int64_t begun = sl_clock_mono_ns(sl_clock_real());
    sl_rc rc = run(argv, &err);
    if (rc != SL_OK) {
        (void)fprintf(stderr, "bench-fill: %s\n", sl_err_text(&err, rc));
        return 1;
    }
    (void)printf("{\"bench\":\"fill\",\"rows\":%s,\"dims\":%s,\"kind\":\"%s\",\"seconds\":%.2f}\n",
                 argv[3], argv[4], argv[5],
                 (double)(sl_clock_mono_ns(sl_clock_real()) - begun) / 1e9);
    return 0;
}
