/* Inside of the layouts. */
#ifndef SL_LAYOUT_LAYOUT_INT_H
#define SL_LAYOUT_LAYOUT_INT_H

#include "base/arena.h"
#include "layout/layout.h"

/* What a value of a property is in a typed column. */
enum sli_kind {
    SLI_TEXT,
    SLI_INT,
    SLI_NUMBER,
    SLI_BOOLEAN,
    SLI_DATE,
    SLI_UUID,
    SLI_BLOB,   /* base64 text -> bytes */
    SLI_FLOAT,  /* of a geo coordinate */
    SLI_OBJECT, /* group of fields */
    SLI_JSON,   /* as it is: a type we do not know, or objects nested too deep */
};
struct sli_field {
    struct sl_str key;  /* in the object's JSON */
    struct sl_str name; /* of its node */
    enum sli_kind kind;
    bool is_list;
    uint8_t rep; /* at which further elements of the list repeat */
    uint32_t first_column, end_column;
    struct sli_field *fields; /* SLI_OBJECT */
    uint32_t field_count;
    uint32_t *by_key; /* numbers of the fields in byte order of their keys, as JSON has them */
    struct sl_bytes *found; /* room for one value per field */
};
struct sli_vector_column {
    struct sl_str name, column_name;
    uint32_t column;
};
struct sli_lake {
    struct sl_pq_node *nodes;
    uint32_t node_count, node_cap, column_count;
    uint32_t created_column, updated_column, vector_column, json_column;
    struct sli_vector_column *named, *multi; /* by name bytes */
    uint32_t named_count, multi_count;
    struct sli_field properties; /* an object; no fields: the class has none */
};
struct sl_layout {
    struct sl_layout_opts opts; /* class_json and columns are not kept */
    struct sl_arena arena;
    struct sl_buf scratch, half;
    bool is_refused; /* memory, for a vector of halves */
    struct sl_layout_tally tally;
    struct sl_pq_node weaviate[7];
    uint32_t weaviate_count, at[7]; /* column of each of the seven, or SL_PQ_NOWHERE */
    struct sli_lake lake;
};

/* Milliseconds in the unit of the options; never clamps: SL_ECORRUPT says that it does not fit. */
sl_rc sli_time_of(const struct sl_layout *l, int64_t ms, int64_t *ret, struct sl_err *err);
/* Is the column of this name wanted, alone or by some of its members? */
bool sli_is_wanted(const struct sl_layout *l, struct sl_str name);
bool sli_has_properties(const struct sl_object *obj); /* not empty, not `null` */

/* ---- weaviate.c ---- */
void sli_weaviate_open(struct sl_layout *l);
sl_rc sli_weaviate_put(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                       struct sl_err *err);

/* ---- schema.c: class -> nodes and fields ---- */
sl_rc sli_lake_open(struct sl_layout *l, struct sl_str class_json, struct sl_err *err);

/* ---- lake.c ---- */
/* In the form of the options: 16 bytes or text. */
void sli_put_uuid(const struct sl_layout *l, struct sl_pq_writer *w, uint32_t col,
                  const uint8_t uuid[SL_UUID_SIZE]);
sl_rc sli_lake_put(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                   struct sl_err *err);

/* ---- shred.c: the JSON of an object's properties -> typed columns ---- */
void sli_shred(struct sl_layout *l, struct sl_pq_writer *w, struct sl_bytes json);

#endif
