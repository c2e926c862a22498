/* Inside of `sluice verify`: one file on its own (verify_file.c), and the export it belongs to
 * (verify.c), which has the files looked at by several workers. */
#ifndef SL_EXPORT_VERIFY_INT_H
#define SL_EXPORT_VERIFY_INT_H

#include <jansson.h>

#include "backend/backend.h"

/* Of the listing. */
struct sli_verify_object {
    struct sl_str key; /* NUL-terminated */
    uint64_t size;
    bool is_named; /* by the manifest */
};

/* What a worker reads with; each has its own. */
struct sli_verify_reader {
    struct sl_backend *be;  /* borrowed, of all */
    struct sl_cancel *stop; /* borrowed, of all; asked before each read */
    bool is_deep;
    struct sl_buf block; /* kept from file to file */
};
void sli_verify_reader_fini(struct sli_verify_reader *r);

/* What a file holds; rows and bytes stay zero when its footer is not good. */
struct sli_verify_content {
    uint64_t rows, bytes;
    char *collection; /* owned; of a file without a manifest only */
};

/* A member of a line of the manifest, "" or 0 when it is not there. */
const char *sli_verify_text(const json_t *line, const char *key);
uint64_t sli_verify_number(const json_t *line, const char *key);

/* Adds the SHA-256 of the object's bytes, in hex. */
sl_rc sli_verify_hash(struct sli_verify_reader *r, const struct sli_verify_object *o,
                      struct sl_buf *hex, struct sl_err *err);
/* Has the line all that the check needs? */
sl_rc sli_verify_line(const json_t *line, struct sl_err *err);
/* A file against its good line of the manifest. The line is only read. */
sl_rc sli_verify_named(struct sli_verify_reader *r, const struct sli_verify_object *o,
                       const json_t *line, struct sli_verify_content *ret, struct sl_err *err);
/* A file that no manifest tells of: footer and, when deep, pages. */
sl_rc sli_verify_plain(struct sli_verify_reader *r, const struct sli_verify_object *o,
                       struct sli_verify_content *ret, struct sl_err *err);

#endif
