/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID as data: a table of the host's bits that a guest may see, and the leaves that describe the
 * partition instead of the machine. Pure; the host's CPUID is a function it is given. */
#include "core/cpuid_policy.h"

#include "core/check.h"
#include "core/cr_policy.h"
#include "core/limits.h"
#include "core/range.h"
#include "core/str.h"
#include "core/vmx_ctl.h"

/* ---- Slots: one a leaf ----------------------------------------------------------------------- */

#define SLOT_EXT  (CPUID_MAX_BASIC + 1)
#define SLOT_HV   (SLOT_EXT + 9)
#define SLOT_KVM  (SLOT_HV + 2)
#define SLOT_NONE CPUID_LEAVES

_Static_assert(SLOT_KVM + 2 == CPUID_LEAVES, "every slot has a place");

static unsigned leaf_slot(uint32_t leaf) {
    if (leaf <= CPUID_MAX_BASIC)
        return leaf;
    if (leaf - 0x80000000 <= CPUID_MAX_EXT - 0x80000000)
        return SLOT_EXT + (leaf - 0x80000000);
    if (leaf - CPUID_LEAF_HV < 2)
        return SLOT_HV + (leaf - CPUID_LEAF_HV);
    if (leaf - CPUID_LEAF_KVM < 2)
        return SLOT_KVM + (leaf - CPUID_LEAF_KVM);
    return SLOT_NONE;
}

static bool leaf_has_subleaves(uint32_t leaf) {
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;
}

/* ---- What of the host's answers is shown ----------------------------------------------------- */

#define ALL   UINT32_C(0xffffffff)
#define WHOLE 4 /* in place of a register: the mask is for each of the four */

/* A mask from the numbers of its bits: B2(1, 5) is 22H. */
#define B1(n)          (UINT32_C(1) << (n))
#define B2(a, b)       (B1(a) | B1(b))
#define B3(a, b, c)    (B2(a, b) | B1(c))
#define B4(a, b, c, d) (B2(a, b) | B2(c, d))

struct allowance {
    uint32_t leaf;
    uint8_t subleaf;
    uint8_t reg;
    uint32_t mask;
    uint32_t control; /* only with this secondary control in force; 0 = always */
    const char *reason;
};

