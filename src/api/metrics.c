/* /metrics: a small server of its own, so that a node too busy for requests can still be watched,
 * and so that a firewall can let the monitoring in without the API. It knows one path, takes no
 * body, and serves few connections, each for a short time: whoever holds them all blinds the
 * monitoring and nothing else. */
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api_int.h"
#include "base/num.h"
#include "base/stats.h"

#define CONNECTIONS_MAX 16
#define TIMEOUT_S       10

struct sl_metrics {
    struct sl_metrics_opts opts;
    struct MHD_Daemon *daemon;
    uint16_t port;
};

/* Second number of the line: pages resident. The file has no size, so it is read as a stream. */
static uint64_t resident_bytes(void)
{
    char line[128] = "";
    FILE *in = fopen("/proc/self/statm", "re"); /* allow: fopen, a kernel file without size */
    if (in != NULL) {
        (void)!fgets(line, sizeof(line), in);
        (void)fclose(in);
    }
    const char *blank = strchr(line, ' ');
    uint64_t pages = 0;
    if (blank == NULL ||
        !sl_u64_parse((struct sl_str){blank + 1, strspn(blank + 1, "0123456789")}, &pages)) {
        return 0;
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t ns_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_usec * 1000;
}

static void look_at_process(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        sl_stat_set(SL_STAT_CPU_NS, ns_of(used.ru_utime) + ns_of(used.ru_stime));
    }
    sl_stat_set(SL_STAT_RESIDENT, resident_bytes());
    sl_stat_set(SL_STAT_BUILD, 1);
}

static void print(const struct sl_metrics *m, struct sl_buf *out)
{
    look_at_process();
    if (m->opts.collect != NULL) {
        m->opts.collect(m->opts.arg, out);
    }
    sl_stats_print(SL_STATS_PROMETHEUS, out);
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned int status,
                             const struct sl_buf *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(text->len, text->ptr, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                  "text/plain; version=0.0.4; charset=utf-8");
    enum MHD_Result sent = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return sent;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version SL_UNUSED,
                                  const char *data SL_UNUSED, size_t *size, void **state)
{
    static int seen; /* its address marks a request whose header was looked at */
    if (*state == NULL) {
        *state = &seen;
        return MHD_YES;
    }
    if (*size > 0) {
        return MHD_NO; /* nobody posts here */
    }
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    bool is_get = strcmp(method, MHD_HTTP_METHOD_GET) == 0;
    unsigned int status = !is_get                        ? MHD_HTTP_METHOD_NOT_ALLOWED
                          : strcmp(url, "/metrics") != 0 ? MHD_HTTP_NOT_FOUND
                                                         : MHD_HTTP_OK;
    if (status == MHD_HTTP_OK) {
        print(arg, &out);
    } else {
        sl_buf_add_text(&out, "only GET /metrics is served here\n");
    }
    return out.is_failed ? MHD_NO : reply(connection, status, &out);
}

static void quiet(void *arg SL_UNUSED, const char *fmt SL_UNUSED, va_list args SL_UNUSED)
{
    /* clients that hang up are no event of ours */
}

static sl_rc start(struct sl_metrics *m, struct sl_err *err)
{
    struct sockaddr_storage address;
    SL_TRY(sli_resolve(m->opts.host, m->opts.port, &address, err));
    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG |
                         (address.ss_family == AF_INET6 ? (unsigned int)MHD_USE_IPv6 : 0);
    m->daemon = MHD_start_daemon(
        flags, m->opts.port, NULL, NULL, on_request, m, MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL,
        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)TIMEOUT_S, MHD_OPTION_END);
    if (m->daemon == NULL) {
        return SL_FAIL(err, SL_ECONFLICT,
                       "cannot listen on %s port %u for metrics: it is in use or not allowed; "
                       "choose another by PROMETHEUS_MONITORING_PORT",
                       m->opts.host, m->opts.port);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_BIND_PORT);
    m->port = info == NULL ? m->opts.port : info->port;
    return SL_OK;
}

sl_rc sl_metrics_start(const struct sl_metrics_opts *opts, struct sl_metrics **ret,
                       struct sl_err *err)
{
    struct sl_metrics *m = sl_alloc_zero(1, sizeof(*m));
    if (m == NULL) {
        return SL_NOMEM(err);
    }
    m->opts = *opts;
    sl_rc rc = start(m, err);
    if (rc != SL_OK) {
        sl_metrics_stop(m);
        return rc;
    }
    *ret = m;
    return SL_OK;
}

uint16_t sl_metrics_port(const struct sl_metrics *m)
{
    return m->port;
}

void sl_metrics_stop(struct sl_metrics *m)
{
    if (m != NULL) {
        if (m->daemon != NULL) {
            MHD_stop_daemon(m->daemon);
        }
        sl_free(m);
    }
}
