/* Programs by posix_spawn: a fork of a process with threads would run with their locks as they
 * stood. The program leads a process group, so that a script dies with what it started. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"

#define POLL_MS 20 /* how late an end, a cancel or the time limit may be seen */

/* ---- the line ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One word without its quotes; *at stops behind it. false: it does not end. */
static bool add_word(struct sl_str line, size_t *at, struct sl_buf *out)
{
    char quote = '\0';
    size_t i = *at;
    for (; i < line.len && (quote != '\0' || !is_blank(line.ptr[i])); i++) {
        char c = line.ptr[i];
        bool is_escape = c == '\\' && quote != '\'' &&
                         (quote == '\0' || (i + 1 < line.len &&
                                            (line.ptr[i + 1] == '"' || line.ptr[i + 1] == '\\')));
        if (is_escape) {
            if (++i == line.len) {
                return false;
            }
            sl_buf_add_u8(out, (uint8_t)line.ptr[i]);
        } else if (c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else {
            sl_buf_add_u8(out, (uint8_t)c);
        }
    }
    sl_buf_add_u8(out, '\0');
    *at = i;
    return quote == '\0';
}

sl_rc sl_command_split(struct sl_str line, struct sl_buf *out, uint32_t *ret_count,
                       struct sl_err *err)
{
    uint32_t count = 0;
    (void)sl_buf_reserve(out,
                         line.len + 1); /* all there can be: it does not move, so leaves no copy */
    if (line.len > 0 && memchr(line.ptr, '\0', line.len) != NULL) {
        return SL_FAIL(err, SL_EINVAL, "the command line has a NUL");
    }
    for (size_t at = 0; at < line.len;) {
        if (is_blank(line.ptr[at])) {
            at++;
            continue;
        }
        if (!add_word(line, &at, out)) {
            return SL_FAIL(err, SL_EINVAL,
                           "the command line ends inside a quote or after a backslash");
        }
        if (++count > SL_COMMAND_WORDS_MAX) {
            return SL_FAIL(err, SL_EINVAL, "the command line has more than %u words",
                           SL_COMMAND_WORDS_MAX);
        }
    }
    if (count == 0) {
        return SL_FAIL(err, SL_EINVAL, "the command line is empty");
    }
    SL_TRY(sl_buf_done(out, err));
    *ret_count = count;
    return SL_OK;
}

/* ---- the process ---- */

/* Nothing of ours but the pipe: no signal masks, no ignored signals, no descriptors. Its output is
 * made first, since that may be one of the three numbers that are then replaced. */
static int spawn(char *const argv[], int out_fd, pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int no = posix_spawn_file_actions_init(&files);
    if (no != 0) {
        return no;
    }
    no = posix_spawnattr_init(&how);
    if (no == 0) {
        (void)posix_spawnattr_setsigmask(&how, &none); /* these four fail for wrong flags only */
        (void)posix_spawnattr_setsigdefault(&how, &all);
        (void)posix_spawnattr_setpgroup(&how, 0);
        (void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                 POSIX_SPAWN_SETPGROUP);
        no = posix_spawn_file_actions_adddup2(&files, out_fd, STDOUT_FILENO);
        no = no != 0
                 ? no
                 : posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        no = no != 0 ? no
                     : posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null",
                                                        O_WRONLY, 0);
        no = no != 0 ? no : posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
        no = no != 0 ? no : posix_spawnp(ret, argv[0], &files, &how, argv, environ);
        posix_spawnattr_destroy(&how);
    }
    posix_spawn_file_actions_destroy(&files);
    return no;
}

/* What is there to read now; false: its end. */
static bool drain(int fd, size_t out_max, struct sl_buf *out)
{
    while (out->len <= out_max) {
        ssize_t n =
            read(fd, out->ptr + out->len, out_max + 1 - out->len); /* allow: read(, a pipe */
        if (n > 0) {
            out->len += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return n < 0 && errno == EAGAIN;
        }
    }
    return false;
}

