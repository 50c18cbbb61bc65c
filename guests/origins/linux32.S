/* SPDX-License-Identifier: Apache-2.0 */
/* A bzImage of protocol 2.12 without a 64-bit entry, for 1 MiB and nowhere else. */
#define SETUP_SECTS 1

    .section .setup, "", @progbits      /* goes before the image, not into it */
    .skip   0x1F1
    .byte   SETUP_SECTS                         /* 1F1 */
    .skip   0x1FE - 0x1F2
    .short  0xAA55                              /* 1FE */
    .byte   0xEB, header_end - magic            /* 200: a jump over the header */
magic:
    .ascii  "HdrS"                              /* 202 */
    .short  0x020C                              /* 206: version */
    .skip   0x211 - 0x208
    .byte   1                                   /* 211: loadflags, loaded high */
    .skip   0x214 - 0x212
    .long   0x100000 + entry_32 - origin_head   /* 214: code32_start */
    .skip   0x22C - 0x218
    .long   0x37FFFFFF                          /* 22C: initrd_addr_max */
    .skip   0x238 - 0x230
    .long   255                                 /* 238: cmdline_size */
    .skip   0x258 - 0x23C
    .quad   0x100000                            /* 258: pref_address */
    .long   image_bytes                         /* 260: init_size */
header_end:
    .org    (SETUP_SECTS + 1) * 512

    .section .head, "ax"
    .globl origin_head
origin_head:
    ud2
entry_32:
    xor     %eax, %eax
    jmp     origin_entry
