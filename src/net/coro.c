#include "net/coro.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/coro_switch.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CORO_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define CORO_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define CORO_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define CORO_TSAN 1
#endif

#if defined(CORO_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(CORO_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define CORO_VALGRIND 1
#endif
#endif

enum {
    STACK_SIZE_DEFAULT = 256 * 1024,
    STACK_SIZE_MIN = 16 * 1024, /* a handler that logs one line needs about half of it */
    COUNT_MAX_DEFAULT = 10000,

    /* Address space is all it costs, and a frame that holds a buffer of many pages and was not
     * compiled to probe them cannot step over it. */
    GUARD_SIZE = 64 * 1024,

    /* An idle stack without pages costs only the kernel's record of the mapping, and to take it up
     * again is cheaper than mapping one. */
    IDLE_COUNT_MAX_DEFAULT = 1024,

    /* Idle stacks that keep their pages, rarely more than 8 KiB each. Beyond that an ending pays a
     * system call and the next start page faults, about 2 us together: so as many as a busy
     * worker's handlers are likely to come and go in one breath. */
    WARM_COUNT_MAX = 128,
};

/*            coro_run             coro_suspend
 *   IDLE ---------------> RUNNING -------------> SUSPENDED
 *    ^                    |     ^                    |
 *    |  recycle           |     '--------------------'
 *    '---------- ENDED <--'          coro_resume
 *                       fn returns
 *
 * A coroutine that runs or resumes another one stays RUNNING meanwhile. */
typedef enum coro_state {
    CORO_IDLE = 0,
    CORO_RUNNING = 1,
    CORO_SUSPENDED = 2,
    CORO_ENDED = 3,
} coro_state;

/* Not on its own stack, so that an idle stack can give all its pages back and an overflow of a
 * neighbour cannot reach it. Owner: the thread that runs it. */
struct coro {
    list link;          /* idle: in pool->idle; suspended: its waker's to use */
    coro_pool *pool;    /* outlives it */
    char *stack;        /* lowest usable byte; the guard is below */
    coro_state state;   /* see above */
    unsigned warm;      /* idle with its pages: how many such there are from here on; else 0 */
    coro_fn *fn;        /* what it runs; valid unless IDLE */
    void *arg;          /* of fn */
    const void *thread; /* address of its thread's `current` */
    coro *caller;       /* who ran or resumed it, NULL: no coroutine; valid while RUNNING */
    void *caller_sp;    /* where the caller goes on; valid while RUNNING */
    void *sp;           /* where it goes on itself; valid while SUSPENDED */
#if defined(CORO_ASAN)
    void *fake_stack;         /* of the coroutine, while it is suspended */
    const void *caller_stack; /* bounds of the stack to return to */
    size_t caller_stack_size;
#endif
#if defined(CORO_TSAN)
    void *fiber;
    void *caller_fiber;
#endif
#if defined(CORO_VALGRIND)
    unsigned valgrind_id;
#endif
};

static _Thread_local coro *current;

/* What the sanitizers must hear around each switch, in the order of one round trip. They are
 * inlined by force: TSan counts calls and returns per stack, and a function that returned on
 * another stack than it was called on would break its books. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void note_before_enter(coro *c, void **fake_stack)
{
    (void)c;
    (void)fake_stack;
#if defined(CORO_ASAN)
    __sanitizer_start_switch_fiber(fake_stack, c->stack, c->pool->stack_size);
#endif
#if defined(CORO_TSAN)
    c->caller_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(c->fiber, 0);
#endif
}

ALWAYS_INLINE void note_after_enter(coro *c)
{
    (void)c;
#if defined(CORO_ASAN)
    __sanitizer_finish_switch_fiber(c->fake_stack, &c->caller_stack, &c->caller_stack_size);
#endif
}

ALWAYS_INLINE void note_before_leave(coro *c, bool has_ended)
{
    (void)c;
    (void)has_ended;
#if defined(CORO_ASAN)
    /* NULL frees the fake stack. */
    c->fake_stack = NULL;
    __sanitizer_start_switch_fiber(has_ended ? NULL : &c->fake_stack, c->caller_stack,
                                   c->caller_stack_size);
#endif
#if defined(CORO_TSAN)
    __tsan_switch_to_fiber(c->caller_fiber, 0);
#endif
}

ALWAYS_INLINE void note_after_leave(void *fake_stack)
{
    (void)fake_stack;
#if defined(CORO_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
}

/* The frames of the coroutine that ended here never returned: ASan still guards their variables,
 * and TSan still has them on its call stack. */
static void note_before_first_enter(coro *c)
{
    (void)c;
#if defined(CORO_ASAN)
    ASAN_UNPOISON_MEMORY_REGION(c->stack, c->pool->stack_size);
#endif
#if defined(CORO_TSAN)
    c->fiber = __tsan_create_fiber(0);
#endif
}

static void note_after_end(coro *c)
{
    (void)c;
#if defined(CORO_TSAN)
    __tsan_destroy_fiber(c->fiber);
#endif
}

static size_t round_to_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

