/* SPDX-License-Identifier: Apache-2.0 */
/* Where all origins meet: 32-bit mode, flat segments, running where it is linked. */
    .text
    .globl origin_entry
origin_entry:
    mov     $stack_top, %esp
    push    %esi
    push    %ebx
    push    %eax
    call    origin_main
1:  cli
    hlt
    jmp     1b

/* For vector 0: the other CPU counts itself in real mode. */
    .code16
    .balign 4
    .globl origin_ap, origin_ap_end
origin_ap:
    lock incl %cs:(2f - origin_ap)
1:  cli
    hlt
    jmp     1b
    .balign 4
2:  .long   0
origin_ap_end:

    .bss
    .balign 16
    .skip 4096
stack_top:

    .section .note.GNU-stack, "", @progbits
