/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID as data: a table of the host's bits that a guest may see, and the leaves that describe the
 * partition instead of the machine. Pure; the host's CPUID is a function it is given. */
#include "core/cpuid_policy.h"

#include "core/host.h"
#include "core/cr_policy.h"
#include "core/range.h"
#include "core/str.h"
#include "core/vmx_ctl.h"

#define ALL   UINT32_C(0xffffffff)
#define WHOLE 4 /* in place of a register: the mask is for each of the four */

/* A mask from the numbers of its bits: B2(1, 5) is 22H. */
#define B1(n)          (UINT32_C(1) << (n))
#define B2(a, b)       (B1(a) | B1(b))
#define B3(a, b, c)    (B2(a, b) | B1(c))
#define B4(a, b, c, d) (B2(a, b) | B2(c, d))

/* What of the host's answers is shown. */
/* clang-format off */
static const struct allowance {
    uint32_t leaf;
    uint8_t subleaf, reg;
    uint32_t mask;
    uint32_t control; /* only with this secondary control in force; 0 = always */
} allowances[] = {
    {0, 0, WHOLE, ALL, 0}, /* vendor; build_fixed sets the highest leaf */
    {1, 0, CPUID_EAX, ALL, 0},                /* model: mitigations follow it */
    {1, 0, CPUID_EBX, 0xff00, 0},             /* CLFLUSH line */
    {1, 0, CPUID_ECX, B4(0, 1, 9, 12), 0},    /* SSE3, PCLMULQDQ, SSSE3, FMA: instructions */
    {1, 0, CPUID_ECX, B4(13, 19, 20, 22), 0}, /* CX16, SSE4.1, SSE4.2, MOVBE: instructions */
    {1, 0, CPUID_ECX, B4(23, 25, 29, 30), 0}, /* POPCNT, AES, F16C, RDRAND: instructions */
    {1, 0, CPUID_ECX, B3(17, 21, 24), 0},     /* PCID: within the VPID; x2APIC, TSC deadline: the real ones */
    {1, 0, CPUID_ECX, B2(26, 28), 0},         /* XSAVE, AVX: state is the guest's, we use none */
    {1, 0, CPUID_EDX, 0x0000007f, 0},         /* FPU, VME, DE, PSE, TSC, MSR, PAE: native */
    {1, 0, CPUID_EDX, B4(8, 9, 11, 13), 0},   /* CX8, APIC (while enabled), SEP, PGE: native */
    {1, 0, CPUID_EDX, B3(15, 17, 19), 0},     /* CMOV, PSE36, CLFSH: native */
    {1, 0, CPUID_EDX, B2(12, 16), 0},         /* MTRR, PAT: PAT is native, MTRRs read back */
    {1, 0, CPUID_EDX, 0x0f800000, 0},         /* MMX, FXSR, SSE, SSE2, SS: native */
    {2, 0, WHOLE, ALL, 0},                    /* TLB and cache descriptors */
    {7, 0, CPUID_EBX, B4(0, 3, 5, 6), 0},     /* FSGSBASE, BMI1, AVX2, FDP: native */
    {7, 0, CPUID_EBX, B2(4, 11), 0},          /* HLE, RTM: an exit aborts them */
    {7, 0, CPUID_EBX, B4(7, 8, 9, 13), 0},    /* SMEP, BMI2, ERMS, no FCS/FDS: native */
    {7, 0, CPUID_EBX, B1(10), SECONDARY_INVPCID},
    {7, 0, CPUID_EBX, B3(18, 19, 20), 0},     /* RDSEED, ADX, SMAP: native */
    {7, 0, CPUID_EBX, B3(23, 24, 29), 0},     /* CLFLUSHOPT, CLWB, SHA: instructions */
    {7, 0, CPUID_EBX, B4(16, 17, 21, 26) | B4(27, 28, 30, 31), 0}, /* AVX-512 F to VL: XCR0 state */
    {7, 0, CPUID_ECX, B4(0, 1, 6, 8) | B4(9, 10, 11, 12) | B1(14), 0}, /* vector instructions */
    {7, 0, CPUID_ECX, B2(2, 3), 0},           /* UMIP, PKU: native */
    {7, 0, CPUID_ECX, B1(5), SECONDARY_USER_WAIT}, /* WAITPKG: bounded by UMWAIT_CONTROL */
    {7, 0, CPUID_ECX, B1(22), SECONDARY_RDTSCP}, /* RDPID: reads TSC_AUX */
    {7, 0, CPUID_ECX, B3(25, 27, 28), 0},     /* CLDEMOTE, MOVDIRI, MOVDIR64B: instructions */
    {7, 0, CPUID_EDX, B4(2, 3, 8, 23), 0},    /* 4VNNIW, 4FMAPS, VP2INTERSECT, FP16: vectors */
    {7, 0, CPUID_EDX, B3(4, 14, 16), 0},      /* FSRM, SERIALIZE, TSXLDTRK: instructions */
    {7, 0, CPUID_EDX, B2(10, 11), 0},         /* MD_CLEAR, RTM_ALWAYS_ABORT: facts for mitigations */
    {7, 0, CPUID_EDX, B4(26, 27, 28, 31), 0}, /* IBRS, STIBP, L1D_FLUSH, SSBD: MSRs pass */
    {7, 1, CPUID_EAX, B4(0, 1, 2, 3) | B4(4, 5, 7, 23), 0}, /* SHA512 to AVX-IFMA: instructions */
    {7, 1, CPUID_EAX, B3(10, 11, 12), 0},     /* fast short REP: facts */
    {7, 1, CPUID_EDX, B4(4, 5, 10, 14), 0},   /* AVX-VNNI-INT8, NE-CONVERT, INT16, PREFETCHI */
    {7, 2, CPUID_EDX, 0x3f, 0},               /* PSFD to MCDT_NO: bits of SPEC_CTRL, which passes */
    {0x80000001, 0, CPUID_ECX, B3(0, 5, 8), 0}, /* LAHF, LZCNT, PREFETCHW: instructions */
    {0x80000001, 0, CPUID_EDX, B4(11, 20, 26, 29), 0}, /* SYSCALL, NX, 1 GiB pages, LM: native */
    {0x80000001, 0, CPUID_EDX, B1(27), SECONDARY_RDTSCP},
    {0x80000002, 0, WHOLE, ALL, 0},           /* brand, and the next two */
    {0x80000003, 0, WHOLE, ALL, 0},
    {0x80000004, 0, WHOLE, ALL, 0},
    {0x80000006, 0, CPUID_ECX, ALL, 0},       /* L2 cache */
    {0x80000008, 0, CPUID_EAX, 0xffff, 0},    /* address widths */
};
/* clang-format on */

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

