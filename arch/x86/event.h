/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a guest on: past an instruction, or into an event. VMCS mechanics only. */
#pragma once

#include "core/types.h"

/* The instruction is done (length 0: an iteration of a string instruction is): RIP behind it, the STI and MOV
 * SS shadow and RF gone, and a #DB pending if the guest single-steps. */
void event_advance(uint32_t length);

/* Deliver a hardware exception at the next entry. */
void event_inject(uint8_t vector, bool has_error, uint32_t error);

/* Deliver an NMI at the next entry. */
void event_inject_nmi(void);

/* If the exit came in the middle of delivering an event, deliver that again. */
void event_redeliver(void);

/* Exit as soon as the guest can take an NMI, or no longer. */
void event_nmi_window(bool open);
