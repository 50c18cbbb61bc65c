/* SPDX-License-Identifier: Apache-2.0 */
/* The 256 vectors of the hypervisor itself: each stub makes the same frame, struct trap_frame, and
 * calls trap_handle. */

#define WITH_ERROR_CODE 0x60227d00 /* vectors 8, 10 to 14, 17, 21, 29, 30 */

    .text
    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .if vector >= 32 || (WITH_ERROR_CODE >> (vector & 31) & 1) == 0
    push $0
    .endif
    push $vector
    jmp trap_common
    .balign 16
    .set vector, vector + 1
    .endr

trap_common:
    cld
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
    .section .note.GNU-stack, "", @progbits
