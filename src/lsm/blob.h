/* A file of a bucket as readers see it: a whole file, or slices of other files (an uncompressed
 * backup keeps a segment inside one tar file, or in parts over several). Borrowed by readers and
 * immutable once built. @threads any: reads share nothing. */
#ifndef SL_LSM_BLOB_H
#define SL_LSM_BLOB_H

#include "base/file.h"

struct sl_extent {
    struct sl_file *file; /* borrowed */
    uint64_t at;          /* first byte of the blob that lies here */
    uint64_t len;
    uint64_t offset; /* where it lies in the file */
};
struct sl_blob {
    const char *name; /* for errors: the path a person would look for */
    uint64_t size;
    const struct sl_extent *extents; /* ascending by `at`, without a gap, together `size` bytes */
    uint32_t extent_count;
};

/* Exactly len bytes, or SL_ECORRUPT when the blob or a file below it ends before. */
sl_rc sl_blob_pread(const struct sl_blob *b, uint64_t offset, uint8_t *ret, size_t len,
                    struct sl_err *err);
/* Starts reading [offset, offset + len) into the page cache unless its first byte is there already;
 * true when it was not, so that the caller can give the pages back with sl_blob_forget: what others
 * keep in the cache stays there. */
bool sl_blob_prefetch(const struct sl_blob *b, uint64_t offset, uint64_t len);
void sl_blob_forget(const struct sl_blob *b, uint64_t offset, uint64_t len);

#endif
