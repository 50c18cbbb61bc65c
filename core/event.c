/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of exceptions, and what two of them make of each other. */
#include "core/event.h"

enum class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

/* #DE #TS #NP #SS #GP #CP; #PF and #VE; all others are benign. */
static enum class class_of(uint32_t vector) {
    static const uint8_t classes[32] =
        {
            [0] = CONTRIBUTORY,
            [8] = DOUBLE_FAULT,
            [10] = CONTRIBUTORY,
            [11] = CONTRIBUTORY,
            [12] = CONTRIBUTORY,
            [13] = CONTRIBUTORY,
            [14] = PAGE_FAULT,
            [20] = PAGE_FAULT,
            [21] = CONTRIBUTORY,
        };
    return (enum class)classes[vector % 32];
}

enum event_outcome event_meet(uint32_t first, uint8_t vector) {
    uint32_t type = first & EVENT_TYPE;
    enum class second = class_of(vector);
    if ((first & EVENT_VALID) == 0)
        return EVENT_SECOND;
    if (type == EVENT_INTERRUPT || type == EVENT_NMI)
        return EVENT_SECOND_THEN_HELD;
    if (type != EVENT_EXCEPTION || second == BENIGN)
        return EVENT_SECOND; /* INT n, INT3 and INTO are benign too */
    switch (class_of(first & EVENT_VECTOR)) {
    case DOUBLE_FAULT:
        return EVENT_TRIPLE_FAULT;
    case PAGE_FAULT:
        return EVENT_DOUBLE_FAULT;
    case CONTRIBUTORY:
        return second == CONTRIBUTORY ? EVENT_DOUBLE_FAULT : EVENT_SECOND;
    default:
        return EVENT_SECOND;
    }
}
