/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's PC, port by port. */
#include "core/trap_map.h"

#include "core/guest_layout.h"
#include "core/str.h"

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
