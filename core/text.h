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
    return c == ' ' || c == '\t' || c == '\r';
}

bool text_is(struct text t, const char *word);

/* Without the blanks at both ends. */
struct text text_trim(struct text t);

/* Cut *rest at the first `separator` (' ' stands for any blank): returns what is before it, leaves what is
 * behind it, both trimmed. Without one everything is before it. */
struct text text_cut(struct text *rest, char separator, bool *found);

/* A number, decimal or 0x hexadecimal, perhaps with K, M or G behind it. */
bool text_size(struct text t, uint64_t *value);

/* "first" or "first-last", in this order. */
bool text_span(struct text t, uint64_t *first, uint64_t *last);

/* For %.*s. */
int text_shown(struct text t);
