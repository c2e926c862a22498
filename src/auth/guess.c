/* Guessing of keys is slowed down: an address that failed FAILURES_MAX times within a second is not
 * listened to for the rest of it.
 *
 * Random keys need no such help (2^256); keys that people chose do. The right key is refused as
 * well in that second, since an answer that tells right from wrong is what the guesser wants. The
 * table has a fixed size: an address takes the slot of one that is older, so many addresses make
 * it forget, never grow. What stands before the fourth colon of an
 * IPv6 address counts, about a /64: each host has all of one. */
#include "auth/auth_int.h"

#include "base/hash.h"

#define FAILURES_MAX 10
#define WAYS         4 /* slots an address may have */

static uint64_t address_of(struct sl_str peer)
{
    size_t colons = 0, len = 0;
    while (len < peer.len && colons < 4) {
        colons += peer.ptr[len++] == ':';
    }
    return sl_xxh64(SL_BYTES(peer.ptr, len));
}

static int64_t second_of(const struct sl_auth *auth)
{
    return sl_clock_mono_ns(auth->opts.clock) / 1000000000;
}

/* Of this address and second; NULL: none. *ret_oldest may be taken for it. */
static struct sli_guess *find(struct sl_auth *auth, uint64_t address, int64_t second,
                              struct sli_guess **ret_oldest)
{
    struct sli_guess *first = &auth->guesses[address % (SLI_GUESS_SLOTS / WAYS) * WAYS];
    *ret_oldest = first;
    for (struct sli_guess *g = first; g < first + WAYS; g++) {
        if (g->address == address && g->second == second) {
            return g;
        }
        if (g->second < (*ret_oldest)->second) {
            *ret_oldest = g;
        }
    }
    return NULL;
}

bool sli_guess_is_over(struct sl_auth *auth, struct sl_str peer)
{
    struct sli_guess *oldest = NULL;
    sl_mutex_lock(&auth->guess_mu);
    const struct sli_guess *g = find(auth, address_of(peer), second_of(auth), &oldest);
    bool is_over = g != NULL && g->failures >= FAILURES_MAX;
    sl_mutex_unlock(&auth->guess_mu);
    return is_over;
}

void sli_guess_failed(struct sl_auth *auth, struct sl_str peer)
{
    uint64_t address = address_of(peer);
    int64_t second = second_of(auth);
    struct sli_guess *oldest = NULL;
    sl_mutex_lock(&auth->guess_mu);
    struct sli_guess *g = find(auth, address, second, &oldest);
    if (g == NULL) {
        g = oldest;
        *g = (struct sli_guess){address, second, 0};
    }
    g->failures++;
    sl_mutex_unlock(&auth->guess_mu);
}
