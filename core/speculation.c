/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing here is done at an exit, because a core serves one partition for ever: its branch predictors,
 * caches and buffers hold what that partition and the hypervisor left there, and what the hypervisor's tables
 * map on that core is the partition's own, or no secret. What is left to do is done between two lives of a
 * vCPU. */
#include "core/speculation.h"

/* CPUID.7:EDX */
#define HAS_SRBDS_CTRL BIT(9)
#define HAS_MD_CLEAR   BIT(10)
#define HAS_IBPB       BIT(26)
#define HAS_L1D_FLUSH  BIT(28)

/* "Enumeration of Architectural Capabilities" */
#define RDCL_NO           BIT(0)
#define SSB_NO            BIT(4)
#define MDS_NO            BIT(5)
#define IF_PSCHANGE_MC_NO BIT(6)
#define TAA_NO            BIT(8)
#define MMIO_NO           (BIT(13) | BIT(14) | BIT(15)) /* SBDR_SSDP, FBSDP, PSDP */
#define FB_CLEAR          BIT(17)
#define FB_CLEAR_CTRL     BIT(18)
#define GDS_CTRL          BIT(25)
#define GDS_NO            BIT(26)
#define RFDS_NO           BIT(27)
#define RFDS_CLEAR        BIT(28)
#define ITS_NO            BIT(62)

/* clang-format off */
const struct speculation_row speculation_rows[SPECULATION_ROWS] = {
    {"Meltdown", RDCL_NO, 0, "no page table of a guest leads to one of ours"},
    {"Spectre v1, v2, BHI, retbleed", 0, SPEC_IBPB, "an exit can be led astray, but only its own partition is in reach"},
    {"SSB", SSB_NO, 0, "within one address space: SPEC_CTRL is the guest's"},
    {"L1TF", RDCL_NO, SPEC_FLUSH_L1D, "a guest can read the L1D: it holds that core's, once the boot's is flushed"},
    {"MDS", MDS_NO, SPEC_VERW, "the buffers are the core's, once the boot's are overwritten"},
    {"TAA", TAA_NO, SPEC_VERW, "as MDS"},
    {"RFDS", RFDS_NO, SPEC_VERW, "as MDS"},
    {"MMIO stale data", MMIO_NO, SPEC_VERW | SPEC_MCU_OPT, "as MDS; VERW has to work for the guest, too"},
    {"SRBDS", 0, SPEC_MCU_OPT, "all cores share what RDRAND reads from: only microcode keeps them apart"},
    {"GDS", GDS_NO, SPEC_MCU_OPT, "among the guest's own processes: it cannot ask microcode for help itself"},
    {"iTLB multihit", IF_PSCHANGE_MC_NO, 0, "not prevented: a hostile guest can stop the machine by a machine check"},
};

/* Not affected by ITS, of those that do not say so by having BHI_DIS_S: the models, and from which stepping on
 * they are. */
static const struct {
    uint8_t model, affected_from;
} its_no[] = {
    {0x3a, 16}, {0x3e, 16},                                     /* Ivy Bridge */
    {0x3c, 16}, {0x3f, 16}, {0x45, 16}, {0x46, 16},             /* Haswell */
    {0x3d, 16}, {0x47, 16}, {0x4f, 16}, {0x56, 16},             /* Broadwell */
    {0x4e, 16}, {0x5e, 16}, {0x55, 6}, {0x8e, 12}, {0x9e, 13},  /* Skylake, Kaby Lake */
    {0x66, 16},                                                 /* Cannon Lake */
};
/* clang-format on */

/* Family 6, and not what a hypervisor below says it is. */
static bool its_immune(const uint32_t leaf1[4]) {
    uint32_t eax = leaf1[CPUID_EAX], model = (eax >> 4 & 0xf) | (eax >> 12 & 0xf0);
    if ((eax >> 8 & 0xf) != 6 || (leaf1[CPUID_ECX] & BIT(31)) != 0)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(its_no); i++)
        if (its_no[i].model == model)
            return (eax & 0xf) < its_no[i].affected_from;
    return false;
}

struct speculation speculation_decide(cpuid_fn *cpuid, uint64_t caps) {
    uint32_t leaf0[4], leaf1[4], leaf7[4] = {0};
    cpuid(0, 0, leaf0);
    cpuid(1, 0, leaf1);
    if (leaf0[CPUID_EAX] >= 7)
        cpuid(7, 0, leaf7);
    uint32_t edx = leaf7[CPUID_EDX], can = 0;
    can |= (edx & HAS_IBPB) != 0 ? SPEC_IBPB : 0;
    can |= (edx & HAS_L1D_FLUSH) != 0 ? SPEC_FLUSH_L1D : 0;
    can |= (edx & HAS_MD_CLEAR) != 0 || (caps & (FB_CLEAR | RFDS_CLEAR)) != 0 ? SPEC_VERW : 0;
    can |= (edx & HAS_SRBDS_CTRL) != 0 || (caps & (FB_CLEAR_CTRL | GDS_CTRL)) != 0 ? SPEC_MCU_OPT : 0;

    struct speculation s = {.arch_capabilities = caps | (its_immune(leaf1) ? ITS_NO : 0)};
    for (unsigned i = 0; i < SPECULATION_ROWS; i++) {
        const struct speculation_row *row = &speculation_rows[i];
        if (row->no == 0 || (caps & row->no) != row->no) {
            s.open |= (uint32_t)BIT(i);
            s.deeds |= row->deeds & can;
        }
    }
    return s;
}
