/* Bytes that are written once and then shared by all who send them.
 *
 * Immutable once published; counted atomically, so the recipients may live on any thread. A
 * broadcast queues pointers into one such object on every connection. */
#ifndef CARAFE_BASE_SHARED_H
#define CARAFE_BASE_SHARED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct shared {
    atomic_uint refs;
    void (*on_free)(struct shared *self); /* frees what embeds this; runs at the last unref */
} shared;

static inline void shared_init(shared *s, void (*on_free)(shared *))
{
    atomic_init(&s->refs, 1);
    s->on_free = on_free;
}

static inline shared *shared_ref(shared *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static inline void shared_unref(shared *s)
{
    /* acq_rel: the thread that frees must see what the others did with the object before. */
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        s->on_free(s);
}

#endif /* CARAFE_BASE_SHARED_H */
