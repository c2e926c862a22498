/* Multipart uploads that become no object: aborted one by one by their id, or found by listing.
 *
 * An upload that is neither completed nor aborted costs money and is seen by no listing of objects,
 * so no cancel token is asked here, but that of a sweep between uploads; a deadline bounds what a
 * store that is down may cost. Listed are uploads nobody knows the id of: begun by an answer that
 * got lost, or left by a killed process. Called by parts.c and, as sweep, by the export engine.
 * @threads any. */
#include "backend/s3/s3_int.h"

#define ABORT_NS INT64_C(30000000000) /* what a cancel may wait for a store that is down */
#define PAGE_MAX (8u << 20)           /* 1,000 uploads with names of 1,024 bytes, escaped */

/* 204 and nothing else: what says 200 to everything has dropped nothing. */
static sl_rc check_aborted(const struct sli_s3_call *call, const struct sl_http_reply *reply,
                           struct sl_err *err)
{
    return reply->status == 204 ? SL_OK
                                : SL_FAIL(err, SL_EIO, "%s of %.*s: answered by %d", call->action,
                                          SL_STR_ARG(call->key), reply->status);
}

sl_rc sli_s3_abort_upload(struct sli_s3 *s3, struct sl_str key, struct sl_str id,
                          struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    struct sli_s3_headers h = {.count = 0};
    sli_s3_payer_header(s3, &h);
    sl_buf_add_text(&query, "uploadId=");
    sl_percent_encode(id, &query);
    const char *text = sl_buf_cstr(&query);
    SL_TRY(sl_buf_done(&query, err));
    struct sli_s3_call call = {.method = "DELETE",
                               .key = key,
                               .query = text,
                               .headers = h.rows,
                               .header_count = h.count,
                               .deadline_ns = ABORT_NS,
                               .action = "s3:AbortMultipartUpload",
                               .check = check_aborted};
    sl_rc rc = sli_s3_request(s3, &call, &reply, err);
    return rc != SL_OK && call.status == 404 ? SL_OK : rc;
}

/* One page of open uploads. */
struct uploads {
    struct sli_s3 *s3;
    struct sl_str key; /* is_exact: of this key only */
    bool is_exact, is_cut, is_encoded;
    struct sl_cancel *cancel; /* of a sweep: the next one finds what it leaves */
    struct sl_buf found;      /* u32 length, name; u32 length, id */
    struct sl_buf name, id, next_key, next_id;
};

static void uploads_fini(struct uploads *l)
{
    struct sl_buf *const texts[] = {&l->found, &l->name, &l->id, &l->next_key, &l->next_id};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        sl_buf_fini(texts[i]);
    }
}

static void set(struct sl_buf *to, struct sl_str text)
{
    sl_buf_clear(to);
    sl_buf_add_str(to, text);
}

static sl_rc on_uploads(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct uploads *l = arg;
    if (sl_str_is(path, "ListMultipartUploadsResult/Upload/Key")) {
        set(&l->name, text);
    } else if (sl_str_is(path, "ListMultipartUploadsResult/Upload/UploadId")) {
        set(&l->id, text);
    } else if (sl_str_is(path, "ListMultipartUploadsResult/NextKeyMarker")) {
        set(&l->next_key, text);
    } else if (sl_str_is(path, "ListMultipartUploadsResult/NextUploadIdMarker")) {
        set(&l->next_id, text);
    } else if (sl_str_is(path, "ListMultipartUploadsResult/IsTruncated")) {
        l->is_cut = sl_str_is(text, "true");
    } else if (sl_str_is(path, "ListMultipartUploadsResult/EncodingType")) {
        l->is_encoded = sl_str_is(text, "url");
    } else if (sl_str_is(path, "ListMultipartUploadsResult/Upload")) {
        sl_buf_add_u32(&l->found, (uint32_t)l->name.len);
        sl_buf_add(&l->found, sl_buf_view(&l->name));
        sl_buf_add_u32(&l->found, (uint32_t)l->id.len);
        sl_buf_add(&l->found, sl_buf_view(&l->id));
    }
    SL_TRY(sl_buf_done(&l->found, err));
    SL_TRY(sl_buf_done(&l->next_key, err));
    return sl_buf_done(&l->next_id, err);
}