static bool has_subleaves(uint32_t leaf) {
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;
}

static bool is_row(const struct cpuid_row *row, uint32_t leaf, uint32_t subleaf) {
    return row->leaf == leaf && ((row->subleaf ^ subleaf) & row->subleaf_mask) == 0;
}

/* Where that leaf's row is; nr_rows if there is none. */
static unsigned row_find(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf) {
    unsigned i = 0;
    while (i < t->nr_rows && !is_row(&t->rows[i], leaf, subleaf))
        i++;
    return i;
}

/* The row of that leaf, a new one of zeros if there is none yet. */
static struct cpuid_row *row_add(const struct builder *b, uint32_t leaf, uint32_t subleaf) {
    struct cpuid_table *t = b->table;
    unsigned i = row_find(t, leaf, subleaf);
    ASSERT(i < CPUID_MAX_ROWS);
    if (i == t->nr_rows)
        t->rows[t->nr_rows++] = (struct cpuid_row){
            .leaf = leaf, .subleaf = subleaf, .subleaf_mask = has_subleaves(leaf) ? UINT32_MAX : 0};
    return &t->rows[i];
}

static uint32_t *row_get(const struct builder *b, uint32_t leaf, uint32_t subleaf) {
    return row_add(b, leaf, subleaf)->regs;
}