static const struct allowance allowances[] = {
    {0, 0, WHOLE, ALL, 0, "vendor; build_fixed sets the highest leaf"},

    {1, 0, CPUID_EAX, ALL, 0, "model: mitigations follow it"},
    {1, 0, CPUID_EBX, 0xff00, 0, "CLFLUSH line"},
    {1, 0, CPUID_ECX, B4(0, 1, 9, 12), 0, "SSE3, PCLMULQDQ, SSSE3, FMA: instructions"},
    {1, 0, CPUID_ECX, B4(13, 19, 20, 22), 0, "CX16, SSE4.1, SSE4.2, MOVBE: instructions"},
    {1, 0, CPUID_ECX, B4(23, 25, 29, 30), 0, "POPCNT, AES, F16C, RDRAND: instructions"},
    {1, 0, CPUID_ECX, B1(17), 0, "PCID: tags within the VPID"},
    {1, 0, CPUID_ECX, B2(21, 24), 0, "x2APIC, TSC deadline: the real ones"},
    {1, 0, CPUID_ECX, B2(26, 28), 0, "XSAVE, AVX: state is the guest's, we use none"},
    {1, 0, CPUID_EDX, 0x0000007f, 0, "FPU, VME, DE, PSE, TSC, MSR, PAE: native"},
    {1, 0, CPUID_EDX, B4(8, 9, 11, 13), 0, "CX8, APIC (while enabled), SEP, PGE: native"},
    {1, 0, CPUID_EDX, B3(15, 17, 19), 0, "CMOV, PSE36, CLFSH: native"},
    {1, 0, CPUID_EDX, B2(12, 16), 0, "MTRR, PAT: PAT is native, MTRRs read back"},
    {1, 0, CPUID_EDX, 0x0f800000, 0, "MMX, FXSR, SSE, SSE2, SS: native"},

    {2, 0, WHOLE, ALL, 0, "TLB and cache descriptors"},

    {7, 0, CPUID_EBX, B4(0, 3, 5, 6), 0, "FSGSBASE, BMI1, AVX2, FDP: native"},
    {7, 0, CPUID_EBX, B1(1), 0, "TSC_ADJUST: reads back"},
    {7, 0, CPUID_EBX, B2(4, 11), 0, "HLE, RTM: an exit aborts them"},
    {7, 0, CPUID_EBX, B4(7, 8, 9, 13), 0, "SMEP, BMI2, ERMS, no FCS/FDS: native"},
    {7, 0, CPUID_EBX, B1(10), SECONDARY_INVPCID, "INVPCID: native"},
    {7, 0, CPUID_EBX, B3(18, 19, 20), 0, "RDSEED, ADX, SMAP: native"},
    {7, 0, CPUID_EBX, B3(23, 24, 29), 0, "CLFLUSHOPT, CLWB, SHA: instructions"},
    {7, 0, CPUID_EBX, B4(16, 17, 21, 26) | B4(27, 28, 30, 31), 0, "AVX-512 F to VL: XCR0 state"},
    {7, 0, CPUID_ECX, B4(0, 1, 6, 8) | B4(9, 10, 11, 12) | B1(14), 0, "vector instructions"},
    {7, 0, CPUID_ECX, B2(2, 3), 0, "UMIP, PKU: native"},
    {7, 0, CPUID_ECX, B1(5), SECONDARY_USER_WAIT, "WAITPKG: bounded by UMWAIT_CONTROL"},
    {7, 0, CPUID_ECX, B1(22), SECONDARY_RDTSCP, "RDPID: reads TSC_AUX"},
    {7, 0, CPUID_ECX, B3(25, 27, 28), 0, "CLDEMOTE, MOVDIRI, MOVDIR64B: instructions"},
    {7, 0, CPUID_EDX, B4(2, 3, 8, 23), 0, "4VNNIW, 4FMAPS, VP2INTERSECT, FP16: vectors"},
    {7, 0, CPUID_EDX, B3(4, 14, 16), 0, "FSRM, SERIALIZE, TSXLDTRK: instructions"},
    {7, 0, CPUID_EDX, B2(10, 11), 0, "MD_CLEAR, RTM_ALWAYS_ABORT: facts for mitigations"},
    {7, 0, CPUID_EDX, B4(26, 27, 28, 31), 0, "IBRS, STIBP, L1D_FLUSH, SSBD: MSRs pass"},
    {7, 0, CPUID_EDX, B1(29), 0, "ARCH_CAPABILITIES: the MSR is masked"},
    {7, 1, CPUID_EAX, B4(0, 1, 2, 3) | B4(4, 5, 7, 23), 0, "SHA512 to AVX-IFMA: instructions"},
    {7, 1, CPUID_EAX, B3(10, 11, 12), 0, "fast short REP: facts"},
    {7, 1, CPUID_EDX, B4(4, 5, 10, 14), 0, "AVX-VNNI-INT8, NE-CONVERT, INT16, PREFETCHI"},
    {7, 2, CPUID_EDX, 0x3f, 0, "PSFD to MCDT_NO: bits of SPEC_CTRL, which passes"},

    {0x80000001, 0, CPUID_ECX, B3(0, 5, 8), 0, "LAHF, LZCNT, PREFETCHW: instructions"},
    {0x80000001, 0, CPUID_EDX, B4(11, 20, 26, 29), 0, "SYSCALL, NX, 1 GiB pages, LM: native"},
    {0x80000001, 0, CPUID_EDX, B1(27), SECONDARY_RDTSCP, "RDTSCP: native"},
    {0x80000002, 0, WHOLE, ALL, 0, "brand"},
    {0x80000003, 0, WHOLE, ALL, 0, "brand"},
    {0x80000004, 0, WHOLE, ALL, 0, "brand"},
    {0x80000006, 0, CPUID_ECX, ALL, 0, "L2 cache"},
    {0x80000008, 0, CPUID_EAX, 0xffff, 0, "address widths"},
};

/* ---- Building -------------------------------------------------------------------------------- */

struct builder {
    struct cpuid_table *table;
    const struct cpuid_view *view;
    cpuid_fn *host;
};

/* A leaf above the host's maximum reads as some other leaf on Intel CPUs: never ask for it. */
static void host_read(const struct builder *b, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]) {
    b->host(leaf & 0x80000000, 0, regs);
    if (leaf > regs[CPUID_EAX])
        memset(regs, 0, 4 * sizeof(*regs));
    else
        b->host(leaf, subleaf, regs);
}

