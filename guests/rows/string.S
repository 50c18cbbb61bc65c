/* SPDX-License-Identifier: Apache-2.0 */
/* String I/O as only assembly can ask for it: at CPL 3 with IOPL 3, and in 32-bit code with its segments. */

/* row_user(struct { void (*code)(void *); void *arg; uint64_t rflags; } *): as guest_user_raw. */
    .text
    .globl row_user
row_user:
    mov     (%rdi), %rax
    mov     16(%rdi), %rdx
    mov     8(%rdi), %rdi
    movq    $guest_user_return, guest_user_stack_top - 8
    push    $0x33
    push    $guest_user_stack_top - 8
    push    %rdx
    push    $0x3B
    push    %rax
    iretq

/* row_compat(struct row_compat *): its `code`, one of the below, with its registers and segments. */
    .globl row_compat
row_compat:
    push    %rbx
    mov     %rdi, %rbx
    lcall   *far_compat(%rip)
    pop     %rbx
    ret

    .code32
compat:
    mov     $0x10, %eax                         /* CPL 3 may have left none */
    mov     %eax, %ds
    mov     4(%ebx), %edi
    mov     8(%ebx), %esi
    mov     12(%ebx), %ecx
    mov     16(%ebx), %edx
    mov     20(%ebx), %es
    mov     24(%ebx), %ds
    call    *%cs:(%ebx)
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %edi, 4(%ebx)
    mov     %esi, 8(%ebx)
    mov     %ecx, 12(%ebx)
    lret

    .macro SNIPPET name, insn:vararg
    .globl \name
\name:
    \insn
    ret
    .endm
    SNIPPET row_insb, rep insb
    SNIPPET row_insw, rep insw
    SNIPPET row_insb_16, addr16 rep insb
    SNIPPET row_outsb, rep outsb
    SNIPPET row_outsb_es, rep outsb %es:(%esi), (%dx)

    .globl row_outsb_ss                         /* comes back by a fault only: this SS has 16-bit stacks */
row_outsb_ss:
    mov     $0x28, %eax
    mov     %eax, %ss
    outsb   %ss:(%esi), (%dx)
    ud2

    .section .rodata
far_compat:
    .long   compat
    .word   0x18

    .section .note.GNU-stack, "", @progbits
