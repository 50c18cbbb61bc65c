/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of exceptions, and what two of them make of each other. */
#include "core/event.h"

/* Sets of vectors; all others are benign: #DE #TS #NP #SS #GP #CP; #PF and #VE; #DF. */
#define CONTRIBUTORY (BIT(0) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(21))
#define PAGE_FAULT   (BIT(14) | BIT(20))
#define DOUBLE_FAULT BIT(8)

enum event_outcome event_meet(uint32_t first, uint8_t vector) {
    uint32_t type = first & EVENT_TYPE;
    uint64_t one = BIT(first & 31), two = BIT(vector & 31) & (CONTRIBUTORY | PAGE_FAULT);
    if ((first & EVENT_VALID) == 0)
        return EVENT_SECOND;
    if (type == EVENT_INTERRUPT || type == EVENT_NMI)
        return EVENT_SECOND_THEN_HELD;
    if (type != EVENT_EXCEPTION || two == 0)
        return EVENT_SECOND; /* INT n, INT3 and INTO are benign too */
    if ((one & DOUBLE_FAULT) != 0)
        return EVENT_TRIPLE_FAULT;
    bool both = (one & CONTRIBUTORY) != 0 && (two & CONTRIBUTORY) != 0;
    return both || (one & PAGE_FAULT) != 0 ? EVENT_DOUBLE_FAULT : EVENT_SECOND;
}
