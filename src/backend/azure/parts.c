/* Uploads: blocks in any order from many threads, then the list that makes them an object.
 *
 * A block is checked by the service as it comes (CRC-64), the list names our blocks only, and after
 * it the service is asked which blocks of which sizes the object has: that is also the answer to a
 * lost one, since the ids carry a random number of the upload. An object of one small part is one
 * Put Blob instead of three requests; such a part is kept until complete.
 *
 * Blocks of an upload that does not end are seen by nobody and vanish after a week, but are paid
 * for until then. There is no request that drops them; deleting a blob that has no list yet does.
 * So cancel and sweep look whether all there is are blocks of ours and no object, and delete on
 * condition that nothing was written meanwhile: If-Unmodified-Since, since the service takes
 * `If-None-Match: *` on a delete and ignores it. Without the right to delete they stay. */
#include "backend/azure/azure_int.h"

#include <stdio.h>

#include "base/crypto.h"
#include "base/num.h"

/* Kept in memory for each open upload, beside the budget of parts: many tenants make many small
 * files. Larger parts go at once. */
#define KEPT_MAX (256u * 1024)
/* 50,000 blocks, committed and not, of some 120 bytes each. */
#define LIST_MAX (16u << 20)
/* What clears away must not hold up a stop. */
#define CLEAR_NS INT64_C(10000000000)

struct block {
    struct block *next;
    uint32_t no;
    uint64_t size;
};

struct azure_upload {
    struct sl_upload up;
    char *key;
    uint64_t id;        /* random; in the ids of all blocks */
    int64_t begun_ns;   /* the service's clock; INT64_MIN: it did not tell */
    bool is_unclear;    /* a Put Blob ended without a clear answer. Owner of complete */
    bool is_taken;      /* another object has the name: nothing of ours is left there */
    struct sl_mutex mu; /* leaf */
    struct {
        struct block *blocks;
        struct sl_buf kept; /* part 1, while has_kept */
        bool has_kept;
        bool has_sent; /* a block may lie at the service */
    } locked SL_GUARDED;
};

static struct azure_upload *upload_of(struct sl_upload *up)
{
    return SL_CONTAINER_OF(up, struct azure_upload, up);
}

static struct sl_str key_of(const struct azure_upload *u)
{
    return sl_str_from(u->key);
}

static void upload_free(struct azure_upload *u)
{
    sl_mutex_lock(&u->mu);
    struct block *b = u->locked.blocks;
    struct sl_buf kept = u->locked.kept;
    sl_mutex_unlock(&u->mu);
    while (b != NULL) {
        struct block *next = b->next;
        sl_free(b);
        b = next;
    }
    sl_buf_fini(&kept);
    sl_mutex_fini(&u->mu);
    sl_free(u->key);
    sl_free(u);
}

sl_rc sli_azure_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                      struct sl_err *err)
{
    bool exists = false;
    int64_t date_ns = INT64_MIN;
    uint64_t id = 0;
    SL_TRY(sli_key_check(key, err));
    SL_TRY(sli_azure_head(sli_azure_of(be), key, &exists, &date_ns, err));
    if (exists) {
        return SL_FAIL(err, SL_ECONFLICT, "object %.*s exists already", SL_STR_ARG(key));
    }
    SL_TRY(sl_random_bytes((uint8_t *)&id, sizeof id, err));
    struct azure_upload *u = sl_alloc_zero(1, sizeof *u);
    char *copy = sl_strndup(key.ptr, key.len);
    if (u == NULL || copy == NULL) {
        sl_free(u);
        sl_free(copy);
        return SL_NOMEM(err);
    }
    u->up.owner = be;
    u->key = copy;
    u->id = id;
    u->begun_ns = date_ns;
    sl_mutex_init(&u->mu);
    *ret = &u->up;
    return SL_OK;
}

/* ---- blocks ---- */

void sli_azure_block_id(uint64_t upload, uint32_t part_no, char ret[SLI_AZURE_BLOCK_ID_SIZE + 1])
{
    int len = snprintf(ret, SLI_AZURE_BLOCK_ID_SIZE + 1, "sluice-%016llx-%06u",
                       (unsigned long long)upload, part_no % 1000000);
    sl_assert(len == SLI_AZURE_BLOCK_ID_SIZE);
}

