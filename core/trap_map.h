/* SPDX-License-Identifier: Apache-2.0 */
/* What is behind the ports and addresses a guest reaches that exit. Pure: arch/x86 carries it out. */
#pragma once

#include "core/config.h"
#include "core/vlapic.h"

#define TRAP_UART_PORT       0x3f8
#define TRAP_IOAPIC_BASE     UINT64_C(0xfec00000)
#define TRAP_IO_BITMAP_BYTES 8192

enum trap_target {
    TRAP_NONE, /* reads all ones, swallows writes, counted; or the partition stops (bad_access) */
    TRAP_UART,
    TRAP_CLOCK_INDEX,
    TRAP_CLOCK_DATA,
    TRAP_RESET,     /* this write resets the partition */
    TRAP_POWER_OFF, /* this write stops it */
    TRAP_APIC,
    TRAP_IOAPIC,
};

enum trap_target trap_map_in(const struct partition_config *config, uint16_t port);
enum trap_target trap_map_out(const struct partition_config *config, uint16_t port, uint32_t value);

/* The I/O bitmaps A and B: every port exits but those that the config grants. */
void trap_map_io_bitmap(const struct partition_config *config, uint8_t bitmap[TRAP_IO_BITMAP_BYTES]);

/* `mode` is that of the vCPU's local APIC. The registers of the two APICs are 32 bits wide and lie 16
 * bytes apart. A read may ask for a part of one, as on hardware; other accesses are of nothing. */
enum trap_target trap_map_memory(enum vlapic_mode mode, gpa_t at, unsigned bytes, bool write);
