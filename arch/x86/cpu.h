/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions C cannot say, one function each. With msr.h and vmcs.h the only inline assembly
 * of the project. */
#pragma once

#include "core/types.h"

static inline uint8_t cpu_in8(uint16_t port) {
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void cpu_out8(uint16_t port, uint8_t v) {
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint16_t cpu_in16(uint16_t port) {
    uint16_t v;

    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void cpu_out16(uint16_t port, uint16_t v) {
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint32_t cpu_in32(uint16_t port) {
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void cpu_out32(uint16_t port, uint32_t v) {
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpu_cpuid(uint32_t leaf, uint32_t subleaf) {
    struct cpuid_regs r;

    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t cpu_rdtsc(void) {
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline uint64_t cpu_read_cr0(void) {
    uint64_t v;

    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

static inline void cpu_write_cr0(uint64_t v) {
    __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory");
}

static inline uint64_t cpu_read_cr2(void) {
    uint64_t v;

    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}

static inline void cpu_write_cr2(uint64_t v) {
    __asm__ volatile("mov %0, %%cr2" : : "r"(v));
}

static inline uint64_t cpu_read_cr3(void) {
    uint64_t v;

    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}

static inline void cpu_write_cr3(uint64_t v) {
    __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static inline uint64_t cpu_read_cr4(void) {
    uint64_t v;

    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static inline void cpu_write_cr4(uint64_t v) {
    __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

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

static inline void cpu_lldt(uint16_t selector) {
    __asm__ volatile("lldt %0" : : "r"(selector));
}

/* DS, ES, FS, GS: null. In 64-bit mode the hypervisor uses none of them. */
static inline void cpu_clear_segments(void) {
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(0));
}

static inline void cpu_hlt(void) {
    __asm__ volatile("hlt" : : : "memory");
}

/* Let pending interrupts in, at the instruction after the STI's shadow. */
static inline void cpu_sti_cli(void) {
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

static inline void cpu_pause(void) {
    __asm__ volatile("pause" : : : "memory");
}

static inline void cpu_wbinvd(void) {
    __asm__ volatile("wbinvd" : : : "memory");
}

static inline void cpu_mfence(void) {
    __asm__ volatile("mfence" : : : "memory");
}

static inline void cpu_lfence(void) {
    __asm__ volatile("lfence" : : : "memory");
}

static inline uint64_t cpu_xgetbv(uint32_t index) {
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

static inline void cpu_xsetbv(uint32_t index, uint64_t v) {
    __asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline void cpu_clear_debug_registers(void) {
    __asm__ volatile("mov %0, %%db0; mov %0, %%db1; mov %0, %%db2; mov %0, %%db3; mov %1, %%db6"
                     :
                     : "r"(UINT64_C(0)), "r"(UINT64_C(0xffff0ff0)));
}

static inline uint64_t cpu_read_dr6(void) {
    uint64_t v;

    __asm__ volatile("mov %%db6, %0" : "=r"(v));
    return v;
}

static inline void cpu_write_dr6(uint64_t v) {
    __asm__ volatile("mov %0, %%db6" : : "r"(v));
}

static inline void cpu_rep_movsb(void *to, const void *from, size_t bytes) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static inline void cpu_rep_movsq(void *to, const void *from, size_t words) {
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

static inline void cpu_rep_stosb(void *to, int value, size_t bytes) {
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
}

static inline void cpu_rep_stosq(void *to, uint64_t value, size_t words) {
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(value) : "memory");
}

static inline void *cpu_frame_pointer(void) {
    void *p;

    __asm__ volatile("mov %%rbp, %0" : "=r"(p));
    return p;
}

static inline uint16_t cpu_read_tr(void) {
    uint16_t v;

    __asm__ volatile("str %0" : "=r"(v));
    return v;
}

/* Load an IDT that holds nothing and fault: a triple fault, the last way to reset. */
_Noreturn static inline void cpu_triple_fault(void) {
    struct table_register none = {0, 0};

    cpu_lidt(&none);
    for (;;)
        __asm__ volatile("ud2");
}
