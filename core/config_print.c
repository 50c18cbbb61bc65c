/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration back into text. Decides nothing. */
#include "core/config.h"

#include "core/str.h"

struct config_cores config_print_cores(uint64_t cores) {
    struct config_cores text = {""};
    size_t used = str_format(text.s, sizeof(text.s), count_bits(cores) == 1 ? "core" : "cores");
    const char *separator = " ";
    for (unsigned n = 0; n < MAX_CPUS; n++) {
        unsigned first = n;
        if ((cores & BIT(n)) == 0)
            continue;
        while (n + 1 < MAX_CPUS && (cores & BIT(n + 1)) != 0)
            n++;
        used += str_format(text.s + used, sizeof(text.s) - used, first == n ? "%s%u" : "%s%u-%u", separator,
                           first, n);
        separator = ",";
    }
    return text;
}

struct config_text config_print_size(uint64_t bytes) {
    static const char units[][2] = {"", "K", "M", "G"};
    struct config_text text = {""};
    unsigned unit = 0;
    for (; bytes != 0 && bytes % 1024 == 0 && unit + 1 < ARRAY_SIZE(units); unit++)
        bytes /= 1024;
    str_format(text.s, sizeof(text.s), "%lu%s", bytes, units[unit]);
    return text;
}

struct config_text config_print_ports(struct range ports) {
    struct config_text text = {""};
    str_format(text.s, sizeof(text.s), ports.size == 1 ? "0x%lx" : "0x%lx-0x%lx", ports.base,
               range_end(ports) - 1);
    return text;
}

struct config_text config_print_mmio(struct range window) {
    struct config_text text = {""};
    str_format(text.s, sizeof(text.s), "0x%lx+%s", window.base, config_print_size(window.size).s);
    return text;
}

static void print_partition(const struct partition_config *p) {
    char load[32] = "", modules[32] = "", devices[64] = "";
    if (p->has_load)
        str_format(load, sizeof(load), p->load_at_reset ? " at reset" : " at 0x%lx", p->load);
    if (p->nr_modules > 0)
        str_format(modules, sizeof(modules), ", %u modules", p->nr_modules);
    if (p->ports.count + p->mmio.count > 0)
        str_format(devices, sizeof(devices), ", %u port ranges, %u device windows", p->ports.count,
                   p->mmio.count);
    log_line("partition %s: %s, %s%s, kernel %s%s%s%s%s%s%s%s%s", p->name, config_print_cores(p->cpus).s,
             config_print_size(p->memory_bytes).s, p->identity ? " identity" : "", p->kernel, load,
             p->initrd[0] != '\0' ? ", initrd " : "", p->initrd, modules, p->vuart ? ", console" : "",
             devices, p->on_exit == EXIT_RESTART ? ", restarts" : "",
             p->bad_access == BAD_ACCESS_STOP ? ", strict" : "");
}

void config_print(const struct system_config *config) {
    for (unsigned i = 0; i < config->nr_partitions; i++)
        print_partition(&config->partitions[i]);
}
