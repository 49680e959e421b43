/* An intrusive doubly linked ring. The head is a node of its own; an unlinked node points to
 * itself, so unlinking twice is harmless. */
#ifndef CARAFE_BASE_LIST_H
#define CARAFE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct list {
    struct list *next;
    struct list *prev;
} list;

/* The object of `type` whose member `member` is the node `node`. */
#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(list *node)
{
    node->next = node->prev = node;
}

static inline bool list_is_empty(const list *head)
{
    return head->next == head;
}

/* Works on nodes too: false for an initialised node that is in no list. */
static inline bool list_is_linked(const list *node)
{
    return node->next != node;
}

static inline void list_push_back(list *head, list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_unlink(list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Takes the first node off, NULL when the list is empty. */
static inline list *list_pop_front(list *head)
{
    if (list_is_empty(head))
        return NULL;
    list *node = head->next;
    list_unlink(node);
    return node;
}

/* Moves all nodes of `from` behind those of `to`; `from` is empty afterwards. */
static inline void list_splice(list *to, list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif /* CARAFE_BASE_LIST_H */
