/* SPDX-License-Identifier: BSD-3-Clause
 * list - a ring of places inside the things that are listed: no memory of its own, so that moving
 * something from one list to another cannot fail. A thing has one place for each list it may be in.
 *
 *     struct list queue;                   the list: a place that belongs to nothing
 *     list_push_back(&queue, &op->place);
 *     struct op *first = LIST_THING(queue.next, struct op, place);
 *
 * Threads: those of whoever owns the list. */
#ifndef FARPAGE_CLIENT_LIST_H
#define FARPAGE_CLIENT_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *previous; /* a place that is in no list points at itself */
};

#define LIST_THING(at, type, member) ((type *)(void *)((char *)(at)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

/* Puts `place` behind `at`. */
static inline void list_insert(struct list *at, struct list *place)
{
    place->next = at->next;
    place->previous = at;
    at->next->previous = place;
    at->next = place;
}

static inline void list_push_back(struct list *list, struct list *place)
{
    list_insert(list->previous, place);
}

static inline void list_push_front(struct list *list, struct list *place)
{
    list_insert(list, place);
}

/* Fine for a place that is in no list. */
static inline void list_remove(struct list *place)
{
    place->next->previous = place->previous;
    place->previous->next = place->next;
    list_init(place);
}

/* All that `from` holds goes in front of what `list` holds, in its order. */
static inline void list_splice_front(struct list *list, struct list *from)
{
    if (list_empty(from)) return;
    from->previous->next = list->next;
    list->next->previous = from->previous;
    list->next = from->next;
    from->next->previous = list;
    list_init(from);
}

#endif
