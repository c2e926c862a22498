/* A server that does what a script says, byte by byte: each connection has its own steps and its
 * own thread. What it was sent is kept for the test to look at after scripted_stop. */
#ifndef SCRIPTED_H
#define SCRIPTED_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/workers.h"

enum act {
    CLOSE,    /* the end of every script */
    READ,     /* a request with its body, by Content-Length */
    HEAD,     /* the head of a request alone */
    SEND,     /* text */
    DRIP,     /* text, a byte per packet */
    FLOOD,    /* text, count times or until the peer is gone */
    TRICKLE,  /* "x" every 20 ms until the peer is gone */
    SIP,      /* reads count bytes, 32 KiB every 30 ms */
    HOLD,     /* reads and answers nothing until the peer is gone */
    ABSTAIN,  /* does not even read until the peer is gone, or the server is stopped */
    RESET_IT, /* closes with RST */
};
struct step {
    enum act act;
    const char *text;
    size_t count;
};

#define CONNECTIONS_MAX 8
struct scripted;
struct connection {
    struct scripted *server;
    const struct step *steps;
    pthread_t thread; /* not sl_thread: a sweep of failing allocations counts the client's alone */
    bool is_joined;
    int fd;
    SSL *tls;        /* NULL: plain */
    char seen[8192]; /* heads of requests, then small bodies */
    size_t seen_len;
    size_t body_bytes;
};
struct scripted {
    const struct step *scripts[CONNECTIONS_MAX]; /* of connection 0, 1, ...; the last one again */
    SSL_CTX *tls;
    int fd;
    int stop[2]; /* closed pipe: the end of ABSTAIN */
    unsigned port;
    bool is_v6;
    struct sl_thread *acceptor;
    struct connection connections[CONNECTIONS_MAX];
    _Atomic unsigned accepted;
};

static inline ssize_t link_read(struct connection *c, void *to, size_t len)
{
    return c->tls == NULL ? recv(c->fd, to, len, 0) : SSL_read(c->tls, to, (int)len);
}

static inline bool link_write(struct connection *c, const char *from, size_t len)
{
    while (len > 0) {
        ssize_t n = c->tls == NULL ? send(c->fd, from, len, MSG_NOSIGNAL)
                                   : SSL_write(c->tls, from, (int)len);
        if (n <= 0) {
            return false;
        }
        from += n;
        len -= (size_t)n;
    }
    return true;
}

/* Byte by byte to the empty line; then the body where it is wanted. false: the peer is gone. */
static inline bool take_request(struct connection *c, bool has_body)
{
    size_t begin = c->seen_len, len = 0;
    char byte;
    do {
        if (link_read(c, &byte, 1) != 1 || c->seen_len + 1 >= sizeof c->seen) {
            return false;
        }
        c->seen[c->seen_len++] = byte;
    } while (c->seen_len - begin < 4 || memcmp(c->seen + c->seen_len - 4, "\r\n\r\n", 4) != 0);
    const char *told = strstr(c->seen + begin, "Content-Length: ");
    if (has_body && told != NULL) {
        len = strtoul(told + strlen("Content-Length: "), NULL, 10);
    }
    static _Thread_local char chunk[65536];
    while (len > 0) {
        ssize_t n = link_read(c, chunk, SL_MIN(len, sizeof chunk));
        if (n <= 0) {
            return false;
        }
        size_t kept = SL_MIN((size_t)n, sizeof c->seen - 1 - c->seen_len);
        memcpy(c->seen + c->seen_len, chunk, kept);
        c->seen_len += kept;
        c->body_bytes += (size_t)n;
        len -= (size_t)n;
    }
    return true;
}

static inline void take_slowly(struct connection *c, size_t len)
{
    static _Thread_local char chunk[32768];
    while (len > 0) {
        ssize_t n = link_read(c, chunk, SL_MIN(len, sizeof chunk));
        if (n <= 0) {
            return;
        }
        len -= (size_t)n;
        c->body_bytes += (size_t)n;
        (void)poll(NULL, 0, 30);
    }
}

