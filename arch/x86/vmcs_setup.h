/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the current core's VMCS. */
#pragma once

#include "core/partition.h"

/* Clear and load this core's VMCS, write controls and host state, and the guest state of RESET
 * (warm: INIT). */
void vmcs_setup(const struct vcpu *v);

/* Change the guest state to where an image starts, or to where a SIPI sends the vCPU. */
void vmcs_set_start(const struct vcpu *v, const struct guest_start *start, struct guest_regs *regs);
void vmcs_set_sipi(uint8_t vector);
