/* Backups as a source: a real one, and its bytes again in all layouts that servers write; what is
 * refused, what is damaged, and what failing allocations and file calls leave behind.
 *
 * Real: tests/data/backup/frozen-zstd, for which the server answered 20 objects a tenant. */
#include <setjmp.h> /* cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#define ZLIB_CONST /* next_in is only read */
#include <zlib.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "source/weaviate.h"
#include "tar_writer.h"

#define REAL    SL_TEST_DATA "/backup/frozen-zstd"
#define OBJECTS 20
#define SEGMENT "lsm/objects/segment-1795432814664539980.l0.s0.db" /* of hot1 */

/* ---- a place for backups ---- */

struct place {
    char root[64];
    struct sl_buf segment; /* of tenant hot1, taken out of its chunk */
    uint8_t ids[OBJECTS][SL_UUID_SIZE];
};
static struct place here;

static const char *path_of(const char *name)
{
    static char text[4][512];
    static int next;
    next = (next + 1) % 4;
    (void)snprintf(text[next], sizeof(text[next]), "%s/%s", here.root, name);
    return text[next];
}

static void put(const char *name, struct sl_bytes b)
{
    SL_AUTO(sl_buf) folder = SL_BUF_EMPTY;
    sl_buf_add_text(&folder, path_of(name));
    folder.len = (size_t)(strrchr(sl_buf_cstr(&folder), '/') - (char *)folder.ptr);
    assert_int_equal(sl_dir_create(sl_buf_cstr(&folder), NULL), SL_OK);
    assert_int_equal(sl_file_write_all(path_of(name), b, NULL), SL_OK);
}

static void put_text(const char *name, const char *text)
{
    put(name, SL_BYTES(text, strlen(text)));
}

static void put_gzip(const char *name, struct sl_bytes b)
{
    static uint8_t packed[1 << 20];
    z_stream z = {.next_in = b.ptr, .avail_in = (uInt)b.len, .next_out = packed};
    z.avail_out = sizeof(packed);
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    put(name, SL_BYTES(packed, z.total_out));
    assert_int_equal(deflateEnd(&z), Z_OK);
}

static void put_zstd(const char *name, struct sl_bytes b)
{
    static uint8_t packed[1 << 20];
    size_t n = ZSTD_compress(packed, sizeof(packed), b.ptr, b.len, 3);
    assert_false(ZSTD_isError(n));
    put(name, SL_BYTES(packed, n));
}

/* The body of the entry whose header begins with this name. */
static void take_out(struct sl_bytes tar, const char *name, struct sl_buf *ret)
{
    for (size_t at = 0; at + 512 <= tar.len; at += 512) {
        if (strcmp((const char *)tar.ptr + at, name) == 0) {
            size_t size = strtoul((const char *)tar.ptr + at + 124, NULL, 8);
            sl_buf_add(ret, SL_BYTES(tar.ptr + at + 512, size));
            return;
        }
    }
    fail_msg("no entry %s", name);
}

static int open_place(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) packed = SL_BUF_EMPTY;
    static uint8_t tar[5 << 20];
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(here.root, sizeof(here.root), "%s/backup-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(here.root));
    assert_int_equal(sl_file_read_all(REAL "/node1/Off/chunk-2", sizeof(tar), &packed, NULL),
                     SL_OK);
    ZSTD_DCtx *d = ZSTD_createDCtx(); /* the frame does not say its size */
    ZSTD_inBuffer in = {packed.ptr, packed.len, 0};
    ZSTD_outBuffer out = {tar, sizeof(tar), 0};
    assert_int_equal(ZSTD_decompressStream(d, &out, &in), 0);
    (void)ZSTD_freeDCtx(d);
    take_out(SL_BYTES(tar, out.pos), "off/hot1/" SEGMENT, &here.segment);
    return 0;
}

