/* SPDX-License-Identifier: Apache-2.0 */
/* What a small bare-metal guest needs: printing, its command line, traps, MSRs, ports, other CPUs, user mode,
 * hypercalls and expectations. Depends on nothing of the hypervisor but its number-to-text code. */
#pragma once

#include "core/hypercall_abi.h"
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

#define GUEST_NO_FAULT UINT64_MAX

/* Call code(arg); true if an exception ended it, which *fault then describes. Does not nest. Each CPU. */
bool guest_catch(void (*code)(void *), void *arg, struct guest_fault *fault);

/* The vector that code(arg) ends with, GUEST_NO_FAULT if it returns. */
uint64_t guest_fault_of(void (*code)(void *), void *arg);

/* The same at CPL 3 with IOPL 0, on a stack of its own. CPU 0. */
bool guest_catch_user(void (*code)(void *), void *arg, struct guest_fault *fault);

/* RDMSR and WRMSR that may fault: the vector, or GUEST_NO_FAULT. */
uint64_t guest_rdmsr(uint32_t msr, uint64_t *value);
uint64_t guest_wrmsr(uint32_t msr, uint64_t value);

/* Handler of an interrupt vector, 32 to 255; runs with interrupts off and sends no EOI itself. */
void guest_on_irq(unsigned vector, void (*handler)(const struct guest_frame *frame));

/* ---- Time and the local APIC ---- */
uint64_t guest_tsc_hz(void); /* by CPUID 15H and 16H; 0 = they do not say */
bool guest_x2apic_on(void);  /* false: the CPU has none */

/* The local APIC in whichever mode it is; register = offset / 16. */
#define APIC_EOI  0x0Bu
#define APIC_ICR  0x30u
#define ICR_INIT  0x4500u
#define ICR_SIPI  0x4600u
#define ICR_NMI   0x4400u
#define ICR_FIXED 0x4000u
uint32_t guest_apic_read(unsigned reg);
void guest_apic_write(unsigned reg, uint32_t value);
void guest_ipi(uint32_t apic_id, uint32_t low); /* low half of the ICR */

/* ---- Other CPUs, numbered by APIC id ---- */
#define GUEST_MAX_CPUS   8
#define GUEST_TRAMPOLINE 0x7000u /* page the others start in, unless a test wants another */

/* What a CPU finds in its registers at its first instruction. */
struct guest_state {
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t cr0, cr2, cr3, cr4, dr0, dr1, dr2, dr3, dr6, dr7, efer, eflags;
    uint16_t cs, ds, es, ss, fs, gs, gdt_limit, idt_limit;
    uint32_t gdt_base, idt_base;
};
extern struct guest_state guest_entry_state; /* CPU 0's, as the loader left it */

extern uint64_t guest_pml4[]; /* maps 4 GiB to itself in 2 MiB pages */

unsigned guest_cpu(void);
unsigned guest_nr_cpus(void); /* as the command line has it, `cpus=2`, else CPUID leaf 1 */

/* INIT and one SIPI to that page, below 640 KiB; false if the CPU does not come. */
bool guest_cpu_start(unsigned cpu, uint32_t page);
const struct guest_state *guest_cpu_state(uint32_t page); /* as the last CPU to start there found it */
void guest_cpu_stop(unsigned cpu);                        /* INIT: waits for a SIPI again */

/* Let a CPU call code(arg), starting it if need be; guest_cpu_wait: has it returned within that many ticks?
 */
bool guest_cpu_run(unsigned cpu, void (*code)(void *), void *arg);
bool guest_cpu_wait(unsigned cpu, uint64_t ticks);

/* ---- Hypercalls: see core/hypercall_abi.h ---- */

/* False if VMCALL faults (there is no hypervisor) or the hypervisor does not know the number. */
bool guest_hypercall(uint64_t number, uint64_t a, uint64_t b, uint64_t *result);

uint64_t guest_counter(uint64_t which); /* HYPERCALL_COUNTER_* */
uint64_t guest_exits(void);             /* of this vCPU; the call itself is one */

/* ---- Expectations: "ok NAME" or "FAIL file:line NAME" ---- */
void guest_expect(bool good, const char *name, const char *file, int line);
void guest_expect_summary(void); /* "done: N ok, M failed" */
#define EXPECT(name, cond) guest_expect((cond), name, __FILE__, __LINE__)
