/* Progress for people: a bar that redraws on a terminal, plain lines in a pipe, nothing with
 * --quiet. NO_COLOR is honoured. Everything goes to stderr, so that stdout carries results only. */
#include "cmd/cmd_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define BAR_CELLS      28
#define LINE_PERIOD_NS 5000000000 /* in a pipe: a line each 5 s keeps logs short */
#define DRAW_PERIOD_NS 100000000

void sli_progress_begin(struct sli_progress *p, const char *unit, bool is_quiet)
{
    const char *no_color = getenv("NO_COLOR");
    *p = (struct sli_progress){.is_terminal = isatty(STDERR_FILENO) == 1,
                               .is_color = no_color == NULL || no_color[0] == '\0',
                               .is_quiet = is_quiet,
                               .started_ns = sl_clock_mono_ns(sl_clock_real()),
                               .unit = unit};
}

void sli_print_bytes(struct sl_buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < SL_COUNT_OF(units)) {
        value /= 1000;
        unit++;
    }
    sl_buf_addf(out, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void add_bar(const struct sli_progress *p, struct sl_buf *line, uint64_t done,
                    uint64_t total)
{
    uint32_t full = (uint32_t)((double)BAR_CELLS * (double)SL_MIN(done, total) / (double)total);
    sl_buf_add_text(line, p->is_color ? "[\033[32m" : "[");
    for (uint32_t i = 0; i < BAR_CELLS; i++) {
        sl_buf_add_u8(line, i < full ? '#' : '.');
    }
    sl_buf_addf(line, "%s] %3.0f%% ", p->is_color ? "\033[0m" : "",
                100 * (double)done / (double)total);
}

void sli_progress_show(struct sli_progress *p, const char *state, uint64_t done, uint64_t total,
                       uint64_t bytes)
{
    int64_t now = sl_clock_mono_ns(sl_clock_real());
    int64_t period = p->is_terminal ? DRAW_PERIOD_NS : LINE_PERIOD_NS;
    if (p->is_quiet || (p->printed_ns != 0 && now - p->printed_ns < period)) {
        return;
    }
    p->printed_ns = now;
    double seconds = (double)(now - p->started_ns) / 1e9;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    SL_AUTO(sl_buf) line = SL_BUF_EMPTY;
    sl_buf_addf(&line, "%s%-12s ", p->is_terminal ? "\r\033[K" : "", state);
    if (total > 0 && p->is_terminal) {
        add_bar(p, &line, done, total);
    }
    sl_buf_addf(&line, "%llu", (unsigned long long)done);
    if (total > 0) {
        sl_buf_addf(&line, "/%llu", (unsigned long long)total);
    }
    sl_buf_addf(&line, " %s  %.0f/s", p->unit, rate);
    if (bytes > 0) {
        sl_buf_add_text(&line, "  ");
        sli_print_bytes(&line, bytes);
    }
    if (total > done && rate > 0) {
        sl_buf_addf(&line, "  ETA %.0f s", (double)(total - done) / rate);
    }
    sl_buf_add_text(&line, p->is_terminal ? "" : "\n");
    (void)fputs(sl_buf_cstr(&line), stderr);
    (void)fflush(stderr);
}

void sli_progress_end(struct sli_progress *p)
{
    if (p->is_terminal && p->printed_ns != 0 && !p->is_quiet) {
        (void)fputs("\r\033[K", stderr);
    }
}
