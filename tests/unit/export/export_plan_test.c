/* Which collections, which ranges, which names, how much memory: the decisions made before anything
 * runs. Expected ranges are those of the reference's formula and of its real exports. */
#include "export_fixture.h"

/* A job as far as select and plan need one. */
struct planned {
    struct sli_job *job;
    struct sl_err err;
};

static struct planned select_of(struct world *w, const struct sl_export_request *request,
                                sl_rc want)
{
    struct planned p = {.job = sli_job_new(w->ex)};
    assert_non_null(p.job);
    sl_rc rc = sli_select(w->source, request, p.job, &p.err);
    if (rc != want) {
        fail_msg("%s", sl_err_text(&p.err, rc));
    }
    return p;
}

static struct planned plan_of(struct world *w, uint32_t parallelism, sl_rc want)
{
    struct sl_export_request all = {0};
    struct planned p = select_of(w, &all, SL_OK);
    p.job->parallelism = parallelism;
    assert_int_equal(w->source->ops->freeze(w->source, SL_STR("v"), &p.job->frozen, &p.err), SL_OK);
    sl_rc rc = sli_plan(p.job, &(struct sl_export_request){0}, &p.err);
    if (rc != want) {
        fail_msg("%s", sl_err_text(&p.err, rc));
    }
    return p;
}

static const char *joined(struct world *w, const struct sl_str *names, uint32_t count)
{
    begin(w);
    for (uint32_t i = 0; i < count; i++) {
        SL_IGNORE(join_key(&w->out, names[i], 0, NULL), "never fails");
    }
    return sl_buf_cstr(&w->out);
}

static const char *file_names(struct world *w, const struct sli_job *job)
{
    begin(w);
    for (uint32_t i = 0; i < job->range_count; i++) {
        sl_buf_add_text(&w->out, i == 0 ? "" : " ");
        sli_file_name(job, &job->ranges[i], &w->out);
    }
    return sl_buf_cstr(&w->out);
}

/* ---- states ---- */

static void states_go_forward_only(void **state SL_UNUSED)
{
    enum { S = SL_EXPORT_STARTED, T = SL_EXPORT_TRANSFERRING, OK = SL_EXPORT_SUCCESS };
    enum { F = SL_EXPORT_FAILED, C = SL_EXPORT_CANCELED, COUNT = 5 };
    static const bool allowed[COUNT][COUNT] = {
        [S] = {[T] = true, [F] = true, [C] = true},
        [T] = {[OK] = true, [F] = true, [C] = true},
        [OK] = {[F] = true}, /* before anybody is told: the record could not be stored */
    };
    for (int from = 0; from < COUNT; from++) {
        for (int to = 0; to < COUNT; to++) {
            assert_int_equal(sli_state_may((enum sl_export_state)from, (enum sl_export_state)to),
                             allowed[from][to]);
        }
    }
}

/* ---- select ---- */

static void include_keeps_its_order_and_takes_no_name_twice(void **state)
{
    struct world *w = *state;
    add_class(w, "A", "s");
    add_class(w, "B", "s");
    add_class(w, "C", "s");
    struct sl_str include[] = {SL_STR("C"), SL_STR("X"), SL_STR("A"), SL_STR("C"),
                               SL_STR("a"), SL_STR("X"), SL_STR("A")};
    struct sl_export_request request = {.include = include, .include_count = SL_COUNT_OF(include)};
    struct planned p = select_of(w, &request, SL_OK);
    assert_string_equal(joined(w, p.job->classes, p.job->class_count), "C A");
    assert_string_equal(joined(w, p.job->unknown, p.job->unknown_count), "X a");
    sli_job_free(p.job);
}

static void exclude_leaves_the_rest_in_creation_order(void **state)
{
    struct world *w = *state;
    add_class(w, "Z", "s");
    add_class(w, "B", "s");
    add_class(w, "A", "s");
    struct sl_str exclude[] = {SL_STR("B"), SL_STR("Q"), SL_STR("B")};
    struct sl_export_request request = {.exclude = exclude, .exclude_count = SL_COUNT_OF(exclude)};
    struct planned p = select_of(w, &request, SL_OK);
    assert_string_equal(joined(w, p.job->classes, p.job->class_count), "Z A");
    assert_string_equal(joined(w, p.job->unknown, p.job->unknown_count), "Q");
    sli_job_free(p.job);
    struct sl_export_request none = {0};
    p = select_of(w, &none, SL_OK);
    assert_string_equal(joined(w, p.job->classes, p.job->class_count), "Z B A");
    sli_job_free(p.job);
}

