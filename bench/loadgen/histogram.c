#include "histogram.h"

/* Slots 0..63 are the values themselves. After that, a value of n bits lies in group n - 6, and
 * its six bits below the leading one choose the step. */
static unsigned slot_of(uint64_t ns)
{
    const uint64_t longest = (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1;
    if (ns > longest)
        ns = longest;
    if (ns < (1u << HISTOGRAM_STEP_BITS))
        return (unsigned)ns;
    unsigned top_bit = 63u - (unsigned)__builtin_clzll(ns);
    unsigned shift = top_bit - HISTOGRAM_STEP_BITS;
    unsigned step = (unsigned)(ns >> shift) & ((1u << HISTOGRAM_STEP_BITS) - 1);
    return ((shift + 1) << HISTOGRAM_STEP_BITS) + step;
}

/* The largest value that falls into `slot`. */
static uint64_t slot_end(unsigned slot)
{
    if (slot < (1u << HISTOGRAM_STEP_BITS))
        return slot;
    unsigned shift = (slot >> HISTOGRAM_STEP_BITS) - 1;
    uint64_t step = slot & ((1u << HISTOGRAM_STEP_BITS) - 1);
    return (((UINT64_C(1) << HISTOGRAM_STEP_BITS) + step + 1) << shift) - 1;
}

void histogram_add(histogram *h, uint64_t ns)
{
    h->counts[slot_of(ns)]++;
    h->total++;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

uint64_t histogram_quantile(const histogram *h, double q)
{
    if (h->total == 0)
        return 0;
    double exact_rank = q * (double)h->total;
    uint64_t rank = (uint64_t)exact_rank;
    if (rank == 0 || (double)rank < exact_rank)
        rank++;
    uint64_t seen = 0;
    for (unsigned slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        seen += h->counts[slot];
        if (seen >= rank)
            return slot_end(slot) < h->max_ns ? slot_end(slot) : h->max_ns;
    }
    return h->max_ns;
}