static void block_id_add(struct sl_buf *out, uint64_t upload, uint32_t part_no)
{
    char id[SLI_AZURE_BLOCK_ID_SIZE + 1];
    sli_azure_block_id(upload, part_no, id);
    sl_base64_add(out, SL_BYTES(id, SLI_AZURE_BLOCK_ID_SIZE));
}

static sl_rc put_block(struct sli_azure *az, struct azure_upload *u, uint32_t part_no,
                       struct sl_bytes b, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) id = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) crc = SL_BUF_EMPTY;
    block_id_add(&id, u->id, part_no);
    sl_buf_add_text(&query, "comp=block&blockid=");
    sl_percent_encode(sl_buf_str(&id), &query);
    sli_azure_crc64_add(&crc, b);
    if (id.is_failed || query.is_failed || crc.is_failed) {
        return SL_NOMEM(err);
    }
    sl_mutex_lock(&u->mu);
    u->locked.has_sent = true;
    sl_mutex_unlock(&u->mu);
    const struct sl_http_header headers[] = {{"Content-Type", SL_STR("application/octet-stream")},
                                             {"x-ms-content-crc64", sl_buf_str(&crc)}};
    struct sli_azure_call call = {.method = "PUT",
                                  .key = key_of(u),
                                  .query = sl_buf_cstr(&query),
                                  .headers = headers,
                                  .header_count = SL_COUNT_OF(headers),
                                  .body = b,
                                  .cancel = az->store.cancel,
                                  .action = "write",
                                  .check = sli_azure_check_crc64,
                                  .crc64 = sl_buf_str(&crc)};
    return sli_azure_request(az, &call, &reply, err);
}

/* Takes *bytes as part 1. */
static void keep(struct azure_upload *u, struct sl_buf *bytes)
{
    sl_mutex_lock(&u->mu);
    struct sl_buf old = u->locked.kept;
    u->locked.kept = *bytes;
    u->locked.has_kept = true;
    sl_mutex_unlock(&u->mu);
    *bytes = old;
}