static void nothing_left_is_refused(void **state)
{
    struct world *w = *state;
    struct sl_export_request none = {0};
    struct planned p = select_of(w, &none, SL_EINVAL);
    assert_string_equal(p.err.text, "export validation error: no exportable classes");
    sli_job_free(p.job);
    add_class(w, "A", "s");
    struct sl_str name = SL_STR("A"), unknown = SL_STR("B");
    struct sl_export_request excluded = {.exclude = &name, .exclude_count = 1};
    sli_job_free(select_of(w, &excluded, SL_EINVAL).job);
    struct sl_export_request included = {.include = &unknown, .include_count = 1};
    sli_job_free(select_of(w, &included, SL_EINVAL).job);
}

static void long_lists_of_unknown_names_are_refused(void **state)
{
    enum { COUNT = 200000 };
    struct world *w = *state;
    add_class(w, "A", "s");
    static char text[COUNT][8];
    static struct sl_str names[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(text[i], sizeof text[i], "N%u", i);
        names[i] = sl_str_from(text[i]);
    }
    struct sl_export_request request = {.exclude = names, .exclude_count = COUNT};
    struct planned p = select_of(w, &request, SL_EINVAL);
    assert_string_equal(p.err.text, "export validation error: resolve classes: more than 1000 "
                                    "unknown collections are named, the first is \"N0\"");
    sli_job_free(p.job);
    request.exclude_count = 1000;
    p = select_of(w, &request, SL_OK);
    assert_int_equal(p.job->unknown_count, 1000);
    sli_job_free(p.job);
}

/* ---- ranges ---- */

static void range_count_is_the_reference_s(void **state SL_UNUSED)
{
    static const struct {
        uint64_t objects;
        uint32_t parallelism, want;
    } cases[] = {
        {1, 4, 1},
        {49999, 4, 1},
        {99999, 4, 1},
        {100000, 4, 2},
        {115000, 2, 2},
        {160000, 4, 3},
        {1000000, 2, 2},
        {1000001, 2, 3},
        {500000, 1, 1},
        {500001, 1, 2},
        {1000000, 16, 16},
        {5000000, 2, 10},
        {UINT64_MAX / 2, 1, 1000000},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        assert_int_equal(sli_range_count(cases[i].objects, cases[i].parallelism), cases[i].want);
    }
}

static void colliding_prefixes_get_disjoint_numbers(void **state)
{
    struct world *w = *state;
    /* "A_B" + "c" and "A" + "B_c" make the same prefix; "a" + "b_C" does where case is folded. */
    add_class(w, "A_B", "c");
    add_class(w, "A", NULL);
    add_tenant(w, "A", "B_c", "");
    add_class(w, "a", NULL);
    add_tenant(w, "a", "b_C", "");
    add_tenant(w, "A", "alone", "");
    add_objects(w, "A_B", "c", 2);
    add_objects(w, "A", "B_c", 2);
    add_objects(w, "A", "alone", 2);
    add_objects(w, "a", "b_C", 2);
    struct planned p = plan_of(w, 4, SL_OK);
    assert_string_equal(file_names(w, p.job), "A_B_c_0000.parquet A_alone_0000.parquet "
                                              "A_B_c_0001.parquet a_b_C_0002.parquet");
    assert_int_equal(p.job->objects_total, 8);
    sli_job_free(p.job);
}

static void member_of_a_collision_starts_after_all_ranges_before_it(void **state)
{
    struct world *w = *state;
    add_class(w, "A", NULL);
    add_tenant(w, "A", "B_c", "");
    add_class(w, "A_B", "c");
    add_objects(w, "A", "B_c", 100000);
    add_objects(w, "A_B", "c", 100000);
    struct planned p = plan_of(w, 2, SL_OK);
    assert_string_equal(file_names(w, p.job), "A_B_c_0000.parquet A_B_c_0001.parquet "
                                              "A_B_c_0002.parquet A_B_c_0003.parquet");
    sli_job_free(p.job);
}

