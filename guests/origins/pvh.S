/* SPDX-License-Identifier: Apache-2.0 */
/* PVH: a Xen note gives the physical start address. */
    .section .note.xen, "a"
    .balign 4
    .long   4, 8, 18
    .asciz  "Xen"
    .long   entry, 0

    .section .head, "ax"
    .globl origin_head
origin_head:
    ud2
entry:
    jmp     origin_entry
