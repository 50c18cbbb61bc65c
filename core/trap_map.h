/* SPDX-License-Identifier: Apache-2.0 */
/* What is behind the ports and addresses a guest reaches that exit. Pure: arch/x86 carries it out. */
#pragma once

#include "core/acpi_gen.h"
#include "core/config.h"
#include "core/guest_layout.h"
#include "core/vlapic.h"

#define TRAP_PORT_KEYBOARD   0x64 /* 8042 command port */
#define TRAP_KEYBOARD_RESET  0xfeu
#define TRAP_PORT_CLOCK      0x70  /* index; data is the next */
#define TRAP_PORT_RESET      0xcf9 /* reset control register */
#define TRAP_RESET_CPU       4u
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

static inline enum trap_target trap_map_in(const struct partition_config *config, uint16_t port) {
    if (config->vuart && port >= TRAP_UART_PORT && port < TRAP_UART_PORT + 8)
        return TRAP_UART;
    if (port == TRAP_PORT_CLOCK)
        return TRAP_CLOCK_INDEX;
    return port == TRAP_PORT_CLOCK + 1 ? TRAP_CLOCK_DATA : TRAP_NONE;
}

static inline enum trap_target trap_map_out(const struct partition_config *config, uint16_t port,
                                            uint32_t value) {
    switch (port) {
    case TRAP_PORT_RESET:
        return (value & TRAP_RESET_CPU) != 0 ? TRAP_RESET : TRAP_NONE;
    case TRAP_PORT_KEYBOARD:
        return (value & 0xff) == TRAP_KEYBOARD_RESET ? TRAP_RESET : TRAP_NONE;
    case ACPI_SLEEP_PORT:
        return (value & ACPI_SLEEP_ENABLE) != 0 ? TRAP_POWER_OFF : TRAP_NONE;
    default:
        return trap_map_in(config, port);
    }
}

/* The I/O bitmaps A and B: every port exits but those that the config grants. */
static inline void trap_map_io_bitmap(const struct partition_config *config,
                                      uint8_t bitmap[TRAP_IO_BITMAP_BYTES]) {
    memset(bitmap, 0xff, TRAP_IO_BITMAP_BYTES);
    for (unsigned i = 0; i < config->ports.count; i++)
        for (uint64_t port = config->ports.at[i].base; port < range_end(config->ports.at[i]); port++)
            bitmap[port / 8] &= (uint8_t)~BIT(port % 8);
}

/* `mode` is that of the vCPU's local APIC. The registers of the two APICs are 32 bits wide and lie 16
 * bytes apart. A read may ask for a part of one, as on hardware; other accesses are of nothing. */
static inline enum trap_target trap_map_memory(enum vlapic_mode mode, gpa_t at, unsigned bytes, bool write) {
    uint64_t page = align_down(at.v, PAGE_SIZE);
    if (at.v % 16 + bytes > 4 || (write && bytes != 4))
        return TRAP_NONE;
    if (page == GUEST_LAPIC_BASE && mode == VLAPIC_XAPIC)
        return TRAP_APIC;
    return page == TRAP_IOAPIC_BASE ? TRAP_IOAPIC : TRAP_NONE;
}
