/* bbolt reader: whatever the pages say, a walk stays inside them and comes to an end. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lsm/bolt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sl_rc visit(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct sl_bolt *b = arg;
    uint8_t sum = 0;
    for (size_t i = 0; i < item->value.len; i++) {
        sum ^= item->value.ptr[i]; /* is all of it there? */
    }
    struct sl_bolt_bucket sub;
    if (!item->is_bucket || sum == 0x5a) {
        return SL_OK;
    }
    sl_rc rc = sl_bolt_sub_bucket(b, item, &sub, err);
    return rc != SL_OK ? rc : sl_bolt_each(b, &sub, visit, b, err);
}

/* The one file of this process, in memory. */
static struct sl_file *refill(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static struct sl_file *file;
    if (fd < 0) {
        char path[64];
        fd = memfd_create("bolt", MFD_CLOEXEC);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        sl_rc rc = sl_file_open(path, SL_FILE_READ, &file, NULL);
        sl_assert(rc == SL_OK);
    }
    sl_assert(ftruncate(fd, 0) == 0);
    sl_assert(pwrite(fd, data, size, 0) == (ssize_t)size);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_err err = {0};
    struct sl_extent extent = {.file = refill(data, size), .len = size};
    struct sl_blob blob = {.name = "x.db", .size = size, .extents = &extent, .extent_count = 1};
    struct sl_bolt bolt;
    sl_rc rc = sl_bolt_open(&blob, &bolt, &err);
    if (rc == SL_OK) {
        struct sl_bolt_bucket root = sl_bolt_root_bucket(&bolt);
        rc = sl_bolt_each(&bolt, &root, visit, &bolt, &err);
    }
    sl_assert(rc == SL_OK || (rc == SL_ECORRUPT && err.text[0] != '\0'));
    return 0;
}
