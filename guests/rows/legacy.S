/* SPDX-License-Identifier: Apache-2.0 */
/* row_legacy_interrupt: 32-bit protected mode without paging, and in it an interrupt whose delivery faults. Its
 * handler has the privilege of the code it interrupts, CPL 3, so that it pushes onto that code's stack, which is
 * misaligned while EFLAGS.AC is set: #AC, which exits, in the middle of the delivery. The handler of #AC (CPL 0)
 * clears AC; then the interrupt has to come after all. */
    .text
    .globl row_legacy_interrupt, row_legacy_acs, row_legacy_interrupts
row_legacy_interrupt:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    mov     %rsp, saved_rsp
    sgdt    saved_gdt
    sidt    saved_idt
    movl    $0, row_legacy_acs
    movl    $0, row_legacy_interrupts
    lgdt    gdtr
    pushq   $0x18
    pushq   $1f
    lretq

    .code32
1:  mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     %cr0, %eax
    and     $0x7FFFFFFF, %eax                   /* PG off, and long mode with it */
    or      $0x00040000, %eax                   /* AM */
    mov     %eax, %cr0
    mov     $stack_top, %esp
    movl    $stack_top, tss + 4                 /* ESP0, SS0 */
    movl    $0x10, tss + 8
    mov     $tss, %eax                          /* below 16 MiB */
    mov     %ax, gdt + 0x32
    shr     $16, %eax
    mov     %al, gdt + 0x34
    movb    $0x89, gdt + 0x35
    mov     $0x30, %eax
    ltr     %ax

    .macro GATE vector, selector, rights, handler
    mov     $\handler, %eax
    movw    %ax, idt + 8 * \vector
    movw    $\selector, idt + 8 * \vector + 2
    movw    $\rights, idt + 8 * \vector + 4
    shr     $16, %eax
    movw    %ax, idt + 8 * \vector + 6
    .endm
    GATE    0x11, 0x18, 0x8E00, on_ac
    GATE    0x43, 0x2B, 0x8E00, on_interrupt
    GATE    0x82, 0x18, 0xEE00, back
    lidt    idtr
    pushl   $0x23
    pushl   $user_stack_top
    pushl   $0x202                              /* IF */
    pushl   $0x2B
    pushl   $user
    iretl

user:
    mov     $0x23, %eax
    mov     %eax, %ds
    mov     %eax, %es
    pushfl
    orl     $0x40000, (%esp)                    /* AC */
    popfl
    sub     $2, %esp
    movl    $0x40043, 0xFEE00300                /* to self, vector 43H */
    mov     $100000, %ecx
2:  cmpl    $0, row_legacy_interrupts
    jne     3f
    pause
    loop    2b
3:  int     $0x82

on_interrupt:                                   /* CPL 3 */
    incl    row_legacy_interrupts
    movl    $0, 0xFEE000B0                      /* EOI */
    iretl

on_ac:                                          /* error code, EIP, CS, EFLAGS */
    incl    row_legacy_acs
    andl    $~0x40000, 12(%esp)
    add     $4, %esp
    iretl

back:
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %cr0, %eax
    and     $~0x00040000, %eax
    or      $0x80000000, %eax
    mov     %eax, %cr0
    ljmp    $0x08, $4f
    .code64
4:  lgdt    saved_gdt
    lidt    saved_idt
    andb    $~2, guest_gdt + 0x45               /* the TSS is not busy */
    mov     $0x40, %eax
    ltr     %ax
    mov     $0x10, %eax
    mov     %eax, %ss
    mov     saved_rsp, %rsp
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

    .data
    .balign 8
gdt:
    .quad   0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF   /* 08: 64-bit code, 10: data */
    .quad   0x00CF9B000000FFFF                          /* 18: 32-bit code */
    .quad   0x00CFF3000000FFFF, 0x00CFFB000000FFFF      /* 23: user data, 2B: user 32-bit code */
    .quad   0x0000890000000067                          /* 30: TSS */
gdtr:
    .word   . - gdt - 1
    .quad   gdt
idtr:
    .word   8 * 0x83 - 1
    .quad   idt

    .bss
    .balign 16
idt:        .skip 8 * 0x83
tss:        .skip 104
saved_rsp:  .skip 8
saved_gdt:  .skip 16
saved_idt:  .skip 16
row_legacy_acs: .skip 4
row_legacy_interrupts: .skip 4
    .balign 16
            .skip 1024
stack_top:
            .skip 1024
user_stack_top:
    .section .note.GNU-stack, "", @progbits
