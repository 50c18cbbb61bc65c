/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot without an ELF around it: the header says where everything belongs. */
    .section .head, "ax"
    .globl origin_head
    .skip   64                                  /* so that the header is not first */
header:
    .long   0x1BADB002, 0x10003, -(0x1BADB002 + 0x10003)
    .long   header, image_start, image_loaded, image_end, origin_head
origin_head:
    jmp     origin_entry
