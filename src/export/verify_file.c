/* One file of an export: its bytes, its footer and its rows against what is told of them.
 *
 * With a line of a manifest: size and SHA-256, then the footer, then, when deep, every page and the
 * hash of the rows made again. Without one: the footer, and the pages when deep. A failure is a
 * sentence without the file's name, which verify.c puts before it. Reads through its worker's
 * reader alone, so any number of files can be looked at at the same time. Memory: a block of 8 MiB
 * per reader; then the footer and, when deep, what layout/read.h holds. @threads any, one per
 * reader. */
#include "base/str.h"
#include "export/export_int.h"
#include "export/verify_int.h"
#include "layout/read.h"
#include "layout/rowhash.h"

#define BLOCK_BYTES (8u << 20) /* smaller ones ask a store more often than its bytes take */
/* A block of this size begins 16 bytes into a page, and to there the kernel copies from its cache
 * at a third of the pace (1.9 instead of 6 GB/s): bytes of a page and where they go to, 16 further,
 * look alike to the processor. These first bytes stay unused. */
#define BLOCK_SKIP 48
#define PAGE_MAX   (2147483647u)

void sli_verify_reader_fini(struct sli_verify_reader *r)
{
    sl_buf_fini(&r->block);
}

/* ---- bytes of one file ---- */

struct reading {
    const struct sli_verify_reader *r;
    const struct sli_verify_object *o;
};

static sl_rc read_at(void *arg, uint64_t offset, size_t len, struct sl_buf *out, struct sl_err *err)
{
    const struct reading *of = arg;
    struct sl_backend *be = of->r->be;
    size_t before = out->len;
    if (sl_cancel_is_set(of->r->stop)) {
        return SL_FAIL(err, SL_ECANCELED, "the check was canceled");
    }
    SL_TRY(be->ops->read(be, of->o->key, offset, len, out, err));
    if (out->len - before != len) {
        return SL_FAIL(err, SL_ECORRUPT, "%zu bytes at %llu were expected, %zu are there", len,
                       (unsigned long long)offset, out->len - before);
    }
    return SL_OK;
}

sl_rc sli_verify_hash(struct sli_verify_reader *r, const struct sli_verify_object *o,
                      struct sl_buf *hex, struct sl_err *err)
{
    SL_AUTO_PTR(sl_sha256) sha = sl_sha256_new();
    struct reading of = {r, o};
    uint8_t digest[SL_SHA256_SIZE];
    if (sha == NULL) {
        return SL_NOMEM(err);
    }
    sl_buf_clear(&r->block);
    if (sl_buf_reserve(&r->block, BLOCK_SKIP + BLOCK_BYTES) == NULL) {
        return SL_NOMEM(err);
    }
    for (uint64_t at = 0; at < o->size; at += r->block.len - BLOCK_SKIP) {
        size_t len = (size_t)SL_MIN(o->size - at, (uint64_t)BLOCK_BYTES);
        r->block.len = BLOCK_SKIP;
        SL_TRY(read_at(&of, at, len, &r->block, err));
        sl_sha256_add(sha, SL_BYTES(r->block.ptr + BLOCK_SKIP, len));
    }
    SL_TRY(sl_sha256_end(sha, digest, err));
    sl_hex_add(hex, SL_BYTES(digest, sizeof(digest)));
    return sl_buf_done(hex, err);
}

/* ---- one file against its line of the manifest ---- */

const char *sli_verify_text(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text == NULL ? "" : text;
}

uint64_t sli_verify_number(const json_t *line, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(line, key));
}

static sl_rc expect_text(const char *what, const char *want, const char *found, struct sl_err *err)
{
    return strcmp(want, found) == 0
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "%s: the manifest says %s, found %s", what, want, found);
}

static sl_rc expect_number(const char *what, uint64_t want, uint64_t found, struct sl_err *err)
{
    return want == found ? SL_OK
                         : SL_FAIL(err, SL_ECORRUPT, "%s: the manifest says %llu, found %llu", what,
                                   (unsigned long long)want, (unsigned long long)found);
}

