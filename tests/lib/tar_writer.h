/* Writes tar archives by the text of POSIX (ustar, pax), for the tests of their reader. */
#ifndef SL_TESTS_TAR_WRITER_H
#define SL_TESTS_TAR_WRITER_H

#include <stdio.h>

#include "base/buf.h"

static inline void tar_finish_header(uint8_t *h)
{
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++) {
        sum += h[i];
    }
    (void)snprintf((char *)h + 148, 8, "%06o", sum);
}

static inline void tar_header(struct sl_buf *out, const char *prefix, const char *name, char type,
                              unsigned long long size)
{
    uint8_t h[512] = {0};
    char octal[32];
    memcpy(h, name, strnlen(name, 100));
    memcpy(h + 100, "0000644", 8);
    (void)snprintf(octal, sizeof(octal), "%011llo", size);
    memcpy(h + 124, octal, 12);
    memcpy(h + 136, "00000000000", 12);
    h[156] = (uint8_t)type;
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    memcpy(h + 345, prefix, strnlen(prefix, 155));
    tar_finish_header(h);
    sl_buf_add(out, SL_BYTES(h, 512));
}

static inline void tar_body(struct sl_buf *out, struct sl_bytes body)
{
    static const uint8_t zero[512];
    sl_buf_add(out, body);
    sl_buf_add(out, SL_BYTES(zero, (512 - body.len % 512) % 512));
}

/* One record of an extended header: its length counts itself. */
static inline void tar_record(struct sl_buf *out, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, len = rest + 1;
    while (len != rest + (size_t)snprintf(NULL, 0, "%zu", len)) {
        len++;
    }
    sl_buf_addf(out, "%zu %s=%s\n", len, key, value);
}

static inline void tar_file(struct sl_buf *out, const char *name, struct sl_bytes body)
{
    tar_header(out, "", name, '0', body.len);
    tar_body(out, body);
}

/* One part of a file, as Weaviate writes it. */
static inline void tar_part(struct sl_buf *out, const char *name, unsigned long long at,
                            struct sl_bytes body)
{
    SL_AUTO(sl_buf) records = SL_BUF_EMPTY;
    char text[32];
    (void)snprintf(text, sizeof(text), "%llu", at);
    tar_record(&records, "WEAVIATE.fileOffset", text);
    tar_header(out, "", "PaxHeaders.0/x", 'x', records.len);
    tar_body(out, sl_buf_view(&records));
    tar_file(out, name, body);
}

static inline void tar_end(struct sl_buf *out)
{
    static const uint8_t zero[1024];
    sl_buf_add(out, SL_BYTES(zero, 1024));
}

#endif
