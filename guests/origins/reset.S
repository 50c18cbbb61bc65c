/* SPDX-License-Identifier: Apache-2.0 */
/* A firmware image for `load = reset`: 64 KiB whose last 16 bytes are where the processor starts. Checks what
 * "Processor State After Reset" promises, then goes where a PC shows its ROM a second time. */
    .code16
    .text
    .globl _start
_start:
entry:
    mov     %eax, %ebp
    mov     %edx, %edi
    mov     %cr0, %eax
    and     $0xFFFFFFEF, %eax                   /* but for ET: */
    cmp     $0x60000000, %eax                   /* CD and NW */
    jne     bad
    or      %ebp, %esp                          /* general registers are 0 */
    jnz     bad
    test    %edi, %edi                          /* but for EDX: family, model, stepping */
    jz      bad
    mov     $good, %si
    call    say

    mov     $0xF000, %ax                        /* CS says F000H, but its base is FFFF0000H: what is written */
    mov     %ax, %es                            /* at F0000H does not show */
    mov     %cs, %bx
    cmp     %ax, %bx
    jne     bad
    movb    $'!', %es:mark
    cmpb    $'?', %cs:mark
    jne     bad
    ljmp    $0xF000, $moved                     /* base F0000H from here on */
moved:
    cmpb    $'!', %cs:mark
    jne     bad
    mov     $done, %si
    call    say
    mov     $0x600, %dx                         /* ACPI sleep control: S5 */
    mov     $0x34, %al
    out     %al, %dx
bad:
    cli
    hlt
    jmp     bad

/* SS and SP are 0: the stack is the top of the first 64 KiB. */
say:
    mov     $0x3FD, %dx
1:  in      %dx, %al
    test    $0x20, %al                          /* room for a byte? */
    jz      1b
    lodsb   %cs:(%si), %al
    test    %al, %al
    jz      2f
    mov     $0x3F8, %dx
    out     %al, %dx
    jmp     say
2:  ret

good:
    .asciz  "reset: the state of RESET\r\n"
done:
    .asciz  "reset: CS base FFFF0000H, then F0000H\r\n"
mark:
    .byte   '?'

    .org    0xFFF0
    jmp     entry
    .org    0x10000
