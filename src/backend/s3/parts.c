/* Uploads: many parts at once, made one object by CompleteMultipartUpload.
 *
 * The multipart upload begins with the first part that is no small object: one that comes as the
 * first and has at most SMALL_MAX bytes waits in memory, and if nothing follows it is written by
 * one PUT instead of three requests. Parts may be sent again with the same number. The server's own
 * ETag and, where it takes them, the CRC-32C of every part go into Complete, so what becomes the
 * object is what was acknowledged.
 *
 * State of an upload: NONE --first part--> BEGINNING --answer--> OPEN --complete, cancel--> freed;
 * BEGINNING --failure--> NONE. One thread is in BEGINNING, the others wait. `mu` is a leaf. */
#include "backend/s3/s3_int.h"

#include "base/hash.h"

#define SMALL_MAX    (1u << 20) /* held in memory: times the range workers, outside of the budget */
#define ETAG_MAX     128
#define ABORTS_MAX   3 /* refusals that are asked again: they may be of something on the way */
#define STEPS_MAX    4
#define COMPLETE_MAX (64u * 1024)
#define WAIT_NS      INT64_C(100000000)

/* What the server has of a part. */
struct part {
    uint64_t size;
    uint32_t crc32c;
    bool is_sent;
    bool is_crc_known; /* the server told the same CRC */
    char etag[ETAG_MAX];
};

enum state { STATE_NONE, STATE_BEGINNING, STATE_OPEN };

struct s3_upload {
    struct sl_upload up;
    struct sl_buf key, write_id;
    struct sl_buf id;       /* of the upload; written before OPEN, then read only */
    bool is_begin_unclear;  /* a second upload of this key may be open at the server */
    bool is_done_unclear;   /* Complete or the PUT may have worked */
    struct sl_mutex mu;     /* protects `locked` */
    struct sl_cond changed; /* state */
    struct {
        enum state state;
        struct part *parts; /* part_cap of them; index = part_no - 1 */
        uint32_t part_cap;
        struct sl_buf small; /* part 1, not sent yet */
        bool has_small;
    } locked SL_GUARDED;
};

static struct s3_upload *upload_of(struct sl_upload *up)
{
    return SL_CONTAINER_OF(up, struct s3_upload, up);
}

static void upload_free(struct s3_upload *u)
{
    sl_mutex_lock(&u->mu);
    sl_free(sl_move(&u->locked.parts));
    sl_buf_fini(&u->locked.small);
    sl_mutex_unlock(&u->mu);
    sl_buf_fini(&u->key);
    sl_buf_fini(&u->write_id);
    sl_buf_fini(&u->id);
    sl_cond_fini(&u->changed);
    sl_mutex_fini(&u->mu);
    sl_free(u);
}

sl_rc sli_s3_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                   struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    struct sli_s3_object o;
    SL_TRY(sli_key_check(key, err));
    SL_TRY(sli_s3_look(s3, key, SL_STR(""), s3->store.cancel, &o, err));
    if (o.is_there) {
        return sli_s3_exists_already(s3, key, err);
    }
    struct s3_upload *u = sl_alloc_zero(1, sizeof *u);
    if (u == NULL) {
        return SL_NOMEM(err);
    }
    u->up.owner = be;
    sl_mutex_init(&u->mu);
    sl_cond_init(&u->changed);
    sl_buf_add_str(&u->key, key);
    sl_rc rc = sl_buf_done(&u->key, err);
    if (rc == SL_OK) {
        rc = sli_s3_write_id(&u->write_id, err);
    }
    if (rc != SL_OK) {
        upload_free(u);
        return rc;
    }
    *ret = &u->up;
    return SL_OK;
}

/* ---- the multipart upload begins ---- */

static sl_rc on_upload_id(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct sl_buf *id = arg;
    if (sl_str_is(path, "InitiateMultipartUploadResult/UploadId")) {
        sl_buf_clear(id);
        sl_buf_add_str(id, text);
    }
    return sl_buf_done(id, err);
}