static uint32_t *table_row(const struct builder *b, uint32_t leaf, uint32_t subleaf) {
    unsigned slot = leaf_slot(leaf);

    ASSERT(slot != SLOT_NONE && subleaf < b->table->count[slot]);
    return b->table->rows[b->table->first[slot] + subleaf];
}

/* Leaves are added once each; subleaves 0 to count - 1. */
static void table_add(const struct builder *b, uint32_t leaf, unsigned count) {
    struct cpuid_table *t = b->table;
    unsigned slot = leaf_slot(leaf);

    ASSERT(slot != SLOT_NONE && t->count[slot] == 0 && t->nr_rows + count <= CPUID_MAX_ROWS);
    t->first[slot] = (uint8_t)t->nr_rows;
    t->count[slot] = (uint8_t)count;
    t->nr_rows = (uint16_t)(t->nr_rows + count);
}

static void build_allowed(const struct builder *b) {
    for (size_t i = 0; i < ARRAY_SIZE(allowances); i++) {
        const struct allowance *a = &allowances[i];
        uint32_t regs[4];

        if ((b->view->secondary & a->control) == a->control) {
            host_read(b, a->leaf, a->subleaf, regs);
            for (unsigned r = 0; r < 4; r++) {
                table_row(b, a->leaf, a->subleaf)[r] |=
                    a->reg == r || a->reg == WHOLE ? regs[r] & a->mask : 0;
            }
        }
    }
}

static void set(uint32_t row[4], uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx) {
    row[CPUID_EAX] = eax;
    row[CPUID_EBX] = ebx;
    row[CPUID_ECX] = ecx;
    row[CPUID_EDX] = edx;
}

static void set_signature(uint32_t row[4], uint32_t max_leaf, const char signature[12]) {
    row[CPUID_EAX] = max_leaf;
    memcpy(&row[CPUID_EBX], signature, 12);
}

static unsigned bits_for(unsigned count) {
    unsigned bits = 0;

    while ((1u << bits) < count)
        bits++;
    return bits;
}

/* One package of one-thread cores, as many as the partition has. */
static void build_topology(const struct builder *b) {
    unsigned nr = b->view->nr_vcpus, id = b->view->vcpu, bits = bits_for(nr);
    uint32_t *row = table_row(b, 1, 0);

    row[CPUID_EBX] |= id << 24 | nr << 16;
    row[CPUID_EDX] |= nr > 1 ? B1(28) : 0; /* HTT: the count above counts */
    set(table_row(b, 0xb, 0), 0, 1, 1 << 8 | 0, id);
    set(table_row(b, 0xb, 1), bits, nr, 2 << 8 | 1, id);
}

#define MAX_CACHES 6

/* The host's caches; the last level is shared by the partition, the others by nobody. */
static void build_caches(const struct builder *b) {
    uint32_t id_space = (1u << bits_for(b->view->nr_vcpus)) - 1;

    for (unsigned i = 0; i < MAX_CACHES; i++) {
        uint32_t *row = table_row(b, 4, i);

        host_read(b, 4, i, row);
        if ((row[CPUID_EAX] & 0x1f) == 0) {
            memset(row, 0, 4 * sizeof(*row));
            return;
        }
        row[CPUID_EAX] &= 0x3fff;
        row[CPUID_EAX] |= id_space << 26;
        row[CPUID_EAX] |= (row[CPUID_EAX] >> 5 & 7) >= 3 ? id_space << 14 : 0;
    }
}

#define XCR0_ROWS 10

/* The components among `host` that go together. */
static uint32_t xcr0_consistent(uint32_t host) {
    if ((host & XCR0_AVX) == 0 || (host & XCR0_AVX512) != XCR0_AVX512)
        host &= ~(uint32_t)XCR0_AVX512;
    return host & (uint32_t)(XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU);
}

/* "XSAVE-Supported Features and State-Component Bitmaps" and the two area formats. */
static uint32_t xsave_bytes(const struct cpuid_table *t, uint64_t components, bool compact) {
    uint32_t bytes = 576;

    for (unsigned i = 2; i < XCR0_ROWS; i++) {
        const uint32_t *row = t->rows[t->first[0xd] + i];
        uint32_t end = row[CPUID_EAX] + row[CPUID_EBX];

        if ((components & BIT(i)) == 0)
            continue;
        if (compact) {
            bytes = (row[CPUID_ECX] & 2) != 0 ? (uint32_t)align_up(bytes, 64) : bytes;
            bytes += row[CPUID_EAX];
        } else if (end > bytes) {
            bytes = end;
        }
    }
    return bytes;
}

