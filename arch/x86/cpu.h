/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions C cannot say, one function each. With msr.h and vmcs.h the only inline assembly of the
 * project. */
#pragma once

#include "core/types.h"

#define CPU_PORT(bits, suffix)                                                                               \
    static inline uint##bits##_t cpu_in##bits(uint16_t port) {                                               \
        uint##bits##_t v;                                                                                    \
        __asm__ volatile("in" suffix " %1, %0" : "=a"(v) : "Nd"(port));                                      \
        return v;                                                                                            \
    }                                                                                                        \
    static inline void cpu_out##bits(uint16_t port, uint##bits##_t v) {                                      \
        __asm__ volatile("out" suffix " %0, %1" : : "a"(v), "Nd"(port));                                     \
    }

CPU_PORT(8, "b")
CPU_PORT(16, "w")
CPU_PORT(32, "l")

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpu_cpuid(uint32_t leaf, uint32_t subleaf) {
    struct cpuid_regs r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t cpu_rdtsc(void) {
    return __builtin_ia32_rdtsc();
}

#define CPU_REGISTER(name)                                                                                   \
    static inline uint64_t cpu_read_##name(void) {                                                           \
        uint64_t v;                                                                                          \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v));                                                   \
        return v;                                                                                            \
    }                                                                                                        \
    static inline void cpu_write_##name(uint64_t v) {                                                        \
        __asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory");                                          \
    }

CPU_REGISTER(cr0)
CPU_REGISTER(cr2)
CPU_REGISTER(cr3)
CPU_REGISTER(cr4)
CPU_REGISTER(db0)
CPU_REGISTER(db1)
CPU_REGISTER(db2)
CPU_REGISTER(db3)
CPU_REGISTER(db6)

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
_Static_assert(sizeof(struct table_register) == 10, "pseudo-descriptor size by the SDM");

static inline void cpu_lgdt(const struct table_register *r) {
    __asm__ volatile("lgdt %0" : : "m"(*r) : "memory");
}

static inline void cpu_lidt(const struct table_register *r) {
    __asm__ volatile("lidt %0" : : "m"(*r) : "memory");
}

static inline void cpu_ltr(uint16_t selector) {
    __asm__ volatile("ltr %0" : : "r"(selector) : "memory");
}

#define CPU_INSTRUCTION(name, mnemonic)                                                                      \
    static inline void cpu_##name(void) {                                                                    \
        __asm__ volatile(mnemonic : : : "memory");                                                           \
    }

CPU_INSTRUCTION(hlt, "hlt")
CPU_INSTRUCTION(pause, "pause")
CPU_INSTRUCTION(wbinvd, "wbinvd")
CPU_INSTRUCTION(mfence, "mfence")
CPU_INSTRUCTION(lfence, "lfence")
CPU_INSTRUCTION(int_nmi, "int $2") /* its IRET ends the blocking of NMIs by one that came as a VM exit */

static inline void cpu_clflush(const void *at) {
    __asm__ volatile("clflush (%0)" : : "r"(at) : "memory");
}

/* With microcode that knows of it, this overwrites the buffers that loads and stores go through. */
static inline void cpu_verw(uint16_t data_selector) {
    __asm__ volatile("verw %0" : : "m"(data_selector) : "memory", "cc");
}

static inline uint64_t cpu_xgetbv(uint32_t index) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

/* Every component that XCR0 enables, from a 64-byte-aligned XSAVE area. */
static inline void cpu_xrstor(const void *area) {
    __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
}

static inline void cpu_xsetbv(uint32_t index, uint64_t v) {
    __asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

#define CPU_REP(width, type)                                                                                 \
    static inline void cpu_rep_movs##width(void *to, const void *from, size_t count) {                       \
        __asm__ volatile("rep movs" #width : "+D"(to), "+S"(from), "+c"(count) : : "memory");                \
    }                                                                                                        \
    static inline void cpu_rep_stos##width(void *to, type value, size_t count) {                             \
        __asm__ volatile("rep stos" #width : "+D"(to), "+c"(count) : "a"(value) : "memory");                 \
    }

CPU_REP(b, uint8_t)
CPU_REP(q, uint64_t)

/* Load an IDT that holds nothing and fault: a triple fault, the last way to reset. */
_Noreturn static inline void cpu_triple_fault(void) {
    struct table_register none = {0, 0};
    cpu_lidt(&none);
    for (;;)
        __asm__ volatile("ud2");
}
