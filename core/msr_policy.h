/* SPDX-License-Identifier: Apache-2.0 */
/* Which MSRs a guest may touch and what happens when it does: one table with a reason a row.
 * Anything that is not in the table is #GP(0). Never touches an MSR; MSR_ARCH says that the caller
 * has to. */
#pragma once

#include "core/types.h"

#define MTRR_FIXED 11 /* registers: one for 64K ranges, two for 16K, eight for 4K */

/* Per vCPU. MSRs whose value lives with us. */
struct msr_state {
    uint64_t tsc_adjust; /* the VMCS's TSC offset as well: both are 0 at RESET and move together */
    uint64_t deadline;   /* as the guest wrote it; in use while its TSC is moved */
    uint64_t misc_enable;
    uint64_t mtrr_def_type;
    uint64_t mtrr_fixed[MTRR_FIXED];
    uint64_t microcode;         /* of the host */
    uint64_t arch_capabilities; /* of the host, masked */
};

/* What RDMSR and WRMSR are to a range of MSRs. */
struct msr_row {
    uint32_t first, last;
    uint8_t read, write; /* enum action of msr_policy.c */
    uint16_t value; /* what a read gives; of MSR_STATE which field of struct msr_state that of `first` is */
};
extern const struct msr_row msr_rows[];

#define MSR_STATE 1 /* `read` and `write`: a field of struct msr_state */

/* Of each MSR below 1000H and from C0000000H on its row; the last place is that of all others, which have
 * none: row 0. */
#define MSR_LOW  0x1000u
#define MSR_HIGH 0x200u
extern uint8_t msr_row_of[MSR_LOW + MSR_HIGH + 1];

/* Fill that. Once, before the functions below. */
void msr_policy_init(void);

static inline unsigned msr_place(uint32_t index) {
    if (index < MSR_LOW)
        return index;
    return index - 0xc0000000 < MSR_HIGH ? index - 0xc0000000 + MSR_LOW : MSR_LOW + MSR_HIGH;
}

static inline const struct msr_row *msr_row(uint32_t index) {
    return &msr_rows[msr_row_of[msr_place(index)]];
}

/* The field that a row with MSR_STATE keeps. */
static inline uint64_t *msr_field(struct msr_state *state, const struct msr_row *row, uint32_t index) {
    return (uint64_t *)state + row->value + (index - row->first);
}

/* Values at RESET. `arch_capabilities` is the host's MSR, 0 where CPUID does not announce it. */
void msr_state_init(struct msr_state *out, uint64_t microcode, uint64_t arch_capabilities);

enum msr_verdict {
    MSR_DONE, /* *value is the answer; the write is complete */
    MSR_GP,   /* inject #GP(0) */
    MSR_ARCH, /* allowed, and the caller acts by index, see below */
};

/* MSR_ARCH: IA32_APIC_BASE and every x2APIC register (800H-8FFH) that exits: core/vlapic answers.
 * IA32_DEBUGCTL, written: a VMCS field; the value has been checked. IA32_TSC and IA32_TSC_ADJUST,
 * written: move the TSC of this vCPU. IA32_TSC_DEADLINE: by the function below. */
must_check enum msr_verdict msr_read(struct msr_state *state, uint32_t index, uint64_t *value);
must_check enum msr_verdict msr_write(struct msr_state *state, uint32_t index, uint64_t value);

/* What the real IA32_TSC_DEADLINE has to hold for a guest's deadline, at real time `now`: 0, which
 * disarms, only for 0; a deadline that has passed for the guest has passed for the timer too. */
uint64_t msr_deadline_real(uint64_t deadline, uint64_t tsc_adjust, uint64_t now);

/* The guest's TSC is the real one, and IA32_TSC_ADJUST, which then has to read 0, does so on this core; or
 * only the first; or not even that. */
enum msr_tsc { MSR_TSC_BARE, MSR_TSC_REAL, MSR_TSC_MOVED, MSR_TSC_KINDS };

/* The 4 KiB MSR bitmap: all ones, then holes for what passes. x2APIC registers pass only in x2APIC
 * mode, the deadline and reading IA32_TSC_ADJUST by the kind of TSC. */
void msr_bitmap_build(uint8_t page[4096], bool x2apic, enum msr_tsc tsc);
