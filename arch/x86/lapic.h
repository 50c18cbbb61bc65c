/* SPDX-License-Identifier: Apache-2.0 */
/* This CPU's real local APIC, in x2APIC mode where the CPU has it, else through its page (then no guest will
 * run, but cores can still be started and counted). Mechanics only. */
#pragma once

#include "arch/x86/cpu.h"
#include "arch/x86/msr.h"
#include "core/types.h"

/* ICR fields ("Interrupt Command Register") */
#define ICR_NMI    UINT64_C(0x00400)
#define ICR_INIT   UINT64_C(0x00500)
#define ICR_SIPI   UINT64_C(0x00600)
#define ICR_ASSERT UINT64_C(0x04000)
#define ICR_LEVEL  UINT64_C(0x08000)

/* Enable it, in x2APIC mode if possible; page: where the xAPIC registers lie. Each CPU. */
void lapic_init(hpa_t page);

uint32_t lapic_id(void);

/* Send an interrupt to one CPU by its APIC id; low: the lower half of the ICR. */
void lapic_send(uint32_t apic_id, uint64_t low);

/* One register by number (offset >> 4). x2APIC mode only: for the registers a guest owns. */
static inline uint64_t lapic_read(unsigned reg) {
    return cpu_rdmsr(IA32_X2APIC_BASE + reg);
}

static inline void lapic_write(unsigned reg, uint64_t value) {
    cpu_wrmsr(IA32_X2APIC_BASE + reg, value);
}

/* Every register as after INIT, nothing pending or in service: for the next guest. x2APIC only. */
void lapic_reset(void);
