/* Names of files and folders, which need not be there. @threads any. */
#ifndef SL_BASE_PATH_H
#define SL_BASE_PATH_H

#include "base/buf.h"

/* Appends the absolute path without links; of what is not there yet, its name below the folders
 * that are. */
sl_rc sl_path_resolve(const char *path, struct sl_buf *out, struct sl_err *err);
/* Appends "dir/name" (one slash) to out. */
void sl_path_join(struct sl_buf *out, struct sl_str dir, struct sl_str name);

#endif
