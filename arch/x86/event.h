/* SPDX-License-Identifier: Apache-2.0 */
/* Events into a guest. VMCS mechanics; what two events make of each other is core/event's. */
#pragma once

#include "arch/x86/vmcs.h"
#include "core/types.h"

#define BLOCKING_STI_MOVSS 3u /* of the interruptibility state */

/* Deliver a hardware exception at the next entry. */
void event_inject(uint8_t vector, bool has_error, uint32_t error);

/* Exit as soon as the guest can take an interrupt or an NMI, or after each instruction; or no longer.
 * `control`: PRIMARY_INTERRUPT_WINDOW, PRIMARY_NMI_WINDOW or PRIMARY_MTF. */
void event_exit_when(uint32_t control, bool on);
