/* Elements of a document by expat's callbacks: a path that grows and shrinks, a text per depth. */
#include "http/xml.h"

#include <expat.h>

#include "base/str.h"

struct reader {
    XML_Parser parser;
    sl_xml_fn *fn;
    void *arg;
    struct sl_buf path;
    struct sl_buf texts[SL_XML_DEPTH_MAX]; /* of the elements that are open */
    size_t depth;
    sl_rc rc;
    struct sl_err *err;
};

static void stop(struct reader *r, sl_rc rc)
{
    r->rc = rc;
    (void)XML_StopParser(r->parser, XML_FALSE);
}

static void refuse(struct reader *r, const char *why)
{
    if (r->rc == SL_OK) {
        stop(r, SL_FAIL(r->err, SL_EBADREQ, "the XML of the answer is refused: %s", why));
    }
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes SL_UNUSED)
{
    struct reader *r = arg;
    if (r->depth == SL_XML_DEPTH_MAX) {
        refuse(r, "too many levels");
        return;
    }
    const char *local = strrchr(name, ':');
    if (r->depth > 0) {
        sl_buf_add_u8(&r->path, '/');
    }
    sl_buf_add_text(&r->path, local == NULL ? name : local + 1);
    sl_buf_clear(&r->texts[r->depth++]);
    if (r->path.len > SL_XML_TEXT_MAX) {
        refuse(r, "too long names");
    }
}

static void on_text(void *arg, const XML_Char *text, int len)
{
    struct reader *r = arg;
    if (r->depth == 0) {
        return;
    }
    struct sl_buf *out = &r->texts[r->depth - 1];
    sl_buf_add(out, SL_BYTES(text, (size_t)len));
    if (out->len > SL_XML_TEXT_MAX) {
        refuse(r, "too long texts");
    }
}

static void on_end(void *arg, const XML_Char *name SL_UNUSED)
{
    struct reader *r = arg;
    if (r->rc != SL_OK) {
        return; /* expat ends what it is at */
    }
    struct sl_buf *text = &r->texts[--r->depth];
    sl_rc rc = sl_buf_done(text, r->err);
    if (rc == SL_OK) {
        rc = sl_buf_done(&r->path, r->err);
    }
    if (rc == SL_OK) {
        rc = r->fn(r->arg, sl_buf_str(&r->path), sl_buf_str(text), r->err);
    }
    while (r->path.len > 0 && r->path.ptr[r->path.len - 1] != '/') {
        r->path.len--;
    }
    r->path.len -= r->path.len > 0;
    if (rc != SL_OK) {
        stop(r, rc);
    }
}

static void on_doctype(void *arg, const XML_Char *name SL_UNUSED, const XML_Char *system SL_UNUSED,
                       const XML_Char *public SL_UNUSED, int has_subset SL_UNUSED)
{
    refuse(arg, "it declares a document type");
}

static void on_instruction(void *arg, const XML_Char *target SL_UNUSED,
                           const XML_Char *data SL_UNUSED)
{
    refuse(arg, "it holds a processing instruction");
}

static sl_rc parse(struct reader *r, struct sl_bytes document)
{
    if (document.len > INT32_MAX) {
        return SL_FAIL(r->err, SL_ETOOBIG, "the XML of the answer is larger than 2 GiB");
    }
    enum XML_Status status =
        XML_Parse(r->parser, (const char *)document.ptr, (int)document.len, XML_TRUE);
    if (r->rc == SL_OK && status != XML_STATUS_OK) {
        return SL_FAIL(r->err, SL_EBADREQ, "the XML of the answer cannot be read: %s at byte %ld",
                       XML_ErrorString(XML_GetErrorCode(r->parser)),
                       (long)XML_GetCurrentByteIndex(r->parser));
    }
    return r->rc;
}

sl_rc sl_xml_read(struct sl_bytes document, sl_xml_fn *fn, void *arg, struct sl_err *err)
{
    struct reader r = {.fn = fn, .arg = arg, .err = err};
    r.parser = XML_ParserCreate(NULL);
    if (r.parser == NULL) {
        return SL_NOMEM(err);
    }
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    XML_SetProcessingInstructionHandler(r.parser, on_instruction);
    sl_rc rc = parse(&r, document);
    XML_ParserFree(r.parser);
    for (size_t i = 0; i < SL_XML_DEPTH_MAX; i++) {
        sl_buf_fini(&r.texts[i]);
    }
    sl_buf_fini(&r.path);
    return rc;
}
