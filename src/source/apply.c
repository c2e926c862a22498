/* Commands of the Raft log on the classes; see schema_int.h. Formats and their numbers: FORMAT.md.
 *
 * A log holds refused commands, too: what a server would have refused (a class that is there, a
 * tenant that is not) changes nothing and is no failure. A command that cannot be read is damage.
 *
 *   state of a tenant   asked HOT or COLD   asked FROZEN   the nodes are done   a node gives up
 *   HOT, COLD           as asked            FREEZING       -                    -
 *   FREEZING            UNFREEZING          -              FROZEN               as before
 *   FROZEN              UNFREEZING          -              -                    -
 *   UNFREEZING          as asked            FREEZING       as was asked         - */
#include "source/schema_int.h"

enum command {
    ADD_CLASS = 1,
    UPDATE_CLASS = 2,
    DELETE_CLASS = 3,
    RESTORE_CLASS = 4,
    ADD_PROPERTY = 5,
    UPDATE_PROPERTY = 6,
    ADD_REPLICA = 11,
    DELETE_REPLICA = 12,
    ADD_TENANT = 16,
    UPDATE_TENANT = 17,
    DELETE_TENANT = 18,
    TENANT_PROCESS = 19,
    MOVE_ADD_REPLICA = 212,
};

#define NODES_MAX 4096 /* of one request or one shard; clusters have tens */

/* ---- protobuf ---- */

struct field {
    uint64_t number;
    uint64_t value; /* of a number */
    struct sl_bytes bytes;
};

static uint64_t take_varint(struct sl_rd *rd)
{
    uint64_t v = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        uint8_t b = sl_rd_u8(rd);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            return v;
        }
    }
    rd->is_short = true; /* longer than any number */
    return 0;
}

/* false at the end, or with rd->is_short: these are no fields. */
static bool take_field(struct sl_rd *rd, struct field *ret)
{
    enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
    if (rd->is_short || sl_rd_left(rd) == 0) {
        return false;
    }
    uint64_t tag = take_varint(rd);
    *ret = (struct field){.number = tag >> 3};
    switch (tag & 7) {
    case VARINT:
        ret->value = take_varint(rd);
        break;
    case FIXED64:
        ret->value = sl_rd_u64(rd);
        break;
    case FIXED32:
        ret->value = sl_rd_u32(rd);
        break;
    case BYTES:
        ret->bytes = sl_rd_bytes(rd, take_varint(rd));
        break;
    default:
        rd->is_short = true;
    }
    return !rd->is_short && ret->number > 0;
}

static sl_rc check_fields(const struct sl_rd *rd, const char *what, struct sl_err *err)
{
    if (rd->is_short || sl_rd_left(rd) > 0) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: %s cannot be read", what);
    }
    return SL_OK;
}

struct tenant {
    struct sl_str name, status;
};

static sl_rc read_tenant(struct sl_bytes b, struct tenant *ret, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(b);
    struct field f;
    *ret = (struct tenant){.name = SL_STR(""), .status = SL_STR("")};
    while (take_field(&rd, &f)) {
        if (f.number == 1) {
            ret->name = sl_bytes_str(f.bytes);
        } else if (f.number == 2) {
            ret->status = sl_bytes_str(f.bytes);
        }
    }
    return check_fields(&rd, "a tenant", err);
}

/* ---- which nodes a tenant goes to ---- */

/* Servers hand the nodes of a request out in turn, `factor` to each tenant; a tenant never begins
 * with a node that began another one in the same round. */
struct ring {
    struct sl_str *nodes;
    bool *is_taken; /* in this round */
    uint32_t count, next, taken_count;
};

/* field: the number of the node list in the request. */
static sl_rc read_ring(struct sl_arena *arena, struct sl_bytes request, uint32_t number,
                       struct ring *ret, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(request);
    struct field f;
    uint32_t count = 0;
    while (take_field(&rd, &f)) {
        count += f.number == number;
    }
    SL_TRY(check_fields(&rd, "a request for tenants", err));
    if (count > NODES_MAX) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: a request names %u nodes", count);
    }
    *ret = (struct ring){.nodes = sl_arena_array(arena, struct sl_str, count + 1u),
                         .is_taken = sl_arena_array(arena, bool, count + 1u)};
    if (ret->nodes == NULL || ret->is_taken == NULL) {
        return SL_NOMEM(err);
    }
    rd = sl_rd_over(request);
    while (take_field(&rd, &f)) {
        if (f.number == number) {
            ret->nodes[ret->count] = sl_arena_str(arena, sl_bytes_str(f.bytes));
            if (ret->nodes[ret->count++].ptr == NULL) {
                return SL_NOMEM(err);
            }
        }
    }
    return SL_OK;
}

static uint32_t ring_next(struct ring *r)
{
    uint32_t at = r->next;
    r->next = (at + 1) % r->count;
    return at;
}

