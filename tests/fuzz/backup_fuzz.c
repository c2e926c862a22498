/* Descriptors of a backup: whatever the JSON, the reader ends, and no name it lets through leads
 * out of the backup's folder. */
#include "base/str.h"
#include "source/descriptor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct sl_str path, bool may_have_folders)
{
    sl_assert(path.len > 0 && path.ptr[0] != '/' && path.ptr[path.len] == '\0');
    sl_assert(!sl_str_is(path, "..") && strncmp(path.ptr, "../", 3) != 0);
    sl_assert(strstr(path.ptr, "/../") == NULL && !sl_str_ends(path, "/.."));
    sl_assert(may_have_folders || memchr(path.ptr, '/', path.len) == NULL);
}

static void walk_shard(const struct sli_desc_shard *s)
{
    inside(s->name, false);
    for (uint32_t i = 0; i < s->big_count; i++) {
        const struct sli_desc_big *b = &s->bigs[i];
        if (b->base.len > 0) {
            inside(b->base, false);
        }
        for (uint32_t k = 0; k < b->key_count; k++) {
            inside(b->keys[k], true);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_arena arena = {0};
    struct sl_err err = {0};
    struct sli_desc d;
    sl_rc rc = sli_desc_parse((struct sl_bytes){data, size}, &arena, &d, &err);
    sl_assert(rc == SL_OK || (rc == SL_ECORRUPT && err.text[0] != '\0'));
    for (uint32_t i = 0; rc == SL_OK && i < d.class_count; i++) {
        const struct sli_desc_class *c = &d.classes[i];
        inside(c->name, false);
        for (uint32_t k = 0; k < c->shard_count; k++) {
            walk_shard(&c->shards[k]);
        }
        for (uint32_t k = 1; k < c->chunk_count; k++) {
            sl_assert(c->chunks[k - 1].number <= c->chunks[k].number);
        }
        for (uint32_t k = 0; k < c->state_count; k++) {
            inside(c->states[k].name, false);
        }
    }
    sl_arena_fini(&arena);
    return 0;
}
