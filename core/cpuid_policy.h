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

struct cpuid_table { /* what is in no row reads zeros */
    struct cpuid_row {
        uint32_t leaf, subleaf;
        uint32_t regs[4]; /* EAX EBX ECX EDX */
    } rows[CPUID_MAX_ROWS];
    unsigned nr_rows;
    uint32_t apic_id;
};

/* State of the vCPU that some leaves show. Only read for leaves where cpuid_is_live. */
struct cpuid_live {
    uint64_t cr4; /* guest view */
    uint64_t xcr0;
    bool apic_enabled; /* IA32_APIC_BASE.EN */
};

static inline bool cpuid_is_live(uint32_t leaf) {
    return leaf == 1 || leaf == 7 || leaf == 0xd;
}

/* Boot time only. */
void cpuid_build(struct cpuid_table *out, const struct cpuid_view *view, cpuid_fn *host);

/* `live` may be NULL where cpuid_is_live(leaf) is false. */
void cpuid_lookup(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf,
                  const struct cpuid_live *live, uint32_t out[4]);

/* One register as compiled, without live bits: for policies that follow what CPUID shows. */
uint32_t cpuid_static(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf, enum cpuid_reg reg);
