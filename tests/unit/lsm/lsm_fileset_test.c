/* Which files of a bucket count: one case for each rule of a restart and each state that a kill can
 * leave, most of them listings of real directories (cut to the names that matter). */
#include "lsm_fixture.h"

#include "base/str.h"

#define A   "segment-1795430018344507050"
#define B   "segment-1795430031029028035"
#define C   "segment-1795430054661934323"
#define A_B "segment-1795430018344507050_1795430031029028035"

/* Names parted by blanks; "=0" behind a name makes the file empty. What counts, oldest first; NULL:
 * refused. */
struct listing_case {
    const char *names, *want, *why; /* part of what is said about some file, or of the failure */
};

static const struct listing_case cases[] = {
    {"", "", NULL},
    {"note.txt lost+found core .hidden", "", NULL},
    /* plain sets, old and new names, with all their side files */
    {A ".db " A ".bloom " A ".cna " A ".secondary.0.bloom", A ".db", NULL},
    {B ".l0.s0.db " A ".l1.s0.db " A ".l1.s0.metadata cleanup.db.bolt segment_edit_ops.db.bolt",
     A ".l1.s0.db " B ".l0.s0.db", NULL},
    {C ".wal " B ".db " A ".l1.s0.db", A ".l1.s0.db " B ".db " C ".wal", NULL},
    {B ".wal " A ".wal", A ".wal " B ".wal", NULL},
    /* 1: marked files */
    {A ".db.deleteme " B ".l1.s0.db " A ".bloom.deleteme", B ".l1.s0.db", "marked for removal"},
    {A ".l0.s0.db.1795429643208.deleteme " B ".l1.s0.db", B ".l1.s0.db", "marked for removal"},
    {A ".wal.deleteme", "", "marked for removal"},
    /* 2: an interrupted flush, cleanup, cleanup switch */
    {A ".l0.s0.db.tmp " A ".wal", A ".wal", "a flush was interrupted"},
    {A ".db.tmp " A ".db", A ".db", "a cleanup was interrupted"},
    {A ".l0.s0.db.tmp " A ".db", A ".db", "a cleanup was interrupted"},
    {A ".db.tmp " A ".db.deleteme " A ".bloom.tmp " A ".cna.tmp", A ".db.tmp",
     "the server itself would lose this one"},
    {A ".db.tmp " A ".db.deleteme " B ".db " A ".wal=0", A ".db.tmp " B ".db", "would lose"},
    {C ".l0.s0.db.tmp " B ".db " C ".wal " A ".db", A ".db " B ".db " C ".wal", "interrupted"},
    /* 3: an interrupted compaction */
    {A ".db " B ".db " A_B ".db.tmp", A ".db " B ".db", "both segments it read are still there"},
    {A ".l0.s0.db " B ".l0.s0.db " A_B ".l1.s0.db.tmp " A_B ".l1.s0.bloom.tmp",
     A ".l0.s0.db " B ".l0.s0.db", "both segments"},
    {A ".db.deleteme " B ".db " A_B ".db.tmp " C ".db", A_B ".db.tmp " C ".db",
     "replaced by a finished compaction"},
    {B ".l0.s0.db " A_B ".l1.s0.db.tmp " C ".wal", A_B ".l1.s0.db.tmp " C ".wal",
     "it stands for both its inputs"},
    {A ".db.deleteme " B ".db.deleteme " A_B ".db.tmp " C ".db", A_B ".db.tmp " C ".db",
     "it stands for both its inputs"},
    {A_B ".l1.s0.db.tmp", A_B ".l1.s0.db.tmp", "it stands for both its inputs"},
    {A ".db " A_B ".db.tmp " C ".db", NULL, "restore segment-1795430031029028035.db"},
    /* the adopted file is as old as its right input: newer than what lies between the two */
    {"segment-1_3.db.tmp segment-2.db segment-4.db", "segment-2.db segment-1_3.db.tmp segment-4.db",
     NULL},
    /* 4: temporary files of servers before 1.24 */
    {A ".db segment-1_2_3.db.tmp segment-4_.db.tmp", A ".db", "before 1.24"},
    /* 5: a flush into the final name, up to 1.30.1; an empty log says nothing */
    {A ".db " B ".db " B ".wal", A ".db " B ".wal", "the log of the same name holds all of it"},
    {A ".l0.s0.db " A ".wal " A ".bloom " A ".cna", A ".wal", "holds all of it"},
    {A ".db " A ".wal=0", A ".db", "an empty log"},
    {A ".l0.s0.db " A ".l0.wal=0 " A ".wal", A ".wal", "holds all of it"},
    /* 6: empty logs */
    {A ".wal=0 " B ".wal=0 " C ".wal", C ".wal", "an empty log"},
    {A ".wal=0", "", "an empty log"},
    /* 7: in the order of the whole name; an older log in its own time */
    {A ".l0.s0.db " A ".db " B ".db", A ".db " A ".l0.s0.db " B ".db", NULL},
    {A ".wal " B ".db " C ".wal", A ".wal " B ".db " C ".wal", "its flush must have failed"},
    /* Twins: a cleanup left the plain name beside the new one, then compactions go on. */
    {A ".db " A ".l0.s0.db.17.deleteme " B ".db " A_B ".l1.s0.db.tmp", A ".db " B ".db",
     "both segments"},
    {A ".db " A ".l0.s0.db.17.deleteme " B ".db.17.deleteme " A_B ".l1.s0.db.tmp",
     A ".db " A_B ".l1.s0.db.tmp", "it stands for both its inputs"},
    /* folders are left out by the caller; odd names are nobody's */
    {"segment-.db segment-5 segment- segment-6db segment-7.txt", "", NULL},
    {"segment-1_2.db segment-1_2.wal", "", NULL},
    /* a segment that is not there any more */
    {A ".bloom " B ".db", NULL, A ".db is missing"},
    {A ".l0.s0.cna", NULL, A ".db is missing"},
    {A ".metadata " B ".wal", NULL, A ".db is missing"},
    {A ".secondary.0.bloom " A ".db.deleteme", NULL, A ".db is missing"},
    {A ".bloom " B ".cna " A_B ".db.tmp", A_B ".db.tmp", NULL}, /* renamed one after the other */
    {A ".bloom.tmp " A ".cna.deleteme", "", NULL},
};