/* What a line lacks would pass as nothing or zero. */
sl_rc sli_verify_line(const json_t *line, struct sl_err *err)
{
    static const char *const texts[] = {"path", "sha256", "collection"};
    static const char *const numbers[] = {"bytes", "rows", "rowGroups"};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        if (!json_is_string(json_object_get(line, texts[i]))) {
            return SL_FAIL(err, SL_ECORRUPT, "its line in the manifest has no text %s", texts[i]);
        }
    }
    for (size_t i = 0; i < SL_COUNT_OF(numbers); i++) {
        const json_t *number = json_object_get(line, numbers[i]);
        if (!json_is_integer(number) || json_integer_value(number) < 0) {
            return SL_FAIL(err, SL_ECORRUPT, "its line in the manifest has no count %s",
                           numbers[i]);
        }
    }
    return SL_OK;
}

static sl_rc check_bytes(struct sli_verify_reader *r, const struct sli_verify_object *o,
                         const json_t *line, struct sl_err *err)
{
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    SL_TRY(expect_number("bytes", sli_verify_number(line, "bytes"), o->size, err));
    SL_TRY(sli_verify_hash(r, o, &hex, err));
    return expect_text("SHA-256", sli_verify_text(line, "sha256"), sl_buf_cstr(&hex), err);
}

static sl_rc check_key(const struct sl_pq_file *f, const char *key, const char *want,
                       struct sl_err *err)
{
    struct sl_str found = {0};
    if (!sl_pq_file_key(f, key, &found)) {
        return want[0] == '\0'
                   ? SL_OK
                   : SL_FAIL(err, SL_ECORRUPT,
                             "key %s of the footer: the manifest says %s, it has none", key, want);
    }
    return sl_str_is(found, want)
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "key %s of the footer: the manifest says %s, found %.*s",
                         key, want, SL_STR_ARG(found));
}

static sl_rc check_footer(const struct sl_pq_source *source, const json_t *line, struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    SL_TRY(sl_pq_file_open(source, &f, err));
    SL_TRY(expect_number("rows of the footer", sli_verify_number(line, "rows"), sl_pq_file_rows(f),
                         err));
    SL_TRY(expect_number("row groups of the footer", sli_verify_number(line, "rowGroups"),
                         sl_pq_file_groups(f), err));
    SL_TRY(check_key(f, "sluice.row_hash", sli_verify_text(line, "rowHash"), err));
    SL_TRY(check_key(f, "collection", sli_verify_text(line, "collection"), err));
    return check_key(f, "tenant", sli_verify_text(line, "tenant"), err);
}

struct walk {
    uint64_t rows, hash;
    char first[SL_UUID_TEXT_SIZE + 1], last[SL_UUID_TEXT_SIZE + 1];
};

static sl_rc walk_rows(const struct sl_pq_source *source, struct sl_object *obj, struct walk *ret,
                       struct sl_err *err)
{
    SL_AUTO_PTR(sl_layout_reader) reader = NULL;
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    SL_TRY(sl_layout_reader_open(source, &reader, err));
    for (;; ret->rows++) {
        uint64_t hash = 0;
        sl_rc rc = sl_layout_read(reader, obj, err);
        if (rc == SL_END) {
            return SL_OK;
        }
        SL_TRY(rc);
        SL_TRY(sl_row_hash(obj, &scratch, &hash, err));
        ret->hash += hash;
        sl_uuid_format(obj->uuid, ret->last);
        if (ret->rows == 0) {
            memcpy(ret->first, ret->last, sizeof(ret->first));
        }
    }
}