static int close_place(void **state SL_UNUSED)
{
    sl_buf_fini(&here.segment);
    return sl_dir_remove_tree(here.root, NULL) == SL_OK ? 0 : -1;
}

static uint32_t open_files(void)
{
    uint32_t count = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d) != NULL) {
        count++;
    }
    (void)closedir(d);
    return count;
}

/* ---- reading ---- */

struct outcome {
    uint32_t shards, read, skipped, left_out;
    uint64_t objects;
    char reasons[1024];
    uint8_t first_ids[OBJECTS][SL_UUID_SIZE]; /* of the last shard that was read */
    struct sl_weaviate_room room;
};

static void note_left_out(void *arg, struct sl_str class_name SL_UNUSED,
                          struct sl_str shard SL_UNUSED, const char *what)
{
    assert_non_null(what);
    ((struct outcome *)arg)->left_out++;
}

static sl_rc read_range(struct sl_frozen *fz, const struct sl_shard *s,
                        const struct sl_range_key *range, struct outcome *o, uint64_t *count,
                        struct sl_err *err)
{
    SL_AUTO_PTR(sl_cursor) c = NULL;
    const struct sl_object *obj = NULL;
    SL_TRY(fz->ops->cursor(fz, s, range, &c, err));
    for (;;) {
        sl_rc rc = sl_cursor_next(c, &obj, err);
        if (rc != SL_OK) {
            return rc == SL_END ? SL_OK : rc;
        }
        if (*count < OBJECTS) {
            memcpy(o->first_ids[*count], obj->uuid, SL_UUID_SIZE);
        }
        ++*count;
        o->objects++;
    }
}

static sl_rc read_shard(struct sl_frozen *fz, const struct sl_shard *s, struct sl_arena *arena,
                        struct outcome *o, struct sl_err *err)
{
    struct sl_range_key *ranges = NULL;
    uint32_t count = 0;
    uint64_t objects = 0;
    o->shards++;
    if (s->skip_reason.len > 0) {
        o->skipped++;
        strncat(o->reasons, s->skip_reason.ptr, sizeof(o->reasons) - strlen(o->reasons) - 1);
        return SL_OK;
    }
    SL_TRY(fz->ops->split(fz, s, 3, arena, &ranges, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(read_range(fz, s, &ranges[i], o, &objects, err));
    }
    o->read++;
    return SL_OK;
}

static sl_rc read_frozen(struct sl_source *src, struct sl_frozen *fz, struct sl_arena *arena,
                         struct outcome *o, struct sl_err *err)
{
    struct sl_str *classes = NULL;
    uint32_t count = 0;
    SL_TRY(src->ops->classes(src, arena, &classes, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        struct sl_shard *shards = NULL;
        uint32_t shard_count = 0;
        SL_TRY(fz->ops->shards(fz, classes[i], arena, &shards, &shard_count, err));
        for (uint32_t k = 0; k < shard_count; k++) {
            SL_TRY(read_shard(fz, &shards[k], arena, o, err));
        }
    }
    return SL_OK;
}

static sl_rc read_backup(const char *path, bool is_forgiving, struct outcome *o, struct sl_err *err)
{
    struct sl_arena arena = {0};
    SL_AUTO_PTR(sl_source) src = NULL;
    struct sl_frozen *fz = NULL;
    *o = (struct outcome){0};
    struct sl_weaviate_opts opts = {.clock = sl_clock_real(),
                                    .spool_path = here.root,
                                    .room = &o->room,
                                    .left_out = is_forgiving ? note_left_out : NULL,
                                    .left_out_arg = o};
    sl_rc rc = sl_source_weaviate_open(path, SL_KIND_BACKUP, &opts, &src, err);
    if (rc == SL_OK) {
        rc = src->ops->freeze(src, SL_STR("x"), &fz, err);
    }
    if (rc == SL_OK) {
        rc = read_frozen(src, fz, &arena, o, err);
    }
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
    return rc;
}

/* Nothing is left behind, whatever happened. */
static sl_rc read_clean(const char *path, bool is_forgiving, struct outcome *o, struct sl_err *err)
{
    uint32_t files = open_files();
    int64_t live = sl_mem_live();
    sl_rc rc = read_backup(path, is_forgiving, o, err);
    assert_int_equal(open_files(), files);
    assert_int_equal(sl_mem_live(), live);
    return rc;
}

/* ---- descriptors ---- */

static void add_base64(struct sl_buf *out, const char *text)
{
    sl_base64_add(out, SL_BYTES(text, strlen(text)));
}

/* A node's descriptor with class Off and one JSON object for each of its shards. */
static void put_node(const char *name, const char *status, const char *states, const char *chunks,
                     const char *shards)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) state = SL_BUF_EMPTY;
    sl_buf_addf(&state, "{\"partitioningEnabled\":true,\"physical\":{%s},\"virtual\":null}",
                states);
    sl_buf_addf(&out,
                "{\"id\":\"x\",\"status\":\"%s\",\"completedAt\":\"0001-01-01T00:00:00Z\","
                "\"serverVersion\":\"1.34.20\",\"error\":\"no disk\",\"classes\":[{"
                "\"name\":\"Off\",\"schema\":\"",
                status);
    add_base64(&out, "{\"class\":\"Off\",\"multiTenancyConfig\":{\"enabled\":true}}");
    sl_buf_add_text(&out, "\",\"shardingState\":\"");
    add_base64(&out, sl_buf_cstr(&state));
    sl_buf_addf(&out, "\",\"chunks\":{%s},\"shards\":[%s]}]}", chunks, shards);
    put(name, sl_buf_view(&out));
}

