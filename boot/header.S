/* SPDX-License-Identifier: Apache-2.0 */
/* The multiboot2 header: what GRUB must know. Data only. */
#include "boot/layout.h"

#define MB2_MAGIC        0xe85250d6
#define MB2_TAG_MODULES  6  /* modules on page borders */
#define MB2_TAG_RELOC    10 /* the image runs at any aligned address below 4 GiB */
#define MB2_PREFER_HIGH  2  /* leaves the low memory in one piece for partitions */

    .section .multiboot, "a"
    .balign 8
mb2_header:
    .long MB2_MAGIC, 0, mb2_header_end - mb2_header
    .long -(MB2_MAGIC + mb2_header_end - mb2_header)

    .short MB2_TAG_MODULES, 0
    .long 8

    .short MB2_TAG_RELOC, 0
    .long 24
    .long 0x100000, 0xffffffff, IMAGE_ALIGN, MB2_PREFER_HIGH

    .short 0, 0 /* end */
    .long 8
mb2_header_end:
