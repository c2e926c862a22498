/* The schema from Weaviate's Raft store: the newest whole snapshot, then the log after it; see
 * schema_int.h and FORMAT.md.
 *
 * raft.db may be in use: the snapshots are read after its newest transaction was chosen, so that no
 * later one can have cut off entries that an older snapshot still needs. A typical installation has
 * no snapshot at all: the server makes one every 8192 entries. */
#include <jansson.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/path.h"
#include "lsm/bolt.h"
#include "lsm/msgpack.h"
#include "source/schema_int.h"

#define SNAPSHOT_MAX  (512u << 20) /* a million tenants take 150 MB */
#define META_MAX      (1u << 20)
#define SNAPSHOTS_MAX 1024 /* servers keep three */
#define SERVERS_MAX   4096
#define CRC_SIZE      8

enum { ENTRY_COMMAND = 0, ENTRY_CONFIGURATION = 5 };

struct raft {
    struct sl_schema *out;
    struct sli_classes classes;
    const char *db_path;
    struct sl_bolt *bolt;
    struct sl_str node_name;   /* as the snapshot says */
    struct sl_str server_name; /* the last one of the configuration */
    uint32_t server_count;
};

/* ---- snapshots ---- */

struct snapshot {
    struct sl_str name; /* <term>-<index>-<ms> */
    uint64_t term, index, ms;
};
struct snapshots {
    struct sl_arena *arena;
    struct snapshot list[SNAPSHOTS_MAX];
    uint32_t count;
};

static bool take_number(struct sl_str *text, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < text->len && text->ptr[i] >= '0' && text->ptr[i] <= '9'; i++) {
        if (i == 19) {
            return false;
        }
        v = v * 10 + (uint64_t)(text->ptr[i] - '0');
    }
    *text = (struct sl_str){text->ptr + i, text->len - i};
    *ret = v;
    return i > 0;
}

static bool take_dash(struct sl_str *text)
{
    bool is_dash = text->len > 0 && text->ptr[0] == '-';
    if (is_dash) {
        *text = (struct sl_str){text->ptr + 1, text->len - 1};
    }
    return is_dash;
}

