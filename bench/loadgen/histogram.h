/* Counts of durations on a logarithmic scale.
 *
 * Every power of two is cut into 64 equal steps, so a quantile is at most 1/64 (1.6 %) above the
 * true one. From 64 ns to 2^40 ns (18 minutes); longer durations count as the longest.
 */
#ifndef LOADGEN_HISTOGRAM_H
#define LOADGEN_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_VALUE_BITS 40
#define HISTOGRAM_SLOTS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

typedef struct histogram {
    uint64_t counts[HISTOGRAM_SLOTS];
    uint64_t total;
    uint64_t max_ns;
} histogram;

void histogram_add(histogram *h, uint64_t ns);

/* The duration that the share `q` (0..1) of all counts does not exceed, 0 when there are none. */
uint64_t histogram_quantile(const histogram *h, double q);

#endif /* LOADGEN_HISTOGRAM_H */
