/* The textbook algorithm: a worm that changes k at fixed l, and Metropolis sweeps that change l at fixed k
   (Gattringer and Kloiber, Nucl. Phys. B 869 (2013) 56). Implemented independently of fluxeq's sampler, for comparison.

   Head and tail each count as one more power of the field at their site, so that f is even there as well. Entering and
   leaving are moves with their own acceptance; a rejected entry counts as a worm. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static inline uint64_t rotated(uint64_t x, int n) { return (x << n) | (x >> (64 - n)); }

/* xoshiro256++ */
static inline double uniform(uint64_t *s)
{
    uint64_t value = rotated(s[0] + s[3], 23) + s[0], shifted = s[1] << 17;
    s[2] ^= s[0]; s[3] ^= s[1]; s[1] ^= s[2]; s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotated(s[3], 45);
    return (value >> 11) * 0x1p-53;
}

/* d dimensions, V sites; neighbours (2 d, V), first x + nu_hat, then x - nu_hat; k, l (d, V); f (V,), updated;
   r(f) = W(f+2) / W(f) for f below n_ratios, inverse its inverse. Fills series (steps, 3) with the sum of k_t and the
   means of |phi|^2 and of l over the sites, after each step of `worms` worms and `sweeps` sweeps.
   Returns the number of moves of the head, or -1 if f exceeds the table. */
int64_t textbook(int d, int V, const int32_t *neighbours, int16_t *k, int16_t *l, int32_t *f, uint64_t *rng,
                 const double *r, const double *inverse, int n_ratios, double mu, double entry,
                 int worms, int sweeps, int64_t steps, double *series)
{
    const double up = exp(mu), down = exp(-mu);
    int64_t moves = 0;
    for (int64_t step = 0; step < steps; step++) {
        for (int worm = 0; worm < worms; worm++) {
            int tail = (int)(uniform(rng) * V), head = tail;
            if (uniform(rng) >= entry * r[f[tail]]) continue;
            f[tail] += 2;
            int charge = uniform(rng) < 0.5 ? 1 : -1;
            for (;;) {
                moves++;
                if (head == tail && uniform(rng) < 0.5) {
                    if (uniform(rng) * entry * r[f[tail] - 2] < 1) { f[tail] -= 2; break; }
                    continue;
                }
                double scaled = uniform(rng) * 2 * d;
                int direction = (int)scaled, target = neighbours[direction * V + head];
                int nu = direction % d, link = nu * V + (direction < d ? head : target);
                int change = direction < d ? charge : -charge, before = k[link], hops = abs(before) + l[link];
                double chance = scaled - direction, factor = nu ? 1 : change > 0 ? up : down;
                if (abs(before + change) > abs(before)) {
                    if (chance * (hops + 1) < factor * r[f[target]]) {
                        k[link] += change; f[target] += 2; head = target;
                        if (f[target] + 4 > n_ratios) return -1;
                    }
                } else if (chance < factor * hops * inverse[f[head] - 2]) {
                    k[link] += change; f[head] -= 2; head = target;
                }
            }
        }
        for (int sweep = 0; sweep < sweeps; sweep++)
            for (int link = 0; link < d * V; link++) {
                int x = link % V, y = neighbours[link], hops = abs(k[link]) + l[link];
                double chance = 2 * uniform(rng);
                if (chance < 1) {
                    if (chance * (hops + 1) * (l[link] + 1) < r[f[x]] * r[f[y]]) {
                        l[link]++; f[x] += 2; f[y] += 2;
                        if (f[x] + 4 > n_ratios || f[y] + 4 > n_ratios) return -1;
                    }
                } else if (l[link] && chance - 1 < (double)hops * l[link] * inverse[f[x] - 2] * inverse[f[y] - 2]) {
                    l[link]--; f[x] -= 2; f[y] -= 2;
                }
            }
        double total = 0, phi2 = 0, pairs = 0;
        for (int x = 0; x < V; x++) { total += k[x]; phi2 += r[f[x]]; }
        for (int link = 0; link < d * V; link++) pairs += l[link];
        series[3 * step] = total; series[3 * step + 1] = phi2 / V; series[3 * step + 2] = pairs / V;
    }
    return moves;
}
