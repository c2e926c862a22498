/* Commands of the Raft log on classes and tenants. The commands are put together here by the
 * protobuf encoding; what they must do is what servers do with them (src/source/FORMAT.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "source/schema_int.h"

struct fixture {
    struct sl_schema schema;
    struct sli_classes classes;
    struct sl_err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->classes.out = &f->schema;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sli_classes_fini(&f->classes);
    sl_schema_fini(&f->schema);
    free(f);
    return 0;
}

/* ---- protobuf ---- */

static void add_varint(struct sl_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        sl_buf_add_u8(b, (uint8_t)(v | 0x80));
    }
    sl_buf_add_u8(b, (uint8_t)v);
}

static void add_number(struct sl_buf *b, uint32_t field, uint64_t v)
{
    add_varint(b, field << 3);
    add_varint(b, v);
}

static void add_bytes(struct sl_buf *b, uint32_t field, struct sl_str v)
{
    add_varint(b, field << 3 | 2);
    add_varint(b, v.len);
    sl_buf_add_str(b, v);
}

static void add_text(struct sl_buf *b, uint32_t field, const char *text)
{
    add_bytes(b, field, sl_str_from(text));
}

static void add_tenant(struct sl_buf *b, uint32_t field, const char *name, const char *status)
{
    SL_AUTO(sl_buf) t = SL_BUF_EMPTY;
    add_text(&t, 1, name);
    if (status[0] != '\0') {
        add_text(&t, 2, status);
    }
    add_bytes(b, field, sl_buf_str(&t));
}

static void apply(struct fixture *f, uint32_t type, const char *class_name, struct sl_str sub)
{
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    add_number(&b, 1, type);
    add_text(&b, 2, class_name);
    add_bytes(&b, 4, sub);
    sl_rc rc = sli_classes_apply(&f->classes, sl_buf_view(&b), &f->err);
    if (rc != SL_OK) {
        fail_msg("%s", sl_err_text(&f->err, rc));
    }
}

/* ---- commands ---- */

static void add_class(struct fixture *f, const char *name, bool is_multi_tenant, uint32_t factor)
{
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    const char *shards =
        is_multi_tenant
            ? ""
            : "\"abcdefghijkl\":{\"name\":\"abcdefghijkl\",\"belongsToNodes\":[\"n1\"]}";
    sl_buf_addf(
        &b,
        "{\"Class\":{\"class\":\"%s\",\"properties\":null,\"replicationConfig\":{\"factor\":"
        "%u},\"multiTenancyConfig\":{\"enabled\":%s}},\"State\":{\"physical\":{%s},"
        "\"partitioningEnabled\":%s}}",
        name, factor, is_multi_tenant ? "true" : "false", shards,
        is_multi_tenant ? "true" : "false");
    apply(f, 1, name, sl_buf_str(&b));
}

static void add_tenants(struct fixture *f, const char *nodes, const char *name, const char *status)
{
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    for (const char *p = nodes; *p != '\0'; p++) {
        add_text(&b, 1, (char[]){'n', *p, '\0'});
    }
    add_tenant(&b, 2, name, status);
    apply(f, 16, "T", sl_buf_str(&b));
}

static void update(struct fixture *f, const char *name, const char *status, const char *nodes)
{
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    add_tenant(&b, 1, name, status);
    for (const char *p = nodes; *p != '\0'; p++) {
        add_text(&b, 2, (char[]){'n', *p, '\0'});
    }
    apply(f, 17, "T", sl_buf_str(&b));
}

enum { FREEZING = 1, UNFREEZING = 2, START = 1, DONE = 2, ABORT = 3 };

static void report(struct fixture *f, const char *node, uint32_t action, uint32_t op,
                   const char *name, const char *status)
{
    SL_AUTO(sl_buf) p = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    add_number(&p, 1, op);
    add_tenant(&p, 2, name, status);
    add_text(&b, 1, node);
    add_number(&b, 2, action);
    add_bytes(&b, 3, sl_buf_str(&p));
    apply(f, 19, "T", sl_buf_str(&b));
}

static const struct sl_schema_shard *tenant(struct fixture *f, const char *name)
{
    struct sli_class *c = sli_classes_find(&f->classes, SL_STR("T"), true);
    assert_non_null(c);
    struct sli_class_shard *s = sli_classes_find_shard(c, sl_str_from(name));
    return s == NULL ? NULL : &s->pub;
}

