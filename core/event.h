/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of two events that meet: an exception we have to deliver while the CPU was in the middle of
 * delivering another event. Pure. */
#pragma once

#include "core/types.h"

/* "Format of the VM-Entry Interruption-Information Field"; the IDT-vectoring and the VM-exit field are alike.
 */
#define EVENT_VECTOR        0xffu
#define EVENT_TYPE          0x700u
#define EVENT_INTERRUPT     0x000u
#define EVENT_NMI           0x200u
#define EVENT_EXCEPTION     0x300u
#define EVENT_SOFT_INT      0x400u
#define EVENT_PRIV_EXC      0x500u
#define EVENT_SOFT_EXC      0x600u
#define EVENT_ERROR_CODE    0x800u
#define EVENT_NMI_UNBLOCKED UINT32_C(0x1000) /* exit: by the IRET that faulted. Vectoring: undefined */
#define EVENT_VALID         UINT32_C(0x80000000)

enum event_outcome {
    EVENT_SECOND,           /* deliver the second; the first comes again by itself, with its instruction */
    EVENT_SECOND_THEN_HELD, /* the second, and when the guest can take it the first, which nobody repeats */
    EVENT_DOUBLE_FAULT,     /* #DF(0) instead of both */
    EVENT_TRIPLE_FAULT,     /* shutdown */
};

/* `first`: the IDT-vectoring information; `vector`: the exception that came up. "Interrupt 8 - Double Fault
 * Exception (#DF)". */
enum event_outcome event_meet(uint32_t first, uint8_t vector);
