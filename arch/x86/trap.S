/* SPDX-License-Identifier: Apache-2.0 */
/* The 32 exception vectors of the hypervisor itself: each stub makes the same frame, struct
 * trap_frame, and calls trap_handle. The hypervisor takes no interrupts. */

    .text
    .macro STUB vector has_code
trap_stub_\vector:
    .if \has_code == 0
    push $0
    .endif
    push $\vector
    jmp trap_common
    .balign 16
    .endm

    .balign 16
    .globl trap_stubs
trap_stubs:
    .altmacro
    .set v, 0
    .rept 32
    .if (v == 8) || (v == 10) || (v == 11) || (v == 12) || (v == 13) || (v == 14) || (v == 17) || (v == 21) || (v == 29) || (v == 30)
    STUB %v, 1
    .else
    STUB %v, 0
    .endif
    .set v, v + 1
    .endr

trap_common:
    cld
    push %r15
    push %r14
    push %r13
    push %r12
    push %r11
    push %r10
    push %r9
    push %r8
    push %rdi
    push %rsi
    push %rbp
    push %rsp
    push %rbx
    push %rdx
    push %rcx
    push %rax
    mov %rsp, %rdi
    call trap_handle
    pop %rax
    pop %rcx
    pop %rdx
    pop %rbx
    pop %rbp
    pop %rbp
    pop %rsi
    pop %rdi
    pop %r8
    pop %r9
    pop %r10
    pop %r11
    pop %r12
    pop %r13
    pop %r14
    pop %r15
    add $16, %rsp
    iretq

/* bool trap_read_msr(index, *value): false if the CPU has no such MSR. */
    .globl trap_read_msr, trap_read_msr_at, trap_read_msr_fault
trap_read_msr:
    mov %edi, %ecx
trap_read_msr_at:
    rdmsr
    shl $32, %rdx
    or %rdx, %rax
    mov %rax, (%rsi)
    mov $1, %eax
    ret
trap_read_msr_fault:
    xor %eax, %eax
    ret

/* Any interrupt vector: only lapic_reset lets one in, to be rid of it. Ends it at the local APIC. */
    .globl trap_drop_interrupt
trap_drop_interrupt:
    push %rax
    push %rcx
    push %rdx
    mov $0x80b, %ecx /* x2APIC EOI */
    xor %eax, %eax
    xor %edx, %edx
    wrmsr
    pop %rdx
    pop %rcx
    pop %rax
    iretq

/* Halt until this CPU is kicked, or return at once if it has been. An NMI inside makes it return
 * (trap.c), so that one just before the HLT is not lost. */
    .globl cpu_wait_kick, cpu_wait_kick_end
cpu_wait_kick:
    cmpb $0, this_cpu /* struct percpu.kicked */
    jne cpu_wait_kick_end
    hlt
cpu_wait_kick_end:
    movb $0, this_cpu
    ret

/* Run the NMI handler for an NMI that arrived as a VM exit; its IRET ends the NMI blocking that
 * the exit left behind. */
    .globl trap_run_nmi
trap_run_nmi:
    int $2
    ret
    .section .note.GNU-stack, "", @progbits