static void assert_status(struct fixture *f, const char *name, enum sl_tenant_status status)
{
    const struct sl_schema_shard *s = tenant(f, name);
    assert_non_null(s);
    assert_string_equal(sl_tenant_status_name(s->status), sl_tenant_status_name(status));
}

static void assert_nodes(struct fixture *f, const char *name, const char *nodes)
{
    const struct sl_schema_shard *s = tenant(f, name);
    assert_non_null(s);
    assert_int_equal(s->node_count, strlen(nodes));
    for (uint32_t i = 0; i < s->node_count; i++) {
        assert_int_equal(s->nodes[i].len, 2);
        assert_int_equal(s->nodes[i].ptr[1], nodes[i]);
    }
}

/* ---- classes ---- */

static void classes_come_and_go(void **state)
{
    struct fixture *f = *state;
    add_class(f, "News", false, 1);
    add_class(f, "News", false, 1); /* refused by the server, and in the log all the same */
    add_class(f, "Paper", true, 1);
    apply(f, 3, "news", SL_STR("")); /* servers delete without regard to case */
    apply(f, 3, "Never", SL_STR(""));
    /* An encoded example of the format's description: delete class News. */
    static const uint8_t deletes_news[] = {0x08, 0x03, 0x12, 0x04, 'N', 'e', 'w', 's'};
    add_class(f, "News", false, 1);
    assert_int_equal(sli_classes_apply(&f->classes, SL_BYTES(deletes_news, 8), &f->err), SL_OK);
    apply(f, 87, "News", SL_STR("\xff\xff")); /* a type of some later server */
    add_class(f, "alpha:Book", false, 1);
    assert_int_equal(sli_classes_finish(&f->classes, &f->err), SL_OK);
    assert_int_equal(f->schema.class_count, 2);
    assert_true(sl_str_is(f->schema.classes[0].name, "Paper"));
    assert_true(f->schema.classes[0].is_multi_tenant);
    assert_true(sl_str_is(f->schema.classes[1].name, "alpha:Book"));
    assert_int_equal(f->schema.classes[1].shard_count, 1);
}

static void update_replaces_what_it_brings(void **state)
{
    struct fixture *f = *state;
    add_class(f, "News", false, 1);
    apply(f, 2, "News",
          SL_STR("{\"Class\":{\"class\":\"News\",\"description\":\"d\",\"properties\":[]},"
                 "\"State\":null}"));
    struct sli_class *c = sli_classes_find(&f->classes, SL_STR("News"), true);
    assert_non_null(c);
    assert_true(
        sl_str_is(c->pub.json, "{\"class\":\"News\",\"description\":\"d\",\"properties\":[]}"));
    assert_non_null(sli_classes_find_shard(c, SL_STR("abcdefghijkl")));
    apply(f, 2, "News",
          SL_STR("{\"Class\":{\"class\":\"News\"},\"State\":{\"physical\":{\"zzzzzzzzzzzz\":{"
                 "\"belongsToNode\":\"n7\"}}}}"));
    assert_null(sli_classes_find_shard(c, SL_STR("abcdefghijkl")));
    const struct sli_class_shard *s = sli_classes_find_shard(c, SL_STR("zzzzzzzzzzzz"));
    assert_non_null(s);
    assert_int_equal(s->pub.node_count, 1);
    assert_true(sl_str_is(s->pub.nodes[0], "n7"));
}

static void properties_are_added_and_replaced(void **state)
{
    struct fixture *f = *state;
    add_class(f, "News", false, 1);
    apply(f, 2, "News", SL_STR("{\"Class\":{\"class\":\"News\",\"properties\":null,\"x\":1}}"));
    apply(f, 5, "News", SL_STR("{\"Properties\":[{\"name\":\"a\"},{\"name\":\"b\",\"i\":[1]}]}"));
    apply(f, 5, "News", SL_STR("{\"Properties\":[{\"name\":\"c\"}]}"));
    apply(f, 6, "News", SL_STR("{\"Property\":{\"name\":\"B\",\"i\":[2]}}"));
    const struct sli_class *c = sli_classes_find(&f->classes, SL_STR("News"), true);
    assert_true(sl_str_is(c->pub.json, "{\"class\":\"News\",\"properties\":[{\"name\":\"a\"},"
                                       "{\"name\":\"B\",\"i\":[2]},{\"name\":\"c\"}],\"x\":1}"));
}

/* ---- tenants ---- */

