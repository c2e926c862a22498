/* Reads the tar archives that Weaviate's backups are made of, entry by entry, from a stream.
 *
 * Weaviate writes what Go's archive/tar chooses: USTAR, and PAX where that does not hold a name, a
 * size, or the private key WEAVIATE.fileOffset, which marks an entry as one part of a file. That
 * key and the place of the bytes are what a general library hides, hence this reader. Pure; no
 * entry is kept, bodies are passed on as they come. Every header's checksum is verified and every
 * length meets a limit. @threads one a reader. Source: FORMAT.md, "Backups". */
#ifndef SL_SOURCE_TAR_H
#define SL_SOURCE_TAR_H

#include "base/bytes.h"

#define SLI_TAR_NAME_MAX 4096 /* PATH_MAX of the servers */

/* Where the bytes come from. read: fills ret; fewer than len only at the end. skip: may run past
 * the end, which the next read tells. */
struct sli_tar_input {
    sl_rc (*read)(void *arg, uint8_t *ret, size_t len, size_t *ret_len, struct sl_err *err);
    sl_rc (*skip)(void *arg, uint64_t len, struct sl_err *err);
    void *arg;
};
struct sli_tar_entry {
    struct sl_str name; /* NUL-terminated; lives until the next call; may be empty */
    uint64_t size;      /* bytes of the body */
    uint64_t at;        /* where the body begins, in the unpacked archive */
    bool is_file;       /* else a folder, a link or something that has no bytes for us */
    bool is_part;       /* one part of a file: its bytes belong to part_at */
    uint64_t part_at;
};
struct sli_tar {
    struct sli_tar_input input;
    uint64_t at;   /* read so far */
    uint64_t left; /* of the entry's body */
    uint64_t padding;
    char name[SLI_TAR_NAME_MAX + 1];
};

void sli_tar_init(struct sli_tar *t, struct sli_tar_input input);
/* The next entry; what is left of the one before is skipped. SL_END at the end of the archive,
 * SL_ECORRUPT with the offset when it is damaged or ends before. */
sl_rc sli_tar_next(struct sli_tar *t, struct sli_tar_entry *ret, struct sl_err *err);
/* Up to len bytes of the entry's body; 0 when all of it was read. */
sl_rc sli_tar_read(struct sli_tar *t, uint8_t *ret, size_t len, size_t *ret_len,
                   struct sl_err *err);

#endif
