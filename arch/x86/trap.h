/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions and NMIs of the hypervisor itself, and the end of everything: the panic. */
#pragma once

#include "core/types.h"

struct trap_frame {   /* pushed by trap.S */
    uint64_t gpr[16]; /* rax rcx rdx rbx rsp rbp rsi rdi r8..r15; rsp is that of the stub */
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Load a first IDT, so that a fault while booting says where. Boot CPU, first of all. */
void trap_init(void);

/* Load this CPU's GDT and TSS and the IDT all CPUs share. Each CPU, on its own stack; the boot CPU
 * before any other runs. */
void trap_load(void);

/* Linear address of the IDT. */
uint64_t trap_idt_base(void);

/* RDMSR of a register that CPUID does not announce: false if this CPU does not have it. */
must_check bool trap_read_msr(uint32_t index, uint64_t *value);

/* 0 in that case. */
static inline uint64_t trap_msr_or_zero(uint32_t index) {
    uint64_t value = 0;
    (void)!trap_read_msr(index, &value);
    return value;
}

/* Halt until this CPU is kicked (smp_kick); returns at once if it has been since the last look. */
void cpu_wait_kick(void);

/* Take the interrupts that are pending, and end each: nobody sees them. For lapic_reset alone. */
void cpu_take_interrupts(void);

/* Our own fault, at a trap (frame) or in C (NULL): the first CPU to come here stops all
 * others by NMI, prints where, the registers and a symbolised backtrace, and ends the machine as on_panic
 * says, which a fault while it does so only makes shorter. */
_Noreturn void panic_at(const struct trap_frame *frame, const char *format, ...) printf_like(2, 3);
