/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot, ELF32, linked to where it runs. */
    .section .head, "ax"
    .globl origin_head
    .long   0x1BADB002, 3, -(0x1BADB002 + 3)
origin_head:
    jmp     origin_entry
