/* A hashed hierarchical timing wheel: the pings, time-outs and sleeps of a million connections.
 *
 * Four levels of 64 slots with a tick of 1 ms, 64 ms, 4 s and 4.4 min; a timer further out than
 * 4.6 h waits in the last level and is placed again. Add and cancel are O(1) and allocate
 * nothing. Pure: time is an argument, in milliseconds of any monotonic clock. */
#ifndef CARAFE_NET_WHEEL_H
#define CARAFE_NET_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum { WHEEL_LEVELS = 4, WHEEL_SLOTS = 64 };

typedef struct wheel_timer wheel_timer;
typedef void wheel_fn(wheel_timer *timer);

/* Embedded in what it times; 32 bytes. Initialise once with wheel_timer_init(). */
struct wheel_timer {
    list link;           /* in a slot, or alone */
    uint64_t expires_ms; /* valid while linked */
    wheel_fn *fn;        /* called once at expiry, with the timer unlinked */
};

typedef struct wheel {
    list slots[WHEEL_LEVELS][WHEEL_SLOTS];
    uint64_t used[WHEEL_LEVELS]; /* bit per slot that may hold timers (cleared lazily) */
    uint64_t now_ms;             /* all timers up to here have fired */
} wheel;

void wheel_init(wheel *w, uint64_t now_ms);

static inline void wheel_timer_init(wheel_timer *timer, wheel_fn *fn)
{
    list_init(&timer->link);
    timer->fn = fn;
}

static inline bool wheel_timer_is_armed(const wheel_timer *timer)
{
    return list_is_linked(&timer->link);
}

/* Arms the timer for `expires_ms` (past times fire at the next advance); moves it when it is
 * armed already. */
void wheel_add(wheel *w, wheel_timer *timer, uint64_t expires_ms);

/* Disarms; harmless on a timer that is not armed. */
static inline void wheel_cancel(wheel_timer *timer)
{
    list_unlink(&timer->link);
}

/* Fires what expires up to and including `now_ms`, in order of expiry tick. Callbacks may add and
 * cancel any timer, also themselves; what they add for <= now_ms fires at the next advance. Time
 * never goes backwards: a smaller `now_ms` is ignored. */
void wheel_advance(wheel *w, uint64_t now_ms);

/* Milliseconds from now_ms until the wheel must be advanced next (0: at once): no later than the
 * first timer's expiry, perhaps a little earlier (to place timers again). -1 when it is empty. */
int64_t wheel_wait_ms(wheel *w);

#endif /* CARAFE_NET_WHEEL_H */