#define STATE(name, status) \
    "\"" name "\":{\"name\":\"" name "\",\"belongsToNodes\":[\"n1\"],\"status\":\"" status "\"}"
#define FILE_OF(tenant) "\"off/" tenant "/" SEGMENT "\""
#define SHARD(tenant)   "{\"name\":\"" tenant "\",\"node\":\"n1\",\"files\":[" FILE_OF(tenant) "]}"

static void expect_objects(const char *path, uint32_t shards_read)
{
    struct outcome o;
    struct sl_err err = {0};
    sl_rc rc = read_clean(path, false, &o, &err);
    if (rc != SL_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(o.read, shards_read);
    assert_int_equal(o.objects, OBJECTS * shards_read);
    assert_memory_equal(o.first_ids, here.ids, sizeof(here.ids));
}

/* ---- the tests ---- */

static void real_backup(void **state SL_UNUSED)
{
    struct outcome o;
    assert_int_equal(read_clean(REAL, false, &o, NULL), SL_OK);
    assert_int_equal(o.shards, 6);
    assert_int_equal(o.read, 4);
    assert_int_equal(o.objects, 4 * OBJECTS);
    assert_string_equal(o.reasons, "tenant status is FROZEN"
                                   "tenant status is FROZEN");
    assert_true(o.room.needed > 0 && o.room.needed < o.room.free);
}

static void file_whole_in_a_packed_chunk_of_two_tenants(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) tar = SL_BUF_EMPTY;
    tar_file(&tar, "", SL_BYTES("", 0));
    tar_file(&tar, "off/a/" SEGMENT, sl_buf_view(&here.segment));
    tar_file(&tar, "off/a/main.hnsw.commitlog.d/1", SL_BYTES("noise", 5));
    tar_file(&tar, "off/b/" SEGMENT, sl_buf_view(&here.segment));
    tar_end(&tar);
    put_node("two/n1/backup.json", "SUCCESS",
             STATE("a", "HOT") "," STATE("b", "HOT") "," STATE("c", "COLD"), "\"1\":[\"a\",\"b\"]",
             SHARD("b") "," SHARD("a"));
    put_gzip("two/n1/Off/chunk-1", sl_buf_view(&tar));
    expect_objects(path_of("two"), 2);
    put_zstd("two/n1/Off/chunk-1", sl_buf_view(&tar));
    expect_objects(path_of("two"), 2);
    put("two/n1/Off/chunk-1", sl_buf_view(&tar));
    expect_objects(path_of("two"), 2);

    struct outcome o;
    assert_int_equal(read_clean(path_of("two"), false, &o, NULL), SL_OK);
    assert_string_equal(o.reasons, "tenant is COLD and the backup (server 1.34.20) left it out; "
                                   "Weaviate before 1.35.17 backs up loaded tenants only");
    assert_int_equal(o.room.needed, 0);
}

