/* SPDX-License-Identifier: Apache-2.0 */
/* VMX on one CPU: what it can do, turning it on and off. */
#pragma once

#include "core/types.h"
#include "core/vmx_ctl.h"

/* The boot core's capabilities and the control words made of them, both by core/vmx_ctl at start-up;
 * the same for all cores. */
extern struct vmx_caps vmx_caps;
extern struct vmx_controls vmx_controls;

/* Compare this core with the boot core; for cores with differences, all logged. Each CPU. */
bool vmx_same_as_boot(void);

/* Fixed bits, IA32_FEATURE_CONTROL, VMXON. Each CPU. */
void vmx_cpu_on(void);

/* Leave VMX operation, if this core is in it, and write back caches: before power-off or reset. Each
 * CPU. */
void vmx_cpu_off(void);

/* CPUID in the form core/ wants it. */
void vmx_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);
