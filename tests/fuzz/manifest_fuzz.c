/* Manifests of exports, verified beside a file that is no Parquet: whatever the manifest tells of
 * it, the answer is that it is bad, and names why. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "export/export.h"

#define FILE_NAME "A_s_0000.parquet"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/sluice-fuzz-XXXXXX";

static void put(const char *name, struct sl_bytes b)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_addf(&path, "%s/%s", folder, name);
    FILE *f = fopen(sl_buf_cstr(&path), "wb"); /* unlike sl_file_write_all it waits for no disk */
    sl_assert(f != NULL && fwrite(b.ptr, 1, b.len, f) == b.len && fclose(f) == 0);
}

static void clean(void)
{
    SL_IGNORE(sl_dir_remove_tree(folder, NULL), "the process ends");
}

static void prepare(void)
{
    static bool is_prepared;
    if (is_prepared) {
        return;
    }
    is_prepared = true;
    sl_assert(mkdtemp(folder) != NULL && atexit(clean) == 0);
    put(FILE_NAME, sl_str_bytes(SL_STR("PAR1 three words PAR1")));
    put("export_metadata.json", sl_str_bytes(SL_STR("{\"status\":\"SUCCESS\"}")));
}

static void expect_bad(const json_t *answer)
{
    size_t i;
    const json_t *file;
    const char *status = json_string_value(json_object_get(answer, "status"));
    sl_assert(strcmp(status, "bad") == 0);
    sl_assert(json_array_size(json_object_get(answer, "problems")) > 0);
    json_array_foreach(json_object_get(answer, "files"), i, file)
    {
        sl_assert(strcmp(json_string_value(json_object_get(file, "status")), "bad") == 0);
        sl_assert(json_string_length(json_object_get(file, "problem")) > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_backend_env env = {.clock = sl_clock_real()};
    struct sl_err err = {0};
    json_t *answer = NULL;
    prepare();
    put("_manifest.json", (struct sl_bytes){data, size});
    sl_rc rc = sl_export_verify(&env, sl_str_from(folder), true, 1, &answer, &err);
    sl_assert(rc == SL_OK ? answer != NULL : err.text[0] != '\0');
    if (rc == SL_OK) {
        expect_bad(answer);
    }
    json_decref(answer);
    return 0;
}
