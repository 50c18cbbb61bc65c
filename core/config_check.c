/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of a system: no core, port, device or byte of memory in two partitions, nothing
 * that could reach past its partition, nothing the machine does not have. Pure but for the log. */
#include "core/config_check.h"

#include "core/config_print.h"
#include "core/guest_layout.h"
#include "core/str.h"

#define VUART_PORTS ((struct range){0x3f8, 8})

struct check {
    const struct system_config *config;
    const struct machine *machine;
    struct report *report;
};

/* ---- Cores ----------------------------------------------------------------------------------- */

static void check_cores_exist(const struct check *c, const struct partition_config *p) {
    unsigned count = c->machine->nr_cpus;
    uint64_t there = count >= MAX_CPUS ? UINT64_MAX : BIT(count) - 1;
    uint64_t dead = p->cpus & there & ~c->machine->online;
    char cpus[CONFIG_TEXT_BYTES], which[CONFIG_TEXT_BYTES];

    if (count == 0)
        return;
    if ((p->cpus & ~there) != 0) {
        report_error(c->report, c->config->file, p->line_of[KEY_CPUS],
                     "cpus = %s: this machine has %u core%s (%s)", config_print_cpus(cpus, p->cpus), count,
                     config_print_plural(there), config_print_cpus(which, there));
    }
    if (dead != 0) {
        report_error(c->report, c->config->file, p->line_of[KEY_CPUS], "cpus = %s: core%s %s did not start",
                     config_print_cpus(cpus, p->cpus), config_print_plural(dead),
                     config_print_cpus(which, dead));
    }
}

static void check_cores_apart(const struct check *c, const struct partition_config *p) {
    char cpus[CONFIG_TEXT_BYTES], both[CONFIG_TEXT_BYTES];

    for (const struct partition_config *other = c->config->partitions; other < p; other++) {
        if ((p->cpus & other->cpus) != 0) {
            report_error(c->report, c->config->file, p->line_of[KEY_CPUS],
                         "cpus = %s: core%s %s cannot be partition %s's, already partition %s's (line %u)",
                         config_print_cpus(cpus, p->cpus), config_print_plural(p->cpus & other->cpus),
                         config_print_cpus(both, p->cpus & other->cpus), p->name, other->name,
                         other->line_of[KEY_CPUS]);
        }
    }
}

/* ---- Images and memory ----------------------------------------------------------------------- */

/* Size of the module, 0 if there is none or sizes are not known. */
static uint64_t check_module(const struct check *c, unsigned line, const char *key, const char *name) {
    const struct boot_info *boot = c->machine->boot;
    const struct module *module;
    char loaded[LOG_LINE_MAX] = "no modules";
    size_t used = 0;

    if (boot == NULL || name[0] == '\0')
        return 0;
    module = boot_info_module(boot, name);
    if (module != NULL)
        return module->bytes;
    for (unsigned i = 0; i < boot->nr_modules; i++) {
        used += str_format(loaded + used, sizeof(loaded) - used, "%s%s", i == 0 ? "" : ", ",
                           boot->modules[i].name);
    }
    report_error(c->report, c->config->file, line, "%s = %s: no such module; GRUB loaded %s", key, name,
                 loaded);
    return 0;
}

/* Guest-physical RAM as far as it is known before frames are given out, in ascending order. */
static unsigned guest_ram(const struct partition_config *p, struct range ram[3]) {
    uint64_t below = p->memory_bytes < GUEST_HOLE_BASE ? p->memory_bytes : GUEST_HOLE_BASE;

    ram[0] = (struct range){0, GUEST_LOW_RAM_BYTES};
    ram[1] = (struct range){GUEST_RAM_BASE, below - GUEST_RAM_BASE};
    ram[2] = (struct range){GUEST_HIGH_RAM_BASE, p->memory_bytes - below};
    return p->identity ? 1 : 3;
}

