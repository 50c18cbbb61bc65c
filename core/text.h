/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a text that is not ours to change: cut, compared, turned into numbers. Pure. */
#pragma once

#include "core/types.h"

#define TEXT_SHOWN 40 /* bytes of the user's text that a message repeats */

struct text { /* not terminated */
    const char *at;
    size_t length;
};

static inline bool text_blank(char c) {
    return c == ' ' || c == '\t';
}

bool text_is(struct text t, const char *word);

/* Without the spaces and tabs at both ends. */
struct text text_trim(struct text t);

/* Cut *rest at the first `separator` (' ' stands for any blank): returns what is before it, leaves
 * what is behind it, both trimmed. Without one everything is before it. */
struct text text_cut(struct text *rest, char separator, bool *found);

bool text_number(struct text t, uint64_t *value);

/* A number of bytes or an address, perhaps with K, M or G behind it. */
bool text_size(struct text t, uint64_t *value);

/* "first" or "first-last", in this order. */
bool text_span(struct text t, uint64_t *first, uint64_t *last);

/* Index of t in words; *choice stays as it is if t is none of them. */
bool text_pick(struct text t, const char *const *words, unsigned count, unsigned *choice);

/* For %.*s. */
int text_shown(struct text t);
