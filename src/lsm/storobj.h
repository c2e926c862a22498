/* Stored object: Weaviate's object bytes (marshaller version 1) <-> fields, both ways.
 *
 * Our own database keeps the same bytes as Weaviate's data directories, so one reader serves both.
 * Views point into the value and live as long as it does; nothing is allocated. Reading accepts all
 * tails ever written (no vectors: <= 1.23; named: 1.24+; multi: 1.29+; the odd multi tail of
 * 1.28.0-1.28.4); writing makes today's form. Pure; @threads any. Source: FORMAT.md. */
#ifndef SL_LSM_STOROBJ_H
#define SL_LSM_STOROBJ_H

#include "base/buf.h"
#include "base/str.h"

#define SL_OBJECT_VECTORS_MAX \
    256 /* named + multi vectors of one object; Weaviate has no limit, users < 10 */
#define SL_OBJECT_DIMS_MAX 65535 /* uint16 length in the format */

/* One named vector: dims x float32, little-endian, any alignment. */
struct sl_named_vector {
    struct sl_str name;
    struct sl_bytes floats; /* dims * 4 bytes; empty = vector of length 0 */
};
/* One multi-vector: `rows` rows, each uint16 dims + dims x float32, back to back in `body`. Walk it
 * with sl_multi_vector_row. The old 1.28 tail (arrays of msgpack floats) is marked by is_msgpack.
 */
struct sl_multi_vector {
    struct sl_str name;
    struct sl_bytes body;
    uint32_t row_count;
    bool is_msgpack;
};

struct sl_object {
    uint8_t uuid[SL_UUID_SIZE];
    uint64_t doc_id;
    int64_t create_ms, update_ms;   /* Unix milliseconds */
    struct sl_bytes vector;         /* the unnamed vector, dims * 4 bytes; empty = none */
    struct sl_str class_name;       /* may be empty (servers of 1.38+ with an option) */
    struct sl_bytes properties;     /* JSON text as stored; may be `null` or empty */
    struct sl_bytes additional;     /* meta JSON, normally `null` */
    struct sl_bytes vector_weights; /* normally `null` */
    uint32_t named_count, multi_count;
    struct sl_named_vector named[SL_OBJECT_VECTORS_MAX]; /* sorted by name bytes after reading */
    struct sl_multi_vector multi[SL_OBJECT_VECTORS_MAX]; /* likewise */
};

/* Splits a stored value into *ret (large: keep one per cursor, do not put it on small stacks).
 * Fields not present are empty; after a failure *ret is undefined. SL_ECORRUPT names field and
 * offset; more than SL_OBJECT_VECTORS_MAX vectors is SL_ECORRUPT as well; bytes left over at the
 * end are SL_ECORRUPT. */
sl_rc sl_object_read(struct sl_bytes value, struct sl_object *ret, struct sl_err *err);

/* Row `sl_rd` stands at: its dims * 4 bytes. Start with sl_rd_over(mv->body); call row_count times.
 * For is_msgpack bodies, `scratch` receives the floats of the row (little-endian). */
sl_rc sl_multi_vector_row(const struct sl_multi_vector *mv, struct sl_rd *rd,
                          struct sl_buf *scratch, struct sl_bytes *ret_floats, struct sl_err *err);

/* Appends the stored bytes of obj to out (class name, uuid, times, doc id, vectors as given; empty
 * properties are written as `null`, likewise additional and vector_weights). Sections are written
 * in the order given. Bodies of multi vectors must be in the row form (not is_msgpack).
 * SL_EINVAL when a part exceeds its length field. */
sl_rc sl_object_write(const struct sl_object *obj, struct sl_buf *out, struct sl_err *err);

#endif