static sl_rc create_once(struct sli_s3 *s3, struct s3_upload *u, struct sli_s3_call *call,
                         bool has_checksum, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_headers h = {.count = 0};
    sli_s3_object_headers(s3, sl_buf_str(&u->write_id), &h);
    if (has_checksum) {
        sli_s3_header_add(&h, "x-amz-checksum-algorithm", SL_STR("CRC32C"));
    }
    call->headers = h.rows;
    call->header_count = h.count;
    sl_rc rc = sli_s3_request(s3, call, &reply, err);
    call->headers = NULL;
    call->header_count = 0;
    u->is_begin_unclear = u->is_begin_unclear || call->is_unclear;
    SL_TRY(rc);
    rc = sl_xml_read(sl_buf_view(&reply.body), on_upload_id, &u->id, err);
    if (rc == SL_OK && u->id.len == 0) {
        rc = SL_FAIL(err, SL_EIO, "s3:PutObject of %.*s: an upload without an id",
                     SL_STR_ARG(call->key));
    }
    u->is_begin_unclear =
        u->is_begin_unclear || rc != SL_OK; /* open, under a name we do not know */
    return rc;
}

static sl_rc create(struct sli_s3 *s3, struct s3_upload *u, struct sl_err *err)
{
    struct sli_s3_call call = {.method = "POST",
                               .key = sl_buf_str(&u->key),
                               .query = "uploads=",
                               .cancel = s3->store.cancel,
                               .action = "s3:PutObject"};
    for (int step = 0;; step++) {
        bool has_checksum = !atomic_load(&s3->has_no_checksums);
        sl_rc rc = create_once(s3, u, &call, has_checksum, err);
        if (rc == SL_OK || step + 1 == STEPS_MAX ||
            !sli_s3_step_back(s3, &call, false, has_checksum)) {
            return rc;
        }
    }
}

/* Sees to it that the upload is open; one thread asks the server. */
static sl_rc open_upload(struct sli_s3 *s3, struct s3_upload *u, struct sl_err *err)
{
    sl_mutex_lock(&u->mu);
    while (u->locked.state == STATE_BEGINNING) {
        (void)sl_cond_wait_for(&u->changed, &u->mu, WAIT_NS);
    }
    bool is_open = u->locked.state == STATE_OPEN;
    if (!is_open) {
        u->locked.state = STATE_BEGINNING;
    }
    sl_mutex_unlock(&u->mu);
    if (is_open) {
        return SL_OK;
    }
    sl_rc rc = create(s3, u, err);
    sl_mutex_lock(&u->mu);
    u->locked.state = rc == SL_OK ? STATE_OPEN : STATE_NONE;
    sl_cond_broadcast(&u->changed);
    sl_mutex_unlock(&u->mu);
    return rc;
}

/* "partNumber=1&uploadId=..." */
static const char *query_of(const struct s3_upload *u, uint32_t part_no, struct sl_buf *out)
{
    if (part_no > 0) {
        sl_buf_addf(out, "partNumber=%u&", part_no);
    }
    sl_buf_add_text(out, "uploadId=");
    sl_percent_encode(sl_buf_str(&u->id), out);
    return sl_buf_cstr(out);
}

/* ---- parts ---- */

/* Remembers what the server has; grows the list. */
static sl_rc note_part(struct s3_upload *u, uint32_t part_no, const struct part *p,
                       struct sl_err *err)
{
    bool has_room = true;
    sl_mutex_lock(&u->mu);
    if (part_no > u->locked.part_cap) {
        uint32_t cap = SL_MAX(part_no, 2 * u->locked.part_cap);
        struct part *more = sl_realloc(u->locked.parts, cap * sizeof *more);
        has_room = more != NULL;
        if (has_room) {
            memset(more + u->locked.part_cap, 0, (cap - u->locked.part_cap) * sizeof *more);
            u->locked.parts = more;
            u->locked.part_cap = cap;
        }
    }
    if (has_room) {
        u->locked.parts[part_no - 1] = *p;
    }
    sl_mutex_unlock(&u->mu);
    return has_room ? SL_OK : SL_NOMEM(err);
}

/* arg: base64 of the part's CRC, NULL: none was sent. */
static sl_rc check_part(const struct sli_s3_call *call, const struct sl_http_reply *reply,
                        struct sl_err *err)
{
    struct sl_str told = sl_http_header_of(reply, "x-amz-checksum-crc32c");
    struct sl_str etag = sl_http_header_of(reply, "etag");
    if (call->arg != NULL && told.ptr != NULL && !sl_str_is(told, call->arg)) {
        return SL_FAIL(err, SL_EIO, "part of %.*s: the store has other bytes than were sent",
                       SL_STR_ARG(call->key));
    }
    if (etag.len == 0 || etag.len >= ETAG_MAX) {
        return SL_FAIL(err, SL_EIO, "part of %.*s: an answer without a usable ETag",
                       SL_STR_ARG(call->key));
    }
    return SL_OK;
}

