/* What a row says, as one number: the same in every layout, order of rows and cut into files.
 *
 * XXH3-64, seed 0, in a chain that starts at 0. A piece of content `b` turns `state` into
 *   XXH3(u64 state | u64 bytes of b | u64 XXH3(b)), numbers little-endian;
 * floats go in blocks of 256, the last one shorter, after a piece that holds their count as u64.
 * The pieces: id (16 bytes); floats of the unnamed vector (none: count 0); u64 number of named
 * vectors, then of each, by name bytes, its name and floats; u64 number of multi vectors, then of
 * each its name, u64 rows, and the floats of each row; property JSON as stored, `null` as nothing.
 * Times are not in it. A float of a named or multi vector that is not finite counts as 0x7fc00000,
 * for JSON text cannot hold it. Files and shards have the sum modulo 2^64 of their rows. */
#ifndef SL_LAYOUT_ROWHASH_H
#define SL_LAYOUT_ROWHASH_H

#include "lsm/storobj.h"

#define SL_ROW_HASH_DIGITS 16
/* scratch: for multi vectors of an old form, else untouched; its content is nobody's. SL_ECORRUPT:
 * a multi vector is broken. */
sl_rc sl_row_hash(const struct sl_object *obj, struct sl_buf *scratch, uint64_t *ret,
                  struct sl_err *err);
void sl_row_hash_add_text(struct sl_buf *out, uint64_t hash); /* lower-case hex */

#endif