/* Servers before 1.23: no folder a class, `docIdCounter` fields, one chunk number a shard. */
static void flat_names_of_old_servers(void **state SL_UNUSED)
{
    static const char file[] = "off_a_lsm/objects/segment-1795432814664539980.db";
    SL_AUTO(sl_buf) tar = SL_BUF_EMPTY;
    tar_file(&tar, "off_a.indexcount", SL_BYTES("12345678", 8));
    tar_file(&tar, file, sl_buf_view(&here.segment));
    tar_end(&tar);
    put_node("flat/n1/backup.json", "SUCCESS", STATE("a", "HOT"), "\"1\":[\"a\"]",
             "{\"name\":\"a\",\"node\":\"n1\",\"chunk\":1,\"docIdCounter\":\"AAA=\",\"files\":["
             "\"off_a_lsm/objects/segment-1795432814664539980.db\"]}");
    put_gzip("flat/n1/Off/chunk-1", sl_buf_view(&tar));
    expect_objects(path_of("flat"), 1);
}

/* Three parts in two chunks, out of order, beside a whole file. */
static void put_split(const char *folder, bool is_packed)
{
    SL_AUTO(sl_buf) one = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) two = SL_BUF_EMPTY;
    char name[64];
    size_t third = here.segment.len / 3, last = here.segment.len - 2 * third;
    tar_part(&one, "off/a/" SEGMENT, 2 * third, SL_BYTES(here.segment.ptr + 2 * third, last));
    tar_part(&one, "off/a/" SEGMENT, 0, SL_BYTES(here.segment.ptr, third));
    tar_end(&one);
    tar_part(&two, "off/a/" SEGMENT, third, SL_BYTES(here.segment.ptr + third, third));
    tar_end(&two);
    (void)snprintf(name, sizeof(name), "%s/n1/Off/chunk-2", folder);
    (is_packed ? put_zstd : put)(name, sl_buf_view(&one));
    (void)snprintf(name, sizeof(name), "%s/n1/Off/chunk-10", folder);
    (is_packed ? put_zstd : put)(name, sl_buf_view(&two));
}

#define BIG                                                                     \
    "{\"name\":\"a\",\"files\":[" FILE_OF("a") "],\"bigFilesChunk\":{" FILE_OF( \
        "a") ":"                                                                \
             "{\"chunkKeys\":[\"Off/chunk-2\",\"Off/chunk-10\"],\"size\":%zu}}}"

static void file_in_parts(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) shard = SL_BUF_EMPTY;
    sl_buf_addf(&shard, BIG, here.segment.len);
    put_node("parts/n1/backup.json", "SUCCESS", STATE("a", "HOT"), "\"10\":[\"a\"],\"2\":[\"a\"]",
             sl_buf_cstr(&shard));
    put_split("parts", false);
    expect_objects(path_of("parts"), 1);
    put_split("parts", true);
    expect_objects(path_of("parts"), 1);
}

