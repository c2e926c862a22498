/* The overrides file: whatever the text, the reader ends, and settings stay within their bounds. */
#include "config/config_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *nothing(void *arg SL_UNUSED, const char *name SL_UNUSED)
{
    return NULL;
}

static void told(void *arg SL_UNUSED, const struct sl_option *opt, enum sli_fault fault SL_UNUSED,
                 const char *sentence)
{
    sl_assert(opt->key != NULL && sentence[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_config base, c;
    struct sl_err err = {0};
    if (sl_config_load(&base, nothing, NULL, NULL, NULL) != SL_OK) {
        return 0;
    }
    if (sli_config_copy(&base, &c, NULL) == SL_OK) {
        struct sli_overriding how = {&base, NULL, NULL, told, NULL};
        sl_rc rc = sli_overrides_apply(&how, SL_BYTES(data, size), &c, &err);
        sl_assert(rc == SL_OK || (rc == SL_EINVAL && err.text[0] != '\0'));
        sl_assert(c.export_parallelism >= 0 && c.export_parallelism <= 1024);
        sl_assert(c.port == base.port && strcmp(c.data_path, base.data_path) == 0);
        sl_config_fini(&c);
    }
    sl_config_fini(&base);
    return 0;
}
