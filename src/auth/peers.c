/* What an address did in this second: one that gave FAILURES_MAX wrong keys, or sent more requests
 * than SLUICE_REQUESTS_PER_ADDRESS, is not listened to for the rest of it.
 *
 * Random keys need no such help (2^256); keys that people chose do. The right key is refused as
 * well in that second, since an answer that tells right from wrong is what the guesser wants. The
 * table has a fixed size: an address takes the slot of one that is older, so many addresses make
 * it forget, never grow. What stands before the fourth colon of an
 * IPv6 address counts, about a /64: each host has all of one. */
#include "auth/auth_int.h"

#include "base/hash.h"
#include "base/stats.h"

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
static struct sli_peer *find(struct sl_auth *auth, uint64_t address, int64_t second,
                             struct sli_peer **ret_oldest)
{
    struct sli_peer *first = &auth->peers[address % (SLI_PEER_SLOTS / WAYS) * WAYS];
    *ret_oldest = first;
    for (struct sli_peer *g = first; g < first + WAYS; g++) {
        if (g->address == address && g->second == second) {
            return g;
        }
        if (g->second < (*ret_oldest)->second) {
            *ret_oldest = g;
        }
    }
    return NULL;
}

/* The slot of this address and second, which may have been an older one's. */
static struct sli_peer *take(struct sl_auth *auth, struct sl_str peer)
{
    uint64_t address = address_of(peer);
    int64_t second = second_of(auth);
    struct sli_peer *oldest = NULL;
    struct sli_peer *p = find(auth, address, second, &oldest);
    if (p == NULL) {
        p = oldest;
        *p = (struct sli_peer){.address = address, .second = second};
    }
    return p;
}

sl_rc sli_peer_ask(struct sl_auth *auth, struct sl_str peer, bool has_token, struct sl_err *err)
{
    uint32_t most = auth->opts.requests_per_s;
    if (most == 0 && !has_token) {
        return SL_OK;
    }
    sl_mutex_lock(&auth->peers_mu);
    struct sli_peer *p = take(auth, peer);
    bool is_over = most > 0 && ++p->requests > most;
    bool is_guessing = has_token && p->failures >= FAILURES_MAX;
    sl_mutex_unlock(&auth->peers_mu);
    if (is_over || is_guessing) {
        sl_stat_add(SL_STAT_REFUSED_RATE, 1);
    }
    if (is_over) {
        return SL_FAIL(err, SL_ETOOMANY,
                       "more than %u requests came from this address in a second "
                       "(SLUICE_REQUESTS_PER_ADDRESS); try again in a second",
                       most);
    }
    return is_guessing
               ? SL_FAIL(err, SL_ETOOMANY,
                         "too many wrong keys came from this address; try again in a second")
               : SL_OK;
}

void sli_peer_failed(struct sl_auth *auth, struct sl_str peer)
{
    sl_mutex_lock(&auth->peers_mu);
    take(auth, peer)->failures++;
    sl_mutex_unlock(&auth->peers_mu);
}