/* Nodes for one tenant; none when the request cannot give them. */
static sl_rc ring_take(struct ring *r, uint32_t factor, struct sl_arena *arena,
                       struct sl_schema_shard *to, struct sl_err *err)
{
    if (factor > r->count) {
        return SL_OK;
    }
    struct sl_str *nodes = sl_arena_array(arena, struct sl_str, factor);
    if (nodes == NULL) {
        return SL_NOMEM(err);
    }
    if (r->taken_count == r->count) {
        memset(r->is_taken, 0, r->count * sizeof(*r->is_taken));
        r->taken_count = 0;
    }
    uint32_t at = ring_next(r);
    while (r->is_taken[at]) {
        at = ring_next(r);
    }
    r->is_taken[at] = true;
    r->taken_count++;
    nodes[0] = r->nodes[at];
    for (uint32_t i = 1; i < factor; i++) {
        nodes[i] = r->nodes[ring_next(r)];
    }
    to->nodes = nodes;
    to->node_count = factor;
    return SL_OK;
}

/* ---- tenants ---- */

static sl_rc add_tenants(struct sli_classes *c, struct sli_class *class, struct sl_bytes request,
                         struct sl_err *err)
{
    struct sl_arena *arena = &c->out->arena;
    struct ring ring;
    struct field f;
    SL_TRY(read_ring(arena, request, 1, &ring, err));
    struct sl_rd rd = sl_rd_over(request);
    while (take_field(&rd, &f)) {
        struct tenant t;
        struct sli_class_shard *s;
        if (f.number != 2) {
            continue;
        }
        SL_TRY(read_tenant(f.bytes, &t, err));
        if (sli_classes_find_shard(class, t.name) != NULL) {
            continue;
        }
        SL_TRY(sli_class_put_shard(c, class, t.name, (struct sl_bytes){0}, &s, err));
        SL_TRY(sli_status_parse(t.status, &s->pub.status, err));
        SL_TRY(ring_take(&ring, class->factor, arena, &s->pub, err));
    }
    return SL_OK;
}

static sl_rc delete_tenants(struct sli_class *class, struct sl_bytes request, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(request);
    struct field f;
    while (take_field(&rd, &f)) {
        if (f.number == 1) {
            sli_class_remove_shard(class, sl_bytes_str(f.bytes));
        }
    }
    return check_fields(&rd, "a list of tenants", err);
}

/* Every node of the shard is to move the tenant's files; what was under way is forgotten. */
static sl_rc begin_move(struct sl_arena *arena, struct sli_class_shard *s, uint32_t move,
                        struct sl_str wanted, struct sl_err *err)
{
    struct sli_tasks *tasks = &s->tasks[move];
    struct sl_str status = sl_arena_str(arena, wanted);
    tasks->list = sl_arena_array(arena, struct sli_task, s->pub.node_count + 1u);
    if (status.ptr == NULL || tasks->list == NULL) {
        return SL_NOMEM(err);
    }
    tasks->count = s->pub.node_count;
    for (uint32_t i = 0; i < tasks->count; i++) {
        tasks->list[i] =
            (struct sli_task){.node = s->pub.nodes[i], .op = SLI_OP_START, .status = status};
    }
    return SL_OK;
}

static sl_rc update_tenant(struct sli_classes *c, struct sli_class *class, struct ring *ring,
                           struct sl_bytes bytes, struct sl_err *err)
{
    struct sl_arena *arena = &c->out->arena;
    struct tenant t;
    enum sl_tenant_status want;
    SL_TRY(read_tenant(bytes, &t, err));
    SL_TRY(sli_status_parse(t.status, &want, err));
    struct sli_class_shard *s = sli_classes_find_shard(class, t.name);
    if (s == NULL || s->pub.status == want) {
        return SL_OK;
    }
    bool is_away = s->pub.status == SL_FROZEN || s->pub.status == SL_FREEZING;
    const struct sli_tasks *coming = &s->tasks[SLI_UNFREEZING];
    if ((is_away && want == SL_FROZEN) || (s->pub.status == SL_UNFREEZING && coming->count > 0 &&
                                           sl_str_eq(coming->list[0].status, t.status))) {
        return SL_OK; /* under way */
    }
    if (want == SL_FROZEN) {
        s->pub.status = SL_FREEZING;
        return begin_move(arena, s, SLI_FREEZING, t.status, err);
    }
    if (is_away) {
        s->pub.status = SL_UNFREEZING;
        SL_TRY(ring_take(ring, class->factor, arena, &s->pub, err));
        return begin_move(arena, s, SLI_UNFREEZING, t.status, err);
    }
    s->pub.status = want;
    return SL_OK;
}

