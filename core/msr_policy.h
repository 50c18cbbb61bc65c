/* SPDX-License-Identifier: Apache-2.0 */
/* Which MSRs a guest may touch and what happens when it does: one table with a reason a row.
 * Anything that is not in the table is #GP(0). Never touches an MSR; MSR_ARCH says that the caller
 * has to. */
#pragma once

#include "core/types.h"

/* Per vCPU. MSRs whose value lives with us. */
struct msr_state {
    uint64_t tsc_adjust;
    uint64_t misc_enable;
    uint64_t mtrr_def_type;
    uint64_t microcode;         /* of the host */
    uint64_t arch_capabilities; /* of the host, masked; 0 = it has none */
};

/* Values at RESET. `arch_capabilities` is the host's MSR, 0 where CPUID does not announce it. */
void msr_state_init(struct msr_state *out, uint64_t microcode, uint64_t arch_capabilities);

enum msr_verdict {
    MSR_DONE, /* *value is the answer; the write is complete */
    MSR_GP,   /* inject #GP(0) */
    MSR_ARCH, /* allowed, and the caller acts by index, see below */
};

/* MSR_ARCH: IA32_APIC_BASE and every x2APIC register (800H-8FFH) that exits: core/vlapic answers.
 * IA32_DEBUGCTL: a VMCS field; a written value has been checked. IA32_EFER, written: check it with
 * efer_write. */
must_check enum msr_verdict msr_read(const struct msr_state *state, uint32_t index, uint64_t *value);
must_check enum msr_verdict msr_write(struct msr_state *state, uint32_t index, uint64_t value);

/* The 4 KiB MSR bitmap: all ones, then holes for what passes. x2APIC registers pass only in x2APIC
 * mode: rebuild when the guest's APIC mode changes. */
void msr_bitmap_build(uint8_t page[4096], bool x2apic);
