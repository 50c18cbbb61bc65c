/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's PC, port by port. */
#include "core/trap_map.h"

#include "core/acpi_gen.h"
#include "core/guest_layout.h"
#include "core/str.h"

#define PORT_KEYBOARD  0x64 /* 8042 command port */
#define KEYBOARD_RESET 0xfeu
#define PORT_CLOCK     0x70  /* index; data is the next */
#define PORT_RESET     0xcf9 /* reset control register */
#define RESET_CPU      4u

enum trap_target trap_map_in(const struct partition_config *config, uint16_t port) {
    if (config->vuart && port >= TRAP_UART_PORT && port < TRAP_UART_PORT + 8)
        return TRAP_UART;
    if (port == PORT_CLOCK)
        return TRAP_CLOCK_INDEX;
    return port == PORT_CLOCK + 1 ? TRAP_CLOCK_DATA : TRAP_NONE;
}

enum trap_target trap_map_out(const struct partition_config *config, uint16_t port, uint32_t value) {
    if ((port == PORT_RESET && (value & RESET_CPU) != 0) ||
        (port == PORT_KEYBOARD && (value & 0xff) == KEYBOARD_RESET))
        return TRAP_RESET;
    if (port == ACPI_SLEEP_PORT && (value & ACPI_SLEEP_ENABLE) != 0)
        return TRAP_POWER_OFF;
    return trap_map_in(config, port);
}

void trap_map_io_bitmap(const struct partition_config *config, uint8_t bitmap[TRAP_IO_BITMAP_BYTES]) {
    memset(bitmap, 0xff, TRAP_IO_BITMAP_BYTES);
    for (unsigned i = 0; i < config->ports.count; i++)
        for (uint64_t port = config->ports.at[i].base; port < range_end(config->ports.at[i]); port++)
            bitmap[port / 8] &= (uint8_t)~BIT(port % 8);
}

enum trap_target trap_map_memory(enum vlapic_mode mode, gpa_t at, unsigned bytes, bool write) {
    uint64_t page = align_down(at.v, PAGE_SIZE);
    if (at.v % 16 + bytes > 4 || (write && bytes != 4))
        return TRAP_NONE;
    if (page == GUEST_LAPIC_BASE && mode == VLAPIC_XAPIC)
        return TRAP_APIC;
    return page == TRAP_IOAPIC_BASE ? TRAP_IOAPIC : TRAP_NONE;
}
