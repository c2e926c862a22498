/* Connections and until when each may keep us waiting.
 *
 * libmicrohttpd ends a connection that is silent; one that sends or takes a byte now and then would
 * hold its place for ever. So each guest has a time by which its header must be whole or its reply
 * taken, and a duty of the ticker shuts the sockets of those that are late; libmicrohttpd then sees
 * a client that left. All guests are looked at: a few thousand, once a second. The server thread of
 * a connection adds and removes its guest, always before the socket is closed, so a descriptor in
 * the list is never another's. `mu` is a leaf. @threads any. */
#include "api/api_int.h"

#include <sys/socket.h>

struct sli_guest {
    struct sli_guest *prev, *next; /* under mu */
    int fd;
    _Atomic int64_t due_ns; /* monotonic; 0: may stay */
};

void sli_guests_init(struct sli_guests *g)
{
    sl_mutex_init(&g->mu);
    g->first = NULL;
}

void sli_guests_fini(struct sli_guests *g)
{
    sl_assert(g->first == NULL);
    sl_mutex_fini(&g->mu);
}

struct sli_guest *sli_guest_enter(struct sli_guests *g, int fd, int64_t due_ns)
{
    struct sli_guest *guest = sl_alloc_zero(1, sizeof(*guest));
    if (guest != NULL) {
        guest->fd = fd;
        sli_guest_expect(guest, due_ns);
        sl_mutex_lock(&g->mu);
        guest->next = g->first;
        if (g->first != NULL) {
            g->first->prev = guest;
        }
        g->first = guest;
        sl_mutex_unlock(&g->mu);
    }
    return guest;
}

void sli_guest_expect(struct sli_guest *guest, int64_t due_ns)
{
    if (guest != NULL) {
        atomic_store_explicit(&guest->due_ns, due_ns, memory_order_relaxed);
    }
}

void sli_guest_leave(struct sli_guests *g, struct sli_guest *guest)
{
    if (guest == NULL) {
        return;
    }
    sl_mutex_lock(&g->mu);
    if (guest->prev == NULL) {
        g->first = guest->next;
    } else {
        guest->prev->next = guest->next;
    }
    if (guest->next != NULL) {
        guest->next->prev = guest->prev;
    }
    sl_mutex_unlock(&g->mu);
    sl_free(guest);
}

void sli_guests_sweep(struct sli_guests *g, int64_t now_ns)
{
    sl_mutex_lock(&g->mu);
    for (struct sli_guest *guest = g->first; guest != NULL; guest = guest->next) {
        int64_t due = atomic_load_explicit(&guest->due_ns, memory_order_relaxed);
        if (due != 0 && due <= now_ns) {
            (void)shutdown(guest->fd, SHUT_RDWR);
            sli_guest_expect(guest, 0);
        }
    }
    sl_mutex_unlock(&g->mu);
}