static sl_rc add_snapshot(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct snapshots *s = arg;
    struct snapshot *to = &s->list[s->count];
    struct sl_str text = sl_str_from(name);
    if (!is_dir || s->count == SNAPSHOTS_MAX || !take_number(&text, &to->term) ||
        !take_dash(&text) || !take_number(&text, &to->index) || !take_dash(&text) ||
        !take_number(&text, &to->ms) || text.len > 0) {
        return SL_OK; /* unfinished ones end in .tmp */
    }
    to->name = sl_arena_str(s->arena, sl_str_from(name));
    s->count++;
    return to->name.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static int newest_first(const void *a, const void *b)
{
    const struct snapshot *x = a, *y = b;
    return x->term != y->term     ? (x->term < y->term ? 1 : -1)
           : x->index != y->index ? (x->index < y->index ? 1 : -1)
                                  : (x->ms < y->ms) - (x->ms > y->ms);
}

/* What meta.json says of the configuration; true when `state` is what it says it is. */
static bool is_whole(struct raft *r, const json_t *meta, struct sl_bytes state)
{
    SL_AUTO(sl_buf) crc = SL_BUF_EMPTY;
    const char *text = json_string_value(json_object_get(meta, "CRC"));
    const json_t *size = json_object_get(meta, "Size");
    if (text == NULL || !sl_base64_parse(sl_str_from(text), &crc) || crc.len != CRC_SIZE ||
        !json_is_integer(size) || (uint64_t)json_integer_value(size) != state.len) {
        return false;
    }
    struct sl_rd rd = sl_rd_over(sl_buf_view(&crc));
    if (sl_rd_u64be(&rd) != sl_crc64(0, state)) {
        return false;
    }
    const json_t *servers = json_object_get(json_object_get(meta, "Configuration"), "Servers");
    const char *id = json_string_value(json_object_get(json_array_get(servers, 0), "ID"));
    if (id != NULL) {
        r->server_name = sl_arena_str(&r->out->arena, sl_str_from(id));
        r->server_count = (uint32_t)SL_MIN(json_array_size(servers), (size_t)SERVERS_MAX);
    }
    return true;
}

static sl_rc read_classes(struct raft *r, struct sl_bytes schema, struct sl_err *err)
{
    struct sl_json_iter it;
    struct sl_str key;
    struct sl_bytes value, class_json, sharding;
    if (!sl_json_begin(schema, '{', &it)) {
        return SL_FAIL(err, SL_ECORRUPT, "its schema is no JSON object");
    }
    while (sl_json_next(&it, &key, &value)) {
        if (!sl_json_find(value, "Class", &class_json) ||
            !sl_json_find(value, "Sharding", &sharding)) {
            return SL_FAIL(err, SL_ECORRUPT, "class %.*s is not whole", SL_STR_ARG(key));
        }
        SL_TRY(sli_classes_put(&r->classes, class_json, sharding, true, err));
    }
    return it.is_damaged ? SL_FAIL(err, SL_ECORRUPT, "its schema is no JSON") : SL_OK;
}

static sl_rc read_state(struct raft *r, struct sl_bytes state, struct sl_err *err)
{
    SL_AUTO(sl_buf) schema = SL_BUF_EMPTY;
    struct sl_bytes value;
    if (sl_json_find(state, "node_id", &value)) {
        struct sl_str name;
        SL_TRY(sl_json_string(value, &r->out->arena, &name, err));
        r->node_name = sl_arena_str(&r->out->arena, name);
        if (r->node_name.ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    if (sl_json_find(state, "schema", &value) && value.len > 2 && !sl_json_is_null(value)) {
        struct sl_str text = {(const char *)value.ptr + 1, value.len - 2};
        if (!sl_base64_parse(text, &schema)) {
            SL_TRY(sl_buf_done(&schema, err));
            return SL_FAIL(err, SL_ECORRUPT, "its schema is no base64");
        }
        return read_classes(r, sl_buf_view(&schema), err);
    }
    if (sl_json_find(state, "classes", &value)) {
        return read_classes(r, value, err);
    }
    return SL_FAIL(err, SL_ECORRUPT, "it holds no schema");
}

/* SL_ECORRUPT with the reason: this one is not to be used. */
static sl_rc read_snapshot(struct raft *r, const char *folder, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) meta = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) state = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(folder), SL_STR("meta.json"));
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(sl_file_read_all(sl_buf_cstr(&path), META_MAX, &meta, err));
    sl_buf_clear(&path);
    sl_path_join(&path, sl_str_from(folder), SL_STR("state.bin"));
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(sl_file_read_all(sl_buf_cstr(&path), SNAPSHOT_MAX, &state, err));
    json_t *doc = json_loadb((const char *)meta.ptr, meta.len, 0, NULL);
    bool is_good = is_whole(r, doc, sl_buf_view(&state));
    json_decref(doc);
    if (!is_good) {
        return SL_FAIL(err, SL_ECORRUPT, "its checksum or length is wrong");
    }
    return read_state(r, sl_buf_view(&state), err);
}

/* The newest snapshot that can be read; none is fine. */
static sl_rc load_snapshot(struct raft *r, const char *raft_path, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO_MEM(struct snapshots) found = sl_alloc_zero(1, sizeof(*found));
    sl_path_join(&path, sl_str_from(raft_path), SL_STR("snapshots"));
    SL_TRY(sl_buf_done(&path, err));
    if (found == NULL) {
        return SL_NOMEM(err);
    }
    found->arena = &r->out->arena;
    sl_rc rc = sl_dir_list(sl_buf_cstr(&path), add_snapshot, found, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK;
    }
    SL_TRY(rc);
    qsort(found->list, found->count, sizeof(*found->list), newest_first);
    size_t root_len = path.len;
    for (uint32_t i = 0; i < found->count; i++) {
        struct sl_err why = {0};
        path.len = root_len;
        sl_buf_add_u8(&path, '/');
        sl_buf_add_str(&path, found->list[i].name);
        SL_TRY(sl_buf_done(&path, err));
        rc = read_snapshot(r, sl_buf_cstr(&path), &why);
        if (rc == SL_OK) {
            r->out->snapshot = found->list[i].name;
            r->out->raft_index = found->list[i].index;
            return SL_OK;
        }
        if (rc != SL_ECORRUPT && rc != SL_ETOOBIG && rc != SL_ENOTFOUND) {
            return SL_FAIL(err, rc, "%s", sl_err_text(&why, rc));
        }
        sli_classes_fini(&r->classes);
        SL_TRY(sli_schema_warn(r->out, err, "the Raft snapshot %s is not used: %s",
                               sl_buf_cstr(&path), sl_err_text(&why, rc)));
    }
    return SL_OK;
}