/* A component counts only if its area is described: seen announced without (PKRU). */
static uint32_t build_components(const struct builder *b, uint32_t (*rows)[4]) {
    uint32_t regs[4], allowed;

    host_read(b, 0xd, 0, regs);
    allowed = regs[CPUID_EAX];
    for (unsigned i = 2; i < XCR0_ROWS; i++) {
        host_read(b, 0xd, i, regs);
        allowed &= regs[CPUID_EAX] != 0 ? ALL : ~B1(i);
        set(rows[i], regs[CPUID_EAX], regs[CPUID_EBX], regs[CPUID_ECX] & 2, 0);
    }
    allowed = xcr0_consistent(allowed);
    for (unsigned i = 2; i < XCR0_ROWS; i++)
        if ((allowed & B1(i)) == 0)
            set(rows[i], 0, 0, 0, 0);
    return allowed;
}

static void build_xsave(const struct builder *b) {
    uint32_t(*rows)[4] = &b->table->rows[b->table->first[0xd]];
    uint32_t regs[4], features = B3(0, 1, 2); /* XSAVEOPT, XSAVEC, XGETBV with ECX = 1 */

    if ((table_row(b, 1, 0)[CPUID_ECX] & B1(26)) != 0) {
        rows[0][CPUID_EAX] = build_components(b, rows);
        rows[0][CPUID_ECX] = xsave_bytes(b->table, rows[0][CPUID_EAX], false);
        host_read(b, 0xd, 1, regs);
        features |= (b->view->secondary & SECONDARY_XSAVES) != 0 ? B1(3) : 0;
        rows[1][CPUID_EAX] = regs[CPUID_EAX] & features;
    }
    if ((rows[0][CPUID_EAX] & XCR0_PKRU) == 0)
        table_row(b, 7, 0)[CPUID_ECX] &= ~B1(3); /* PKU: nobody could save its state */
}

struct tsc_ratio {
    uint32_t crystal_khz, numerator, denominator;
};

/* Smallest ratio with which a guest that computes crystal_khz * numerator / denominator in 32 bits,
 * as Linux does, arrives at exactly tsc_khz. */
static bool ratio_find(uint32_t tsc_khz, uint32_t crystal_khz, struct tsc_ratio *out) {
    for (uint64_t d = 1; d <= 1000 && tsc_khz * d + crystal_khz <= UINT32_MAX; d++) {
        uint64_t n = (tsc_khz * d + crystal_khz - 1) / crystal_khz;

        if (crystal_khz * n / d == tsc_khz) {
            *out = (struct tsc_ratio){crystal_khz, (uint32_t)n, (uint32_t)d};
            return true;
        }
    }
    return false;
}

/* The TSC has to come out right to the kHz; the crystal may be a little off the measured one. */
static struct tsc_ratio tsc_ratio(uint32_t tsc_khz, uint32_t crystal_khz) {
    struct tsc_ratio r = {1, tsc_khz, 1};

    if (crystal_khz == 0 || crystal_khz > UINT32_MAX / 1000 - 1000)
        crystal_khz = 24000;
    for (uint32_t off = 0; off < 1000; off++)
        if (ratio_find(tsc_khz, crystal_khz + off, &r))
            break;
    return r;
}

static void build_frequencies(const struct builder *b) {
    struct tsc_ratio r = tsc_ratio(b->view->tsc_khz, b->view->crystal_khz);
    uint32_t mhz = (b->view->tsc_khz + 500) / 1000;

    set(table_row(b, 0x15, 0), r.denominator, r.numerator, r.crystal_khz * 1000, 0);
    set(table_row(b, 0x16, 0), mhz & 0xffff, mhz & 0xffff, 100, 0);
}

