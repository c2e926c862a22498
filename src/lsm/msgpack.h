/* MessagePack, as much as Weaviate's stored bytes need: maps, arrays, strings, unsigned numbers.
 *
 * Readers take from a sl_rd and return false when the next item is of another kind or is cut off;
 * nothing is allocated. Any width of a number or length is taken, because writers differ. Writers
 * append to a sticky sl_buf in the form of Go's vmihailenco/msgpack v5. Pure; @threads any.
 * Source: the MessagePack specification (github.com/msgpack/msgpack, spec.md). */
#ifndef SL_LSM_MSGPACK_H
#define SL_LSM_MSGPACK_H

#include "base/buf.h"

/* Header of a map (pairs follow) or array (items follow); nil counts as an empty one. */
bool sl_mp_take_map(struct sl_rd *rd, uint32_t *ret_count);
bool sl_mp_take_array(struct sl_rd *rd, uint32_t *ret_count);
bool sl_mp_take_str(struct sl_rd *rd, struct sl_str *ret); /* borrowed from the reader's bytes */
/* Bytes in any of their forms: binary, the string of the old specification, nil for none. */
bool sl_mp_take_bytes(struct sl_rd *rd, struct sl_bytes *ret);
/* One item of any kind, with all it holds. */
bool sl_mp_skip(struct sl_rd *rd);
bool sl_mp_take_u64(struct sl_rd *rd, uint64_t *ret); /* any integer form that is not negative */
bool sl_mp_take_f32(struct sl_rd *rd, float *ret);    /* the 32-bit form only */
/* Whether the next item is an array or nil. Takes nothing. */
bool sl_mp_is_array(const struct sl_rd *rd);

void sl_mp_add_map(struct sl_buf *out, uint32_t count);
void sl_mp_add_str(struct sl_buf *out, struct sl_str s);
void sl_mp_add_u32(struct sl_buf *out, uint32_t v); /* always the five-byte form */

#endif
