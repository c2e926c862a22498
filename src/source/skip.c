/* Why a shard of some state is not exported; see source_int.h. */
#include "source/source_int.h"

struct sl_str sli_skip_reason(enum sl_tenant_status status, struct sl_arena *arena)
{
    if (status == SL_HOT || status == SL_COLD) {
        return SL_STR("");
    }
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_addf(&text, "tenant status is %s", sl_tenant_status_name(status));
    return sl_arena_str(arena, sl_buf_str(&text));
}
