/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a guest on: past an instruction, or into an event. VMCS mechanics; what two events make of each
 * other is core/event's. */
#pragma once

#include "arch/x86/vmx_exit.h"
#include "core/types.h"

/* The instruction is done (length 0: an iteration of a string instruction is): RIP behind it, the STI and MOV
 * SS shadow and RF gone, and a #DB pending if the guest single-steps. */
void event_advance(uint32_t length);

/* Deliver a hardware exception at the next entry. */
void event_inject(uint8_t vector, bool has_error, uint32_t error);

/* After an exit that may have come in the middle of delivering an event: with VERDICT_RESUME that event is
 * delivered again, with VERDICT_INJECT it is merged with info->vector. Returns the verdict that is left. */
enum verdict event_settle(struct vcpu *v, struct exit_info *info, enum verdict verdict);

/* Exit as soon as the guest can take an interrupt or an NMI, or after each instruction; or no longer.
 * `control`: PRIMARY_INTERRUPT_WINDOW, PRIMARY_NMI_WINDOW or PRIMARY_MTF. */
void event_exit_when(uint32_t control, bool on);
