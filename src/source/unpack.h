/* The bytes of a backup's chunk as a stream: gzip, zstd or as they are, told by the first bytes.
 *
 * Checksums of both formats are verified (which libarchive does not do for gzip), so whoever reads
 * to the end has what was written. Memory: 512 KiB, and the window of the format, 32 MiB at most.
 * The page cache is left as found. @threads one a stream. */
#ifndef SL_SOURCE_UNPACK_H
#define SL_SOURCE_UNPACK_H

#include "base/file.h"

enum sli_packing { SLI_PLAIN, SLI_GZIP, SLI_ZSTD };

struct sli_unpack;
/* file: borrowed. */
sl_rc sli_unpack_open(struct sl_file *file, struct sli_unpack **ret, struct sl_err *err);
void sli_unpack_close(struct sli_unpack *u); /* NULL is fine */
SL_DEFINE_FREEP(sli_unpack, sli_unpack_close)
enum sli_packing sli_unpack_kind(const struct sli_unpack *u);
/* Fills ret; fewer than len only at the end. */
sl_rc sli_unpack_read(struct sli_unpack *u, uint8_t *ret, size_t len, size_t *ret_len,
                      struct sl_err *err);
/* May run past the end, which the next read tells. */
sl_rc sli_unpack_skip(struct sli_unpack *u, uint64_t len, struct sl_err *err);

#endif