static void skipped_shards_get_no_range(void **state)
{
    struct world *w = *state;
    add_class(w, "T", NULL);
    add_tenant(w, "T", "empty", "");
    add_tenant(w, "T", "full", "");
    add_tenant(w, "T", "gone", "tenant status is FROZEN");
    add_objects(w, "T", "full", 1);
    struct planned p = plan_of(w, 2, SL_OK);
    assert_int_equal(p.job->shard_count, 3);
    assert_string_equal(file_names(w, p.job), "T_full_0000.parquet");
    sli_job_free(p.job);
}

static void names_no_file_system_takes_are_refused(void **state)
{
    struct world *w = *state;
    char name[241];
    memset(name, 'N', sizeof name);
    name[0] = 'C';
    name[sizeof name - 1] = '\0';
    add_class(w, name, "shard");
    add_objects(w, name, "shard", 1);
    struct planned p = plan_of(w, 2, SL_EINVAL);
    assert_non_null(strstr(p.err.text, "the file name would be longer than 255 bytes"));
    sli_job_free(p.job);
}

/* ---- memory ---- */

static void memory_is_divided_within_what_is_given(void **state SL_UNUSED)
{
    uint64_t writer_bytes = 16 * MIB;
    for (uint64_t memory = 32 * MIB; memory <= 4096 * MIB; memory *= 2) {
        for (uint32_t wanted = 1; wanted <= 64; wanted *= 2) {
            struct sli_memory_plan p = sli_memory_plan(memory, wanted, 1, writer_bytes);
            uint64_t least = 8 * MIB + writer_bytes;
            assert_in_range(p.worker_count, 1, wanted);
            assert_in_range(p.group_bytes, 8 * MIB, 32 * MIB);
            assert_int_equal(p.group_bytes, sli_memory_plan(memory, 1, 1, 1).group_bytes);
            assert_true(p.worker_count == 1 || p.worker_count * p.group_bytes <= memory / 2);
            assert_in_range(p.part_bytes, 1 * MIB, 8 * MIB);
            assert_true(p.parts_budget >= 2 * p.worker_count * p.part_bytes);
            assert_true(p.parts_budget <= memory / 8 * 3 || p.part_bytes == 1 * MIB);
            assert_true(p.worker_count == 1 || p.worker_count * least <= memory - memory / 4);
        }
    }
}

static void default_memory_gives_two_workers_32_mib_groups(void **state SL_UNUSED)
{
    struct sli_memory_plan p = sli_memory_plan(130 * MIB, 2, 1, 25 * MIB);
    assert_int_equal(p.worker_count, 2);
    assert_int_equal(p.group_bytes, 32 * MIB);
    assert_int_equal(p.part_bytes, 4 * MIB);
    p = sli_memory_plan(1024 * MIB, 64, 1, 25 * MIB);
    assert_int_equal(p.group_bytes, 32 * MIB);
    assert_int_equal(p.worker_count, 16); /* 32 MiB each of the half for row groups */
    p = sli_memory_plan(64 * MIB, 1, 5 * MIB, 25 * MIB); /* the destination takes no smaller part */
    assert_in_range(p.part_bytes, 5 * MIB, 8 * MIB);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(states_go_forward_only),
        T(include_keeps_its_order_and_takes_no_name_twice),
        T(exclude_leaves_the_rest_in_creation_order),
        T(nothing_left_is_refused),
        T(long_lists_of_unknown_names_are_refused),
        T(range_count_is_the_reference_s),
        T(colliding_prefixes_get_disjoint_numbers),
        T(member_of_a_collision_starts_after_all_ranges_before_it),
        T(skipped_shards_get_no_range),
        T(names_no_file_system_takes_are_refused),
        T(memory_is_divided_within_what_is_given),
        T(default_memory_gives_two_workers_32_mib_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