static void set(uint32_t row[4], uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx) {
    row[CPUID_EAX] = eax;
    row[CPUID_EBX] = ebx;
    row[CPUID_ECX] = ecx;
    row[CPUID_EDX] = edx;
}

static void build_allowed(const struct builder *b) {
    for (size_t i = 0; i < ARRAY_SIZE(allowances); i++) {
        const struct allowance *a = &allowances[i];
        uint32_t regs[4], *row = row_get(b, a->leaf, a->subleaf);
        if ((b->view->secondary & a->control) != a->control)
            continue;
        host_read(b, a->leaf, a->subleaf, regs);
        for (unsigned r = 0; r < 4; r++)
            row[r] |= a->reg == r || a->reg == WHOLE ? regs[r] & a->mask : 0;
    }
}

static unsigned bits_for(unsigned count) {
    unsigned bits = 0;
    while ((1u << bits) < count)
        bits++;
    return bits;
}

/* One package of one-thread cores, as many as the partition has. */
static void build_topology(const struct builder *b) {
    unsigned nr = b->view->nr_vcpus, id = b->view->vcpu;
    uint32_t *row = row_get(b, 1, 0);
    row[CPUID_EBX] |= id << 24 | nr << 16;
    row[CPUID_EDX] |= nr > 1 ? B1(28) : 0; /* HTT: the count above counts */
    set(row_get(b, 0xb, 0), 0, 1, 1 << 8 | 0, id);
    set(row_get(b, 0xb, 1), bits_for(nr), nr, 2 << 8 | 1, id);
}

#define MAX_CACHES      6
#define MAX_CRYSTAL_KHZ 1000000

/* The host's caches; the last level is shared by the partition, the others by nobody. */
static void build_caches(const struct builder *b) {
    uint32_t id_space = (1u << bits_for(b->view->nr_vcpus)) - 1, regs[4];
    for (unsigned i = 0; i < MAX_CACHES; i++) {
        host_read(b, 4, i, regs);
        if ((regs[CPUID_EAX] & 0x1f) == 0)
            return;
        regs[CPUID_EAX] &= 0x3fff;
        regs[CPUID_EAX] |= id_space << 26 | ((regs[CPUID_EAX] >> 5 & 7) >= 3 ? id_space << 14 : 0);
        memcpy(row_get(b, 4, i), regs, sizeof(regs));
    }
}

#define XCR0_COMPONENTS 10

/* The components among `host` that go together. */
static uint32_t xcr0_consistent(uint32_t host) {
    if ((host & XCR0_AVX) == 0 || (host & XCR0_AVX512) != XCR0_AVX512)
        host &= ~(uint32_t)XCR0_AVX512;
    return host & (uint32_t)(XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU);
}

/* "XSAVE-Supported Features and State-Component Bitmaps" and the two area formats. */
static uint32_t xsave_bytes(const struct cpuid_table *t, uint64_t components, bool compact) {
    uint32_t bytes = 576;
    for (const struct cpuid_row *row = t->rows; row < t->rows + t->nr_rows; row++) {
        uint32_t size = row->regs[CPUID_EAX], end = size + row->regs[CPUID_EBX];
        if (row->leaf != 0xd || row->subleaf < 2 || (components & BIT(row->subleaf)) == 0)
            continue;
        if (compact)
            bytes = ((row->regs[CPUID_ECX] & 2) != 0 ? (uint32_t)align_up(bytes, 64) : bytes) + size;
        else if (end > bytes)
            bytes = end;
    }
    return bytes;
}

/* A component counts only if its area is described: seen announced without (PKRU). */
static uint32_t build_components(const struct builder *b) {
    uint32_t regs[4];
    host_read(b, 0xd, 0, regs);
    uint32_t allowed = xcr0_consistent(regs[CPUID_EAX]);
    for (unsigned i = 2; i < XCR0_COMPONENTS; i++) {
        host_read(b, 0xd, i, regs);
        if (regs[CPUID_EAX] == 0)
            allowed &= ~B1(i);
        if ((allowed & B1(i)) != 0)
            set(row_get(b, 0xd, i), regs[CPUID_EAX], regs[CPUID_EBX], regs[CPUID_ECX] & 2, 0);
    }
    return xcr0_consistent(allowed);
}

