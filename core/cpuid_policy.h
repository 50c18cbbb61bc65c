/* SPDX-License-Identifier: Apache-2.0 */
/* What CPUID tells a guest. Compiled once per vCPU from the host's answers and a table of what may
 * be seen; a bit that is not in the table is hidden, a leaf that is not in it reads zeros. */
#pragma once

#include "core/types.h"

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* The CPUID instruction. */
typedef void cpuid_fn(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

#define CPUID_LEAF_HV   UINT32_C(0x40000000) /* our own signature and version */
#define CPUID_LEAF_KVM  UINT32_C(0x40000100) /* KVM's signature, no features */
#define CPUID_SIGNATURE "MullionVMX\0"       /* twelve bytes with the last NUL */
#define CPUID_VERSION   UINT32_C(0x00010000)

#define CPUID_MAX_BASIC 0x1fu
#define CPUID_MAX_EXT   0x80000008u
#define CPUID_MAX_ROWS  48

/* What differs between partitions and vCPUs. */
struct cpuid_view {
    unsigned vcpu;      /* = the guest's APIC id */
    unsigned nr_vcpus;  /* of the partition: one package, one thread a core */
    uint32_t tsc_khz;   /* measured */
    bool invariant_tsc; /* the TSC runs at that rate in every state */
    uint32_t secondary; /* secondary VM-execution controls in force: some enable instructions */
};

enum cpuid_size { CPUID_PLAIN, CPUID_STANDARD, CPUID_COMPACT }; /* of the area of XSAVE, of XSAVES */

struct cpuid_row {
    uint32_t leaf, subleaf;
    uint32_t subleaf_mask; /* 0 where the leaf has no subleaves: ECX does not matter */
    uint32_t size;         /* enum cpuid_size: what EBX gives */
    uint32_t regs[4];      /* EAX EBX ECX EDX */
};

#define CPUID_SLOTS 64

struct cpuid_table { /* what is in no row reads zeros */
    struct cpuid_row rows[CPUID_MAX_ROWS];
    const struct cpuid_row *slots[CPUID_SLOTS]; /* for cpuid_find: first subleaves without a size, by hash */
    unsigned nr_rows;
    uint32_t apic_id;
};

/* Boot time only. */
void cpuid_build(struct cpuid_table *out, const struct cpuid_view *view, cpuid_fn *host);

/* After each change of IA32_APIC_BASE.EN, CR4.OSXSAVE or CR4.PKE, all as the guest has them. */
void cpuid_show(struct cpuid_table *table, bool apic, uint64_t cr4);

static inline unsigned cpuid_slot(uint32_t leaf) {
    return (leaf ^ leaf >> 26) %
           CPUID_SLOTS; /* basic leaves, ours at 40000000H, extended ones: side by side */
}

/* The row with the answer, in constant time for the common ones; NULL: cpuid_answer may still have one. */
static inline const struct cpuid_row *cpuid_find(const struct cpuid_table *table, uint32_t leaf,
                                                 uint32_t subleaf) {
    const struct cpuid_row *row = table->slots[cpuid_slot(leaf)];
    return row->leaf == leaf && (subleaf & row->subleaf_mask) == 0 ? row : NULL;
}

/* The whole answer, given the guest's XCR0. */
void cpuid_answer(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf, uint64_t xcr0,
                  uint32_t out[4]);

/* One register as compiled, without what changes: for policies that follow what CPUID shows. */
uint32_t cpuid_static(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf, enum cpuid_reg reg);

/* Of the host: how many low bits of an APIC id tell the threads of one core apart, by "V2 Extended Topology
 * Enumeration Leaf" or the one before it; 0 where CPUID does not say. */
unsigned cpuid_smt_shift(cpuid_fn *cpuid);