struct child {
    const char *name;
    pid_t pid;
    int fd;         /* reads its output, without waiting */
    int status;     /* of waitpid */
    bool has_ended; /* and was waited for */
};

/* Until it ends or meets a limit. A program that it leaves behind with its output open is not
 * waited for. */
static sl_rc follow(struct child *p, const struct sl_command *c, struct sl_buf *out,
                    struct sl_err *err)
{
    struct sl_clock *clock = sl_clock_real();
    int64_t end_ns = sl_clock_mono_ns(clock) + c->timeout_ns;
    struct pollfd ready = {.fd = p->fd, .events = POLLIN};
    while (!p->has_ended) {
        (void)poll(&ready, 1, POLL_MS); /* a closed one (-1) only waits */
        /* Where SIGCHLD is ignored nobody can say how it ended; what it wrote is judged. */
        p->has_ended = waitpid(p->pid, &p->status, WNOHANG) != 0;
        if (ready.fd >= 0 && !drain(p->fd, c->out_max, out)) {
            ready.fd = -1;
        }
        if (out->len > c->out_max) {
            return SL_FAIL(err, SL_EIO, "%s writes more than %zu bytes", p->name, c->out_max);
        }
        if (!p->has_ended && sl_cancel_is_set(c->cancel)) {
            return SL_FAIL(err, SL_ECANCELED, "%s was ended: the request was canceled", p->name);
        }
        if (!p->has_ended && sl_clock_mono_ns(clock) >= end_ns) {
            return SL_FAIL(err, SL_ETIMEOUT, "%s was ended: it took longer than %lld s", p->name,
                           (long long)(c->timeout_ns / 1000000000));
        }
    }
    if (WIFSIGNALED(p->status)) {
        return SL_FAIL(err, SL_EIO, "%s was ended by signal %d", p->name, WTERMSIG(p->status));
    }
    if (WEXITSTATUS(p->status) != 0) {
        return SL_FAIL(err, SL_EIO, "%s failed with exit code %d", p->name, WEXITSTATUS(p->status));
    }
    return SL_OK;
}

static sl_rc run(char *const argv[], const struct sl_command *c, struct sl_buf *out,
                 struct sl_err *err)
{
    int fds[2];
    if (sl_buf_reserve(out, c->out_max + 1) == NULL) {
        return SL_NOMEM(err);
    }
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return SL_FAIL_ERRNO(err, errno, "no pipe for the output of %s", argv[0]);
    }
    struct child p = {.name = argv[0], .fd = fds[0]};
    int no = fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0 ? errno : spawn(argv, fds[1], &p.pid);
    (void)close(fds[1]);
    sl_rc rc;
    if (no == 0) {
        rc = follow(&p, c, out, err);
        if (!p.has_ended) {
            (void)kill(-p.pid, SIGKILL);
            (void)waitpid(p.pid, &p.status, 0);
        }
    } else if (no == ENOENT || no == EACCES || no == ENOEXEC || no == ENOTDIR) {
        rc = SL_FAIL(err, SL_EINVAL, "%s cannot be started: %s", argv[0], sl_errno_text(no));
    } else {
        rc = SL_FAIL_ERRNO(err, no, "%s cannot be started", argv[0]);
    }
    (void)close(fds[0]);
    return rc;
}

sl_rc sl_command_run(const struct sl_command *c, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) words = SL_BUF_EMPTY;
    char *argv[SL_COMMAND_WORDS_MAX + 1] = {NULL};
    uint32_t count = 0;
    sl_rc rc = sl_command_split(c->line, &words, &count, err);
    if (rc == SL_OK) {
        char *word = (char *)words.ptr;
        for (uint32_t i = 0; i < count; i++) {
            argv[i] = word;
            word += strlen(word) + 1;
        }
        rc = run(argv, c, out, err);
    }
    sl_wipe(words.ptr, words.len); /* arguments may be secrets */
    return rc;
}
