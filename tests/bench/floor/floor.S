/* SPDX-License-Identifier: Apache-2.0 */
/* Out of the guest and back, with the handler in C and without. On the stack: struct floor_regs. */

#define EXIT_REASON  0x4402
#define EXIT_LENGTH  0x440C
#define GUEST_RIP    0x681E
#define EXIT_CPUID   10

    .macro SAVE
    .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    push    %\register
    .endr
    .endm

    .macro RESUME
    .irp register, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    pop     %\register
    .endr
    vmresume
    ud2
    .endm

    .text
    .globl floor_exit, floor_exit_asm, floor_launch
floor_exit:
    SAVE
    mov     %rsp, %rdi
    call    floor_handle
    RESUME

floor_exit_asm:
    SAVE
    mov     $EXIT_REASON, %esi
    vmread  %rsi, %rsi
    cmp     $EXIT_CPUID, %esi
    jne     floor_end
    cpuid                                       /* the guest's registers are still there */
    mov     %rax, (%rsp)
    mov     %rcx, 8(%rsp)
    mov     %rdx, 16(%rsp)
    mov     %rbx, 24(%rsp)
    mov     $GUEST_RIP, %esi
    vmread  %rsi, %rax
    mov     $EXIT_LENGTH, %edi
    vmread  %rdi, %rdi
    add     %rdi, %rax
    vmwrite %rax, %rsi
    RESUME

floor_launch:
    vmlaunch
    ret
    .section .note.GNU-stack, "", @progbits
