/* SPDX-License-Identifier: Apache-2.0 */
/* The 256 vectors of the hypervisor itself: each stub makes the same frame, struct trap_frame, and
 * calls trap_handle. */

/* Interrupts come without an error code, even with the vector of an exception that has one: which of both it
 * was tells the stack, which the CPU aligns to 16 bytes before it pushes. */
    .text
    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    test $8, %spl
    jz 1f
    push $0
1:  push $(vector - 128) /* a signed byte: the stub fits its 16 bytes */
    jmp trap_common
    .balign 16
    .set vector, vector + 1
    .endr

trap_common:
    cld
    addq $128, (%rsp)
    .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rsp, rbx, rdx, rcx, rax
    push %\register
    .endr
    mov %rsp, %rdi
    call trap_handle
    .irp register, rax, rcx, rdx, rbx, rbp /* the slot of RSP */, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    pop %\register
    .endr
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

/* Let pending interrupts in, at the instruction after the STI's shadow; trap.c ends them. */
    .globl cpu_take_interrupts, cpu_take_interrupts_end
cpu_take_interrupts:
    sti
    nop
cpu_take_interrupts_end:
    cli
    ret
    .section .note.GNU-stack, "", @progbits