/* Decodes every page of every column; each must have all rows. */
static sl_rc check_pages(const struct sl_pq_source *source, struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    SL_TRY(sl_pq_file_open(source, &f, err));
    for (uint32_t group = 0; group < sl_pq_file_groups(f); group++) {
        for (uint32_t leaf = 0; leaf < sl_pq_file_leaves(f); leaf++) {
            SL_AUTO_PTR(sl_pq_chunk) chunk = NULL;
            struct sl_pq_batch batch = {0};
            uint64_t rows = 0;
            SL_TRY(sl_pq_chunk_open(f, group, leaf, &chunk, err));
            sl_rc rc = SL_OK;
            while ((rc = sl_pq_chunk_next(chunk, &batch, err)) == SL_OK) {
                for (uint32_t i = 0; i < batch.level_count; i++) {
                    rows += batch.rep == NULL || batch.rep[i] == 0;
                }
            }
            if (rc != SL_END) {
                return rc;
            }
            if (rows != sl_pq_file_group_rows(f, group)) {
                return SL_FAIL(err, SL_ECORRUPT,
                               "row group %u, column %.*s: %llu rows, the footer says %llu", group,
                               SL_STR_ARG(sl_pq_file_leaf(f, leaf)->path), (unsigned long long)rows,
                               (unsigned long long)sl_pq_file_group_rows(f, group));
            }
        }
    }
    return SL_OK;
}

/* Decodes everything. line NULL: there is nothing to compare with. Rows that lack columns, by the
 * wish of who exported them, have no hash. */
static sl_rc check_rows(const struct sl_pq_source *source, const json_t *line, struct sl_err *err)
{
    struct walk walk = {0};
    char hash[SL_ROW_HASH_DIGITS + 1];
    SL_TRY(check_pages(source, err));
    if (line == NULL || json_object_get(line, "rowHash") == NULL) {
        return SL_OK;
    }
    struct sl_object *obj = sl_alloc(sizeof(*obj));
    sl_rc rc = obj == NULL ? SL_NOMEM(err) : walk_rows(source, obj, &walk, err);
    sl_free(obj);
    SL_TRY(rc);
    snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)walk.hash);
    SL_TRY(expect_number("rows read", sli_verify_number(line, "rows"), walk.rows, err));
    SL_TRY(expect_text("hash of the rows", sli_verify_text(line, "rowHash"), hash, err));
    SL_TRY(expect_text("first id", sli_verify_text(line, "firstId"), walk.first, err));
    return expect_text("last id", sli_verify_text(line, "lastId"), walk.last, err);
}

sl_rc sli_verify_named(struct sli_verify_reader *r, const struct sli_verify_object *o,
                       const json_t *line, struct sli_verify_content *ret, struct sl_err *err)
{
    struct reading of = {r, o};
    struct sl_pq_source source = {
        .read_at = read_at, .arg = &of, .size = o->size, .page_max = PAGE_MAX};
    SL_TRY(check_bytes(r, o, line, err));
    SL_TRY(check_footer(&source, line, err));
    ret->rows = sli_verify_number(line, "rows");
    ret->bytes = o->size;
    return r->is_deep ? check_rows(&source, line, err) : SL_OK;
}

/* ---- one file without a manifest ---- */

sl_rc sli_verify_plain(struct sli_verify_reader *r, const struct sli_verify_object *o,
                       struct sli_verify_content *ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    struct reading of = {r, o};
    struct sl_pq_source source = {
        .read_at = read_at, .arg = &of, .size = o->size, .page_max = PAGE_MAX};
    struct sl_str name = {0};
    SL_TRY(sl_pq_file_open(&source, &f, err));
    if (sl_pq_file_key(f, "sluice.row_hash", &name)) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "it was written with a manifest, but _manifest.json is not there");
    }
    if (!sl_pq_file_key(f, "collection", &name)) {
        return SL_FAIL(err, SL_ECORRUPT, "the footer has no key collection");
    }
    SL_AUTO_MEM(char) collection = sl_strndup(name.ptr, name.len);
    if (collection == NULL) {
        return SL_NOMEM(err);
    }
    if (sl_utf8_valid_len(sl_str_from(collection)) != strlen(collection)) {
        return SL_FAIL(err, SL_ECORRUPT, "its key collection is not UTF-8");
    }
    ret->collection = sl_move(&collection);
    ret->rows = sl_pq_file_rows(f);
    ret->bytes = o->size;
    return r->is_deep ? check_rows(&source, NULL, err) : SL_OK;
}