static void build_xsave(const struct builder *b) {
    uint32_t regs[4], components = 0, features = 0xf; /* XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES */
    if ((row_get(b, 1, 0)[CPUID_ECX] & B1(26)) != 0) {
        components = build_components(b);
        set(row_get(b, 0xd, 0), components, 0, xsave_bytes(b->table, components, false), 0);
        row_add(b, 0xd, 0)->size = components != 0 ? CPUID_STANDARD : CPUID_PLAIN;
        host_read(b, 0xd, 1, regs);
        features &= regs[CPUID_EAX] & ((b->view->secondary & SECONDARY_XSAVES) != 0 ? ALL : ~B1(3));
        row_get(b, 0xd, 1)[CPUID_EAX] = features;
        row_add(b, 0xd, 1)->size = (features & B2(1, 3)) != 0 ? CPUID_COMPACT : CPUID_PLAIN;
    }
    if ((components & XCR0_PKRU) == 0)
        row_get(b, 7, 0)[CPUID_ECX] &= ~B1(3); /* PKU: nobody could save its state */
}

/* The crystal, which the local APIC timer counts too: what the host says, else what CPUs with 15H
 * usually have, else the bus clock of older ones. The TSC has to come out right to the kHz where a
 * guest computes it in 32 bits, as Linux does; for that the crystal may be a little off. */
static void build_frequencies(const struct builder *b) {
    uint32_t tsc = b->view->tsc_khz, mhz = (tsc + 500) / 1000, regs[4], *row = row_get(b, 0x15, 0);
    host_read(b, 0x15, 0, regs);
    uint32_t base = regs[CPUID_ECX] / 1000;
    if (base == 0 || base > MAX_CRYSTAL_KHZ)
        base = regs[CPUID_EBX] != 0 ? 24000 : 100000;
    set(row_get(b, 0x16, 0), mhz & 0xffff, mhz & 0xffff, 100, 0);

    set(row, 1, tsc, 1000, 0); /* always right, if nothing better is found */
    for (uint64_t crystal = base; crystal < base + 1000; crystal++) {
        for (uint64_t denominator = 1; denominator <= 1000; denominator++) {
            uint64_t product = tsc * denominator, numerator = (product + crystal - 1) / crystal;
            if (product + crystal > UINT32_MAX)
                break;
            if (crystal * numerator / denominator == tsc) {
                set(row, (uint32_t)denominator, (uint32_t)numerator, (uint32_t)crystal * 1000, 0);
                return;
            }
        }
    }
}

static void build_fixed(const struct builder *b) {
    uint32_t regs[4], *width = &row_get(b, 0x80000008, 0)[CPUID_EAX];
    row_get(b, 0, 0)[CPUID_EAX] = CPUID_MAX_BASIC;
    row_get(b, 1, 0)[CPUID_ECX] |= B1(31); /* a hypervisor: Linux wants it for x2APIC */
    /* ARAT: the deepest sleep a guest reaches is HLT, and there the timer runs. */
    row_get(b, 6, 0)[CPUID_EAX] = B1(2);
    host_read(b, 7, 0, regs);
    row_get(b, 7, 0)[CPUID_EAX] = regs[CPUID_EAX] < 2 ? regs[CPUID_EAX] : 2;
    row_get(b, 7, 0)[CPUID_EBX] |= B1(1);  /* TSC_ADJUST and ARCH_CAPABILITIES are ours, so that */
    row_get(b, 7, 0)[CPUID_EDX] |= B1(29); /* both are there on every host */
    row_get(b, 0x80000000, 0)[CPUID_EAX] = CPUID_MAX_EXT;
    row_get(b, 0x80000007, 0)[CPUID_EDX] = b->view->invariant_tsc ? B1(8) : 0;
    if ((*width >> 8 & 0xff) > 48) /* 57-bit addresses are hidden: we walk four levels */
        *width = (*width & 0xff) | 48 << 8;
    row_get(b, CPUID_LEAF_HV, 0)[CPUID_EAX] = CPUID_LEAF_HV + 1;
    memcpy(&row_get(b, CPUID_LEAF_HV, 0)[CPUID_EBX], CPUID_SIGNATURE, 12);
    row_get(b, CPUID_LEAF_HV + 1, 0)[CPUID_EAX] = CPUID_VERSION;
    /* No features: stock Linux accepts x2APIC without interrupt remapping, and nothing else. */
    row_get(b, CPUID_LEAF_KVM, 0)[CPUID_EAX] = CPUID_LEAF_KVM + 1;
    memcpy(&row_get(b, CPUID_LEAF_KVM, 0)[CPUID_EBX], "KVMKVMKVM\0\0", 12);
}

