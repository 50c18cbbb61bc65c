/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: any text, then the checks and the summary of what it said. */
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "tests/unit/host_stub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct system_config config;
static struct boot_info boot;
static struct platform platform;

static void must(bool cond) {
    if (!cond)
        abort();
}

static void check_partition(const struct partition_config *p) {
    must(strlen(p->name) >= 1 && strlen(p->name) <= CONFIG_MAX_NAME && p->line != 0);
    must(p->cpus != 0 && p->memory_bytes >= MIB(2) && p->memory_bytes % PAGE_SIZE == 0);
    must(p->kernel[0] != '\0' && memchr(p->kernel, '\0', MAX_NAME) != NULL);
    must(memchr(p->initrd, '\0', MAX_NAME) != NULL && memchr(p->cmdline, '\0', MAX_CMDLINE) != NULL);
    must(p->nr_modules <= CONFIG_MAX_MODULES);
    for (unsigned i = 0; i < p->nr_modules; i++) {
        must(p->modules[i].line > p->line && p->modules[i].name[0] != '\0');
        must(memchr(p->modules[i].name, '\0', MAX_NAME) != NULL);
        must(memchr(p->modules[i].args, '\0', MAX_MODULE_ARGS) != NULL);
    }
    must(p->ports.count <= CONFIG_MAX_WINDOWS && p->mmio.count <= CONFIG_MAX_WINDOWS);
    for (unsigned i = 0; i < p->ports.count; i++)
        must(p->ports.at[i].size > 0 && range_end(p->ports.at[i]) <= 0x10000);
    for (unsigned i = 0; i < p->mmio.count; i++)
        must(range_contains((struct range){0, CONFIG_MAX_ADDRESS}, p->mmio.at[i]));
}

/* What no accepted system may have. */
static void check_accepted(void) {
    uint64_t cpus = 0;

    must(config.nr_partitions > 0);
    for (unsigned i = 0; i < config.nr_partitions; i++) {
        const struct partition_config *p = &config.partitions[i];

        must((p->cpus & cpus) == 0 && p->cpus < 256);
        cpus |= p->cpus;
        for (unsigned j = 0; j < p->ports.count; j++)
            must(!range_overlaps(p->ports.at[j], (struct range){0xcf8, 8}));
        for (unsigned j = 0; j < p->mmio.count; j++) {
            must(!range_overlaps(p->mmio.at[j], (struct range){MIB(1), GIB(1)}));
            must(!range_overlaps(p->mmio.at[j], (struct range){0xe0000000, MIB(256)}));
        }
    }
}

#define A "[partition a]\ncpus=0\nmemory=2M\nkernel=k\n"

/* The first byte chooses what stands before the input, so that it need not always be found anew. */
static size_t make_text(char *text, const uint8_t *data, size_t size) {
    static const char *const before[] = {
        "",
        "[system]\n",
        A,
        A "load=",
        A "module=",
        A "ports=0x2f8-0x2ff,0x100\n[partition b]\ncpus=1\nmemory=2M\nkernel=k\nports=",
        A "mmio=0xc0000000+64K\n[partition b]\nkernel=k\ncpus=1\nmemory=4G identity\nmmio=",
        A "console=vuart\n[partition b]\nkernel=k\nconsole=vuart\nmemory=3G\ncpus=",
    };
    const char *first = before[size > 0 ? data[0] % ARRAY_SIZE(before) : 0];

    strcpy(text, first);
    if (size > 1) {
        memcpy(text + strlen(first), data + 1, size - 1);
        return strlen(first) + size - 1;
    }
    return strlen(first);
}

static void make_machine(void) {
    boot.nr_modules = 1;
    strcpy(boot.modules[0].name, "k");
    boot.nr_memory = 1;
    boot.memory[0] = (struct memory_range){{MIB(1), GIB(1)}, MEMORY_RAM};
    platform.pm1a_port = 0x1804;
    platform.reset_reg = (struct acpi_address){SPACE_MEMORY, 0xd0000004};
    platform.nr_ioapics = 1;
    platform.ioapics[0].at = hpa(0xd1000000);
    platform.nr_ecam = 1;
    platform.ecam[0] = (struct range){0xe0000000, MIB(256)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char text[CONFIG_MAX_BYTES * 2];
    static const struct boot_info no_boot;
    static const struct platform no_platform;
    static const struct machine nothing = {.boot = &no_boot, .platform = &no_platform};
    static const struct machine machine = {0xff, GIB(4), &boot, &platform, BIT(39)};
    struct report report = {"c", 0};

    stub_log_clear();
    if (size > CONFIG_MAX_BYTES)
        return -1;
    make_machine();
    size = make_text(text, data, size);
    if (config_parse(text, size, &config, &report) != ERR_OK) {
        must(report.errors > 0);
        return 0;
    }
    must(report.errors == 0 && config.nr_partitions <= MAX_PARTITIONS);
    for (unsigned i = 0; i < config.nr_partitions; i++)
        check_partition(&config.partitions[i]);
    config_print(&config);
    (void)!config_check(&config, &nothing, &report);
    report.errors = 0;
    if (config_check(&config, &machine, &report) == ERR_OK) {
        must(report.errors == 0);
        check_accepted();
    }
    return 0;
}
