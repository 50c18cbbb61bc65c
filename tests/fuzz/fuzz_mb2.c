/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as multiboot2 information: nothing is read outside them, and what is accepted keeps the
 * promises of struct boot_info. */
#include <stdlib.h>
#include <string.h>

#include "core/mb2.h"
#include "tests/unit/host_stub.h"

static struct boot_info out;

static void require(bool held)
{
    if (!held) {
        abort();
    }
}

static void require_text(const char *text, size_t size)
{
    require(memchr(text, '\0', size) != NULL);
}

static void parse(const uint8_t *data, size_t size)
{
    stub_log_clear();
    if (mb2_parse(data, size, &out) != ERR_OK) {
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
    require_text(out.cmdline, sizeof(out.cmdline));
    require(out.rsdp_bytes == 0 || out.rsdp_bytes == 20 || out.rsdp_bytes == 36);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;
    uint32_t total = (uint32_t)size;

    parse(data, size);
    if (size >= sizeof(total)) { /* and again with a true total size, to get deeper */
        copy = malloc(size);
        memcpy(copy, data, size);
        memcpy(copy, &total, sizeof(total));
        parse(copy, size);
        free(copy);
    }
    return 0;
}
