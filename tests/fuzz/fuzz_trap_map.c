/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that tries ports and addresses beside what any config grants it: only what is granted does not
 * exit, and what ends a partition is no accident. */
#include <stdlib.h>
#include <string.h>

#include "core/trap_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t bitmap[TRAP_IO_BITMAP_BYTES];

static void require(bool held) {
    if (!held)
        abort();
}

static bool granted(const struct partition_config *config, uint32_t port) {
    for (unsigned i = 0; i < config->ports.count; i++)
        if (range_contains(config->ports.at[i], (struct range){port, 1}))
            return true;
    return false;
}

static void check_bit(const struct partition_config *config, uint16_t port) {
    require((bitmap[port / 8] >> port % 8 & 1) == !granted(config, port));
}

static void check_edges(const struct partition_config *config) {
    for (unsigned i = 0; i < config->ports.count; i++) {
        uint16_t first = (uint16_t)config->ports.at[i].base, end = (uint16_t)range_end(config->ports.at[i]);

        check_bit(config, first);
        check_bit(config, (uint16_t)(first - 1));
        check_bit(config, end);
        check_bit(config, (uint16_t)(end - 1));
    }
}

static void check_port(const struct partition_config *config, uint16_t port, uint32_t value) {
    enum trap_target in = trap_map_in(config, port), out = trap_map_out(config, port, value);

    require(in <= TRAP_CLOCK_DATA && (in != TRAP_UART || (config->vuart && port >> 3 == 0x7f)));
    require((in == TRAP_CLOCK_INDEX || in == TRAP_CLOCK_DATA) == (port >> 1 == 0x38));
    require(out == in || ((out == TRAP_RESET || out == TRAP_POWER_OFF) && in == TRAP_NONE && value != 0));
}

static void check_memory(uint8_t mode, uint64_t at, unsigned bytes, bool write) {
    enum trap_target to = trap_map_memory((enum vlapic_mode)(mode % 3), gpa(at), bytes, write);

    require(to == TRAP_NONE || to == TRAP_APIC || to == TRAP_IOAPIC);
    require(to != TRAP_APIC || (mode % 3 == VLAPIC_XAPIC && at >> 12 == 0xfee00));
    require(to != TRAP_IOAPIC || at >> 12 == 0xfec00);
    require(to == TRAP_NONE || (at % 16 + bytes <= 4 && (!write || bytes == 4)));
}

/* A byte of flags, as many windows as it says, then accesses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct partition_config config = {.vuart = size > 0 && (data[0] & 8) != 0};
    struct {
        uint16_t port, more;
        uint64_t value;
    } access;
    unsigned windows = size > 0 ? data[0] % 8 : 0;

    for (size -= size > 0, data++; size >= 4 && config.ports.count < windows; data += 4, size -= 4) {
        memcpy(&access, data, 4);
        config.ports.at[config.ports.count].base = access.port;
        config.ports.at[config.ports.count++].size = 1 + access.more % (0x10000u - access.port);
    }
    trap_map_io_bitmap(&config, bitmap);
    check_edges(&config);
    for (; size >= 12; data += 12, size -= 12) {
        memcpy(&access.port, data, 2);
        memcpy(&access.more, data + 2, 2);
        memcpy(&access.value, data + 4, 8);
        check_bit(&config, access.port);
        check_port(&config, access.port, (uint32_t)access.value);
        check_memory((uint8_t)access.more,
                     (access.more & 0x100) != 0 ? access.value : 0xfe000000 | access.value % MIB(32),
                     1 + (access.more >> 2) % 8, (access.more & 0x200) != 0);
    }
    return 0;
}
