/* Service manager and monitoring; see supervise.h. The protocol of sd_notify is one datagram to the
 * socket that NOTIFY_SOCKET names, a path or, with '@', a name without a file; nobody answers. */
#include "cmd/supervise.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/stats.h"

void sli_notify(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = name == NULL ? 0 : strlen(name);
    if (len < 2 || len >= sizeof(to.sun_path) || (name[0] != '/' && name[0] != '@')) {
        return;
    }
    memcpy(to.sun_path, name, len);
    if (name[0] == '@') {
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
        (void)close(fd);
    }
}

void sli_notify_reloading(void)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)(sl_clock_mono_ns(sl_clock_real()) / 1000));
    sli_notify(text);
}

/* What only this place knows; the hash is a label, so its lines cannot stand in the table. */
static void collect(void *arg, struct sl_buf *out)
{
    struct sl_overrides *overrides = arg;
    struct sl_overrides_state state = {0};
    const struct sl_config *now = sl_overrides_take(overrides);
    uint64_t bytes = 0;
    if (sl_dir_free_bytes(now->data_path, &bytes, NULL) == SL_OK) {
        sl_stat_set(SL_STAT_DATA_FREE, bytes);
    }
    sl_overrides_give(overrides, now);
    sl_overrides_state(overrides, &state);
    if (state.is_enabled) {
        sl_buf_addf(out,
                    "# HELP weaviate_runtime_config_last_load_success Whether the last load of the "
                    "runtime overrides succeeded.\n"
                    "# TYPE weaviate_runtime_config_last_load_success gauge\n"
                    "weaviate_runtime_config_last_load_success %d\n"
                    "# HELP weaviate_runtime_config_hash Hash of the runtime overrides in use.\n"
                    "# TYPE weaviate_runtime_config_hash gauge\n"
                    "weaviate_runtime_config_hash{sha256=\"%s\"} 1\n",
                    state.is_last_load_good, state.sha256);
    }
}

sl_rc sli_metrics_start(const struct sl_config *c, struct sl_overrides *overrides,
                        struct sl_metrics **ret, struct sl_err *err)
{
    struct sl_metrics_opts opts = {
        .host = c->host, .port = (uint16_t)c->metrics_port, .collect = collect, .arg = overrides};
    return sl_metrics_start(&opts, ret, err);
}
