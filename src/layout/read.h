/* Rows of exported files back as objects, whatever wrote the file: ours in both layouts, a
 * Weaviate server's own export, pyarrow.
 *
 * Columns are taken by name and type: `vector` is bytes or a list of floats, vectors with names are
 * JSON text or a column each, `properties` or `properties_json` is the JSON text. Foreign bytes:
 * a failure names row and column. One owner thread. Memory: sl_pq_chunk's for each column. */
#ifndef SL_LAYOUT_READ_H
#define SL_LAYOUT_READ_H

#include "layout/layout.h"
#include "parquet/reader.h"

struct sl_layout_file {
    enum sl_layout_kind kind;
    struct sl_str collection, tenant; /* keys of the file; empty: it has none */
    bool has_tenant;
    uint64_t row_count;
};

struct sl_layout_reader;
/* SL_EINVAL: columns of no layout; what is missing is told. */
sl_rc sl_layout_reader_open(const struct sl_pq_source *source, struct sl_layout_reader **ret,
                            struct sl_err *err);
void sl_layout_reader_close(struct sl_layout_reader *r); /* NULL is fine */
SL_DEFINE_FREEP(sl_layout_reader, sl_layout_reader_close)
const struct sl_layout_file *sl_layout_reader_file(const struct sl_layout_reader *r);
/* The next row, SL_END after the last. Views live until the next call. Numbers that JSON text has
 * as `null` are NaN. Floats of 16 bits are widened. */
sl_rc sl_layout_read(struct sl_layout_reader *r, struct sl_object *ret, struct sl_err *err);

#endif