static uint32_t cut_names(char *text, struct sl_bucket_file *ret)
{
    uint32_t count = 0;
    for (char *at = strtok(text, " "); at != NULL; at = strtok(NULL, " ")) {
        char *empty = strstr(at, "=0");
        ret[count] = (struct sl_bucket_file){.size = empty == NULL ? 100 : 0};
        if (empty != NULL) {
            *empty = '\0';
        }
        ret[count++].name = sl_str_from(at);
    }
    return count;
}

static bool counts(const struct sl_bucket_file *f)
{
    return f->role == SL_ROLE_SEGMENT || f->role == SL_ROLE_LOG;
}

/* The same from any order of the listing. */
static void check_case(const struct listing_case *c, uint32_t turn)
{
    char text[1024], got[1024] = "";
    struct sl_bucket_file files[16];
    struct sl_arena arena = {0};
    struct sl_err err = {0};
    bool is_said = c->why == NULL, is_rest = false;
    (void)snprintf(text, sizeof(text), "%s", c->names);
    uint32_t count = cut_names(text, files);
    for (uint32_t i = 0; i < turn && count > 1; i++) {
        struct sl_bucket_file first = files[0];
        memmove(files, files + 1, (count - 1) * sizeof(*files));
        files[count - 1] = first;
    }
    sl_rc rc = sl_fileset_decide(files, count, &arena, &err);
    if (c->want == NULL) {
        assert_int_equal(rc, SL_ECORRUPT);
        assert_non_null(strstr(err.text, c->why));
        sl_arena_fini(&arena);
        return;
    }
    assert_int_equal(rc, SL_OK);
    for (uint32_t i = 0; i < count; i++) {
        is_rest |= !counts(&files[i]);
        assert_true(is_rest != counts(&files[i])); /* those that count come first */
        assert_true(files[i].role != SL_ROLE_LEFTOVER || files[i].why != NULL);
        is_said |= c->why != NULL && files[i].why != NULL && strstr(files[i].why, c->why) != NULL;
        if (counts(&files[i])) {
            (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s",
                           got[0] == '\0' ? "" : " ", SL_STR_ARG(files[i].name));
            assert_int_equal(files[i].role == SL_ROLE_LOG, sl_str_ends(files[i].name, ".wal"));
        }
    }
    assert_string_equal(got, c->want);
    assert_true(is_said);
    sl_arena_fini(&arena);
}

static void every_rule_of_a_restart(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        for (uint32_t turn = 0; turn < 4; turn++) {
            check_case(&cases[i], turn);
        }
    }
}

static void side_files_that_count_objects_are_known(void **state)
{
    (void)state;
    struct sl_bucket_file files[] = {{.name = SL_STR(A ".cna")},
                                     {.name = SL_STR(A ".l0.s0.metadata")},
                                     {.name = SL_STR(A ".bloom")},
                                     {.name = SL_STR(A ".db"), .size = 9}};
    struct sl_arena arena = {0};
    assert_int_equal(sl_fileset_decide(files, 4, &arena, NULL), SL_OK);
    assert_int_equal(files[0].role, SL_ROLE_SEGMENT);
    assert_int_equal(files[1].role, SL_ROLE_SIDE);
    assert_int_equal(files[2].role, SL_ROLE_COUNT);
    assert_int_equal(files[3].role, SL_ROLE_COUNT);
    sl_arena_fini(&arena);
}

static void failures_of_memory_are_passed_on(void **state)
{
    (void)state;
#ifdef SL_FAULTS_ON
    for (int64_t n = 0;; n++) {
        struct sl_bucket_file files[] = {{.name = SL_STR(A_B ".db.tmp"), .size = 9},
                                         {.name = SL_STR(B ".db"), .size = 9},
                                         {.name = SL_STR(C ".wal"), .size = 9}};
        struct sl_arena arena = {0};
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_fileset_decide(files, 3, &arena, NULL);
        sl_fault_clear();
        if (rc == SL_OK) {
            assert_true(sl_str_is(files[0].name, A_B ".db.tmp"));
            assert_true(sl_str_is(files[0].order, B ".db"));
            assert_true(n > 0);
            sl_arena_fini(&arena);
            break;
        }
        assert_int_equal(rc, SL_ENOMEM);
        sl_arena_fini(&arena);
    }
    assert_int_equal(sl_mem_live(), 0);
#else
    fail_msg("no fault points in this build: meson setup -Dfaults=true");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_of_a_restart),
        cmocka_unit_test(side_files_that_count_objects_are_known),
        cmocka_unit_test(failures_of_memory_are_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
