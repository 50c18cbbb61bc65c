/* SPDX-License-Identifier: Apache-2.0 */
/* Which MSRs a guest may touch and what happens when it does: one table with a reason a row.
 * Anything that is not in the table is #GP(0). Never touches an MSR; MSR_ARCH says that the caller
 * has to. */
#ifndef CORE_MSR_POLICY_H
#define CORE_MSR_POLICY_H

#include "core/types.h"

#define MSR_TSC             UINT32_C(0x10)
#define MSR_APIC_BASE       UINT32_C(0x1b)
#define MSR_FEATURE_CONTROL UINT32_C(0x3a)
#define MSR_TSC_ADJUST      UINT32_C(0x3b)
#define MSR_MISC_ENABLE     UINT32_C(0x1a0)
#define MSR_DEBUGCTL        UINT32_C(0x1d9)
#define MSR_PAT             UINT32_C(0x277)
#define MSR_MTRR_DEF_TYPE   UINT32_C(0x2ff)
#define MSR_VMX_BASIC       UINT32_C(0x480)
#define MSR_TSC_DEADLINE    UINT32_C(0x6e0)
#define MSR_X2APIC_FIRST    UINT32_C(0x800)
#define MSR_X2APIC_LAST     UINT32_C(0x8ff)
#define MSR_XSS             UINT32_C(0xda0)
#define MSR_EFER            UINT32_C(0xc0000080)

#define APIC_BASE_BSP       BIT(8)
#define APIC_BASE_EXTD      BIT(10) /* x2APIC mode */
#define APIC_BASE_EN        BIT(11)
#define APIC_BASE_ADDRESS   UINT64_C(0xfee00000)

/* Per vCPU. MSRs whose value lives with us. */
struct msr_state {
    uint64_t apic_base;
    uint64_t tsc_adjust;
    uint64_t misc_enable;
    uint64_t mtrr_def_type;
    uint64_t microcode;         /* of the host */
    uint64_t arch_capabilities; /* of the host, masked; 0 = it has none */
};

/* Values at RESET. `arch_capabilities` is the host's MSR, 0 where CPUID does not announce it. */
void msr_state_init(struct msr_state *out, bool boot_cpu, uint64_t microcode,
                    uint64_t arch_capabilities);

static inline bool msr_x2apic_mode(const struct msr_state *s)
{
    return (s->apic_base & (APIC_BASE_EN | APIC_BASE_EXTD)) == (APIC_BASE_EN | APIC_BASE_EXTD);
}

enum msr_verdict {
    MSR_DONE, /* *value is the answer; the write is complete */
    MSR_GP,   /* inject #GP(0) */
    MSR_ARCH, /* allowed, and the caller acts by index, see below */
};

/* MSR_ARCH on a read:  DEBUGCTL (VMCS field); x2APIC ID, LDR, SVR, ICR, LVTs.
 * MSR_ARCH on a write: APIC_BASE (already checked and stored; follow the mode: bitmap, trap page,
 *                      CPUID.APIC), EFER (check with efer_write), DEBUGCTL (checked; VMCS field),
 *                      x2APIC SVR, ICR, LVTs (value not checked). */
must_check enum msr_verdict msr_read(const struct msr_state *state, uint32_t index,
                                     uint64_t *value);
must_check enum msr_verdict msr_write(struct msr_state *state, uint32_t index, uint64_t value);

/* The 4 KiB MSR bitmap: all ones, then holes for what passes. x2APIC registers pass only in x2APIC
 * mode: rebuild when msr_x2apic_mode changes. */
void msr_bitmap_build(uint8_t page[4096], bool x2apic);

#endif