static void check_load(const struct check *c, const struct partition_config *p, uint64_t bytes) {
    struct range ram[3], image = {p->load, bytes > 0 ? bytes : 1};
    unsigned count = guest_ram(p, ram) > 1 ? 2 : 1; /* nothing is loaded above 4 GiB */
    char taken[CONFIG_TEXT_BYTES], piece[CONFIG_TEXT_BYTES], where[LOG_LINE_MAX] = "";
    size_t used = 0;

    for (unsigned i = 0; i < count; i++) {
        if (range_contains(ram[i], image))
            return;
        used += str_format(where + used, sizeof(where) - used, "%s%s", i == 0 ? "" : ", ",
                           config_print_span(piece, ram[i]));
    }
    report_error(c->report, c->config->file, p->line_of[KEY_LOAD],
                 "load = 0x%lx: the kernel would be at %s; the partition's RAM is %s", p->load,
                 config_print_span(taken, image), where);
}

static void check_load_at_reset(const struct check *c, const struct partition_config *p, uint64_t bytes) {
    char size[CONFIG_TEXT_BYTES], room[CONFIG_TEXT_BYTES];

    if (bytes > GUEST_TABLES_BYTES) {
        report_error(c->report, c->config->file, p->line_of[KEY_LOAD],
                     "load = reset: the kernel has %s; it ends at 1M, and at most %s fit there",
                     config_print_size(size, bytes), config_print_size(room, GUEST_TABLES_BYTES));
    }
}

static void check_images(const struct check *c, const struct partition_config *p) {
    uint64_t kernel = check_module(c, p->line_of[KEY_KERNEL], "kernel", p->kernel);
    uint64_t all = kernel + check_module(c, p->line_of[KEY_INITRD], "initrd", p->initrd);
    char memory[CONFIG_TEXT_BYTES], images[CONFIG_TEXT_BYTES];

    for (unsigned i = 0; i < p->nr_modules; i++)
        all += check_module(c, p->modules[i].line, "module", p->modules[i].name);
    if (all > p->memory_bytes) {
        report_error(c->report, c->config->file, p->line_of[KEY_MEMORY],
                     "memory = %s: kernel, initrd and modules alone have %s",
                     config_print_size(memory, p->memory_bytes),
                     config_print_size(images, align_up(all, MIB(1))));
    } else if (p->load_at_reset) {
        check_load_at_reset(c, p, kernel);
    } else if (p->has_load) {
        check_load(c, p, kernel);
    }
}

static void check_memory(const struct check *c) {
    uint64_t sum = 0, free = c->machine->free_bytes;
    unsigned errors = c->report->errors;
    char wanted[CONFIG_TEXT_BYTES], there[CONFIG_TEXT_BYTES];

    if (free == 0)
        return;
    config_print_size(there, free < MIB(1) ? free : align_down(free, MIB(1)));
    for (unsigned i = 0; i < c->config->nr_partitions; i++) {
        const struct partition_config *p = &c->config->partitions[i];
        uint64_t bytes = p->memory_bytes + (p->identity ? GUEST_RAM_BASE : 0); /* its low megabyte */

        sum += bytes;
        if (bytes > free) {
            report_error(c->report, c->config->file, p->line_of[KEY_MEMORY],
                         "memory = %s%s: this machine has %s for partitions",
                         config_print_size(wanted, p->memory_bytes), p->identity ? " identity" : "", there);
        }
    }
    if (sum > free && c->report->errors == errors) {
        report_error(c->report, c->config->file, 0,
                     "the partitions want %s of memory together; this machine has %s for them",
                     config_print_size(wanted, sum), there);
    }
}

/* ---- The console ----------------------------------------------------------------------------- */

static void check_console(const struct check *c) {
    const struct partition_config *first = NULL;

    for (unsigned i = 0; i < c->config->nr_partitions && !c->config->prefix; i++) {
        const struct partition_config *p = &c->config->partitions[i];

        if (first != NULL && p->vuart) {
            report_error(c->report, c->config->file, c->config->prefix_line,
                         "prefix = no: partitions %s and %s both have console = vuart; only names "
                         "tell their lines apart",
                         first->name, p->name);
            return;
        }
        first = p->vuart ? p : first;
    }
}

