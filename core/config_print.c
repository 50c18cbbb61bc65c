/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration back into text. Decides nothing. */
#include "core/config_print.h"

#include "core/str.h"

const char *config_print_cpus(char *to, uint64_t cpus) {
    size_t used = 0;

    to[0] = '\0';
    for (unsigned n = 0; n < MAX_CPUS; n++) {
        unsigned first = n;

        if ((cpus & BIT(n)) == 0)
            continue;
        while (n + 1 < MAX_CPUS && (cpus & BIT(n + 1)) != 0)
            n++;
        used += str_format(to + used, CONFIG_TEXT_BYTES - used, first == n ? "%s%u" : "%s%u-%u",
                           used == 0 ? "" : ",", first, n);
    }
    return to;
}

const char *config_print_plural(uint64_t cpus) {
    return (cpus & (cpus - 1)) == 0 ? "" : "s";
}

const char *config_print_size(char *to, uint64_t bytes) {
    static const char *const units[] = {"", "K", "M", "G"};
    unsigned unit = 0;

    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < ARRAY_SIZE(units)) {
        bytes /= 1024;
        unit++;
    }
    str_format(to, CONFIG_TEXT_BYTES, "%lu%s", bytes, units[unit]);
    return to;
}

const char *config_print_span(char *to, struct range span) {
    str_format(to, CONFIG_TEXT_BYTES, span.size == 1 ? "0x%lx" : "0x%lx-0x%lx", span.base,
               range_end(span) - 1);
    return to;
}

const char *config_print_mmio(char *to, struct range window) {
    char size[CONFIG_TEXT_BYTES];

    str_format(to, CONFIG_TEXT_BYTES, "0x%lx+%s", window.base, config_print_size(size, window.size));
    return to;
}

static void print_partition(const struct partition_config *p) {
    char cpus[CONFIG_TEXT_BYTES], size[CONFIG_TEXT_BYTES];
    char load[CONFIG_TEXT_BYTES] = "", modules[CONFIG_TEXT_BYTES] = "", devices[CONFIG_TEXT_BYTES] = "";

    if (p->has_load)
        str_format(load, sizeof(load), p->load_at_reset ? " at reset" : " at 0x%lx", p->load);
    if (p->nr_modules > 0)
        str_format(modules, sizeof(modules), ", %u modules", p->nr_modules);
    if (p->nr_ports + p->nr_mmio > 0)
        str_format(devices, sizeof(devices), ", %u port ranges, %u device windows", p->nr_ports, p->nr_mmio);
    log_line("partition %s: core%s %s, %s%s, kernel %s%s%s%s%s%s%s%s%s", p->name,
             config_print_plural(p->cpus), config_print_cpus(cpus, p->cpus),
             config_print_size(size, p->memory_bytes), p->identity ? " identity" : "", p->kernel, load,
             p->initrd[0] != '\0' ? ", initrd " : "", p->initrd, modules, p->vuart ? ", console" : "",
             devices, p->on_exit == EXIT_RESTART ? ", restarts" : "",
             p->bad_access == BAD_ACCESS_STOP ? ", strict" : "");
}

void config_print(const struct system_config *config) {
    for (unsigned i = 0; i < config->nr_partitions; i++)
        print_partition(&config->partitions[i]);
}
