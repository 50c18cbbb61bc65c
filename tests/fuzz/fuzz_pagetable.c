/* SPDX-License-Identifier: Apache-2.0 */
/* Any changes to a table of either format: what was refused as a whole changed nothing, what was
 * done reads back at its edges, and no host page is ever writable and executable. */
#include <string.h>

#include "core/host.h"
#include "core/pagetable.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/pages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TABLES_BASE  MIB(64)
#define TABLES_BYTES KIB(256)

static uint8_t memory[TABLES_BYTES] __attribute__((aligned(4096))); /* as tables are */
static struct frames frames;
static struct pagetable pt;

struct step { /* one change, as the input has it */
    uint8_t what, attributes;
    uint16_t shift; /* of from and to, for round numbers */
    uint32_t from, to, pages;
};

static void check_edge(uint64_t from, uint64_t at, uint64_t to, bool moved, unsigned attributes) {
    struct pt_leaf leaf;

    ASSERT(pt_lookup(&pt, at, &leaf) && leaf.attributes == attributes);
    ASSERT(!moved || leaf.to.v + (at - leaf.from) == to + (at - from));
}

static void change(struct step s) {
    uint64_t from = ((uint64_t)s.from << (s.shift % 48)) + ((s.what & 8) != 0 ? 0 - BIT(47) : 0);
    uint64_t to = (uint64_t)s.to << (s.shift / 48 % 48), bytes = (uint64_t)s.pages << (s.what >> 4);
    static const uint8_t kinds[] = {PT_READ, PT_RW, PT_RX, PT_RWX, PT_RW | PT_UC};
    bool map = (s.what & 1) != 0;
    enum err err;

    if (s.attributes < 0x80) /* likely ones more often than not */
        s.attributes = kinds[s.attributes % sizeof(kinds)];
    bytes = bytes < PAGE_1G ? bytes % MIB(8) : bytes; /* be quick */
    if (bytes > GIB(8))
        return;
    err = map ? pt_map(&pt, from, hpa(to), bytes, s.attributes) : pt_protect(&pt, from, bytes, s.attributes);
    if (err == ERR_OK) {
        check_edge(from, from, to, map, s.attributes);
        check_edge(from, from + bytes - 1, to, map, s.attributes);
    }
}

static void check_all(void) {
    uint64_t cursor = 0, end = 0;
    struct pt_leaf leaf;

    while (next_page(&pt, &cursor, &leaf)) {
        ASSERT((leaf.from | leaf.to.v) % leaf.bytes == 0);
        ASSERT(end == 0 || leaf.from >= end);
        ASSERT(leaf.bytes <= PT_LEVEL_BYTES(pt.max_leaf));
        ASSERT(leaf.to.v + leaf.bytes <= FRAMES_LIMIT);
        ASSERT(pt.format == &pt_ept || (leaf.attributes & PT_RWX) != PT_RWX);
        end = leaf.from + leaf.bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct memory_range map = {{TABLES_BASE, TABLES_BYTES}, MEMORY_RAM};
    struct step s;

    if (size < 1)
        return 0;
    stub_phys_set(TABLES_BASE, memory, sizeof(memory));
    ASSERT(frames_init(&frames, &map, 1) == ERR_OK);
    ASSERT(pt_init(&pt, data[0] & 1 ? &pt_ept : &pt_host, 1 + data[0] / 2 % 3, &frames) == ERR_OK);
    data++, size--;
    for (unsigned i = 0; i < 32 && size >= sizeof(s); i++) {
        memcpy(&s, data, sizeof(s));
        data += sizeof(s), size -= sizeof(s);
        change(s);
    }
    check_all();
    return 0;
}