static sl_rc send_once(struct sli_s3 *s3, struct sli_s3_call *call, bool has_checksum,
                       struct part *p, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) crc = SL_BUF_EMPTY;
    struct sli_s3_headers h = {.count = 0};
    sli_s3_payer_header(s3, &h);
    if (has_checksum) {
        sli_s3_crc_add(&crc, p->crc32c);
        call->arg = sl_buf_cstr(&crc);
        SL_TRY(sl_buf_done(&crc, err));
        sli_s3_header_add(&h, "x-amz-checksum-crc32c", sl_buf_str(&crc));
    }
    call->headers = h.rows;
    call->header_count = h.count;
    sl_rc rc = sli_s3_request(s3, call, &reply, err);
    if (rc == SL_OK) {
        struct sl_str etag = sl_http_header_of(&reply, "etag");
        memcpy(p->etag, etag.ptr, etag.len);
        p->etag[etag.len] = '\0';
        p->is_sent = true;
        p->is_crc_known =
            has_checksum && sl_http_header_of(&reply, "x-amz-checksum-crc32c").len > 0;
        if (!p->is_crc_known) {
            atomic_store(&s3->is_checksum_ignored, true);
        }
    }
    call->headers = NULL;
    call->header_count = 0;
    call->arg = NULL;
    return rc;
}

static sl_rc send_part(struct sli_s3 *s3, struct s3_upload *u, uint32_t part_no, struct sl_bytes b,
                       struct sl_err *err)
{
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    struct part p = {.size = b.len, .crc32c = sl_crc32c(0, b)};
    SL_TRY(open_upload(s3, u, err));
    struct sli_s3_call call = {.method = "PUT",
                               .key = sl_buf_str(&u->key),
                               .query = query_of(u, part_no, &query),
                               .body = b,
                               .cancel = s3->store.cancel,
                               .action = "s3:PutObject",
                               .check = check_part};
    SL_TRY(sl_buf_done(&query, err));
    sl_rc rc = SL_OK;
    for (int step = 0; step < STEPS_MAX; step++) {
        bool has_checksum = !atomic_load(&s3->has_no_checksums);
        rc = send_once(s3, &call, has_checksum, &p, err);
        if (rc == SL_OK || !sli_s3_step_back(s3, &call, false, has_checksum)) {
            break;
        }
    }
    SL_TRY(rc);
    return note_part(u, part_no, &p, err);
}

/* Keeps a small first part, if no other has come; false: send it. */
static bool hold_part(struct s3_upload *u, uint32_t part_no, struct sl_bytes b)
{
    if (part_no != 1 || b.len > SMALL_MAX) {
        return false;
    }
    SL_AUTO(sl_buf) copy = SL_BUF_EMPTY;
    sl_buf_add(&copy, b);
    if (copy.is_failed) {
        return false; /* sent at once it needs no memory */
    }
    sl_mutex_lock(&u->mu);
    bool is_first = u->locked.state == STATE_NONE;
    if (is_first) {
        struct sl_buf old = u->locked.small;
        u->locked.small = copy;
        u->locked.has_small = true;
        copy = old;
    }
    sl_mutex_unlock(&u->mu);
    return is_first;
}

sl_rc sli_s3_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no, uint64_t offset,
                  struct sl_bytes b, struct sl_err *err)
{
    struct s3_upload *u = upload_of(up);
    sl_assert(up->owner == be && part_no >= 1 && part_no <= SLI_S3_PARTS_MAX);
    (void)offset; /* parts are joined by number */
    return hold_part(u, part_no, b) ? SL_OK : send_part(sli_s3_of(be), u, part_no, b, err);
}

/* ---- complete ---- */

/* Was every part acknowledged, and do they make the size? Then the body of Complete and the CRC of
 * the CRCs, "" unless the server knows them all. */
