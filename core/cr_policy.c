/* SPDX-License-Identifier: Apache-2.0 */
/* CR0, CR4 and XCR0 as the SDM's instruction pages have them, cut down to what CPUID shows.
 * Pure: touches neither registers nor VMCS. */
#include "core/cr_policy.h"

/* Bits of CR4 that the guest may set if CPUID shows the feature; mask 0 = always. */
static const struct {
    uint64_t bits;
    uint32_t leaf;
    enum cpuid_reg reg;
    uint32_t mask;
} cr4_features[] = {
    {BIT(0) | BIT(1), 1, CPUID_EDX, 1 << 1}, /* VME, PVI */
    {BIT(2), 1, CPUID_EDX, 1 << 4},          /* TSD */
    {BIT(3), 1, CPUID_EDX, 1 << 2},          /* DE */
    {CR4_PSE, 1, CPUID_EDX, 1 << 3},
    {CR4_PAE, 1, CPUID_EDX, 1 << 6},
    {CR4_MCE, 0, CPUID_EAX, 0}, /* ours is set anyway: machine checks exit */
    {CR4_PGE, 1, CPUID_EDX, 1 << 13},
    {BIT(8), 0, CPUID_EAX, 0},        /* PCE, harmless: RDPMC exits */
    {BIT(9), 1, CPUID_EDX, 1 << 24},  /* OSFXSR */
    {BIT(10), 1, CPUID_EDX, 1 << 25}, /* OSXMMEXCPT */
    {CR4_UMIP, 7, CPUID_ECX, 1 << 2},
    {BIT(16), 7, CPUID_EBX, 1 << 0}, /* FSGSBASE */
    {CR4_PCIDE, 1, CPUID_ECX, 1 << 17},
    {CR4_OSXSAVE, 1, CPUID_ECX, 1 << 26},
    {CR4_SMEP, 7, CPUID_EBX, 1 << 7},
    {CR4_SMAP, 7, CPUID_EBX, 1 << 20},
    {CR4_PKE, 7, CPUID_ECX, 1 << 3},
};

/* PE and PG are the guest's, "Unrestricted Guests": the CPU switches EFER.LMA with PG by itself and
 * saves it into the entry controls on each exit (IA32_VMX_MISC bit 5). CD and NW are ours since
 * entries and exits do not switch them: set by a guest, they would slow us down too. CR4.MCE is
 * ours so that a machine check never shuts the machine down; OSXSAVE and PKE, which are seldom written, so
 * that CPUID, which shows them, need not look. */
void cr_policy_init(struct cr_policy *out, const struct vmx_caps *caps, const struct cpuid_table *cpuid) {
    uint64_t allowed = 0;
    for (size_t i = 0; i < ARRAY_SIZE(cr4_features); i++)
        if ((~cpuid_static(cpuid, cr4_features[i].leaf, 0, cr4_features[i].reg) & cr4_features[i].mask) == 0)
            allowed |= cr4_features[i].bits;
    out->cr0_force = caps->raw[CAP_CR0_FIXED0] & ~(CR0_PE | CR0_PG);
    out->cr0_mask = out->cr0_force | CR0_CD | CR0_NW;
    out->cr4_force = caps->raw[CAP_CR4_FIXED0] | CR4_MCE;
    out->cr4_allowed = allowed & (caps->raw[CAP_CR4_FIXED1] | CR4_MCE);
    out->cr4_mask = ~out->cr4_allowed | out->cr4_force | CR4_OSXSAVE | CR4_PKE;
    out->xcr0_allowed = cpuid_static(cpuid, 0xd, 0, CPUID_EAX);
}

/* "MOV - Move to/from Control Registers" and "Initializing IA-32e Mode". */
static bool cr0_valid(const struct cr_state *now, uint64_t value) {
    uint64_t changed = now->cr0 ^ value;
    if (((value & CR0_PG) != 0 && (value & CR0_PE) == 0) || ((value & CR0_NW) != 0 && (value & CR0_CD) == 0))
        return false;
    if ((changed & CR0_PG) == 0)
        return true;
    if ((value & CR0_PG) == 0)
        return !((now->efer & EFER_LMA) != 0 && now->cs_l) && (now->cr4 & CR4_PCIDE) == 0;
    return (now->efer & EFER_LME) == 0 || ((now->cr4 & CR4_PAE) != 0 && !now->cs_l && !now->tss16);
}

/* "PDPTE Registers": what makes the CPU load them. */
static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer) {
    return (cr0 & CR0_PG) != 0 && (cr4 & CR4_PAE) != 0 && (efer & EFER_LMA) == 0;
}

enum cr_verdict cr0_write(const struct cr_policy *policy, const struct cr_state *now, uint64_t value,
                          struct cr_change *out) {
    uint64_t guest = cr0_guest(value), changed = guest ^ now->cr0;
    if (value >> 32 != 0 || !cr0_valid(now, guest))
        return CR_GP;
    bool lma = (guest & CR0_PG) != 0 && (now->efer & EFER_LME) != 0;
    uint64_t efer = (now->efer & ~EFER_LMA) | (lma ? EFER_LMA : 0);
    *out = (struct cr_change){
        .real = cr0_real(policy, guest),
        .shadow = guest,
        .efer = efer,
        .load_pdptes = pae_paging(guest, now->cr4, efer) && (changed & (CR0_PG | CR0_CD | CR0_NW)) != 0,
        .flush = (changed & CR0_PG) != 0,
    };
    return CR_OK;
}

static bool cr4_valid(const struct cr_policy *policy, const struct cr_state *now, uint64_t value) {
    bool lma = (now->efer & EFER_LMA) != 0;
    if ((value & ~policy->cr4_allowed) != 0 || (lma && (value & CR4_PAE) == 0))
        return false;
    /* PCIDE goes on in IA-32e mode only, and with PCID 0. */
    return (value & ~now->cr4 & CR4_PCIDE) == 0 || (lma && (now->cr3 & 0xfff) == 0);
}

enum cr_verdict cr4_write(const struct cr_policy *policy, const struct cr_state *now, uint64_t value,
                          struct cr_change *out) {
    uint64_t changed = value ^ now->cr4, paging = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;
    if (!cr4_valid(policy, now, value))
        return CR_GP;
    *out = (struct cr_change){
        .real = cr4_real(policy, value),
        .shadow = value,
        .efer = now->efer,
        .load_pdptes = pae_paging(now->cr0, value, now->efer) && (changed & paging) != 0,
        .flush = (changed & (paging | CR4_PCIDE)) != 0,
    };
    return CR_OK;
}

bool cr_pdptes_valid(const uint64_t pdptes[4], unsigned phys_bits) {
    uint64_t reserved = 0x1e6 | UINT64_MAX << phys_bits; /* bits 2:1 and 8:5, "Format of a PDPTE" */
    for (unsigned i = 0; i < 4; i++)
        if ((pdptes[i] & 1) != 0 && (pdptes[i] & reserved) != 0)
            return false;
    return true;
}