/* ---- I/O ports and device windows ------------------------------------------------------------ */

/* One list of one partition, and which of its windows have been refused: each is once. */
struct windows {
    const struct check *c;
    const char *key;
    unsigned line;
    const struct range *at;
    unsigned count;
    uint32_t refused;
    const char *(*print)(char *to, struct range window);
};

/* Windows from `first` on must not overlap what is taken. */
static void refuse_from(struct windows *w, unsigned first, struct range taken, const char *whose) {
    char mine[CONFIG_TEXT_BYTES], its[CONFIG_TEXT_BYTES];

    for (unsigned i = first; i < w->count; i++) {
        if (range_overlaps(w->at[i], taken) && (w->refused & BIT(i)) == 0) {
            w->refused |= (uint32_t)BIT(i);
            report_error(w->c->report, w->c->config->file, w->line, "%s = %s: %s is %s", w->key,
                         w->print(mine, w->at[i]), w->print(its, taken), whose);
        }
    }
}

static void refuse(struct windows *w, struct range taken, const char *whose) {
    refuse_from(w, 0, taken, whose);
}

struct fixed {
    struct range at;
    const char *whose;
};

/* What a PC, or an emulated one, has at fixed ports that act on the whole machine. */
static const struct fixed machine_ports[] = {
    {{0x00, 0x20}, "the DMA controller, which writes to any memory"},
    {{0x20, 2}, "the interrupt controller"},
    {{0x40, 4}, "the timer"},
    {{0x60, 1}, "the keyboard controller, which can reset the machine"},
    {{0x61, 1}, "the timer's gate and the machine's error bits"},
    {{0x64, 1}, "the keyboard controller, which can reset the machine"},
    {{0x70, 8}, "the clock's memory and the NMI mask"},
    {{0x81, 15}, "the DMA controller, which writes to any memory"},
    {{0x92, 1}, "the fast reset port"},
    {{0xa0, 2}, "the interrupt controller"},
    {{0xb2, 2}, "the SMI port"},
    {{0xc0, 32}, "the DMA controller, which writes to any memory"},
    {{0xf4, 4}, "an emulator's exit port"},
    {{0x4d0, 2}, "the interrupt controller"},
    {{0x510, 12}, "an emulator's fw_cfg, which writes to any memory"},
    {{0x600, 128}, "an emulator's power management"},
    {{0xcf8, 8}, "PCI configuration and the reset port"},
    {{0x8900, 1}, "an emulator's exit port"},
};

/* The same for memory: what the hypervisor itself shows guests or stands behind. */
static const struct fixed machine_windows[] = {
    {{0xfec00000, PAGE_SIZE}, "the I/O APIC"},
    {{GUEST_LAPIC_BASE, MIB(1)}, "the local APICs and interrupt messages"},
    {{GUEST_TABLES_BASE, GUEST_TABLES_BYTES}, "the partition's ACPI tables"},
};

/* A register ACPI describes, with the aligned block of ports or the page it lies in. */
static void refuse_register(struct windows *w, uint64_t unit, uint64_t address, const char *whose) {
    if (address != 0)
        refuse(w, (struct range){align_down(address, unit), unit}, whose);
}

static void check_against_registers(struct windows *w, uint8_t space) {
    const struct platform *platform = w->c->machine->platform;
    bool io = space == SPACE_IO;

    if (platform == NULL)
        return;
    /* Chipsets have the SMI enable bits and the watchdog in the same 128 ports as PM1. */
    refuse_register(w, 128, io ? platform->pm1a_port : 0, "power management");
    refuse_register(w, 128, io ? platform->pm1b_port : 0, "power management");
    refuse_register(w, 4, io ? platform->pm_timer_port : 0, "the ACPI timer");
    if (platform->reset_reg.space == space)
        refuse_register(w, io ? 1 : PAGE_SIZE, platform->reset_reg.address, "the reset register");
}

