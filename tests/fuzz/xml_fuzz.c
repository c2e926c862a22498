/* XML answers: whatever the bytes, events are within the limits and in order, texts are UTF-8, and
 * a document that declares a type is never taken. */
#include "http/xml.h"

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t events;
    bool is_ended; /* the root came, which must be the last */
};

static sl_rc note(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct seen *s = arg;
    size_t levels = 1;
    (void)err;
    for (size_t i = 0; i < path.len; i++) {
        levels += path.ptr[i] == '/';
    }
    sl_assert(!s->is_ended);
    sl_assert(levels <= SL_XML_DEPTH_MAX && path.len <= SL_XML_TEXT_MAX);
    sl_assert(text.len <= SL_XML_TEXT_MAX && sl_utf8_valid_len(text) == text.len);
    s->is_ended = levels == 1;
    s->events++;
    return SL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen s = {0};
    struct sl_err err = {0};
    sl_rc rc = sl_xml_read(SL_BYTES(data, size), note, &s, &err);
    sl_assert(rc == SL_OK || rc == SL_EBADREQ);
    if (rc == SL_OK) {
        static const char type[] = "<!DOCTYPE ";
        sl_assert(s.is_ended && s.events <= size);
        sl_assert(size < sizeof type || memcmp(data, type, sizeof type - 1) != 0);
    } else {
        sl_assert(err.text[0] != '\0');
    }
    return 0;
}