static sl_rc update_tenants(struct sli_classes *c, struct sli_class *class, struct sl_bytes request,
                            struct sl_err *err)
{
    struct ring ring;
    struct field f;
    SL_TRY(read_ring(&c->out->arena, request, 2, &ring, err));
    struct sl_rd rd = sl_rd_over(request);
    while (take_field(&rd, &f)) {
        if (f.number == 1) {
            SL_TRY(update_tenant(c, class, &ring, f.bytes, err));
        }
    }
    return SL_OK;
}

/* ---- files of tenants on their way ---- */

struct report {
    struct sl_str node;
    uint32_t move; /* SLI_FREEZING or SLI_UNFREEZING */
    uint32_t op;
    struct tenant tenant;
};

/* Writes the report down. The task a report belongs to is in no snapshot: without it, the reporting
 * node counts as the only one. */
static sl_rc note(struct sl_arena *arena, struct sli_tasks *tasks, const struct report *r,
                  struct sl_err *err)
{
    struct sli_task task = {.node = sl_arena_str(arena, r->node),
                            .op = r->op,
                            .status = sl_arena_str(arena, r->tenant.status)};
    if (task.node.ptr == NULL || task.status.ptr == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < tasks->count; i++) {
        if (sl_str_eq(tasks->list[i].node, task.node)) {
            tasks->list[i] = task;
            return SL_OK;
        }
    }
    if (tasks->count >= NODES_MAX) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: %u nodes report about a tenant", tasks->count);
    }
    struct sli_task *list = sl_arena_array(arena, struct sli_task, tasks->count + 1u);
    if (list == NULL) {
        return SL_NOMEM(err);
    }
    if (tasks->count > 0) {
        memcpy(list, tasks->list, tasks->count * sizeof(*list));
    }
    list[tasks->count++] = task;
    tasks->list = list;
    return SL_OK;
}

static sl_rc apply_report(struct sl_arena *arena, struct sli_class_shard *s, struct report *r,
                          struct sl_err *err)
{
    struct sli_tasks *tasks = &s->tasks[r->move];
    const struct sli_task *done = NULL, *aborted = NULL;
    bool is_over = true;
    if (r->move == SLI_UNFREEZING && tasks->count > 0) {
        r->tenant.status = tasks->list[0].status; /* the report leaves out what was asked for */
    }
    SL_TRY(note(arena, tasks, r, err));
    for (uint32_t i = 0; i < tasks->count; i++) {
        const struct sli_task *t = &tasks->list[i];
        done = t->op == SLI_OP_DONE ? t : done;
        aborted = t->op == SLI_OP_ABORT ? t : aborted;
        is_over &= t->op > SLI_OP_START;
    }
    const struct sli_task *decides = r->move == SLI_UNFREEZING ? (is_over ? done : NULL)
                                     : aborted != NULL         ? aborted
                                     : is_over                 ? done
                                                               : NULL;
    if (is_over) {
        *tasks = (struct sli_tasks){0};
    }
    return decides == NULL || decides->status.len == 0
               ? SL_OK
               : sli_status_parse(decides->status, &s->pub.status, err);
}

static sl_rc read_report(struct sl_bytes b, struct report *ret, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(b);
    struct field f;
    ret->op = 0;
    ret->tenant = (struct tenant){.name = SL_STR(""), .status = SL_STR("")};
    while (take_field(&rd, &f)) {
        if (f.number == 1) {
            ret->op = (uint32_t)f.value;
        } else if (f.number == 2) {
            SL_TRY(read_tenant(f.bytes, &ret->tenant, err));
        }
    }
    return check_fields(&rd, "a report about a tenant", err);
}

static sl_rc tenant_process(struct sli_classes *c, struct sli_class *class, struct sl_bytes request,
                            struct sl_err *err)
{
    enum { NODE = 1, ACTION = 2, TENANT = 3 };
    struct sl_rd rd = sl_rd_over(request);
    struct report r = {.node = SL_STR("")};
    struct field f;
    uint64_t action = 0;
    while (take_field(&rd, &f)) {
        if (f.number == NODE) {
            r.node = sl_bytes_str(f.bytes);
        } else if (f.number == ACTION) {
            action = f.value;
        }
    }
    SL_TRY(check_fields(&rd, "a report about tenants", err));
    if (action != SLI_FREEZING + 1 && action != SLI_UNFREEZING + 1) {
        return SL_OK;
    }
    r.move = (uint32_t)action - 1;
    rd = sl_rd_over(request);
    while (take_field(&rd, &f)) {
        if (f.number != TENANT) {
            continue;
        }
        SL_TRY(read_report(f.bytes, &r, err));
        struct sli_class_shard *s = sli_classes_find_shard(class, r.tenant.name);
        if (s != NULL) {
            SL_TRY(apply_report(&c->out->arena, s, &r, err));
        }
    }
    return SL_OK;
}

/* ---- replicas ---- */

