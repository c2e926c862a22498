/* JSON of classes and sharding states, as snapshots, logs, schema.db and backups hold it: a class's
 * text, a zero byte, its sharding state. */
#include "source/schema_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_schema schema = {0};
    struct sli_classes classes = {.out = &schema};
    struct sl_err err = {0};
    const uint8_t *end = size == 0 ? NULL : memchr(data, 0, size);
    size_t len = end == NULL ? size : (size_t)(end - data);
    struct sl_bytes class_json = {data, len};
    struct sl_bytes sharding = {data + len + (end != NULL), size - len - (end != NULL)};
    sl_rc rc = sli_classes_put(&classes, class_json, sharding, true, &err);
    sl_assert(rc == SL_OK || (rc == SL_ECORRUPT && err.text[0] != '\0'));
    struct sli_class *class = classes.list;
    if (rc == SL_OK && class != NULL) {
        rc = sli_class_put_property(&classes, class, sharding, &err);
        sl_assert(rc == SL_OK);
    }
    sli_classes_fini(&classes);
    sl_schema_fini(&schema);
    return 0;
}
