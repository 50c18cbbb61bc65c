/* SPDX-License-Identifier: Apache-2.0 */
/* From 64-bit mode down to 32-bit protected mode without paging, and a task switch there. */
    .text
    .globl row_task_switch
row_task_switch:
    cli
    movl    $0x00000067, guest_gdt + 0x40       /* a TSS of 104 bytes at task_state, below 16 MiB */
    mov     $task_state, %eax
    mov     %ax, guest_gdt + 0x42
    shr     $16, %eax
    mov     %al, guest_gdt + 0x44
    movb    $0x89, guest_gdt + 0x45
    movw    $0, guest_gdt + 0x46
    mov     guest_gdt + 0x40, %rax
    mov     %rax, guest_gdt + 0x48              /* and another, at the same place */
    pushq   $0x18
    pushq   $1f
    lretq
    .code32
1:  mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %ss
    mov     %cr0, %eax
    and     $0x7FFFFFFF, %eax                   /* paging off, and long mode with it */
    mov     %eax, %cr0
    mov     $0x40, %eax
    ltr     %ax
    ljmp    $0x48, $0
    hlt

    .bss
    .balign 16
task_state: .skip 104
    .section .note.GNU-stack, "", @progbits