/* Of rows that want the same slot the first has it. */
static void build_slots(struct cpuid_table *t) {
    for (unsigned i = 0; i < CPUID_SLOTS; i++)
        t->slots[i] = &t->rows[0];
    for (const struct cpuid_row *row = t->rows + t->nr_rows; row-- > t->rows;)
        if (row->subleaf == 0 && row->size == CPUID_PLAIN)
            t->slots[cpuid_slot(row->leaf)] = row;
}

void cpuid_build(struct cpuid_table *out, const struct cpuid_view *view, cpuid_fn *host) {
    ASSERT(view->vcpu < view->nr_vcpus && view->nr_vcpus <= MAX_CPUS && view->tsc_khz != 0);
    struct builder b = {out, view, host};
    *out = (struct cpuid_table){.apic_id = view->vcpu};
    build_allowed(&b);
    build_topology(&b);
    build_caches(&b);
    build_xsave(&b);
    build_frequencies(&b);
    build_fixed(&b);
    build_slots(out);
}

static void show(struct cpuid_table *t, uint32_t leaf, enum cpuid_reg reg, uint32_t bit, bool set) {
    uint32_t *value = &t->rows[row_find(t, leaf, 0)].regs[reg];
    *value = set ? *value | bit : *value & ~bit;
}

void cpuid_show(struct cpuid_table *table, bool apic, uint64_t cr4) {
    show(table, 1, CPUID_EDX, B1(9), apic);
    show(table, 1, CPUID_ECX, B1(27), (cr4 & CR4_OSXSAVE) != 0);
    show(table, 7, CPUID_ECX, B1(4), (cr4 & CR4_PKE) != 0);
}

void cpuid_answer(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf, uint64_t xcr0,
                  uint32_t out[4]) {
    if (leaf == 0x1f) /* "V2 Extended Topology Enumeration": nothing between cores and package */
        leaf = 0xb;
    unsigned i = row_find(table, leaf, subleaf);
    set(out, 0, 0, 0, 0);
    if (i < table->nr_rows) {
        const struct cpuid_row *row = &table->rows[i];
        memcpy(out, row->regs, sizeof(row->regs));
        if (row->size != CPUID_PLAIN) /* of the area that XSAVE or XSAVES needs; IA32_XSS is 0 */
            out[CPUID_EBX] = xsave_bytes(table, xcr0, row->size == CPUID_COMPACT);
    } else if (leaf == 0xb) { /* "Extended Topology Enumeration": levels that do not exist */
        set(out, 0, 0, subleaf & 0xff, table->apic_id);
    }
}

uint32_t cpuid_static(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf, enum cpuid_reg reg) {
    unsigned i = row_find(table, leaf, subleaf);
    return i < table->nr_rows ? table->rows[i].regs[reg] : 0;
}

unsigned cpuid_smt_shift(cpuid_fn *cpuid) {
    static const uint32_t leaves[] = {0x1f, 0x0b};
    uint32_t regs[4];
    cpuid(0, 0, regs);
    uint32_t last = regs[CPUID_EAX];
    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        if (last < leaves[i])
            continue;
        cpuid(leaves[i], 0, regs);
        if (regs[CPUID_EBX] != 0)
            return (regs[CPUID_ECX] >> 8 & 0xff) == 1 /* SMT */ ? regs[CPUID_EAX] & 0x1f : 0;
    }
    return 0;
}