static sl_rc list_parts(struct s3_upload *u, uint32_t part_count, uint64_t size,
                        struct sl_buf *body, struct sl_buf *ret_crc, struct sl_err *err)
{
    SL_AUTO(sl_buf) crcs = SL_BUF_EMPTY;
    uint64_t sum = 0;
    uint32_t known = 0, sent = 0;
    sl_buf_add_text(body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/"
                          "\">");
    sl_mutex_lock(&u->mu);
    for (uint32_t i = 0; i < SL_MIN(part_count, u->locked.part_cap); i++) {
        const struct part *p = &u->locked.parts[i];
        sent += p->is_sent;
        known += p->is_crc_known;
        sum += p->size;
        sl_buf_addf(body, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag>", i + 1, p->etag);
        if (p->is_crc_known) {
            sl_buf_add_text(body, "<ChecksumCRC32C>");
            sli_s3_crc_add(body, p->crc32c);
            sl_buf_add_text(body, "</ChecksumCRC32C>");
        }
        sl_buf_add_text(body, "</Part>");
        sl_buf_add_u32(&crcs, __builtin_bswap32(p->crc32c));
    }
    sl_mutex_unlock(&u->mu);
    sl_buf_add_text(body, "</CompleteMultipartUpload>");
    SL_TRY(sl_buf_done(&crcs, err));
    if (sent != part_count || sum != size) {
        return SL_FAIL(err, SL_EINTERNAL, "object %.*s: %llu of %llu bytes were sent",
                       SL_STR_ARG(sl_buf_str(&u->key)), (unsigned long long)sum,
                       (unsigned long long)size);
    }
    if (known == part_count) {
        sli_s3_crc_add(ret_crc, sl_crc32c(0, sl_buf_view(&crcs)));
    }
    SL_TRY(sl_buf_done(ret_crc, err));
    return sl_buf_done(body, err);
}

struct completed {
    struct sl_buf crc; /* "base64-3" of all parts; empty: not told */
    bool is_whole;     /* the document came to its end */
};

static sl_rc on_completed(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct completed *c = arg;
    if (sl_str_is(path, "CompleteMultipartUploadResult/ChecksumCRC32C")) {
        sl_buf_clear(&c->crc);
        sl_buf_add_str(&c->crc, text);
    } else if (sl_str_is(path, "CompleteMultipartUploadResult")) {
        c->is_whole = true;
    }
    return sl_buf_done(&c->crc, err);
}

/* A status of 200 comes before the work is done; only a whole result is a success. arg: base64 of
 * the CRC of CRCs, "" when it is not known. */
static sl_rc check_completed(const struct sli_s3_call *call, const struct sl_http_reply *reply,
                             struct sl_err *err)
{
    struct completed c = {.is_whole = false};
    struct sl_str body = sl_str_trim(sl_buf_str(&reply->body));
    sl_rc rc = sl_xml_read(sl_str_bytes(body), on_completed, &c, err);
    struct sl_str want = sl_str_from(call->arg);
    struct sl_str told = sl_buf_str(&c.crc);
    bool is_composite = told.len > 0 && memchr(told.ptr, '-', told.len) != NULL;
    if (rc != SL_ENOMEM && (rc != SL_OK || !c.is_whole)) {
        rc = SL_FAIL(err, SL_EIO, "end of the upload of %.*s: the answer is not whole",
                     SL_STR_ARG(call->key));
    } else if (rc == SL_OK && want.len > 0 && is_composite &&
               (told.len <= want.len || !sl_str_starts(told, call->arg))) {
        rc = SL_FAIL(err, SL_ECORRUPT,
                     "end of the upload of %.*s: the store's checksum of the parts is not ours",
                     SL_STR_ARG(call->key));
    }
    sl_buf_fini(&c.crc);
    return rc;
}

/* The upload is gone or the name is taken: is the object there ours? */
static sl_rc is_it_ours(struct sli_s3 *s3, const struct s3_upload *u, uint64_t size, sl_rc rc,
                        struct sl_err *err)
{
    struct sli_s3_object o;
    struct sl_err own = {.rc = SL_OK};
    struct sl_str key = sl_buf_str(&u->key);
    sl_rc looked = sli_s3_look(s3, key, sl_buf_str(&u->write_id), s3->store.cancel, &o, &own);
    if (looked != SL_OK) {
        return rc;
    }
    if (o.is_there && o.is_ours && o.size == size) {
        return SL_OK;
    }
    return o.is_there ? sli_s3_exists_already(s3, key, err) : rc;
}

/* Where If-None-Match may be ignored on Complete, as old radosgw do, a look before makes a race
 * unlikely; Amazon keeps the condition, and a look would only cost. */
static sl_rc look_before(struct sli_s3 *s3, const struct s3_upload *u, struct sl_err *err)
{
    struct sli_s3_object o;
    struct sl_str key = sl_buf_str(&u->key);
    if (s3->is_aws || u->is_done_unclear) {
        return SL_OK;
    }
    SL_TRY(sli_s3_look(s3, key, SL_STR(""), s3->store.cancel, &o, err));
    return o.is_there ? sli_s3_exists_already(s3, key, err) : SL_OK;
}

static sl_rc complete_once(struct sli_s3 *s3, struct sli_s3_call *call, bool has_condition,
                           struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_headers h = {.count = 0};
    sli_s3_payer_header(s3, &h);
    sli_s3_header_add(&h, "Content-Type", SL_STR("application/xml"));
    if (has_condition) {
        sli_s3_header_add(&h, "If-None-Match", SL_STR("*"));
    }
    call->headers = h.rows;
    call->header_count = h.count;
    sl_rc rc = sli_s3_request(s3, call, &reply, err);
    call->headers = NULL;
    call->header_count = 0;
    return rc;
}

static sl_rc complete_parts(struct sli_s3 *s3, struct s3_upload *u, uint32_t part_count,
                            uint64_t size, struct sl_err *err)
{
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) crc = SL_BUF_EMPTY;
    SL_TRY(list_parts(u, part_count, size, &body, &crc, err));
    SL_TRY(look_before(s3, u, err));
    struct sli_s3_call call = {.method = "POST",
                               .key = sl_buf_str(&u->key),
                               .query = query_of(u, 0, &query),
                               .body = sl_buf_view(&body),
                               .reply_max = COMPLETE_MAX,
                               .cancel = s3->store.cancel,
                               .action = "s3:PutObject",
                               .is_late = true,
                               .check = check_completed,
                               .arg = sl_buf_cstr(&crc)};
    SL_TRY(sl_buf_done(&query, err));
    sl_rc rc = SL_OK;
    for (int step = 0; step < STEPS_MAX; step++) {
        bool has_condition = !atomic_load(&s3->has_no_conditions);
        rc = complete_once(s3, &call, has_condition, err);
        if (rc == SL_OK || !sli_s3_step_back(s3, &call, has_condition, false)) {
            break;
        }
    }
    u->is_done_unclear = u->is_done_unclear || call.is_unclear;
    bool may_be_ours = rc == SL_ECONFLICT || strcmp(call.code, "NoSuchUpload") == 0;
    return may_be_ours ? is_it_ours(s3, u, size, rc, err) : rc;
}

