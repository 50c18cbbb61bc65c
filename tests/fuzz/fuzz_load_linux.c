/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a bzImage with an initrd: nothing is written outside the guest's RAM, and what is
 * accepted can start. The same bytes are tried again with the header bent into what the loader accepts,
 * which random bytes hardly ever are. */
#include "tests/fuzz/load.h"

static const uint64_t high_at[] = {MIB(1), MIB(16), GIB(3) - MIB(1), GIB(6), GIB(510) + MIB(1023)};

static void load(const uint8_t *image, size_t size, uint8_t choice) {
    static const uint8_t initrd[7000];
    struct load_request request = {
        .config = &fuzz_config,
        .map = &fuzz_map,
        .kernel = {"vmlinuz", "", image, size},
        .modules = {{"initrd.img", "", initrd, sizeof(initrd)}, {"more.img", "", initrd, 5}},
        .nr_modules = (choice >> 3) % 3,
    };
    struct guest_start start;
    const uint8_t *params;

    fuzz_guest(high_at[choice % ARRAY_SIZE(high_at)]);
    if (!fuzz_load(&request, &start) || start.rsi == 0)
        return;
    require(start.mode == START_PROTECTED && fuzz_is_ram(start.rip));
    params = guest_map_ptr(&fuzz_map, gpa(start.rsi), PAGE_SIZE);
    require(params != NULL && params[0x210] == 0xFF && params[0x1E8] == 5);
    require(guest_map_ptr(&fuzz_map, gpa(start.gdt_base), start.gdt_limit + 1u) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t relocatable[] = {1, 1, 1, 0};
    uint8_t *image, choice;

    if (size == 0)
        return 0;
    choice = data[--size];
    image = malloc(size + 1); /* of its own, so that reading beyond it is seen */
    memcpy(image, data, size);
    load(image, size, choice);
    if (size >= 0x290) {
        image[0x201] |= 0x60; /* the header ends behind init_size */
        memcpy(image + 0x202, "HdrS\x0F\x02", 6);
        image[0x211] |= 1;
        image[0x236] = (uint8_t)(image[0x236] | (choice & 1)); /* either entry */
        memcpy(image + 0x215, "\0\x10\0", 3);                  /* code32_start: 1 MiB and a little */
        image[0x1F1] %= 4;
        memset(image + 0x260 + 3, 0, 1); /* init_size below 16 MiB */
        image[0x234] = relocatable[choice >> 6];
        if ((choice & 0x10) != 0)
            memcpy(image + 0x230, "\0\x10\0\0", 4);
        if ((choice & 0x20) != 0)
            memcpy(image + 0x258, "\0\0\x10\0\0\0\0", 8);
        load(image, size, choice);
    }
    free(image);
    return 0;
}