static void tenants_come_change_and_go(void **state)
{
    struct fixture *f = *state;
    add_class(f, "T", true, 1);
    add_tenants(f, "1", "a", "");
    add_tenants(f, "1", "b", "COLD");
    add_tenants(f, "1", "a", "COLD"); /* is there */
    assert_status(f, "a", SL_HOT);
    assert_status(f, "b", SL_COLD);
    update(f, "a", "COLD", "1");
    update(f, "b", "ACTIVE", "1");
    update(f, "never", "COLD", "1");
    assert_status(f, "a", SL_COLD);
    assert_status(f, "b", SL_HOT);
    SL_AUTO(sl_buf) names = SL_BUF_EMPTY;
    add_text(&names, 1, "a");
    add_text(&names, 1, "never");
    apply(f, 18, "T", sl_buf_str(&names));
    assert_null(tenant(f, "a"));
    assert_non_null(tenant(f, "b"));
    assert_null(tenant(f, "never"));
}

static void nodes_are_handed_out_in_turn(void **state)
{
    struct fixture *f = *state;
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    add_class(f, "T", true, 2);
    for (const char *p = "123"; *p != '\0'; p++) {
        add_text(&b, 1, (char[]){'n', *p, '\0'});
    }
    for (const char *p = "abcd"; *p != '\0'; p++) {
        add_tenant(&b, 2, (char[]){*p, '\0'}, "HOT");
    }
    apply(f, 16, "T", sl_buf_str(&b));
    assert_nodes(f, "a", "12");
    assert_nodes(f, "b", "31");
    assert_nodes(f, "c", "23"); /* the third to begin in this round */
    assert_nodes(f, "d", "12");
    add_tenants(f, "1", "e", ""); /* fewer nodes than replicas: not known */
    assert_nodes(f, "e", "");
}

static void a_tenant_freezes_and_comes_back(void **state)
{
    struct fixture *f = *state;
    add_class(f, "T", true, 1);
    add_tenants(f, "1", "a", "HOT");
    update(f, "a", "FROZEN", "1");
    assert_status(f, "a", SL_FREEZING);
    update(f, "a", "FROZEN", "1");
    assert_status(f, "a", SL_FREEZING);
    report(f, "n1", FREEZING, DONE, "a", "FROZEN");
    assert_status(f, "a", SL_FROZEN);
    update(f, "a", "COLD", "2"); /* to another node */
    assert_status(f, "a", SL_UNFREEZING);
    assert_nodes(f, "a", "2");
    report(f, "n2", UNFREEZING, DONE, "a", ""); /* the report leaves out the state */
    assert_status(f, "a", SL_COLD);
}

static void a_node_that_gives_up_brings_the_old_state_back(void **state)
{
    struct fixture *f = *state;
    add_class(f, "T", true, 1);
    add_tenants(f, "1", "stuck", "HOT");
    update(f, "stuck", "FROZEN", "1");
    report(f, "n1", FREEZING, ABORT, "stuck", "HOT");
    assert_status(f, "stuck", SL_HOT);
    update(f, "stuck", "FROZEN", "1"); /* nothing of the first time is left */
    assert_status(f, "stuck", SL_FREEZING);
    report(f, "n1", FREEZING, DONE, "stuck", "FROZEN");
    assert_status(f, "stuck", SL_FROZEN);
}

static void all_nodes_must_be_done(void **state)
{
    struct fixture *f = *state;
    add_class(f, "T", true, 2);
    add_tenants(f, "12", "a", "HOT");
    update(f, "a", "FROZEN", "12");
    report(f, "n1", FREEZING, DONE, "a", "FROZEN");
    assert_status(f, "a", SL_FREEZING);
    report(f, "n2", FREEZING, DONE, "a", "FROZEN");
    assert_status(f, "a", SL_FROZEN);
    update(f, "a", "HOT", "12");
    report(f, "n2", UNFREEZING, DONE, "a", "");
    assert_status(f, "a", SL_UNFREEZING);
    report(f, "n1", UNFREEZING, DONE, "a", "");
    assert_status(f, "a", SL_HOT);
    update(f, "a", "FROZEN", "12"); /* one done, one given up: as it was */
    report(f, "n1", FREEZING, DONE, "a", "FROZEN");
    report(f, "n2", FREEZING, ABORT, "a", "HOT");
    assert_status(f, "a", SL_HOT);
}