sl_rc sli_azure_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no, uint64_t offset,
                     struct sl_bytes b, struct sl_err *err)
{
    struct azure_upload *u = upload_of(up);
    (void)offset; /* the list puts them in order */
    sl_assert(up->owner == be && part_no >= 1);
    struct block *block = sl_alloc(sizeof *block);
    if (block == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = SL_OK;
    if (part_no == 1 && b.len <= KEPT_MAX) {
        SL_AUTO(sl_buf) copy = SL_BUF_EMPTY;
        sl_buf_add(&copy, b);
        rc = sl_buf_done(&copy, err);
        if (rc == SL_OK) {
            keep(u, &copy);
        }
    } else {
        rc = put_block(sli_azure_of(be), u, part_no, b, err);
    }
    if (rc != SL_OK) {
        sl_free(block);
        return rc;
    }
    sl_mutex_lock(&u->mu);
    *block = (struct block){.next = u->locked.blocks, .no = part_no, .size = b.len};
    u->locked.blocks = block;
    sl_mutex_unlock(&u->mu);
    return SL_OK;
}

/* ---- the list ---- */

/* Sizes by part, of exactly part_count parts that are size together. */
static sl_rc sizes_of(struct azure_upload *u, uint32_t part_count, uint64_t size,
                      uint64_t **ret_sizes, struct sl_err *err)
{
    SL_AUTO_MEM(uint64_t) sizes = sl_alloc_zero((size_t)part_count + 1, sizeof *sizes);
    uint64_t sum = 0;
    if (sizes == NULL) {
        return SL_NOMEM(err);
    }
    sl_mutex_lock(&u->mu);
    for (const struct block *b = u->locked.blocks; b != NULL; b = b->next) {
        if (b->no <= part_count) {
            sizes[b->no - 1] = b->size;
        }
    }
    sl_mutex_unlock(&u->mu);
    for (uint32_t i = 0; i < part_count; i++) {
        if (sizes[i] == 0 && size > 0) {
            return SL_FAIL(err, SL_EINTERNAL, "object %s: part %u was not sent", u->key, i + 1);
        }
        sum += sizes[i];
    }
    if (sum != size) {
        return SL_FAIL(err, SL_EINTERNAL, "object %s: %llu of %llu bytes were sent", u->key,
                       (unsigned long long)sum, (unsigned long long)size);
    }
    *ret_sizes = sl_move(&sizes);
    return SL_OK;
}

static sl_rc check_created(const struct sli_azure_call *call, const struct sl_http_reply *reply,
                           struct sl_err *err)
{
    return reply->status == 201 ? SL_OK
                                : SL_FAIL(err, SL_EIO, "%s of %.*s: answered by %d instead of 201",
                                          call->action, SL_STR_ARG(call->key), reply->status);
}

static sl_rc put_list(struct sli_azure *az, struct azure_upload *u, uint32_t part_count,
                      struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
    sl_buf_add_text(&body, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for (uint32_t no = 1; no <= part_count; no++) {
        sl_buf_add_text(&body, "<Uncommitted>");
        block_id_add(&body, u->id, no);
        sl_buf_add_text(&body, "</Uncommitted>");
    }
    sl_buf_add_text(&body, "</BlockList>");
    SL_TRY(sl_buf_done(&body, err));
    const struct sl_http_header headers[] = {
        {"Content-Type", SL_STR("application/xml")},
        {"x-ms-blob-content-type", SL_STR("application/octet-stream")},
        {"If-None-Match", SL_STR("*")}};
    struct sli_azure_call call = {.method = "PUT",
                                  .key = key_of(u),
                                  .query = "comp=blocklist",
                                  .headers = headers,
                                  .header_count = SL_COUNT_OF(headers),
                                  .body = sl_buf_view(&body),
                                  .cancel = az->store.cancel,
                                  .action = "write",
                                  .check = check_created};
    return sli_azure_request(az, &call, &reply, err);
}

/* What Get Block List tells, against what should be there. */
struct told {
    const char *prefix; /* of the ids of our blocks */
    const uint64_t *sizes;
    uint32_t part_count;
    uint64_t upload;
    struct sl_buf name;
    uint64_t size;
    uint32_t committed, uncommitted, foreign; /* blocks; foreign: not as they should be */
};

/* Counts a committed block: is it the next of our list? */
static sl_rc count_committed(struct told *t, struct sl_err *err)
{
    SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
    bool is_next = false;
    if (t->committed < t->part_count) {
        block_id_add(&want, t->upload, t->committed + 1);
        SL_TRY(sl_buf_done(&want, err));
        is_next =
            sl_str_eq(sl_buf_str(&want), sl_buf_str(&t->name)) && t->size == t->sizes[t->committed];
    }
    t->foreign += is_next ? 0 : 1;
    t->committed++;
    return SL_OK;
}

/* Counts another: does its id begin as those we look for? */
static sl_rc count_uncommitted(struct told *t, struct sl_err *err)
{
    SL_AUTO(sl_buf) id = SL_BUF_EMPTY;
    bool is_ours = sl_base64_parse(sl_buf_str(&t->name), &id) &&
                   id.len == SLI_AZURE_BLOCK_ID_SIZE && sl_str_starts(sl_buf_str(&id), t->prefix);
    SL_TRY(sl_buf_done(&id, err));
    t->foreign += is_ours ? 0 : 1;
    t->uncommitted++;
    return SL_OK;
}

static sl_rc on_block(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct told *t = arg;
    if (sl_str_ends(path, "/Block/Name")) {
        sl_buf_clear(&t->name);
        sl_buf_add_str(&t->name, text);
        return sl_buf_done(&t->name, err);
    }
    if (sl_str_ends(path, "/Block/Size")) {
        return sl_u64_parse(text, &t->size) ? SL_OK
                                            : SL_FAIL(err, SL_EIO, "a block without a size");
    }
    if (sl_str_is(path, "BlockList/CommittedBlocks/Block")) {
        return count_committed(t, err);
    }
    return sl_str_is(path, "BlockList/UncommittedBlocks/Block") ? count_uncommitted(t, err) : SL_OK;
}

static sl_rc get_list(struct sli_azure *az, struct sl_str key, const char *query,
                      struct sli_azure_call how, struct told *t, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    how.method = "GET";
    how.key = key;
    how.query = query;
    how.reply_max = LIST_MAX;
    how.action = "look-up";
    sl_rc rc = sli_azure_request(az, &how, &reply, err);
    if (rc == SL_OK) {
        rc = sl_xml_read(sl_buf_view(&reply.body), on_block, t, err);
    }
    sl_buf_fini(&t->name);
    return rc;
}

/* Does the service hold exactly our blocks as the object? SL_ECONFLICT: another object. */
static sl_rc verify(struct sli_azure *az, struct azure_upload *u, const uint64_t *sizes,
                    uint32_t part_count, struct sl_err *err)
{
    struct told t = {.prefix = "", .sizes = sizes, .part_count = part_count, .upload = u->id};
    struct sli_azure_call how = {.cancel = az->store.cancel};
    sl_rc rc = get_list(az, key_of(u), "comp=blocklist&blocklisttype=committed", how, &t, err);
    bool exists = rc != SL_ENOTFOUND;
    if (rc == SL_OK &&
        t.committed == 0) { /* an object without blocks, or blocks without an object */
        int64_t date_ns = INT64_MIN;
        SL_TRY(sli_azure_head(az, key_of(u), &exists, &date_ns, err));
    }
    if (!exists) {
        return SL_FAIL(err, SL_EIO, "object %s: the service lost blocks of it; export again",
                       u->key);
    }
    SL_TRY(rc);
    if (t.foreign > 0 || t.committed != part_count) {
        u->is_taken = true;
        return SL_FAIL(err, SL_ECONFLICT, "object %s exists already, with other bytes", u->key);
    }
    return SL_OK;
}

/* Part 1 as the object, or as a block when others follow. */
static sl_rc send_kept(struct sli_azure *az, struct azure_upload *u, bool is_all,
                       struct sl_err *err)
{
    struct sl_buf kept;
    sl_mutex_lock(&u->mu);
    kept = u->locked.kept; /* complete is called by one thread, after all parts */
    sl_mutex_unlock(&u->mu);
    if (!is_all) {
        return put_block(az, u, 1, sl_buf_view(&kept), err);
    }
    sl_rc rc = sli_azure_put_blob(az, key_of(u), sl_buf_view(&kept), SL_PUT_NEW, az->store.cancel,
                                  &u->is_unclear, err);
    u->is_taken = rc == SL_ECONFLICT;
    return rc;
}

sl_rc sli_azure_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                         uint64_t size, struct sl_err *err)
{
    struct sli_azure *az = sli_azure_of(be);
    struct azure_upload *u = upload_of(up);
    SL_AUTO_MEM(uint64_t) sizes = NULL;
    sl_assert(up->owner == be && (part_count > 0 || size == 0));
    SL_TRY(sizes_of(u, part_count, size, &sizes, err));
    sl_mutex_lock(&u->mu);
    bool has_kept = u->locked.has_kept;
    sl_mutex_unlock(&u->mu);
    if (part_count == 0 || (part_count == 1 && has_kept)) {
        SL_TRY(send_kept(az, u, true, err));
    } else {
        if (has_kept) {
            SL_TRY(send_kept(az, u, false, err));
        }
        sl_rc rc = put_list(az, u, part_count, err);
        if (rc != SL_OK && rc != SL_ECONFLICT) {
            return rc;
        }
        SL_TRY(verify(az, u, sizes, part_count, err));
    }
    upload_free(u);
    return SL_OK;
}

/* ---- clearing away ---- */

/* Deletes the blocks under key when they are all that is there and their ids begin so. since_ns:
 * the service's clock at a moment before which no object lay there. */
static sl_rc clear(struct sli_azure *az, struct sl_str key, const char *prefix, int64_t since_ns,
                   struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) date = SL_BUF_EMPTY;
    struct told t = {.prefix = prefix};
    struct sli_azure_call call = {.deadline_ns = CLEAR_NS};
    SL_TRY(get_list(az, key, "comp=blocklist&blocklisttype=all", call, &t, err));
    if (t.committed > 0 || t.foreign > 0 || t.uncommitted == 0) {
        return SL_OK;
    }
    /* Dates have seconds: one earlier, or an object written in the same second would go. */
    sli_azure_date_add(&date, since_ns - INT64_C(1000000000));
    SL_TRY(sl_buf_done(&date, err));
    const struct sl_http_header header = {"If-Unmodified-Since", sl_buf_str(&date)};
    call = (struct sli_azure_call){.method = "DELETE",
                                   .key = key,
                                   .headers = &header,
                                   .header_count = 1,
                                   .deadline_ns = CLEAR_NS,
                                   .action = "removal"};
    return sli_azure_request(az, &call, &reply, err);
}

