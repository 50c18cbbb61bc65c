/* SPDX-License-Identifier: Apache-2.0 */
/* row_script(struct row_op *ops): from 64-bit mode down to 32-bit protected mode without paging, there one
 * operation after the other, and back. An exception ends its operation and leaves its vector. Fields of struct
 * row_op: 0 op, 4 value, 8 address, 12 result, 16 vector. Everything lies below 4 GiB. */
    REAL_PAGE = 0x6000
    EFER      = 0xC0000080

    .text
    .globl row_script
row_script:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    pushfq
    cli
    mov     %rdi, %rbx
    mov     $real_start, %esi
    mov     $REAL_PAGE, %edi
    mov     $real_end - real_start, %ecx
    rep movsb
    sidt    kit_idtr
    mov     %rsp, kit_rsp
    mov     %cr3, %rax
    mov     %eax, kit_cr3
    mov     %cr4, %rax
    mov     %eax, kit_cr4
    pushq   $0x18
    pushq   $1f
    lretq

    .code32
1:  mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    lidt    idtr_32
    mov     %cr0, %eax
    mov     %eax, kit_cr0
    and     $0x7FFFFFFF, %eax                   /* paging off, and with it long mode */
    mov     %eax, %cr0
    mov     $EFER, %ecx
    rdmsr
    mov     %eax, kit_efer
    and     $~0x100, %eax
    wrmsr
next:
    mov     (%ebx), %eax
    mov     4(%ebx), %edx
    mov     8(%ebx), %esi
    movl    $-1, 16(%ebx)
    jmp     *operations(, %eax, 4)
op_cr0:
    mov     %edx, %cr0
    mov     %cr0, %eax
    jmp     done
op_cr3:
    mov     %edx, %cr3
    mov     %cr3, %eax
    jmp     done
op_cr4:
    mov     %edx, %cr4
    mov     %cr4, %eax
    jmp     done
op_efer:
    mov     %edx, %eax
    xor     %edx, %edx
    mov     $EFER, %ecx
    wrmsr
    rdmsr
    jmp     done
op_read:
    mov     (%esi), %eax
    jmp     done
op_write:
    mov     %edx, (%esi)
    jmp     done
op_ltr:
    ltr     %dx
    jmp     done
op_vmcall:
    mov     %edx, %eax
    vmcall
    jmp     done
op_real:
    ljmp    $0x20, $REAL_PAGE                   /* 16-bit, base 0 */
back:
    mov     $0x10, %ecx
    mov     %ecx, %ds
    mov     %ecx, %es
    mov     %ecx, %ss
done:
    mov     %eax, 12(%ebx)
after:
    add     $20, %ebx
    jmp     next

/* Exceptions: 6 and 13 (with an error code), 14 likewise. */
fault_6:
    movl    $6, 16(%ebx)
    jmp     1f
fault_13:
    movl    $13, 16(%ebx)
    add     $4, %esp
    jmp     1f
fault_14:
    movl    $14, 16(%ebx)
    add     $4, %esp
1:  movl    $after, (%esp)
    iretl

op_end:
    mov     %cr0, %eax
    and     $0x7FFFFFFF, %eax
    mov     %eax, %cr0
    mov     kit_cr4, %eax
    mov     %eax, %cr4
    mov     kit_cr3, %eax
    mov     %eax, %cr3
    mov     kit_efer, %eax
    xor     %edx, %edx
    mov     $EFER, %ecx
    wrmsr
    mov     kit_cr0, %eax
    mov     %eax, %cr0
    ljmp    $0x08, $2f
    .code64
2:  lidt    kit_idtr
    mov     kit_rsp, %rsp
    popfq
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

/* Real mode and back. EAX: CR0 there, its low half replaced by a word that DS:F0H reaches with DS = 6F0H. */
    .code16
real_start:
    mov     $0x28, %ax                          /* 16-bit data, base 0 */
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    mov     %cr0, %eax
    and     $0xFE, %al
    mov     %eax, %cr0
    ljmp    $REAL_PAGE >> 4, $1f - real_start
1:  movw    $0x6F0, %ax
    mov     %ax, %ds
    movw    $0x600D, %ds:0xF0
    movw    $0x600, %ax
    mov     %ax, %ds
    mov     %cr0, %eax
    mov     %eax, %ecx
    or      $1, %cl
    xor     $0x600D, %ax
    xor     %ds:0xFF0, %ax                      /* the same word, seen from DS = 600H */
    mov     %ecx, %cr0
    ljmpl   $0x18, $back
real_end:

    .section .rodata
    .balign 8
operations:
    .long   op_end, op_cr0, op_cr3, op_cr4, op_efer, op_read, op_write, op_ltr, op_vmcall, op_real

    .data
    .balign 8
    .globl row_idt_32
row_idt_32: .skip 15 * 8                        /* filled in by the test: addresses are split there */
idtr_32:    .word . - row_idt_32 - 1
            .long row_idt_32
    .globl row_faults_32
row_faults_32:
            .long fault_6, fault_13, fault_14

    .bss
    .balign 8
kit_rsp:    .skip 8
kit_idtr:   .skip 16
kit_cr0:    .skip 4
kit_cr3:    .skip 4
kit_cr4:    .skip 4
kit_efer:   .skip 4

    .section .note.GNU-stack, "", @progbits