static void file_of_a_base_backup(void **state SL_UNUSED)
{
    static const char shard[] =
        "{\"name\":\"a\",\"files\":[],\"incrementalBackupInfo\":{\"filesPerBackup\":{\"base\":[{"
        "\"file\":" FILE_OF("a") ",\"chunkKeys\":[\"Off/chunk-2\",\"Off/chunk-10\"]}]}}}";
    struct outcome o;
    struct sl_err err = {0};
    put_node("incr/n1/backup.json", "SUCCESS", STATE("a", "HOT"), "", shard);
    assert_int_equal(read_clean(path_of("incr"), false, &o, &err), SL_EIO);
    assert_non_null(strstr(err.text, "its base \"base\" is missing"));
    put_split("base", true);
    expect_objects(path_of("incr"), 1);
    expect_objects(path_of("incr/"), 1);
    expect_objects(path_of("incr/."), 1);
}

static void replicas_are_read_once(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) tar = SL_BUF_EMPTY;
    static const char *const nodes[] = {"n0", "n1", "n2"};
    tar_file(&tar, "off/a/" SEGMENT, sl_buf_view(&here.segment));
    tar_end(&tar);
    for (size_t i = 0; i < SL_COUNT_OF(nodes); i++) { /* n0 holds the tenant, but no data of it */
        char name[64];
        (void)snprintf(name, sizeof(name), "rep/%s/backup.json", nodes[i]);
        put_node(name, "SUCCESS", STATE("a", "HOT"), "\"1\":[\"a\"]",
                 i == 0 ? "{\"name\":\"a\"}" : SHARD("a"));
        (void)snprintf(name, sizeof(name), "rep/%s/Off/chunk-1", nodes[i]);
        put_gzip(name, sl_buf_view(&tar));
    }
    put_text("rep/backup_config.json",
             "{\"status\":\"SUCCESS\",\"nodes\":{\"n0\":{},\"n1\":{},\"n2\":{}}}");
    expect_objects(path_of("rep"), 1);
}

static void refused(const char *name, const char *why)
{
    struct outcome o;
    struct sl_err err = {0};
    assert_int_equal(read_clean(path_of(name), false, &o, &err), SL_EIO);
    if (strstr(err.text, why) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", name, err.text, why);
    }
}

static void what_is_no_whole_backup_is_refused(void **state SL_UNUSED)
{
    enum sl_source_kind kind;
    struct sl_err err = {0};
    put_node("bad/failed/n1/backup.json", "FAILED", "", "", "");
    refused("bad/failed", "status is \"FAILED\": no disk");
    put_text("bad/started/backup_config.json", "{\"status\":\"STARTED\",\"nodes\":{\"n1\":{}}}");
    refused("bad/started", "status is \"STARTED\"");
    put_text("bad/node/backup_config.json", "{\"status\":\"SUCCESS\",\"nodes\":{\"n9\":{}}}");
    refused("bad/node", "the part of node \"n9\" is missing");
    refused("bad", "holds several backups; name one of them: node, started");
    put_text("other/file", "x");
    refused("other", "is no backup");
    put_node("gone/n1/backup.json", "SUCCESS", STATE("a", "HOT"), "\"1\":[\"a\"]", SHARD("a"));
    refused("gone", "/gone/n1/Off/chunk-1: a chunk of the backup is missing");
    assert_int_equal(sl_source_detect(path_of("bad/node"), &kind, NULL), SL_OK);
    assert_int_equal(kind, SL_KIND_BACKUP);
    assert_int_equal(sl_source_detect(path_of("bad"), &kind, &err), SL_EINVAL);
    assert_non_null(strstr(err.text, "name one of them: node, started"));
}

static void descriptors_that_lead_outside_are_refused(void **state SL_UNUSED)
{
    static const char *const shards[] = {
        "{\"name\":\"..\"}",
        "{\"name\":\"a/b\"}",
        "{\"name\":\"a\",\"bigFilesChunk\":{" FILE_OF("a") ":{\"chunkKeys\":[\"../x\"]}}}",
        "{\"name\":\"a\",\"bigFilesChunk\":{" FILE_OF("a") ":{\"chunkKeys\":[\"/etc/x\"]}}}",
        "{\"name\":\"a\",\"incrementalBackupInfo\":{\"filesPerBackup\":{\"../"
        "b\":[{\"file\":" FILE_OF("a") "}]}}}",
    };
    for (size_t i = 0; i < SL_COUNT_OF(shards); i++) {
        struct outcome o;
        struct sl_err err = {0};
        put_node("out/n1/backup.json", "SUCCESS", "", "", shards[i]);
        assert_int_equal(read_clean(path_of("out"), false, &o, &err), SL_ECORRUPT);
        assert_non_null(strstr(err.text, "/out/n1/backup.json: "));
    }
}

