/* Entries of the Raft log: as msgpack, and as commands one after the other (each with its length in
 * two bytes), whose outcome is a schema in order. */
#include "lsm/msgpack.h"
#include "source/schema_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_order(const struct sl_schema *s)
{
    for (uint32_t i = 0; i < s->class_count; i++) {
        const struct sl_schema_class *c = &s->classes[i];
        sl_assert(sl_schema_class(s, c->name) == c);
        for (uint32_t k = 1; k < c->shard_count; k++) {
            sl_assert(sl_bytes_cmp(sl_str_bytes(c->shards[k - 1].name),
                                   sl_str_bytes(c->shards[k].name)) < 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_schema schema = {0};
    struct sli_classes classes = {.out = &schema};
    struct sl_err err = {0};
    struct sl_rd rd = sl_rd_over(SL_BYTES(data, size));
    struct sl_rd items = rd;
    while (sl_rd_left(&items) > 0 && sl_mp_skip(&items)) {
    }
    sl_assert(items.at <= size);
    while (sl_rd_left(&rd) > 0 && !rd.is_short) {
        uint16_t len = sl_rd_u16(&rd);
        sl_rc rc = sli_classes_apply(&classes, sl_rd_bytes(&rd, len), &err);
        sl_assert(rc == SL_OK || (rc == SL_ECORRUPT && err.text[0] != '\0'));
    }
    sl_rc rc = sli_classes_finish(&classes, &err);
    sl_assert(rc == SL_OK);
    check_order(&schema);
    sli_classes_fini(&classes);
    sl_schema_fini(&schema);
    return 0;
}
