/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot2: the start address in a tag of its own, and a wish to be movable that nobody needs to meet. */
    .section .head, "ax"
    .globl origin_head
header:
    .balign 8
    .long   0xE85250D6, 0, header_end - header, -(0xE85250D6 + header_end - header)
    .short  1, 0                                /* wanted: memory map, command line, modules */
    .long   8 + 12, 6, 1, 3
    .balign 8
    .short  10, 1                               /* relocatable */
    .long   24, 0x100000, 0x40000000, 0x1000, 0
    .short  3, 0                                /* entry address */
    .long   12, entry
    .balign 8
    .short  0, 0
    .long   8
header_end:

entry:
    jmp     origin_entry
origin_head:                                    /* by the ELF header: not for us */
    ud2
