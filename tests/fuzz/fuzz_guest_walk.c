/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers, then page tables: a walk ends, and what it finds is inside its page. */
#include <stdlib.h>
#include <string.h>

#include "core/guest_walk.h"
#include "tests/unit/host_stub.h"

#define RAM 0x4000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t memory[RAM];

struct input {
    uint32_t cr0, cr3, cr4, rflags;
    uint16_t efer, access;
    uint32_t pdpte;
    uint64_t linear;
};

static void fill_tables(const uint8_t *data, size_t size) {
    memset(memory, 0, sizeof(memory));
    for (; size >= 8; data += 8, size -= 8) { /* anywhere, so that short inputs reach deep */
        uint64_t at_and_entry;

        memcpy(&at_and_entry, data, 8);
        uint64_t entry = at_and_entry & ~UINT64_C(0x7ff000000000e00);

        memcpy(memory + (at_and_entry >> 48 & 0x7ff) * 8, &entry, 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in;
    struct guest_map map = {.count = 0};
    struct walk_result r;
    uint8_t bytes[40];

    if (size < sizeof(in))
        return 0;
    memcpy(&in, data, sizeof(in));
    fill_tables(data + sizeof(in), size - sizeof(in));
    stub_phys_set(0x100000, memory, RAM);
    if (guest_map_add(&map, (struct guest_region){gpa(0), hpa(0x100000), RAM, REGION_RAM}) != 0)
        abort();
    struct guest_paging p = {
        .cr0 = in.cr0,
        .cr3 = in.cr3 & 0x3fff,
        .cr4 = in.cr4,
        .efer = in.efer,
        .rflags = in.rflags,
        .pdptes = {in.pdpte, in.pdpte ^ 0x1000, 0, in.pdpte},
        .phys_bits = 32 + in.access / 8 % 21,
    };
    enum err err = guest_walk(&map, &p, in.linear, in.access & 0x16, &r);

    if (err == ERR_OK && r.at.v % PAGE_SIZE != in.linear % PAGE_SIZE)
        abort();
    if (guest_walk_read(&map, &p, in.linear, in.access & 0x16, bytes, sizeof(bytes)) > 0 && err != ERR_OK)
        abort();
    return 0;
}
