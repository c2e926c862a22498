/* Other programs: how a line is split (expected words from Python's shlex.split, which the AWS
 * tools use), what comes back, and that every limit holds. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/process.h"

#define SECOND INT64_C(1000000000)

static struct sl_err err;

/* ---- lines ---- */

static void lines_are_split_as_a_shell_does(void **state SL_UNUSED)
{
    struct {
        const char *line, *words; /* '^' for a NUL; NULL: refused */
    } const cases[] = {
        {"a", "a^"},
        {"  a\t b\r\nc  ", "a^b^c^"},
        {"'a b' c", "a b^c^"},
        {"\"a b\" c", "a b^c^"},
        {"a'b'\"c\"d", "abcd^"},
        {"''", "^"},
        {"a '' \"\"", "a^^^"},
        {"a\\ b", "a b^"},
        {"\\a\\\\b\\'c", "a\\b'c^"},
        {"'a\\b' '\\'", "a\\b^\\^"},
        {"\"a\\\"b\" \"a\\\\b\" \"a\\bc\\$\" \"'\"", "a\"b^a\\b^a\\bc\\$^'^"},
        {"/opt/bin/get $HOME *.c ~ # x", "/opt/bin/get^$HOME^*.c^~^#^x^"},
        {"a;b|c", "a;b|c^"},
        {"", NULL},
        {" \n", NULL},
        {"'a", NULL},
        {"\"a", NULL},
        {"a \"b\\\"", NULL},
        {"a\\", NULL},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        uint32_t count = 0, wanted = 0;
        sl_rc rc = sl_command_split(sl_str_from(cases[i].line), &out, &count, &err);
        if (cases[i].words == NULL) {
            assert_int_equal(rc, SL_EINVAL);
            continue;
        }
        assert_int_equal(rc, SL_OK);
        assert_int_equal(out.len, strlen(cases[i].words));
        for (size_t at = 0; at < out.len; at++) {
            wanted += cases[i].words[at] == '^';
            assert_int_equal(out.ptr[at] == '\0' ? '^' : out.ptr[at], cases[i].words[at]);
        }
        assert_int_equal(count, wanted);
    }
}

static void lines_have_limits(void **state SL_UNUSED)
{
    char many[2 * SL_COMMAND_WORDS_MAX + 2];
    uint32_t count = 0;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    for (size_t i = 0; i < sizeof many; i++) {
        many[i] = i % 2 == 0 ? 'a' : ' ';
    }
    struct sl_str line = {many, 2 * SL_COMMAND_WORDS_MAX};
    assert_int_equal(sl_command_split(line, &out, &count, &err), SL_OK);
    assert_int_equal(count, SL_COMMAND_WORDS_MAX);
    line.len++;
    assert_int_equal(sl_command_split(line, &out, &count, &err), SL_EINVAL);
    line = (struct sl_str){"a\0b", 3};
    assert_int_equal(sl_command_split(line, &out, &count, &err), SL_EINVAL);
}

/* ---- programs ---- */

static sl_rc run(const char *line, int64_t timeout_ns, size_t out_max, struct sl_buf *out)
{
    struct sl_command c = {.line = sl_str_from(line), .timeout_ns = timeout_ns, .out_max = out_max};
    return sl_command_run(&c, out, &err);
}

static void output_comes_back(void **state SL_UNUSED)
{
    struct {
        const char *line, *out;
    } const cases[] = {
        {"printf 'a b'", "a b"},
        {"/bin/sh -c 'echo told; echo secret >&2'", "told\n"},
        {"cat", ""}, /* nothing to read */
        {"true", ""},
        {"printf %s '$HOME' \"x y\"", "$HOMEx y"},
        {"sh -c 'cd /proc/self/fd && printf %s, *'", "0,1,2,3,"}, /* 3 is that folder */
        /* What it leaves behind with its output open is not waited for. */
        {"sh -c 'sleep 5 & echo done'", "done\n"},
    };
    int ours = dup(STDERR_FILENO); /* without CLOEXEC, as libraries have theirs */
    assert_true(ours > STDERR_FILENO);
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        int64_t begun = sl_clock_mono_ns(sl_clock_real());
        assert_int_equal(run(cases[i].line, 60 * SECOND, 100, &out), SL_OK);
        assert_string_equal(sl_buf_cstr(&out), cases[i].out);
        assert_true(sl_clock_mono_ns(sl_clock_real()) - begun < 4 * SECOND);
    }
    (void)close(ours);
}

