/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest may write to CR0, CR4 and XCR0, and which bits of CR0 and CR4 exit at all. Pure:
 * numbers in, a verdict and numbers out. The caller moves them to and from the VMCS. */
#pragma once

#include "core/types.h"
#include "core/vmx_ctl.h"

#define CR0_PE      BIT(0)
#define CR0_ET      BIT(4)
#define CR0_NE      BIT(5)
#define CR0_WP      BIT(16)
#define CR0_NW      BIT(29)
#define CR0_CD      BIT(30)
#define CR0_PG      BIT(31)

#define CR4_PSE     BIT(4)
#define CR4_PAE     BIT(5)
#define CR4_MCE     BIT(6)
#define CR4_PGE     BIT(7)
#define CR4_UMIP    BIT(11)
#define CR4_VMXE    BIT(13)
#define CR4_PCIDE   BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP    BIT(20)
#define CR4_SMAP    BIT(21)
#define CR4_PKE     BIT(22)

#define EFER_LME    BIT(8)
#define EFER_LMA    BIT(10)
#define EFER_NXE    BIT(11)

#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7))
#define XCR0_PKRU   BIT(9)

/* The bits of CR0 that mean something only by themselves: MP, EM, TS, NE, WP, AM. */
#define CR0_PLAIN (BIT(1) | BIT(2) | BIT(3) | CR0_NE | CR0_WP | BIT(18))

/* Per vCPU, made once. The masks are the VMCS guest/host masks: a bit in them is ours, the guest
 * reads it from the shadow and a write that would change it exits. */
struct cr_policy {
    uint64_t cr0_mask, cr4_mask;
    uint64_t cr0_force; /* ORed into the guest's CR0 to make the real one */
    uint64_t cr4_force;
    uint64_t cr4_allowed; /* bits the guest may set */
    uint64_t xcr0_allowed;
};

/* The guest's own view: registers as it would read them (shadow bits where the mask owns them). */
struct cr_state {
    uint64_t cr0, cr3, cr4, efer;
    bool cs_l;  /* CS.L, in whatever mode */
    bool tss16; /* TR holds a 16-bit TSS */
};

/* After CR_OK: what to put into the VMCS. Real = for the guest-state field, the new guest view is
 * the read shadow. */
struct cr_change {
    uint64_t real, shadow;
    uint64_t efer;    /* guest EFER; LMA follows CR0.PG, and the "IA-32e mode guest" entry control LMA */
    bool load_pdptes; /* PAE paging: read the four at CR3, check with cr_pdptes_valid, else #GP(0) */
    bool flush;       /* what the CPU would have flushed: INVVPID single context */
};

enum cr_verdict { CR_OK, CR_GP };

void cr_policy_init(struct cr_policy *out, const struct vmx_caps *caps, const struct cpuid_table *cpuid);

/* Real register for a guest view, e.g. at reset. */
static inline uint64_t cr0_real(const struct cr_policy *p, uint64_t guest) {
    return (guest & ~(CR0_CD | CR0_NW)) | p->cr0_force;
}

static inline uint64_t cr4_real(const struct cr_policy *p, uint64_t guest) {
    return guest | p->cr4_force;
}

/* The guest's view of a register whose real value is `real`. */
static inline uint64_t cr_view(uint64_t real, uint64_t shadow, uint64_t mask) {
    return (real & ~mask) | (shadow & mask);
}

/* What a MOV to CR0 makes of a value: the other bits do not stick. */
static inline uint64_t cr0_guest(uint64_t value) {
    return (value & UINT64_C(0xe005003f)) | CR0_ET;
}

/* Does the write change nothing but bits that mean something only by themselves? Then it needs no more than
 * the new real value and shadow. */
static inline bool cr0_is_plain(uint64_t now, uint64_t value) {
    return value <= UINT32_MAX && ((now ^ cr0_guest(value)) & ~CR0_PLAIN) == 0;
}

/* MOV to CR0, MOV to CR4. CLTS and LMSW reach only bits that are the guest's, and never exit. */
must_check enum cr_verdict cr0_write(const struct cr_policy *policy, const struct cr_state *now,
                                     uint64_t value, struct cr_change *out);
must_check enum cr_verdict cr4_write(const struct cr_policy *policy, const struct cr_state *now,
                                     uint64_t value, struct cr_change *out);

/* XSETBV at CPL 0: `index` is ECX. On CR_OK the caller executes it. */
must_check static inline enum cr_verdict xcr0_write(const struct cr_policy *policy, uint32_t index,
                                                    uint64_t value) {
    uint64_t avx512 = value & XCR0_AVX512, without = ~value;
    if (index != 0 || (without & XCR0_X87) != 0 || (value & ~policy->xcr0_allowed) != 0 ||
        ((value & XCR0_AVX) != 0 && (without & XCR0_SSE) != 0) ||
        (avx512 != 0 && (without & (XCR0_AVX512 | XCR0_AVX)) != 0))
        return CR_GP;
    return CR_OK;
}

/* No present entry has a reserved bit set. `phys_bits` is MAXPHYADDR, at most 52. */
bool cr_pdptes_valid(const uint64_t pdptes[4], unsigned phys_bits);