void sli_azure_cancel(struct sl_backend *be, struct sl_upload *up)
{
    if (up == NULL) {
        return;
    }
    struct azure_upload *u = upload_of(up);
    char prefix[SLI_AZURE_BLOCK_ID_SIZE + 1];
    sl_assert(up->owner == be);
    sl_mutex_lock(&u->mu);
    bool has_sent = u->locked.has_sent;
    sl_mutex_unlock(&u->mu);
    if (has_sent && !u->is_taken && u->begun_ns != INT64_MIN) {
        sli_azure_block_id(u->id, 0, prefix);
        prefix[SLI_AZURE_BLOCK_ID_SIZE - 6] = '\0';
        SL_IGNORE(clear(sli_azure_of(be), key_of(u), prefix, u->begun_ns, NULL),
                  "what stays is seen by nobody and vanishes after a week");
    }
    upload_free(u);
}

/* Names of blobs without bytes: candidates, since blocks without a list count nothing. */
struct empties {
    struct sl_buf names; /* u32 length, name */
    struct sl_buf name;
    struct sl_str cut;
    bool is_empty;
};

static sl_rc on_candidate(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct empties *e = arg;
    if (sl_str_is(path, "EnumerationResults/Blobs/Blob/Name")) {
        sl_buf_clear(&e->name);
        sl_buf_add_str(&e->name, text);
        e->is_empty = true;
        return sl_buf_done(&e->name, err);
    }
    if (sl_str_is(path, "EnumerationResults/Blobs/Blob/Properties/Content-Length")) {
        e->is_empty = sl_str_is(text, "0");
        return SL_OK;
    }
    if (sl_str_is(path, "EnumerationResults/Blobs/Blob") && e->is_empty &&
        sli_key_has_prefix(sl_buf_str(&e->name), e->cut)) {
        sl_buf_add_u32(&e->names, (uint32_t)(e->name.len - e->cut.len));
        sl_buf_add(&e->names, SL_BYTES(e->name.ptr + e->cut.len, e->name.len - e->cut.len));
        return sl_buf_done(&e->names, err);
    }
    return SL_OK;
}