static inline bool step_do(struct connection *c, const struct step *s)
{
    char waste[4096];
    struct pollfd gone = {.fd = c->fd, .events = POLLRDHUP};
    switch (s->act) {
    case CLOSE:
        return false;
    case READ:
    case HEAD:
        return take_request(c, s->act == READ);
    case SEND:
        return link_write(c, s->text, strlen(s->text));
    case DRIP:
        for (const char *p = s->text; *p != '\0'; p++) {
            if (!link_write(c, p, 1)) {
                return false;
            }
        }
        return true;
    case FLOOD:
        for (size_t i = 0; i < s->count && link_write(c, s->text, strlen(s->text)); i++) {
        }
        return true;
    case TRICKLE:
        while (poll(&gone, 1, 20) == 0 && link_write(c, "x", 1)) {
        }
        return false;
    case SIP:
        take_slowly(c, s->count);
        return true;
    case HOLD:
        while (link_read(c, waste, sizeof waste) > 0) {
        }
        return false;
    case ABSTAIN: {
        struct pollfd both[2] = {gone, {.fd = c->server->stop[0], .events = POLLIN}};
        (void)poll(both, 2, -1);
        return false;
    }
    case RESET_IT: {
        struct linger at_once = {.l_onoff = 1};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return false;
    }
    }
    return false;
}

static inline void *connection_run(void *arg)
{
    struct connection *c = arg;
    if (c->server->tls != NULL) {
        c->tls = SSL_new(c->server->tls);
        (void)SSL_set_fd(c->tls, c->fd);
        if (SSL_accept(c->tls) != 1) {
            SSL_free(c->tls);
            (void)close(c->fd);
            return NULL;
        }
    }
    for (const struct step *s = c->steps; step_do(c, s); s++) {
    }
    if (c->tls != NULL) {
        (void)SSL_shutdown(c->tls);
        SSL_free(c->tls);
    }
    (void)close(c->fd);
    return NULL;
}

static inline void connection_join(struct connection *c)
{
    if (!c->is_joined) {
        (void)pthread_join(c->thread, NULL);
        c->is_joined = true;
    }
}

static inline void scripted_accept(void *arg)
{
    struct scripted *s = arg;
    const struct step *steps = s->scripts[0];
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        int fd = accept(s->fd, NULL, NULL), yes = 1;
        if (fd < 0) {
            return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        steps = s->scripts[i] == NULL ? steps : s->scripts[i];
        struct connection *c = &s->connections[i];
        c->server = s;
        c->steps = steps;
        c->fd = fd;
        if (pthread_create(&c->thread, NULL, connection_run, c) != 0) {
            (void)close(fd);
            return;
        }
        s->accepted = i + 1;
    }
}

/* A socket that listens on a port of the kernel's choice, on IPv4's or IPv6's loopback. */
static inline int listen_somewhere(bool is_v6, int backlog, unsigned *ret_port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t len = is_v6 ? sizeof v6 : sizeof v4;
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0), small = 32768;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (bind(fd, address, len) != 0 || listen(fd, backlog) != 0 ||
        getsockname(fd, address, &len) != 0) {
        (void)close(fd);
        return -1;
    }
    *ret_port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
    return fd;
}

/* scripts, tls and is_v6 are set. */
static inline void scripted_start(struct scripted *s)
{
    s->fd = listen_somewhere(s->is_v6, 16, &s->port);
    assert_true(s->fd >= 0);
    assert_int_equal(pipe(s->stop), 0);
    assert_int_equal(sl_thread_start("server", scripted_accept, s, &s->acceptor, NULL), SL_OK);
}

/* Waits for the connections to end: the client must have let go of them. */
static inline void scripted_stop(struct scripted *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    sl_thread_join(s->acceptor);
    (void)close(s->fd);
    (void)close(s->stop[1]);
    for (unsigned i = 0; i < s->accepted; i++) {
        connection_join(&s->connections[i]);
    }
    (void)close(s->stop[0]);
}

#endif