static void build_fixed(const struct builder *b) {
    uint32_t regs[4], *width = &table_row(b, 0x80000008, 0)[CPUID_EAX];

    table_row(b, 0, 0)[CPUID_EAX] = CPUID_MAX_BASIC;
    table_row(b, 1, 0)[CPUID_ECX] |= B1(31); /* a hypervisor: Linux wants it for x2APIC */
    /* ARAT: the deepest sleep a guest reaches is HLT, and there the timer runs. */
    table_row(b, 6, 0)[CPUID_EAX] = B1(2);
    host_read(b, 7, 0, regs);
    table_row(b, 7, 0)[CPUID_EAX] = regs[CPUID_EAX] < 2 ? regs[CPUID_EAX] : 2;
    table_row(b, 0x80000000, 0)[CPUID_EAX] = CPUID_MAX_EXT;
    table_row(b, 0x80000007, 0)[CPUID_EDX] = b->view->invariant_tsc ? B1(8) : 0;
    if ((*width >> 8 & 0xff) > 48) /* 57-bit addresses are hidden: we walk four levels */
        *width = (*width & 0xff) | 48 << 8;
    set_signature(table_row(b, CPUID_LEAF_HV, 0), CPUID_LEAF_HV + 1, CPUID_SIGNATURE);
    table_row(b, CPUID_LEAF_HV + 1, 0)[CPUID_EAX] = CPUID_VERSION;
    /* No features: stock Linux accepts x2APIC without interrupt remapping, and nothing else. */
    set_signature(table_row(b, CPUID_LEAF_KVM, 0), CPUID_LEAF_KVM + 1, "KVMKVMKVM\0\0");
}

enum err cpuid_build(struct cpuid_table *out, const struct cpuid_view *view, cpuid_fn *host) {
    static const struct {
        uint32_t leaf;
        unsigned subleaves;
    } leaves[] = {
        {0, 1},
        {1, 1},
        {2, 1},
        {4, MAX_CACHES},
        {6, 1},
        {7, 3},
        {0xb, 2},
        {0xd, XCR0_ROWS},
        {0x15, 1},
        {0x16, 1},
        {0x80000000, 1},
        {0x80000001, 1},
        {0x80000002, 1},
        {0x80000003, 1},
        {0x80000004, 1},
        {0x80000006, 1},
        {0x80000007, 1},
        {0x80000008, 1},
        {CPUID_LEAF_HV, 1},
        {CPUID_LEAF_HV + 1, 1},
        {CPUID_LEAF_KVM, 1},
        {CPUID_LEAF_KVM + 1, 1},
    };
    struct builder b = {out, view, host};

    if (view->nr_vcpus == 0 || view->nr_vcpus > MAX_CPUS || view->vcpu >= view->nr_vcpus ||
        view->tsc_khz == 0)
        return ERR_RANGE;
    memset(out, 0, sizeof(*out));
    out->apic_id = view->vcpu;
    for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
        table_add(&b, leaves[i].leaf, leaves[i].subleaves);
    build_allowed(&b);
    build_topology(&b);
    build_caches(&b);
    build_xsave(&b);
    build_frequencies(&b);
    build_fixed(&b);
    return ERR_OK;
}

/* ---- Answering ------------------------------------------------------------------------------- */

static void apply_live(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf,
                       const struct cpuid_live *live, uint32_t out[4]) {
    if (leaf == 1) {
        out[CPUID_ECX] |= (live->cr4 & CR4_OSXSAVE) != 0 ? B1(27) : 0;
        out[CPUID_EDX] &= live->apic_enabled ? ALL : ~B1(9);
    } else if (leaf == 7 && subleaf == 0) {
        out[CPUID_ECX] |= (live->cr4 & CR4_PKE) != 0 ? B1(4) : 0;
    } else if (leaf == 0xd && subleaf == 0 && out[CPUID_EAX] != 0) {
        out[CPUID_EBX] = xsave_bytes(t, live->xcr0, false);
    } else if (leaf == 0xd && subleaf == 1 && (out[CPUID_EAX] & B2(1, 3)) != 0) {
        out[CPUID_EBX] = xsave_bytes(t, live->xcr0, true); /* IA32_XSS is 0 */
    }
}

void cpuid_lookup(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf,
                  const struct cpuid_live *live, uint32_t out[4]) {
    unsigned slot = leaf_slot(leaf);
    uint32_t row = leaf_has_subleaves(leaf) ? subleaf : 0;

    if (slot == SLOT_NONE || row >= table->count[slot]) {
        set(out, 0, 0, 0, 0);
        if (leaf == 0xb) /* "Extended Topology Enumeration": levels that do not exist */
            set(out, 0, 0, subleaf & 0xff, table->apic_id);
        return;
    }
    memcpy(out, table->rows[table->first[slot] + row], 4 * sizeof(*out));
    if (live != NULL)
        apply_live(table, leaf, subleaf, live, out);
}

uint32_t cpuid_static(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf, enum cpuid_reg reg) {
    uint32_t regs[4];

    cpuid_lookup(table, leaf, subleaf, NULL, regs);
    return regs[reg];
}
