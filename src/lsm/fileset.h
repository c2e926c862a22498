/* Which files of an objects bucket count, and in which order: the rules a restart of the server
 * would apply to the leftovers of flushes, compactions, cleanups and crashes. Pure: works on a
 * listing, opens nothing. Source: FORMAT.md. */
#ifndef SL_LSM_FILESET_H
#define SL_LSM_FILESET_H

#include "base/arena.h"

enum sl_file_role {
    SL_ROLE_SEGMENT, /* holds objects; several are merged, the later in order wins */
    SL_ROLE_LOG,     /* likewise: the write-ahead log of a memtable */
    SL_ROLE_COUNT,   /* .cna or .metadata: net number of objects a segment adds, a hint */
    SL_ROLE_SIDE,    /* belongs to a segment, not needed (bloom filters, bolt files) */
    SL_ROLE_LEFTOVER /* superseded or half-written; `why` says by what */
};
struct sl_bucket_file {
    struct sl_str name; /* of the entry, without its folder */
    uint64_t size;
    enum sl_file_role role; /* the rest is set by sl_fileset_decide */
    struct sl_str order;    /* sort key among segments and logs */
    const char *why;        /* LEFTOVER, or an unusual choice: a literal; else NULL */
};

/* Decides the role of every file and sorts the array: segments and logs oldest to newest, then the
 * rest by name. Folders are left out by the caller. SL_ECORRUPT: the listing is in a state no
 * server leaves (a segment is missing: the right input of a compaction, or one whose side files are
 * there). */
sl_rc sl_fileset_decide(struct sl_bucket_file *files, uint32_t count, struct sl_arena *arena,
                        struct sl_err *err);

#endif