/* What the partitions before this one, and the list itself, have already. */
static void check_against_partitions(struct windows *w, const struct partition_config *p,
                                     enum config_key key) {
    char whose[LOG_LINE_MAX];

    for (unsigned i = 0; i < w->count; i++)
        refuse_from(w, i + 1, w->at[i], "in the list already");
    for (const struct partition_config *other = w->c->config->partitions; other < p; other++) {
        unsigned count = key == KEY_PORTS ? other->nr_ports : other->nr_mmio;

        str_format(whose, sizeof(whose), "given to partition %s in line %u", other->name,
                   other->line_of[key]);
        for (unsigned i = 0; i < count; i++)
            refuse(w, key == KEY_PORTS ? other->ports[i] : other->mmio[i], whose);
    }
}

static void check_ports(const struct check *c, const struct partition_config *p) {
    struct windows w = {c, "ports", p->line_of[KEY_PORTS], p->ports, p->nr_ports, 0, config_print_span};

    if (c->config->console_port != 0)
        refuse(&w, (struct range){c->config->console_port, 8}, "the system console (console in [system])");
    if (p->vuart)
        refuse(&w, VUART_PORTS, "the partition's own console = vuart");
    for (unsigned i = 0; i < ARRAY_SIZE(machine_ports); i++)
        refuse(&w, machine_ports[i].at, machine_ports[i].whose);
    check_against_registers(&w, SPACE_IO);
    check_against_partitions(&w, p, KEY_PORTS);
}

static void check_against_platform(struct windows *w) {
    const struct platform *platform = w->c->machine->platform;

    if (platform == NULL)
        return;
    refuse(w, (struct range){platform->lapic.v, PAGE_SIZE}, "the local APIC");
    for (unsigned i = 0; i < platform->nr_ioapics; i++)
        refuse(w, (struct range){platform->ioapics[i].at.v, PAGE_SIZE}, "an I/O APIC");
    if (platform->hpet.v != 0)
        refuse(w, (struct range){platform->hpet.v, PAGE_SIZE}, "the HPET");
    for (unsigned i = 0; i < platform->nr_ecam; i++)
        refuse(w, platform->ecam[i], "PCI configuration space");
}

static void check_against_memory(struct windows *w) {
    const struct boot_info *boot = w->c->machine->boot;

    for (unsigned i = 0; boot != NULL && i < boot->nr_memory; i++)
        if (boot->memory[i].kind != MEMORY_RESERVED)
            refuse(w, boot->memory[i].range, "memory of this machine, not a device");
}

static void check_mmio(const struct check *c, const struct partition_config *p) {
    struct windows w = {c, "mmio", p->line_of[KEY_MMIO], p->mmio, p->nr_mmio, 0, config_print_mmio};
    struct range ram[3];
    unsigned count = guest_ram(p, ram);

    for (unsigned i = 0; i < ARRAY_SIZE(machine_windows); i++)
        refuse(&w, machine_windows[i].at, machine_windows[i].whose);
    for (unsigned i = 0; i < count; i++)
        refuse(&w, ram[i], "the partition's own memory");
    check_against_platform(&w);
    check_against_registers(&w, SPACE_MEMORY);
    check_against_memory(&w);
    check_against_partitions(&w, p, KEY_MMIO);
}

enum err config_check(const struct system_config *config, const struct machine *machine,
                      struct report *report) {
    const struct check c = {config, machine, report};
    unsigned errors = report->errors;

    if (config->nr_partitions == 0)
        report_error(report, config->file, 0, "nothing to run; a section [partition NAME] says what to");
    check_console(&c);
    check_memory(&c);
    for (unsigned i = 0; i < config->nr_partitions; i++) {
        const struct partition_config *p = &config->partitions[i];

        check_cores_exist(&c, p);
        check_cores_apart(&c, p);
        check_images(&c, p);
        check_ports(&c, p);
        check_mmio(&c, p);
    }
    return report->errors == errors ? ERR_OK : ERR_RANGE;
}