/* ---- the log ---- */

struct entry {
    uint64_t index, type;
    struct sl_bytes data;
};

static sl_rc read_entry(struct sl_bytes value, struct entry *ret, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(value);
    uint32_t count = 0;
    bool is_good = sl_mp_take_map(&rd, &count);
    *ret = (struct entry){.type = UINT64_MAX};
    for (uint32_t i = 0; i < count && is_good; i++) {
        struct sl_str key;
        is_good = sl_mp_take_str(&rd, &key);
        if (!is_good) {
            break;
        }
        is_good = sl_str_is(key, "Data")    ? sl_mp_take_bytes(&rd, &ret->data)
                  : sl_str_is(key, "Index") ? sl_mp_take_u64(&rd, &ret->index)
                  : sl_str_is(key, "Type")  ? sl_mp_take_u64(&rd, &ret->type)
                                            : sl_mp_skip(&rd);
    }
    if (!is_good || ret->type == UINT64_MAX || ret->index == 0) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: the entry cannot be read");
    }
    return SL_OK;
}

/* The servers of a configuration: {Servers: [{Address, ID, Suffrage}]}. */
static sl_rc read_configuration(struct raft *r, struct sl_bytes data, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(data);
    struct sl_str key = SL_STR(""), id = SL_STR("");
    uint32_t pairs = 0, servers = 0;
    bool is_good = sl_mp_take_map(&rd, &pairs) && pairs == 1 && sl_mp_take_str(&rd, &key) &&
                   sl_str_is(key, "Servers") && sl_mp_take_array(&rd, &servers) &&
                   servers <= SERVERS_MAX;
    for (uint32_t i = 0; i < servers && is_good; i++) {
        is_good = sl_mp_take_map(&rd, &pairs);
        for (uint32_t k = 0; k < pairs && is_good; k++) {
            is_good = sl_mp_take_str(&rd, &key) &&
                      (sl_str_is(key, "ID") ? sl_mp_take_str(&rd, &id) : sl_mp_skip(&rd));
        }
    }
    if (!is_good) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: the list of servers cannot be read");
    }
    r->server_count = servers;
    r->server_name = sl_arena_str(&r->out->arena, id);
    return r->server_name.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc apply_entry(struct raft *r, const struct entry *e, struct sl_err *err)
{
    if (e->index != r->out->raft_index + 1) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "entries %llu to %llu are missing: the snapshot that held them is gone or "
                       "damaged",
                       (unsigned long long)r->out->raft_index + 1,
                       (unsigned long long)e->index - 1);
    }
    r->out->raft_index = e->index;
    switch (e->type) {
    case ENTRY_COMMAND:
        return sli_classes_apply(&r->classes, e->data, err);
    case ENTRY_CONFIGURATION:
        return read_configuration(r, e->data, err);
    default:
        return SL_OK;
    }
}

