/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a multiboot or PVH kernel or a flat binary: nothing is written outside the guest's RAM, and
 * what is accepted finds its information. The same bytes are tried again as ELF with a note and with a
 * multiboot header whose checksum is right, which random bytes hardly ever have. */
#include "tests/fuzz/load.h"

#define MB1_MAGIC 0x1BADB002u
#define MB2_MAGIC 0xE85250D6u

static uint32_t get(const uint8_t *at) {
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static void put(uint8_t *at, uint32_t v) {
    memcpy(at, &v, sizeof(v));
}

static void load(const uint8_t *image, size_t size, uint8_t choice) {
    static const uint8_t initrd[7000];
    struct load_request request = {
        .config = &fuzz_config,
        .map = &fuzz_map,
        .kernel = {"kernel.elf", "", image, size},
        .modules = {{"disk", "some more", initrd, sizeof(initrd)}, {"tail", "", initrd, 1}},
        .nr_modules = choice % 3,
    };
    struct guest_start start;

    fuzz_config.has_load = (choice & 0x0E) == 0;
    fuzz_config.load = 0;
    if (size >= 8)
        fuzz_config.load = (uint64_t)get(image) << (choice >> 4);
    fuzz_guest((choice & 0x10) != 0 ? MIB(1) : GIB(3));
    if (!fuzz_load(&request, &start))
        return;
    if (start.rax == 0x2BADB002 || start.rax == 0x36D76289) {
        const uint8_t *info = guest_map_ptr(&fuzz_map, gpa(start.rbx), KIB(4));

        require(info != NULL && start.mode == START_PROTECTED);
        require(start.rax == 0x2BADB002 ? get(info) == 0x24D : get(info) <= KIB(4));
    }
    if (start.mode == START_PROTECTED && start.rax == 0 && start.rbx != 0)
        require(get(guest_map_ptr(&fuzz_map, gpa(start.rbx), 56)) == 0x336EC578);
    require(start.mode == START_REAL || fuzz_is_ram(start.gdt_base));
    require(start.mode != START_PROTECTED || fuzz_is_ram(start.rip));
}

/* Small numbers where addresses and sizes are, so that some of them fit. */
static void bend_phdrs(uint8_t *image, size_t size, bool is64) {
    size_t first = is64 ? 64 : 52, each = is64 ? 56 : 32;

    for (unsigned n = 0; n < 4 && first + (n + 1) * each <= size; n++) {
        uint8_t *p = image + first + n * each;

        p[0] %= 2;
        memset(p + 1, 0, 3);
        for (size_t field = is64 ? 8 : 4; field < (is64 ? 48u : 24u); field += is64 ? 8 : 4)
            memset(p + field + 3, 0, is64 ? 5 : 1);
    }
}

static void bend(uint8_t *image, size_t size, uint8_t choice) {
    bool is64 = (choice & 0x20) != 0;
    uint8_t *header = image + (size / 2 & ~(size_t)7);
    uint32_t length = get(header + 8) % 128 & ~7u;

    memcpy(image,
           is64 ? "\x7f"
                  "ELF\2\1\1"
                : "\x7f"
                  "ELF\1\1\1",
           7);
    image[18] = is64 ? 62 : 3;
    image[19] = 0;
    put(image + (is64 ? 32 : 28), is64 ? 64 : 52);
    if (is64)
        put(image + 36, 0);
    image[is64 ? 54 : 42] = is64 ? 56 : 32;
    image[is64 ? 55 : 43] = 0;
    image[is64 ? 56 : 44] %= 5;
    image[is64 ? 57 : 45] = 0;
    bend_phdrs(image, size, is64);
    if ((choice & 0xC0) == 0xC0) { /* a note where the header would be, in the first segment */
        put(header, 4);
        put(header + 4, 4);
        put(header + 8, 18);
        put(header + 12, 0x6E6558);
        image[is64 ? 64 : 52] = 4;
        put(image + (is64 ? 72 : 56), (uint32_t)(header - image));
        put(image + (is64 ? 96 : 68), 24);
    } else if ((choice & 0x40) != 0) {
        put(header, MB1_MAGIC);
        put(header + 4, get(header + 4) & 0x10007);
        put(header + 8, 0u - MB1_MAGIC - get(header + 4));
    } else {
        put(header, MB2_MAGIC);
        put(header + 4, 0);
        put(header + 8, length);
        put(header + 12, 0u - MB2_MAGIC - length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *image, choice;

    if (size == 0)
        return 0;
    choice = data[--size];
    image = malloc(size + 1);
    memcpy(image, data, size);
    load(image, size, choice);
    if (size >= 128) {
        bend(image, size, choice);
        load(image, size, choice);
    }
    free(image);
    return 0;
}
