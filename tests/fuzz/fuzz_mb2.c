/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as multiboot2 information: nothing is read outside them, and what is accepted keeps the
 * promises of struct boot_info. The same bytes are parsed a second time with sizes bent so that the
 * tags follow one another to an end tag, which random bytes hardly ever do. */
#include <stdlib.h>
#include <string.h>

#include "core/boot_info.h"
#include "tests/unit/host_stub.h"

#define INFO 0x5001

static struct boot_info out;

static void require(bool held) {
    if (!held)
        abort();
}

static void require_text(const char *text, size_t size) {
    require(memchr(text, '\0', size) != NULL);
}

static void parse(const uint8_t *data, size_t size) {
    stub_log_clear();
    stub_phys_set(INFO, (void *)(uintptr_t)data, size);
    if (mb2_parse(hpa(INFO), &out) != ERR_OK) {
        require(stub_log[0] != '\0');
        return;
    }
    require(out.nr_memory > 0 && out.nr_memory <= MAX_MEMORY_RANGES);
    for (unsigned i = 0; i < out.nr_memory; i++) {
        require(range_valid(out.memory[i].range) && out.memory[i].range.size > 0);
        require(out.memory[i].kind >= MEMORY_RAM && out.memory[i].kind <= MEMORY_BAD);
    }
    require(out.nr_modules <= MAX_MODULES);
    for (unsigned i = 0; i < out.nr_modules; i++) {
        const struct module *m = &out.modules[i];

        require_text(m->name, sizeof(m->name));
        require_text(m->args, sizeof(m->args));
        require(strpbrk(m->name, "/ \t") == NULL);
        require(m->name[0] == '\0' || boot_info_module(&out, m->name) == m);
    }
    require(out.rsdp_bytes == 0 || out.rsdp_bytes == 20 || out.rsdp_bytes == 36);
}

static void put_u32(uint8_t *to, size_t v) {
    uint32_t v32 = (uint32_t)v;

    memcpy(to, &v32, sizeof(v32));
}

static void bend(uint8_t *info, size_t size) {
    size_t end = (size - 8) & ~(size_t)7;
    uint32_t tag[2];

    for (size_t at = 8; at < end; at += (tag[1] + 7) & ~7u) {
        memcpy(tag, info + at, sizeof(tag));
        tag[0] = tag[0] % 24 + 1; /* never the end tag */
        tag[1] = 8 + tag[1] % 1200;
        if (tag[0] == 6 && tag[1] % 4 != 0) { /* a memory map with entries of 24 or 32 bytes */
            uint32_t entry = tag[1] % 4 == 1 ? 32 : 24;

            tag[1] = 16 + entry * (1 + tag[1] % 8);
            if (at + 16 <= end)
                put_u32(info + at + 8, entry);
        }
        tag[1] = tag[1] <= end - at ? tag[1] : (uint32_t)(end - at);
        put_u32(info + at, tag[0]);
        put_u32(info + at + 4, tag[1]);
        if (tag[0] == 1 || tag[0] == 3)
            info[at + tag[1] - 1] = 0;
    }
    put_u32(info + end, 0);
    put_u32(info + end + 4, 8);
    put_u32(info, end + 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy;

    if (size >= 4) { /* as much as it claims, or all of it */
        uint32_t total;

        memcpy(&total, data, 4);
        copy = malloc(size);
        memcpy(copy, data, size);
        if (total > size)
            put_u32(copy, size);
        parse(copy, size);
        free(copy);
    }
    if (size >= 16) {
        copy = malloc(size);
        memcpy(copy, data, size);
        bend(copy, size);
        parse(copy, size);
        free(copy);
    }
    return 0;
}