/* Names are foreign; only those below our prefix, and of that key, are touched. */
static sl_rc abort_found(struct uploads *l, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(sl_buf_view(&l->found));
    struct sl_str prefix = sl_str_from(l->s3->store.prefix);
    while (sl_rd_left(&rd) > 0) {
        SL_AUTO(sl_buf) plain = SL_BUF_EMPTY;
        struct sl_str name = sl_bytes_str(sl_rd_bytes(&rd, sl_rd_u32(&rd)));
        struct sl_str id = sl_bytes_str(sl_rd_bytes(&rd, sl_rd_u32(&rd)));
        if (l->is_encoded) {
            bool is_good = sli_s3_url_decode(name, &plain);
            SL_TRY(sl_buf_done(&plain, err));
            name = is_good ? sl_buf_str(&plain) : name;
        }
        if (!sli_key_has_prefix(name, prefix)) {
            continue;
        }
        struct sl_str key = {name.ptr + prefix.len, name.len - prefix.len};
        bool is_meant = l->is_exact ? sl_str_eq(key, l->key) : sli_key_has_prefix(key, l->key);
        if (is_meant && key.len > 0) {
            SL_TRY(sli_s3_abort_upload(l->s3, key, id, err));
        }
    }
    return SL_OK;
}

static sl_rc uploads_page(struct uploads *l, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    sl_buf_add_text(&query, "uploads=&encoding-type=url&max-uploads=1000&");
    sli_s3_query_add(l->s3, "prefix", l->key, &query);
    if (l->next_key.len > 0) {
        SL_AUTO(sl_buf) plain = SL_BUF_EMPTY;
        bool is_good = l->is_encoded && sli_s3_url_decode(sl_buf_str(&l->next_key), &plain);
        sl_buf_add_text(&query, "&key-marker=");
        sl_percent_encode(is_good ? sl_buf_str(&plain) : sl_buf_str(&l->next_key), &query);
        sl_buf_add_text(&query, "&upload-id-marker=");
        sl_percent_encode(sl_buf_str(&l->next_id), &query);
        query.is_failed = query.is_failed || plain.is_failed;
    }
    const char *text = sl_buf_cstr(&query);
    SL_TRY(sl_buf_done(&query, err));
    struct sli_s3_headers h = {.count = 0};
    sli_s3_payer_header(l->s3, &h);
    struct sli_s3_call call = {.method = "GET",
                               .query = text,
                               .headers = h.rows,
                               .header_count = h.count,
                               .reply_max = PAGE_MAX,
                               .cancel = l->cancel,
                               .deadline_ns = ABORT_NS,
                               .action = "s3:ListBucketMultipartUploads"};
    SL_TRY(sli_s3_request(l->s3, &call, &reply, err));
    l->is_cut = l->is_encoded = false;
    sl_buf_clear(&l->found);
    SL_TRY(sl_xml_read(sl_buf_view(&reply.body), on_uploads, l, err));
    return abort_found(l, err);
}

static sl_rc abort_pages(struct uploads *l, struct sl_err *err)
{
    SL_AUTO(sl_buf) before = SL_BUF_EMPTY;
    SL_TRY(uploads_page(l, err));
    while (l->is_cut) {
        sl_buf_clear(&before);
        sl_buf_addf(&before, "%.*s\n%.*s", SL_STR_ARG(sl_buf_str(&l->next_key)),
                    SL_STR_ARG(sl_buf_str(&l->next_id)));
        SL_TRY(sl_buf_done(&before, err));
        SL_TRY(uploads_page(l, err));
        SL_AUTO(sl_buf) now = SL_BUF_EMPTY;
        sl_buf_addf(&now, "%.*s\n%.*s", SL_STR_ARG(sl_buf_str(&l->next_key)),
                    SL_STR_ARG(sl_buf_str(&l->next_id)));
        SL_TRY(sl_buf_done(&now, err));
        if (l->is_cut && sl_str_eq(sl_buf_str(&before), sl_buf_str(&now))) {
            return SL_FAIL(err, SL_EIO, "list of uploads: it does not end, a page leads to itself");
        }
    }
    return SL_OK;
}

sl_rc sli_s3_abort_below(struct sli_s3 *s3, struct sl_str key, bool is_exact, struct sl_err *err)
{
    struct uploads l = {.s3 = s3, .key = key, .is_exact = is_exact};
    l.cancel = is_exact ? NULL : sli_cancel_of(&s3->store, NULL, 0);
    sl_rc rc = abort_pages(&l, err);
    uploads_fini(&l);
    return rc;
}

sl_rc sli_s3_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err)
{
    SL_TRY(sli_prefix_check(prefix, err));
    return sli_s3_abort_below(sli_s3_of(be), prefix, false, err);
}