static sl_rc complete_small(struct sli_s3 *s3, struct s3_upload *u, uint64_t size,
                            struct sl_err *err)
{
    sl_mutex_lock(&u->mu);
    struct sl_bytes b = sl_buf_view(&u->locked.small); /* nobody sends parts any more */
    sl_mutex_unlock(&u->mu);
    if (b.len != size) {
        return SL_FAIL(err, SL_EINTERNAL, "object %.*s: %zu of %llu bytes were sent",
                       SL_STR_ARG(sl_buf_str(&u->key)), b.len, (unsigned long long)size);
    }
    return sli_s3_put_object(s3, sl_buf_str(&u->key), b, SL_PUT_NEW, sl_buf_str(&u->write_id),
                             s3->store.cancel, err);
}

sl_rc sli_s3_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                      uint64_t size, struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    struct s3_upload *u = upload_of(up);
    sl_assert(up->owner == be && (part_count > 0 || size == 0));
    sl_mutex_lock(&u->mu);
    bool is_small = u->locked.state == STATE_NONE && part_count <= 1;
    bool has_small = u->locked.has_small;
    struct sl_bytes small = sl_buf_view(&u->locked.small);
    sl_mutex_unlock(&u->mu);
    if (is_small) {
        SL_TRY(complete_small(s3, u, size, err));
    } else {
        if (has_small) { /* others followed after all */
            SL_TRY(send_part(s3, u, 1, small, err));
        }
        SL_TRY(complete_parts(s3, u, part_count, size, err));
    }
    /* Begun twice after a lost answer: the other one of the same key must not stay. */
    if (u->is_begin_unclear) {
        struct sl_err own = {.rc = SL_OK};
        SL_IGNORE(sli_s3_abort_below(s3, sl_buf_str(&u->key), true, &own), "sweep finds it later");
    }
    upload_free(u);
    return SL_OK;
}

/* ---- cancel ---- */

/* The cancel token is set by now, so it is not asked: an upload that stays costs money. */
void sli_s3_cancel(struct sl_backend *be, struct sl_upload *up)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    struct sl_err own = {.rc = SL_OK};
    if (up == NULL) {
        return;
    }
    struct s3_upload *u = upload_of(up);
    sl_assert(up->owner == be);
    for (int n = 0; n < ABORTS_MAX && u->id.len > 0; n++) {
        sl_rc rc = sli_s3_abort_upload(s3, sl_buf_str(&u->key), sl_buf_str(&u->id), &own);
        if (rc == SL_OK || sl_rc_retriable(rc)) {
            break; /* or it was tried until its deadline; sweep finds it later */
        }
    }
    if (u->is_begin_unclear) {
        SL_IGNORE(sli_s3_abort_below(s3, sl_buf_str(&u->key), true, &own), "sweep finds it later");
    }
    upload_free(u);
}
