/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * A circular doubly linked list through its members. Whoever frees a member unlinks it first, so a
 * list never leads to a recycled one.
 */
struct tcp_link {
	struct tcp_link *next; // NULL: in no list
	struct tcp_link *prev;
};

static inline void tcp_list_init(struct tcp_link *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool tcp_list_empty(const struct tcp_link *list)
{
	return list->next == list;
}

static inline bool tcp_link_linked(const struct tcp_link *link)
{
	return link->next != NULL;
}

static inline void tcp_list_append(struct tcp_link *list, struct tcp_link *link)
{
	link->next = list;
	link->prev = list->prev;
	list->prev->next = link;
	list->prev = link;
}

static inline void tcp_link_remove(struct tcp_link *link)
{
	if (!link->next)
		return;
	link->next->prev = link->prev;
	link->prev->next = link->next;
	link->next = NULL;
	link->prev = NULL;
}

/* Moves all members of `from` to the end of `to`. */
static inline void tcp_list_splice(struct tcp_link *to, struct tcp_link *from)
{
	if (tcp_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	tcp_list_init(from);
}
