/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that writes control registers and XCR0 at will, and EFER as far as the CPU lets it: whatever
 * is accepted passes the checks of "Checks on Guest Control Registers, Debug Registers, and MSRs" at the next
 * VM entry. */
#include <stdlib.h>
#include <string.h>

#include "core/cr_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)     ((cond) ? (void)0 : abort())
#define IMPLIES(a, b)   CHECK(!(a) || (b))
#define HAS(value, bit) (((value) & (bit)) != 0)

static uint32_t host_mask;

static void host(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]) {
    memset(regs, 0xff, 16);
    if ((leaf & 0x7fffffff) != 0 && leaf != 0x80000008)
        regs[1] = regs[2] = regs[3] = host_mask >> subleaf;
}

static const struct vmx_caps caps = {.raw = {[CAP_CR0_FIXED0] = 0x80000021,
                                             [CAP_CR0_FIXED1] = 0xffffffff,
                                             [CAP_CR4_FIXED0] = 0x2000,
                                             [CAP_CR4_FIXED1] = 0x3fffff}};

static void check_state(const struct cr_policy *p, const struct cr_state *s) {
    uint64_t cr0 = cr0_real(p, s->cr0), cr4 = cr4_real(p, s->cr4);
    bool lma = HAS(s->efer, EFER_LMA);

    CHECK((cr0 & caps.raw[CAP_CR0_FIXED0] & ~(CR0_PE | CR0_PG)) == CR0_NE && (cr0 & CR0_CD) == 0);
    CHECK((cr0 & ~caps.raw[CAP_CR0_FIXED1]) == 0 && (cr4 & ~caps.raw[CAP_CR4_FIXED1]) == 0);
    CHECK(HAS(cr4, CR4_VMXE) && HAS(cr4, CR4_MCE) && (s->cr4 & CR4_VMXE) == 0);
    IMPLIES(HAS(s->cr0, CR0_PG), HAS(s->cr0, CR0_PE));
    IMPLIES(HAS(s->cr0, CR0_NW), HAS(s->cr0, CR0_CD));
    CHECK(lma == (HAS(s->cr0, CR0_PG) && HAS(s->efer, EFER_LME)));
    IMPLIES(lma, HAS(s->cr4, CR4_PAE));
    IMPLIES(HAS(s->cr4, CR4_PCIDE), lma);
    CHECK(cr_view(cr0, s->cr0, p->cr0_mask) == s->cr0);
    CHECK(cr_view(cr4, s->cr4, p->cr4_mask) == s->cr4);
}

static void one_write(const struct cr_policy *p, struct cr_state *s, uint8_t what, uint64_t value) {
    struct cr_change change;

    s->cs_l = HAS(what, 8);
    s->tss16 = HAS(what, 32);
    s->cr3 = value & (HAS(what, 16) ? 0xfff : 0);
    switch (what & 7) {
    case 0:
    case 1:
        if (cr0_write(p, s, value, &change) == CR_OK) {
            CHECK(change.real == cr0_real(p, change.shadow));
            s->cr0 = change.shadow;
            s->efer = change.efer;
        }
        break;
    case 2:
    case 3:
        if (cr4_write(p, s, value, &change) == CR_OK) {
            CHECK(change.real == cr4_real(p, change.shadow) && change.efer == s->efer);
            s->cr4 = change.shadow;
        }
        break;
    case 4:
    case 5:
        if (!HAS(s->cr0, CR0_PG))
            s->efer = value & (EFER_LME | EFER_NXE);
        break;
    default:
        if (xcr0_write(p, what >> 6, value) == CR_OK)
            CHECK(HAS(value, XCR0_X87) && (value & ~p->xcr0_allowed) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cpuid_view view = {.nr_vcpus = 1, .tsc_khz = 1000000, .secondary = UINT32_MAX};
    struct cr_state state = {.cr0 = 0x60000010};
    struct cpuid_table table;
    struct cr_policy policy;
    uint64_t value;

    if (size < sizeof(host_mask))
        return 0;
    memcpy(&host_mask, data, sizeof(host_mask));
    cpuid_build(&table, &view, host);
    cr_policy_init(&policy, &caps, &table);
    data += sizeof(host_mask);
    size -= sizeof(host_mask);
    for (; size >= 1 + sizeof(value); data += 1 + sizeof(value), size -= 1 + sizeof(value)) {
        memcpy(&value, data + 1, sizeof(value));
        one_write(&policy, &state, data[0], value);
        check_state(&policy, &state);
    }
    return 0;
}
