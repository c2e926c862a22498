/* The option table as text: --help, man page and documentation all come from the same rows, so they
 * cannot disagree with the program or with each other. */
#include "config/config.h"

static void add_size(struct sl_buf *out, int64_t bytes)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && bytes % 1024 == 0 && unit + 1 < SL_COUNT_OF(units)) {
        bytes /= 1024;
        unit++;
    }
    sl_buf_addf(out, "%lld%s", (long long)bytes, units[unit]);
}

/* What is allowed, in words; "" when anything is. */
static void add_allowed(const struct sl_option *o, struct sl_buf *out)
{
    switch (o->kind) {
    case SL_OPT_BOOL:
        sl_buf_add_text(out, "true|false");
        return;
    case SL_OPT_INT:
        sl_buf_addf(out, "%lld..%lld", (long long)o->min, (long long)o->max);
        return;
    case SL_OPT_SIZE:
        add_size(out, o->min);
        sl_buf_add_text(out, "..");
        add_size(out, o->max);
        return;
    case SL_OPT_DURATION:
        sl_buf_addf(out, "%lldms..%lldh", (long long)(o->min / 1000000),
                    (long long)(o->max / 3600000000000));
        return;
    case SL_OPT_TEXT:
    case SL_OPT_SECRET:
    case SL_OPT_CHOICE:
        sl_buf_add_text(out, o->allowed == NULL ? "" : o->allowed);
        return;
    }
}

static void print_help(const struct sl_option *o, struct sl_buf *out)
{
    sl_buf_addf(out, "  %-26s", o->env);
    if (o->flag != NULL) {
        sl_buf_addf(out, " --%s", o->flag);
    }
    if (o->key != NULL) {
        sl_buf_addf(out, " (overrides: %s)", o->key);
    }
    sl_buf_addf(out, "\n      %s", o->text);
    SL_AUTO(sl_buf) allowed = SL_BUF_EMPTY;
    add_allowed(o, &allowed);
    if (allowed.len > 0) {
        sl_buf_addf(out, " (%s)", sl_buf_cstr(&allowed));
    }
    if (o->preset[0] != '\0') {
        sl_buf_addf(out, " [%s]", o->preset);
    }
    sl_buf_add_text(out, "\n");
}

static void print_roff(const struct sl_option *o, struct sl_buf *out)
{
    sl_buf_addf(out, ".TP\n.B %s", o->env);
    if (o->flag != NULL) {
        sl_buf_addf(out, ", \\-\\-%s", o->flag);
    }
    if (o->key != NULL) {
        sl_buf_addf(out, " (overrides: %s)", o->key);
    }
    sl_buf_addf(out, "\n%s.", o->text);
    SL_AUTO(sl_buf) allowed = SL_BUF_EMPTY;
    add_allowed(o, &allowed);
    if (allowed.len > 0) {
        sl_buf_addf(out, " Allowed: %s.", sl_buf_cstr(&allowed));
    }
    if (o->preset[0] != '\0') {
        sl_buf_addf(out, " Default: %s.", o->preset);
    }
    sl_buf_add_text(out, "\n");
}

static void print_markdown(const struct sl_option *o, struct sl_buf *out)
{
    sl_buf_addf(out, "| `%s`", o->env);
    if (o->flag != NULL) {
        sl_buf_addf(out, "<br>`--%s`", o->flag);
    }
    if (o->key != NULL) {
        sl_buf_addf(out, "<br>overrides: `%s`", o->key);
    }
    SL_AUTO(sl_buf) allowed = SL_BUF_EMPTY;
    add_allowed(o, &allowed);
    sl_buf_addf(out, " | `%s` | ", o->preset[0] == '\0' ? "(empty)" : o->preset);
    for (const char *at = sl_buf_cstr(&allowed); *at != '\0'; at++) {
        if (*at == '|') {
            sl_buf_add_text(out, "\\");
        }
        sl_buf_add_u8(out, (uint8_t)*at);
    }
    sl_buf_addf(out, " | %s |\n", o->text);
}

void sl_options_print(enum sl_options_format format, struct sl_buf *out)
{
    if (format == SL_OPTIONS_MARKDOWN) {
        sl_buf_add_text(out,
                        "| Variable, flag | Default | Allowed | Meaning |\n|---|---|---|---|\n");
    }
    for (size_t i = 0; i < sl_option_count; i++) {
        switch (format) {
        case SL_OPTIONS_HELP:
            print_help(&sl_options[i], out);
            break;
        case SL_OPTIONS_ROFF:
            print_roff(&sl_options[i], out);
            break;
        case SL_OPTIONS_MARKDOWN:
            print_markdown(&sl_options[i], out);
            break;
        }
    }
}
