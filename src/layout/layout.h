/* Layouts: what the columns of an exported file are, and how an object becomes a row of them.
 *
 * `weaviate` has the seven documented columns. `lake` has typed ones, made from the class: UUID,
 * timestamps, lists of floats, one field per property. One layout serves one file: it holds the
 * schema that the writer borrows, and what it met on the way (sl_layout_tally). One owner thread.
 * Source: docs/files.md. */
#ifndef SL_LAYOUT_LAYOUT_H
#define SL_LAYOUT_LAYOUT_H

#include "base/json.h"
#include "lsm/storobj.h"
#include "parquet/parquet.h"

enum sl_layout_kind { SL_LAYOUT_WEAVIATE, SL_LAYOUT_LAKE };
/* AUTO: what suits the layout, nanoseconds in `weaviate`, microseconds in `lake`. */
enum sl_timestamp_unit { SL_UNIT_AUTO, SL_UNIT_NS, SL_UNIT_US, SL_UNIT_MS };
enum sl_timestamp_unit sl_layout_unit(enum sl_layout_kind kind, enum sl_timestamp_unit wanted);
const char *sl_timestamp_unit_name(enum sl_timestamp_unit u); /* "ns" ... */

struct sl_layout_opts {
    enum sl_layout_kind kind;
    enum sl_timestamp_unit unit;  /* of creation_time and update_time; not AUTO */
    bool is_json_annotated;       /* weaviate: columns of JSON text say so */
    bool is_uuid_typed;           /* lake: UUIDs in 16 bytes, not as text */
    bool has_field_ids;           /* lake: made from paths, see docs/decisions/0010 */
    bool is_half;                 /* lake: vectors as FLOAT16, rounded to nearest */
    const struct sl_str *columns; /* those wanted, by name, "properties.x" one of a group; id always
                                     is; none: all */
    uint32_t column_count;
    bool *is_met;             /* one per wanted column, set when the schema has it; may be NULL */
    struct sl_str class_json; /* lake: models.Class; empty: no properties, no named vectors */
};

struct sl_layout;
/* Copies what it needs. SL_ECORRUPT: class_json is not a class. */
sl_rc sl_layout_open(const struct sl_layout_opts *opts, struct sl_layout **ret, struct sl_err *err);
void sl_layout_close(struct sl_layout *l);
SL_DEFINE_FREEP(sl_layout, sl_layout_close)
/* Nodes, sorted column and Arrow schema of writer options; they live as long as the layout. */
void sl_layout_schema(const struct sl_layout *l, struct sl_pq_opts *opts);
/* Layout lake: an array of {"column", and "vector", "multiVector" or "property": its name in the
 * class}, for those columns that are made from the class. */
void sl_layout_columns_json(const struct sl_layout *l, struct sl_json *w);
/* One row. SL_ECORRUPT, SL_ETOOBIG name the object; other failures are the writer's. */
sl_rc sl_layout_put(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                    struct sl_err *err);

struct sl_layout_tally {
    uint64_t nonfinite; /* floats of vectors that JSON text cannot hold, written as null */
    uint64_t nulled;    /* values that the type of their column cannot hold; properties_json has
                           them */
};
struct sl_layout_tally sl_layout_tally(const struct sl_layout *l);

#endif