static void failures_are_told_without_arguments(void **state SL_UNUSED)
{
    struct {
        const char *line;
        sl_rc rc;
        const char *text;
    } const cases[] = {
        {"sh -c 'echo half; exit 7' secret", SL_EIO, "sh failed with exit code 7"},
        {"sh -c 'kill -KILL $$' secret", SL_EIO, "sh was ended by signal 9"},
        {"sh -c 'kill -PIPE $$' secret", SL_EIO, "sh was ended by signal 13"},
        {"/nowhere/x secret", SL_EINVAL, "/nowhere/x cannot be started: No such file or directory"},
        {"/etc/passwd secret", SL_EINVAL, "/etc/passwd cannot be started: Permission denied"},
        {"sh -c 'yes secret'", SL_EIO, "sh writes more than 100 bytes"},
        {"'secret", SL_EINVAL, "the command line ends inside a quote or after a backslash"},
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the node has it */
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        assert_int_equal(run(cases[i].line, 60 * SECOND, 100, &out), cases[i].rc);
        assert_string_equal(err.text, cases[i].text);
    }
}

static void exactly_the_limit_is_taken(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    assert_int_equal(run("head -c 100000 /dev/zero", 60 * SECOND, 100000, &out), SL_OK);
    assert_int_equal(out.len, 100000);
    sl_buf_fini(&out);
    assert_int_equal(run("head -c 100001 /dev/zero", 60 * SECOND, 100000, &out), SL_EIO);
}

/* It tells the number of a process that it starts, and both are gone. */
static void who_takes_too_long_is_killed_with_its_children(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    int pid = 0;
    assert_int_equal(run("sh -c 'sleep 1000 & echo $!; wait'", SECOND, 100, &out), SL_ETIMEOUT);
    assert_string_equal(err.text, "sh was ended: it took longer than 1 s");
    assert_int_equal(sscanf(sl_buf_cstr(&out), "%d", &pid), 1);
    for (;;) { /* who waits for it now may take a moment */
        char path[64], state_letter = '\0';
        (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *f = fopen(path, "r");
        if (f == NULL) {
            break;
        }
        int found = fscanf(f, "%*d (%*[^)]) %c", &state_letter);
        (void)fclose(f);
        if (found != 1 || state_letter == 'Z') {
            break;
        }
    }
}

static void a_cancel_ends_it(void **state SL_UNUSED)
{
    struct sl_cancel cancel;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sl_cancel_init(&cancel);
    sl_cancel_set(&cancel);
    struct sl_command c = {
        .line = SL_STR("sleep 1000"), .timeout_ns = 60 * SECOND, .out_max = 9, .cancel = &cancel};
    assert_int_equal(sl_command_run(&c, &out, &err), SL_ECANCELED);
    sl_cancel_fini(&cancel);
}

#ifdef SL_FAULTS_ON
static void every_failed_allocation_is_told(void **state SL_UNUSED)
{
    for (int64_t n = 0;; n++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = run("true", 60 * SECOND, 100, &out);
        sl_fault_clear();
        if (rc == SL_OK) {
            assert_true(n >= 2);
            return;
        }
        assert_int_equal(rc, SL_ENOMEM);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_split_as_a_shell_does),
        cmocka_unit_test(lines_have_limits),
        cmocka_unit_test(output_comes_back),
        cmocka_unit_test(failures_are_told_without_arguments),
        cmocka_unit_test(exactly_the_limit_is_taken),
        cmocka_unit_test(who_takes_too_long_is_killed_with_its_children),
        cmocka_unit_test(a_cancel_ends_it),
#ifdef SL_FAULTS_ON
        cmocka_unit_test(every_failed_allocation_is_told),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