static sl_rc change_replica(struct sli_classes *c, struct sli_class *class, struct sl_bytes json,
                            bool is_added, struct sl_err *err)
{
    struct sl_arena *arena = &c->out->arena;
    struct sl_bytes shard_json, node_json;
    struct sl_str shard_name, node;
    if (!sl_json_find(json, "Shard", &shard_json) ||
        !sl_json_find(json, "TargetNode", &node_json)) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: a change of replicas cannot be read");
    }
    SL_TRY(sl_json_string(shard_json, arena, &shard_name, err));
    SL_TRY(sl_json_string(node_json, arena, &node, err));
    struct sli_class_shard *s = sli_classes_find_shard(class, shard_name);
    if (s == NULL || node.len == 0 || s->pub.node_count >= NODES_MAX) {
        return SL_OK;
    }
    struct sl_str *nodes = sl_arena_array(arena, struct sl_str, s->pub.node_count + 1u);
    node = sl_arena_str(arena, node);
    if (nodes == NULL || node.ptr == NULL) {
        return SL_NOMEM(err);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->pub.node_count; i++) {
        if (!sl_str_eq(s->pub.nodes[i], node)) {
            nodes[count++] = s->pub.nodes[i];
        }
    }
    if (is_added) {
        nodes[count++] = node;
    }
    s->pub.nodes = nodes;
    s->pub.node_count = count;
    return SL_OK;
}

/* ---- commands ---- */

static sl_rc put_class(struct sli_classes *c, struct sl_bytes json, bool is_new, struct sl_err *err)
{
    struct sl_bytes class_json = {NULL, 0}, state = {NULL, 0}, value;
    struct sl_str key;
    struct sl_json_iter it;
    bool is_object = sl_json_begin(json, '{', &it);
    while (is_object && sl_json_next(&it, &key, &value)) {
        if (sl_str_is(key, "Class")) {
            class_json = value;
        } else if (sl_str_is(key, "State")) {
            state = value;
        }
    }
    if (!is_object || it.is_damaged || class_json.len == 0) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: a change of a class cannot be read");
    }
    return sli_classes_put(c, class_json, state, is_new, err);
}

static sl_rc put_properties(struct sli_classes *c, struct sli_class *class, struct sl_bytes json,
                            struct sl_err *err)
{
    struct sl_bytes value;
    struct sl_str key;
    struct sl_json_iter it;
    if (sl_json_find(json, "Property", &value)) {
        return sli_class_put_property(c, class, value, err);
    }
    if (!sl_json_find(json, "Properties", &value) || !sl_json_begin(value, '[', &it)) {
        return SL_OK;
    }
    while (sl_json_next(&it, &key, &value)) {
        SL_TRY(sli_class_put_property(c, class, value, err));
    }
    return SL_OK;
}

static sl_rc apply_tenants(struct sli_classes *c, struct sli_class *class, uint64_t type,
                           struct sl_bytes sub, struct sl_err *err)
{
    if (!class->pub.is_multi_tenant) {
        return SL_OK;
    }
    return type == ADD_TENANT      ? add_tenants(c, class, sub, err)
           : type == UPDATE_TENANT ? update_tenants(c, class, sub, err)
           : type == DELETE_TENANT ? delete_tenants(class, sub, err)
                                   : tenant_process(c, class, sub, err);
}

sl_rc sli_classes_apply(struct sli_classes *c, struct sl_bytes command, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(command);
    struct sl_bytes sub = {NULL, 0};
    struct sl_str name = SL_STR("");
    struct field f;
    uint64_t type = 0;
    while (take_field(&rd, &f)) {
        if (f.number == 1) {
            type = f.value;
        } else if (f.number == 2) {
            name = sl_bytes_str(f.bytes);
        } else if (f.number == 4) {
            sub = f.bytes;
        }
    }
    SL_TRY(check_fields(&rd, "a command of the Raft log", err));
    if (type == ADD_CLASS || type == RESTORE_CLASS || type == UPDATE_CLASS) {
        return put_class(c, sub, type != UPDATE_CLASS, err);
    }
    struct sli_class *class = sli_classes_find(c, name, type != DELETE_CLASS);
    if (class == NULL) {
        return SL_OK;
    }
    switch (type) {
    case DELETE_CLASS:
        sli_classes_remove(c, class);
        return SL_OK;
    case ADD_PROPERTY:
    case UPDATE_PROPERTY:
        return put_properties(c, class, sub, err);
    case ADD_REPLICA:
    case MOVE_ADD_REPLICA:
    case DELETE_REPLICA:
        return change_replica(c, class, sub, type != DELETE_REPLICA, err);
    case ADD_TENANT:
    case UPDATE_TENANT:
    case DELETE_TENANT:
    case TENANT_PROCESS:
        return apply_tenants(c, class, type, sub, err);
    default:
        return SL_OK;
    }
}
