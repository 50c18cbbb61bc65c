/* SPDX-License-Identifier: Apache-2.0 */
/* PCI configuration space by mechanism 1: segment 0, the first 256 bytes of a function. */
#pragma once

#include "arch/x86/cpu.h"

/* The 4 bytes at `offset`, a multiple of 4; all ones where no function is. bdf: bus 15:8, device 7:3,
 * function 2:0. One CPU at a time. */
static inline uint32_t pci_read(unsigned bdf, unsigned offset) {
    cpu_out32(0xcf8, 0x80000000 | bdf << 8 | offset);
    return cpu_in32(0xcfc);
}