/* Chunk 1 of `two` packed anew, then changed. */
static void damage_is_told(void (*pack)(const char *, struct sl_bytes))
{
    SL_AUTO(sl_buf) tar = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) good = SL_BUF_EMPTY;
    struct outcome o;
    tar_file(&tar, "off/a/" SEGMENT, sl_buf_view(&here.segment));
    tar_end(&tar);
    put_node("dmg/n1/backup.json", "SUCCESS", STATE("a", "HOT"), "\"1\":[\"a\"]", SHARD("a"));
    pack("dmg/n1/Off/chunk-1", sl_buf_view(&tar));
    assert_int_equal(sl_file_read_all(path_of("dmg/n1/Off/chunk-1"), 1 << 20, &good, NULL), SL_OK);
    for (size_t at = 12; at < good.len; at += 61) { /* behind fields of gzip that mean nothing */
        for (int kind = 0; kind < 2; kind++) {
            struct sl_err err = {0};
            good.ptr[at] ^= 0x10;
            put("dmg/n1/Off/chunk-1", SL_BYTES(good.ptr, kind == 0 ? good.len : at));
            good.ptr[at] ^= 0x10;
            assert_int_equal(read_clean(path_of("dmg"), false, &o, &err), SL_ECORRUPT);
            assert_non_null(strstr(err.text, "/dmg/n1/Off/chunk-1: "));
            assert_non_null(strstr(err.text, "--skip-damaged"));
            assert_int_equal(read_clean(path_of("dmg"), true, &o, &err), SL_OK);
            assert_true(o.left_out > 0);
            assert_int_equal(o.objects, 0);
        }
    }
}

static void damage_of_packed_chunks_is_told(void **state SL_UNUSED)
{
    damage_is_told(put_gzip);
}

static void damage_of_real_chunks_is_told(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) good = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    struct outcome o;
    assert_int_equal(sl_file_read_all(REAL "/node1/Off/chunk-2", 1 << 20, &good, NULL), SL_OK);
    assert_int_equal(sl_file_read_all(REAL "/node1/backup.json", 1 << 20, &text, NULL), SL_OK);
    put("real/node1/backup.json", sl_buf_view(&text));
    for (size_t at = 3; at < good.len; at += 331) {
        struct sl_err err = {0};
        put("real/node1/Off/chunk-2", SL_BYTES(good.ptr, at));
        assert_int_equal(read_clean(path_of("real"), true, &o, &err), SL_OK);
        assert_int_equal(o.objects, 0); /* the other chunks are not there */
        good.ptr[at] ^= 1;
        put("real/node1/Off/chunk-2", sl_buf_view(&good));
        assert_int_equal(read_clean(path_of("real"), true, &o, &err), SL_OK);
        assert_int_equal(o.objects, 0);
        good.ptr[at] ^= 1;
    }
    put("real/node1/Off/chunk-2", sl_buf_view(&good));
    assert_int_equal(read_clean(path_of("real"), true, &o, NULL), SL_OK);
    assert_int_equal(o.objects, OBJECTS);
}

static void parts_that_lack_or_overlap_are_told(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) shard = SL_BUF_EMPTY;
    struct outcome o;
    sl_buf_addf(&shard, BIG, here.segment.len);
    put_node("gap/n1/backup.json", "SUCCESS", STATE("a", "HOT"), "\"10\":[\"a\"],\"2\":[\"a\"]",
             sl_buf_cstr(&shard));
    size_t half = here.segment.len / 2, rest = here.segment.len - half;
    const struct {
        size_t at, len;
    } seconds[] = {{half + 1, rest - 1}, {half - 1, rest + 1}, {0, rest}, {half, rest - 1}};
    for (size_t i = 0; i < SL_COUNT_OF(seconds); i++) {
        SL_AUTO(sl_buf) one = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) two = SL_BUF_EMPTY;
        struct sl_err err = {0};
        tar_part(&one, "off/a/" SEGMENT, 0, SL_BYTES(here.segment.ptr, half));
        tar_end(&one);
        tar_part(&two, "off/a/" SEGMENT, seconds[i].at,
                 SL_BYTES(here.segment.ptr + seconds[i].at, seconds[i].len));
        tar_end(&two);
        put("gap/n1/Off/chunk-2", sl_buf_view(&one));
        put("gap/n1/Off/chunk-10", sl_buf_view(&two));
        assert_int_equal(read_clean(path_of("gap"), false, &o, &err), SL_ECORRUPT);
        assert_non_null(strstr(err.text, "is not whole in its chunks"));
    }
}

/* Every allocation and every file call fails once, and all later ones. */
static void sweep(const char *path, enum sl_fault what)
{
    for (int64_t n = 0;; n++) {
        struct outcome o;
        struct sl_err err = {0};
        uint32_t files = open_files();
        int64_t live = sl_mem_live();
        sl_fault_fail_after(what, n);
        sl_rc rc = read_backup(path, false, &o, &err);
        sl_fault_clear();
        assert_int_equal(open_files(), files);
        assert_int_equal(sl_mem_live(), live);
        if (rc == SL_OK && o.objects > 0) {
            assert_true(n > 20);
            return;
        }
        assert_int_not_equal(rc, SL_OK);
    }
}

static void failing_calls_are_told_and_leave_nothing(void **state SL_UNUSED)
{
    sweep(path_of("rep"), SL_FAULT_ALLOC);
    sweep(path_of("rep"), SL_FAULT_FILE);
    sweep(path_of("parts"), SL_FAULT_ALLOC);
    sweep(path_of("parts"), SL_FAULT_FILE);
    sweep(path_of("incr"), SL_FAULT_ALLOC);
    sweep(path_of("incr"), SL_FAULT_FILE);
}

/* What the packed real chunk holds is what all other layouts must give. */
static void remember_ids(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    struct outcome o;
    assert_int_equal(sl_file_read_all(REAL "/node1/Off/chunk-2", 1 << 20, &text, NULL), SL_OK);
    put("hot/node1/Off/chunk-2", sl_buf_view(&text));
    sl_buf_clear(&text);
    assert_int_equal(sl_file_read_all(REAL "/node1/backup.json", 1 << 20, &text, NULL), SL_OK);
    put("hot/node1/backup.json", sl_buf_view(&text));
    assert_int_equal(read_clean(path_of("hot"), true, &o, NULL), SL_OK);
    assert_int_equal(o.objects, OBJECTS);
    memcpy(here.ids, o.first_ids, sizeof(here.ids));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_backup),
        cmocka_unit_test(remember_ids),
        cmocka_unit_test(file_whole_in_a_packed_chunk_of_two_tenants),
        cmocka_unit_test(flat_names_of_old_servers),
        cmocka_unit_test(file_in_parts),
        cmocka_unit_test(file_of_a_base_backup),
        cmocka_unit_test(replicas_are_read_once),
        cmocka_unit_test(what_is_no_whole_backup_is_refused),
        cmocka_unit_test(descriptors_that_lead_outside_are_refused),
        cmocka_unit_test(damage_of_packed_chunks_is_told),
        cmocka_unit_test(damage_of_real_chunks_is_told),
        cmocka_unit_test(parts_that_lack_or_overlap_are_told),
        cmocka_unit_test(failing_calls_are_told_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, open_place, close_place);
}