static sl_rc on_entry(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct raft *r = arg;
    struct sl_rd rd = sl_rd_over(item->key);
    struct entry e = {0};
    uint64_t index = sl_rd_u64be(&rd);
    if (index <= r->out->raft_index && !rd.is_short) {
        return SL_OK; /* in the snapshot */
    }
    sl_rc rc = read_entry(item->value, &e, err);
    if (rc == SL_OK && (e.index != index || item->key.len != sizeof(index))) {
        rc = SL_FAIL(err, SL_ECORRUPT, "damaged: the entry says it is entry %llu",
                     (unsigned long long)e.index);
    }
    if (rc == SL_OK) {
        rc = apply_entry(r, &e, err);
    }
    if (rc == SL_ECORRUPT) {
        sl_err_prefix(err, "%s: entry %llu of the log", r->db_path, (unsigned long long)index);
    }
    return rc;
}

static sl_rc on_bucket(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct raft *r = arg;
    struct sl_bolt_bucket logs;
    if (!item->is_bucket || !sl_str_is(sl_bytes_str(item->key), "logs")) {
        return SL_OK;
    }
    SL_TRY(sl_bolt_sub_bucket(r->bolt, item, &logs, err));
    return sl_bolt_each(r->bolt, &logs, on_entry, r, err);
}

/* ---- an attempt ---- */

/* The only server of a cluster owns every shard, whatever it was called when it made them: servers
 * rename them at start, too (a container's name changes with each new container). */
static sl_rc own_all(struct raft *r, struct sl_err *err)
{
    struct sl_schema *s = r->out;
    s->node_name = r->server_count == 1 ? r->server_name : r->node_name;
    struct sl_str *name = sl_arena_array(&s->arena, struct sl_str, 1);
    if (name == NULL) {
        return SL_NOMEM(err);
    }
    *name = s->node_name;
    if (r->server_count != 1) {
        return SL_OK;
    }
    for (uint32_t i = 0; i < s->class_count; i++) {
        for (uint32_t k = 0; k < s->classes[i].shard_count; k++) {
            struct sl_schema_shard *shard = &s->classes[i].shards[k];
            if (shard->node_count == 1) {
                shard->nodes = name;
            }
        }
    }
    return SL_OK;
}

struct place {
    struct sl_schema *out;
    const char *raft_path, *db_path;
};

static sl_rc read_store(struct raft *r, const char *raft_path, struct sl_err *err)
{
    SL_TRY(load_snapshot(r, raft_path, err));
    if (r->bolt != NULL) {
        struct sl_bolt_bucket root = sl_bolt_root_bucket(r->bolt);
        SL_TRY(sl_bolt_each(r->bolt, &root, on_bucket, r, err));
    }
    if (r->out->raft_index == 0) {
        return SL_FAIL(err, SL_ENOTFOUND, "%s is empty", raft_path);
    }
    SL_TRY(sli_classes_finish(&r->classes, err));
    return own_all(r, err);
}

static sl_rc attempt(void *arg, struct sl_bolt *bolt, struct sl_err *err)
{
    struct place *p = arg;
    struct raft r = {
        .out = p->out, .classes = {.out = p->out}, .db_path = p->db_path, .bolt = bolt};
    sl_schema_fini(p->out); /* of an attempt that came to nothing */
    p->out->origin = SL_SCHEMA_RAFT;
    sl_rc rc = read_store(&r, p->raft_path, err);
    sli_classes_fini(&r.classes);
    return rc;
}

sl_rc sli_raft_load(const char *data_path, struct sl_schema *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) raft_path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) db_path = SL_BUF_EMPTY;
    sl_path_join(&raft_path, sl_str_from(data_path), SL_STR("raft"));
    sl_path_join(&db_path, sl_str_from(data_path), SL_STR("raft/raft.db"));
    SL_TRY(sl_buf_done(&raft_path, err));
    SL_TRY(sl_buf_done(&db_path, err));
    struct place p = {
        .out = ret, .raft_path = sl_buf_cstr(&raft_path), .db_path = sl_buf_cstr(&db_path)};
    sl_rc rc = sli_bolt_read(p.db_path, attempt, &p, err);
    rc = rc == SL_ENOTFOUND ? attempt(&p, NULL, err) : rc; /* a snapshot alone will do */
    if (rc != SL_OK) {
        sl_schema_fini(ret);
    }
    return rc;
}
