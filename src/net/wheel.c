#include "net/wheel.h"

#include <assert.h>
#include <stddef.h>

/* Where a timer lies follows from the base-64 digits of its expiry and of now_ms:
 *
 *   level   the highest digit in which the two differ
 *   slot    that digit of the expiry
 *
 * So all timers of a level expire within the slot of the level above in which now_ms lies, a
 * level never wraps around, and the first slot in use of the lowest level in use is the next one
 * to look at. When now_ms arrives at a slot of level > 0, its timers agree with now_ms in one more
 * digit and are placed again, further down ("cascading").
 *
 * Two places are special, both in the slot of now_ms itself, which the rule leaves empty:
 *   level 0   timers that were past when they were added: due at once
 *   level 3   reached after a whole turn; also holds what expires later than that. This level
 *             does wrap around, which is why the distance to a slot is counted modulo 64. */

enum { DIGIT_BITS = 6, LEVEL_LAST = WHEEL_LEVELS - 1 };

_Static_assert(1 << DIGIT_BITS == WHEEL_SLOTS, "a digit names a slot");
_Static_assert(sizeof(void *) != 8 || sizeof(wheel_timer) == 32, "connections embed several");

/* Ticks of `level` since the beginning of the clock. */
static uint64_t tick_of(uint64_t ms, int level)
{
    return ms >> (level * DIGIT_BITS);
}

static unsigned slot_of(uint64_t ms, int level)
{
    return (unsigned)(tick_of(ms, level) % WHEEL_SLOTS);
}

static uint64_t slot_bit(unsigned slot)
{
    return UINT64_C(1) << slot;
}

void wheel_init(wheel *w, uint64_t now_ms)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
        w->used[level] = 0;
    }
    w->now_ms = now_ms;
}

/* Puts an unlinked timer where it belongs as seen from now_ms. */
static void place(wheel *w, wheel_timer *timer)
{
    int level = 0;
    unsigned slot = slot_of(w->now_ms, 0);

    if (timer->expires_ms > w->now_ms) {
        uint64_t differs = timer->expires_ms ^ w->now_ms;
        level = (63 - __builtin_clzll(differs)) / DIGIT_BITS;
        if (level > LEVEL_LAST)
            level = LEVEL_LAST;
        slot = slot_of(timer->expires_ms, level);
        if (tick_of(timer->expires_ms, level) - tick_of(w->now_ms, level) > WHEEL_SLOTS)
            slot = slot_of(w->now_ms, level);
    }
    list_push_back(&w->slots[level][slot], &timer->link);
    w->used[level] |= slot_bit(slot);
}

void wheel_add(wheel *w, wheel_timer *timer, uint64_t expires_ms)
{
    assert(timer->fn);
    list_unlink(&timer->link);
    timer->expires_ms = expires_ms;
    place(w, timer);
}

static void take_slot(wheel *w, int level, unsigned slot, list *to)
{
    list_splice(to, &w->slots[level][slot]);
    w->used[level] &= ~slot_bit(slot);
}

/* True when the slot holds timers. wheel_cancel does not know the wheel, so the bit of a slot
 * whose last timer was cancelled is still set and is cleared here. */
static bool slot_is_used(wheel *w, int level, unsigned slot)
{
    if (!(w->used[level] & slot_bit(slot)))
        return false;
    if (!list_is_empty(&w->slots[level][slot]))
        return true;
    w->used[level] &= ~slot_bit(slot);
    return false;
}

/* Ticks of `level` from now to its first slot in use, 1 to 64; 0 when the level is empty. */
static unsigned first_used(wheel *w, int level)
{
    unsigned next = slot_of(w->now_ms, level) + 1;

    while (w->used[level]) {
        unsigned turn = next % WHEEL_SLOTS;
        uint64_t used = w->used[level];
        if (turn)
            used = used >> turn | used << (WHEEL_SLOTS - turn);
        unsigned ahead = (unsigned)__builtin_ctzll(used);
        if (slot_is_used(w, level, (next + ahead) % WHEEL_SLOTS))
            return ahead + 1;
    }
    return 0;
}

/* Finds the next time at which a slot must be taken, apart from the slot of due timers, which is
 * empty when this is called. False when there are no timers. */
static bool next_stop(wheel *w, uint64_t *stop_ms)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        unsigned ahead = first_used(w, level);
        if (ahead) {
            *stop_ms = (tick_of(w->now_ms, level) + ahead) << (level * DIGIT_BITS);
            return true;
        }
    }
    return false;
}

/* Moves to `stop_ms`: places again what waited for it in the upper levels and hands out what
 * expires now. */
static void arrive(wheel *w, uint64_t stop_ms, list *expired)
{
    w->now_ms = stop_ms;
    for (int level = LEVEL_LAST; level > 0; level--) {
        if (tick_of(stop_ms, level) << (level * DIGIT_BITS) != stop_ms)
            continue;
        list again;
        list_init(&again);
        take_slot(w, level, slot_of(stop_ms, level), &again);
        for (list *node; (node = list_pop_front(&again));)
            place(w, LIST_ENTRY(node, wheel_timer, link));
    }
    take_slot(w, 0, slot_of(stop_ms, 0), expired);
}

void wheel_advance(wheel *w, uint64_t now_ms)
{
    /* All are collected before the first is called: whatever callbacks add is then placed as seen
     * from the new time, and what they cancel leaves this list like any other. */
    list expired;
    list_init(&expired);
    take_slot(w, 0, slot_of(w->now_ms, 0), &expired);

    uint64_t stop_ms;
    while (next_stop(w, &stop_ms) && stop_ms <= now_ms)
        arrive(w, stop_ms, &expired);
    if (w->now_ms < now_ms)
        w->now_ms = now_ms;

    for (list *node; (node = list_pop_front(&expired));) {
        wheel_timer *timer = LIST_ENTRY(node, wheel_timer, link);
        timer->fn(timer);
    }
}

int64_t wheel_wait_ms(wheel *w)
{
    if (slot_is_used(w, 0, slot_of(w->now_ms, 0)))
        return 0;
    uint64_t stop_ms;
    return next_stop(w, &stop_ms) ? (int64_t)(stop_ms - w->now_ms) : -1;
}