static void reports_without_their_task_speak_for_themselves(void **state)
{
    struct fixture *f = *state;
    add_class(f, "T", true, 1);
    add_tenants(f, "1", "a", "FREEZING"); /* as from a snapshot, which holds no tasks */
    report(f, "n1", FREEZING, DONE, "a", "FROZEN");
    assert_status(f, "a", SL_FROZEN);
    add_tenants(f, "1", "b", "UNFREEZING");
    report(f, "n1", UNFREEZING, DONE, "b", ""); /* to where, nobody knows */
    assert_status(f, "b", SL_UNFREEZING);
    report(f, "n1", FREEZING, DONE, "never", "FROZEN");
}

static void replicas_move(void **state)
{
    struct fixture *f = *state;
    add_class(f, "T", true, 1);
    add_tenants(f, "1", "a", "HOT");
    struct sl_str two = SL_STR("{\"Class\":\"T\",\"Shard\":\"a\",\"TargetNode\":\"n2\"}");
    apply(f, 11, "T", two);
    assert_nodes(f, "a", "12");
    apply(f, 212, "T", two); /* is there */
    assert_nodes(f, "a", "12");
    apply(f, 12, "T", SL_STR("{\"Class\":\"T\",\"Shard\":\"a\",\"TargetNode\":\"n1\"}"));
    assert_nodes(f, "a", "2");
}

static void ten_thousand_tenants_one_by_one(void **state)
{
    struct fixture *f = *state;
    add_class(f, "T", true, 1);
    for (uint32_t i = 0; i < 10000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "tenant-%u", i);
        add_tenants(f, "1", name, i % 2 == 0 ? "HOT" : "COLD");
    }
    assert_int_equal(sli_classes_finish(&f->classes, &f->err), SL_OK);
    const struct sl_schema_class *c = sl_schema_class(&f->schema, SL_STR("T"));
    assert_non_null(c);
    assert_int_equal(c->shard_count, 10000);
    for (uint32_t i = 1; i < c->shard_count; i++) {
        assert_true(
            sl_bytes_cmp(sl_str_bytes(c->shards[i - 1].name), sl_str_bytes(c->shards[i].name)) < 0);
    }
}

/* ---- damage ---- */

static void what_no_server_stores_is_damage(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t type;
        const char *sub;
    } cases[] = {
        {1, "{\"Class\":{\"class\":\"../etc\"},\"State\":{}}"},
        {1, "{\"Class\":{\"class\":\"\"},\"State\":{}}"},
        {1, "{\"Class\":{\"class\":\"A\",},\"State\":{}}"},
        {1, "{\"Class\":{\"class\":\"B\"},\"State\":{\"physical\":{\"a/b\":{}}}}"},
        {1, "{\"Class\":{\"class\":\"C\"},\"State\":{\"physical\":{\"a\":{\"status\":\"HOTT\"}}}}"},
        {1, "{\"Class\":{\"class\":\"D\"},\"State\":{\"physical\":[]}}"},
        {1, "{\"Class\":{\"class\":\"E\"},\"State\":{\"physical\":{\"a\":{}"},
        {1, "nonsense"},
        {1, ""},
        {11, "{}"},
        {16, "\x12\x7f"},         /* a tenant longer than the message */
        {16, "\x12\x02\x0a\x00"}, /* a tenant without a name */
        {17, "\x0a\x05\x12\x03HOX"},
        {18, "\x0f"},     /* wire type 7 */
        {19, "\x12\x01"}, /* the action as bytes that end too early */
    };
    add_class(f, "T", true, 1);
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
        f->err = (struct sl_err){0};
        add_number(&b, 1, cases[i].type);
        add_text(&b, 2, "T");
        add_text(&b, 4, cases[i].sub);
        sl_rc rc = sli_classes_apply(&f->classes, sl_buf_view(&b), &f->err);
        if (rc != SL_ECORRUPT || f->err.text[0] == '\0') {
            fail_msg("case %zu gave %s", i, sl_rc_name(rc));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(classes_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(update_replaces_what_it_brings, setup, teardown),
        cmocka_unit_test_setup_teardown(properties_are_added_and_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(tenants_come_change_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(nodes_are_handed_out_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tenant_freezes_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_that_gives_up_brings_the_old_state_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(all_nodes_must_be_done, setup, teardown),
        cmocka_unit_test_setup_teardown(reports_without_their_task_speak_for_themselves, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(replicas_move, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_thousand_tenants_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_server_stores_is_damage, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