static sl_rc clear_all(struct sli_azure *az, const struct sl_buf *names, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(sl_buf_view(names));
    while (sl_rd_left(&rd) > 0) {
        uint32_t len = sl_rd_u32(&rd);
        struct sl_str key = sl_bytes_str(sl_rd_bytes(&rd, len));
        bool exists = false;
        int64_t date_ns = INT64_MIN;
        if (sli_key_check(key, NULL) != SL_OK) {
            continue;
        }
        SL_TRY(sli_azure_head(az, key, &exists, &date_ns, err));
        if (!exists && date_ns != INT64_MIN) {
            SL_IGNORE(clear(az, key, "sluice-", date_ns, NULL),
                      "what stays is seen by nobody and vanishes after a week");
        }
    }
    return SL_OK;
}

sl_rc sli_azure_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err)
{
    struct sli_azure *az = sli_azure_of(be);
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_TRY(sli_prefix_check(prefix, err));
    sl_buf_add_text(&query, "include=uncommittedblobs&");
    sli_azure_query_add(az, "prefix", prefix, &query);
    SL_TRY(sl_buf_done(&query, err));
    struct empties e = {.cut = sl_str_from(az->store.prefix)};
    sl_rc rc = sli_azure_list_pages(az, sl_buf_cstr(&query), on_candidate, &e, err);
    if (rc == SL_OK) {
        rc = clear_all(az, &e.names, err);
    }
    sl_buf_fini(&e.names);
    sl_buf_fini(&e.name);
    return rc;
}
