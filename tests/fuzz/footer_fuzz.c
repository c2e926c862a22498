/* Parquet footer reader: foreign bytes end in JSON or in a sentence, never outside the buffer. */
#include "base/json.h"
#include "parquet/parquet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_err err = {0};
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    uint64_t need = 0;
    sl_rc rc = sl_pq_footer_describe(SL_BYTES(data, size), size, &need, &out, &err);
    if (rc == SL_OK) {
        sl_assert(out.len > 0 && sl_json_depth(sl_buf_view(&out)) != UINT32_MAX);
    } else {
        sl_assert(err.text[0] != '\0' || rc == SL_EINVAL);
    }
    return 0;
}
