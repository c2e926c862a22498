/* Failures of the file system in the words of an export destination: which folder, and what to do.
 */
#include "backend/filesystem/fs_int.h"

sl_rc sli_fs_write_failed(const struct sli_fs *fs, sl_rc rc, struct sl_err *err)
{
    const char *cause = sl_err_text(err, rc);
    switch (rc) {
    case SL_ENOSPACE:
        return SL_FAIL(
            err, rc, "folder %s: the disk is full (%s); free space there or choose another folder",
            fs->root, cause);
    case SL_EACCESS:
        return SL_FAIL(err, rc,
                       "folder %s cannot be written (%s); give the user that runs this program the "
                       "right to write there or choose another folder",
                       fs->root, cause);
    case SL_ENOTFOUND:
        /* An answer when reading, but a write makes its folders: somebody removed one meanwhile. */
        return SL_FAIL(err, SL_EIO, "folder %s: a folder vanished during the write (%s)", fs->root,
                       cause);
    case SL_EINVAL:
    case SL_EIO:
        sl_err_prefix(err, "folder %s", fs->root);
        return rc;
    case SL_OK:
    case SL_END:
    case SL_EBADREQ:
    case SL_EUNAUTH:
    case SL_EFORBIDDEN:
    case SL_ETIMEOUT:
    case SL_ECONFLICT:
    case SL_ETOOBIG:
    case SL_ETOOMANY:
    case SL_EREFUSED:
    case SL_EUNSUPPORTED:
    case SL_EINTERNAL:
    case SL_ECORRUPT:
    case SL_ENOMEM:
    case SL_ECANCELED:
    case SL_ECLOSED:
    case SL_EBUSY:
    case SL_RC_COUNT:
        break;
    }
    return rc;
}
