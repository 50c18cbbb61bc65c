/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: any text, then the checks and the summary of what it said. */
#include <stdlib.h>
#include <string.h>

#include "core/config_check.h"
#include "core/config_print.h"
#include "tests/unit/host_stub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct system_config config;
static struct boot_info boot;
static struct platform platform;

static void must(bool cond)
{
    if (!cond) {
        abort();
    }
}

static void check_partition(const struct partition_config *p)
{
    must(strlen(p->name) >= 1 && strlen(p->name) <= CONFIG_MAX_NAME && p->line != 0);
    must(p->cpus != 0 && p->memory_bytes >= MIB(2) && p->memory_bytes % PAGE_SIZE == 0);
    must(p->kernel[0] != '\0' && memchr(p->kernel, '\0', MAX_NAME) != NULL);
    must(memchr(p->initrd, '\0', MAX_NAME) != NULL &&
         memchr(p->cmdline, '\0', MAX_CMDLINE) != NULL);
    must(p->nr_ports <= CONFIG_MAX_WINDOWS && p->nr_mmio <= CONFIG_MAX_WINDOWS);
    for (unsigned i = 0; i < p->nr_ports; i++) {
        must(p->ports[i].size > 0 && range_end(p->ports[i]) <= 0x10000);
    }
    for (unsigned i = 0; i < p->nr_mmio; i++) {
        must(range_contains((struct range){0, CONFIG_MAX_ADDRESS}, p->mmio[i]));
    }
}

/* What no accepted system may have. */
static void check_accepted(void)
{
    uint64_t cpus = 0;

    must(config.nr_partitions > 0);
    for (unsigned i = 0; i < config.nr_partitions; i++) {
        const struct partition_config *p = &config.partitions[i];

        must((p->cpus & cpus) == 0 && p->cpus < 256);
        cpus |= p->cpus;
        for (unsigned j = 0; j < p->nr_ports; j++) {
            must(!range_overlaps(p->ports[j], (struct range){0xcf8, 8}));
        }
        for (unsigned j = 0; j < p->nr_mmio; j++) {
            must(!range_overlaps(p->mmio[j], (struct range){MIB(1), GIB(1)}));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct machine nothing, machine = {8, UINT64_MAX, GIB(4), &boot, &platform};
    struct report report = {0};

    stub_log_clear();
    boot.nr_modules = 1;
    strcpy(boot.modules[0].name, "k");
    boot.nr_memory = 1;
    boot.memory[0] = (struct memory_range){{MIB(1), GIB(1)}, MEMORY_RAM};
    platform.pm1a_cnt = (struct acpi_address){SPACE_IO, 16, 0x1804};
    if (config_parse((const char *)data, size, "c", &config, &report) != ERR_OK) {
        must(report.errors > 0);
        return 0;
    }
    must(report.errors == 0 && config.nr_partitions <= MAX_PARTITIONS);
    for (unsigned i = 0; i < config.nr_partitions; i++) {
        check_partition(&config.partitions[i]);
    }
    config_print(&config);
    (void)!config_check(&config, &nothing, &report);
    report.errors = 0;
    if (config_check(&config, &machine, &report) == ERR_OK) {
        must(report.errors == 0);
        check_accepted();
    }
    return 0;
}
