/* SPDX-License-Identifier: Apache-2.0 */
/* What a small bare-metal guest needs: printing, its command line, traps, MSRs, ports, hypercalls
 * and expectations. Depends on nothing of the hypervisor but its number-to-text code. */
#pragma once

#include "core/types.h"

/* ---- One function an instruction ---- */
static inline void outb(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port) {
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t rdmsr(uint32_t msr) {
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value) {
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdtsc(void) {
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf) {
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

/* ---- The guest itself ---- */
#define MSR_APIC_BASE    0x1Bu
#define MSR_TSC_DEADLINE 0x6E0u
#define MSR_X2APIC       0x800u /* + register offset / 16 */

void guest_main(void); /* each guest has its own; guest_stop follows */

void guest_print(const char *format, ...) printf_like(1, 2);
_Noreturn void guest_halt(void); /* HLT with interrupts off */
_Noreturn void guest_die(void);  /* a triple fault */
_Noreturn void guest_stop(void); /* tell the hypervisor that this was all; without one, halt */

/* The command line, "" if none; is `word` one of its words; the number behind `name=` or `other`.
 */
const char *guest_cmdline(void);
bool guest_has_word(const char *word);
uint64_t guest_number(const char *name, uint64_t other);

/* ---- Traps ---- */
struct guest_frame {
    uint64_t tsc; /* at entry */
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rcx, rdx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct guest_frame) == 23 * 8, "as start.S pushes it");

struct guest_fault {
    uint64_t vector, error, rip, cr2;
};

/* Call code(arg); true if an exception ended it, which *fault then describes. Does not nest. */
bool guest_catch(void (*code)(void *), void *arg, struct guest_fault *fault);

/* Handler of an interrupt vector, 32 to 255; runs with interrupts off and sends no EOI itself. */
void guest_on_irq(unsigned vector, void (*handler)(const struct guest_frame *frame));

/* ---- Time and the local APIC ---- */
uint64_t guest_tsc_hz(void); /* by CPUID 15H and 16H; 0 = they do not say */
bool guest_x2apic_on(void);  /* false: the CPU has none */

/* ---- Hypercalls: number in RAX, arguments in RBX and RCX, result in RAX, as KVM has them ---- */
#define HYPERCALL_EXITS  1 /* VM exits of this vCPU so far, this one too */
#define HYPERCALL_STOP   2 /* stop the partition; does not return */
#define HYPERCALL_ENOSYS (-38)

/* False if VMCALL faults (there is no hypervisor) or the hypervisor does not know the number. */
bool guest_hypercall(uint64_t number, uint64_t a, uint64_t b, uint64_t *result);

/* ---- Expectations: "ok NAME" or "FAIL file:line NAME" ---- */
void guest_expect(bool good, const char *name, const char *file, int line);
void guest_expect_summary(void); /* "done: N ok, M failed" */
#define EXPECT(name, cond) guest_expect((cond), name, __FILE__, __LINE__)