/* Returns the lowest usable byte, or NULL. */
static char *stack_map(size_t size)
{
    size_t guard = round_to_pages(GUARD_SIZE);
    char *base = mmap(NULL, guard + size, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    if (mprotect(base + guard, size, PROT_READ | PROT_WRITE) != 0) {
        munmap(base, guard + size);
        return NULL;
    }
    return base + guard;
}

static void stack_unmap(char *stack, size_t size)
{
#if defined(CORO_ASAN)
    /* The next mapping at this address must not find our marks. */
    ASAN_UNPOISON_MEMORY_REGION(stack, size);
#endif
    size_t guard = round_to_pages(GUARD_SIZE);
    int result = munmap(stack - guard, guard + size);
    assert(result == 0 && "unmapping a whole mapping cannot fail");
    (void)result;
}

static coro *coro_new(coro_pool *pool)
{
    coro *c = mem_zalloc(sizeof *c);
    if (!c)
        return NULL;
    c->stack = stack_map(pool->stack_size);
    if (!c->stack) {
        mem_free(c);
        return NULL;
    }
    list_init(&c->link);
    c->pool = pool;
#if defined(CORO_VALGRIND)
    c->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(c->stack, c->stack + pool->stack_size - 1);
#endif
    pool->count++;
    return c;
}

static void coro_free(coro *c)
{
    assert(c->state == CORO_IDLE && !list_is_linked(&c->link));
#if defined(CORO_VALGRIND)
    VALGRIND_STACK_DEREGISTER(c->valgrind_id);
#endif
    c->pool->count--;
    stack_unmap(c->stack, c->pool->stack_size);
    mem_free(c);
}

/* Idle stacks with pages stand before those without, each knows the number of those from itself
 * on, and only the first is ever added or taken; so the first one knows them all. */
static unsigned warm_count(const coro_pool *pool)
{
    if (list_is_empty(&pool->idle))
        return 0;
    return LIST_ENTRY(pool->idle.next, coro, link)->warm;
}

/* Takes back a coroutine that has ended. Runs on its caller's stack. */
static void recycle(coro *c)
{
    coro_pool *pool = c->pool;

    /* Somebody would resume it. */
    assert(!list_is_linked(&c->link));
    note_after_end(c);
    c->state = CORO_IDLE;
    if (pool->idle_count >= pool->idle_count_max) {
        coro_free(c);
        return;
    }
    unsigned warm = warm_count(pool);
    pool->idle_count++;
    if (warm < WARM_COUNT_MAX) {
        c->warm = warm + 1;
        list_push_back(pool->idle.next, &c->link);
        return;
    }
    c->warm = 0;
    list_push_back(&pool->idle, &c->link);
    /* When it fails the pages stay, which is no harm. */
    (void)madvise(c->stack, pool->stack_size, MADV_DONTNEED);
}

/* The other side of enter(). Returns when the coroutine is resumed. */
ALWAYS_INLINE void leave(coro *c, coro_state state)
{
    c->state = state;
    current = c->caller;
    note_before_leave(c, state == CORO_ENDED);
    coro_switch(&c->sp, c->caller_sp);
    note_after_enter(c);
}

static void run_to_end(void *arg)
{
    coro *c = arg;

    note_after_enter(c);
    c->fn(c->arg);
    leave(c, CORO_ENDED);
    abort();
}

/* Goes on in `c` until it ends or suspends. */
static void enter(coro *c)
{
    bool is_first = c->state == CORO_IDLE;
    void *fake_stack = NULL;

    c->state = CORO_RUNNING;
    c->thread = &current;
    c->caller = current;
    current = c;
    note_before_enter(c, &fake_stack);
    if (is_first)
        coro_start(&c->caller_sp, c->stack, c->pool->stack_size, run_to_end, c);
    else
        coro_switch(&c->caller_sp, c->sp);
    note_after_leave(fake_stack);
    if (c->state == CORO_ENDED)
        recycle(c);
}

void coro_pool_init(coro_pool *pool, size_t stack_size, size_t count_max)
{
    if (stack_size == 0)
        stack_size = STACK_SIZE_DEFAULT;
    if (stack_size < STACK_SIZE_MIN)
        stack_size = STACK_SIZE_MIN;
    /* More cannot be mapped anyway, and less cannot overflow when it is rounded. */
    if (stack_size > PTRDIFF_MAX / 2)
        stack_size = PTRDIFF_MAX / 2;
    *pool = (coro_pool){
        .stack_size = round_to_pages(stack_size),
        .count_max = count_max ? count_max : COUNT_MAX_DEFAULT,
        .idle_count_max = IDLE_COUNT_MAX_DEFAULT,
    };
    list_init(&pool->idle);
}

void coro_pool_deinit(coro_pool *pool)
{
    assert(coro_pool_in_use(pool) == 0);
    for (list *node; (node = list_pop_front(&pool->idle));) {
        pool->idle_count--;
        coro_free(coro_of_link(node));
    }
    assert(pool->count == 0 && pool->idle_count == 0);
}

int coro_run(coro_pool *pool, coro_fn *fn, void *arg)
{
    assert(fn);
    coro *c;
    list *node = list_pop_front(&pool->idle);
    if (node) {
        c = coro_of_link(node);
        pool->idle_count--;
    } else {
        if (pool->count >= pool->count_max)
            return CARAFE_ERR_TOO_MANY;
        c = coro_new(pool);
        if (!c)
            return CARAFE_ERR_NOMEM;
    }
    c->fn = fn;
    c->arg = arg;
    note_before_first_enter(c);
    enter(c);
    return 0;
}

coro *coro_current(void)
{
    return current;
}

void coro_suspend(void)
{
    assert(current && "only a coroutine can wait");
    leave(current, CORO_SUSPENDED);
}

void coro_resume(coro *c)
{
    assert(c->state == CORO_SUSPENDED);
    assert(c->thread == &current && "a coroutine never moves");
    enter(c);
}

list *coro_link(coro *c)
{
    return &c->link;
}

coro *coro_of_link(list *link)
{
    return LIST_ENTRY(link, coro, link);
}

size_t coro_pool_in_use(const coro_pool *pool)
{
    return pool->count - pool->idle_count;
}
