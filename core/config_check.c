/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of a system: no core, port, device or byte of memory in two partitions, nothing that could
 * reach past its partition, nothing the machine does not have. Pure but for the log. */
#include "core/config.h"

#include "core/guest_layout.h"
#include "core/screen.h"
#include "core/str.h"

struct check {
    const struct system_config *config;
    const struct machine *machine;
    struct report *report;
};

/* Threads of one core share its caches and units: each can slow the other down, and learn from that. */
static void check_cores(const struct check *c, const struct partition_config *p) {
    uint64_t there = c->machine->cores, near = 0;
    unsigned line = p->line_of[KEY_CPUS];
    for (unsigned n = 0; n < c->machine->platform->nr_cpus && !c->config->smt_shared; n++)
        near |= (p->cpus & BIT(n)) != 0 ? platform_siblings(c->machine->platform, n) & ~p->cpus : 0;
    if (there != 0 && (p->cpus & ~there) != 0)
        report_error(c->report, line, "cpus: this machine has %s, not %s", config_print_cores(there).s,
                     config_print_cores(p->cpus & ~there).s);
    for (const struct partition_config *other = c->config->partitions; other < p; other++) {
        if ((p->cpus & other->cpus) != 0)
            report_error(c->report, line, "cpus: %s cannot be shared with partition %s (line %u)",
                         config_print_cores(p->cpus & other->cpus).s, other->name, other->line_of[KEY_CPUS]);
        if ((near & other->cpus) != 0)
            report_error(c->report, line,
                         "cpus: %s of partition %s (line %u) shares a physical core with this partition; "
                         "use other cores, or set smt = share in [system]",
                         config_print_cores(near & other->cpus).s, other->name, other->line_of[KEY_CPUS]);
    }
}

/* ---- Images and memory ----------------------------------------------------------------------- */

/* Size of the module, 0 if there is none or sizes are not known. */
static uint64_t check_module(const struct check *c, unsigned line, const char *key, const char *name) {
    const struct boot_info *boot = c->machine->boot;
    const struct module *module = boot_info_module(boot, name);
    char loaded[LOG_LINE_MAX];
    size_t used = 0;
    if (module != NULL)
        return module->bytes;
    if (boot->nr_modules == 0 || name[0] == '\0')
        return 0;
    for (unsigned i = 0; i < boot->nr_modules; i++)
        used += str_format(loaded + used, sizeof(loaded) - used, " %s", boot->modules[i].name);
    report_error(c->report, line, "%s = %s: no such module; GRUB loaded%s", key, name, loaded);
    return 0;
}

/* Guest-physical RAM as far as it is known before frames are given out, in ascending order. */
static void guest_ram(const struct partition_config *p, struct range ram[3]) {
    uint64_t all = p->identity ? GUEST_RAM_BASE : p->memory_bytes;
    uint64_t below = all < GUEST_HOLE_BASE ? all : GUEST_HOLE_BASE;
    ram[0] = (struct range){0, GUEST_LOW_RAM_BYTES};
    ram[1] = (struct range){GUEST_RAM_BASE, below - GUEST_RAM_BASE};
    ram[2] = (struct range){GUEST_HIGH_RAM_BASE, all - below};
}

/* Nothing is loaded above 4 GiB. */
static void check_load(const struct check *c, const struct partition_config *p, uint64_t bytes) {
    struct range ram[3], image = {p->load, bytes > 0 ? bytes : 1};
    unsigned line = p->line_of[KEY_LOAD];
    guest_ram(p, ram);
    if (p->initrd[0] != '\0' || p->nr_modules > 0)
        report_error(c->report, line,
                     "load: a flat binary is told of no modules; leave initrd and module out");
    if (p->load_at_reset && bytes > GUEST_TABLES_BYTES)
        report_error(c->report, line,
                     "load = reset: the kernel has %s; it ends at 1M, and at most %s fit there",
                     config_print_size(bytes).s, config_print_size(GUEST_TABLES_BYTES).s);
    if (!p->load_at_reset && !range_contains(ram[0], image) && !range_contains(ram[1], image))
        report_error(c->report, line,
                     "load = 0x%lx: the kernel would be at %s; the partition's memory is %s%s%s", p->load,
                     config_print_ports(image).s, config_print_ports(ram[0]).s, p->identity ? "" : ", ",
                     p->identity ? "" : config_print_ports(ram[1]).s);
}

static void check_images(const struct check *c, const struct partition_config *p) {
    uint64_t kernel = check_module(c, p->line_of[KEY_KERNEL], "kernel", p->kernel);
    uint64_t all = kernel + check_module(c, p->line_of[KEY_INITRD], "initrd", p->initrd);
    for (unsigned i = 0; i < p->nr_modules; i++)
        all += check_module(c, p->modules[i].line, "module", p->modules[i].name);
    if (all > p->memory_bytes)
        report_error(c->report, p->line_of[KEY_MEMORY],
                     "memory = %s: kernel, initrd and modules alone have %s",
                     config_print_size(p->memory_bytes).s, config_print_size(align_up(all, MIB(1))).s);
    else if (p->has_load)
        check_load(c, p, kernel);
}

static void check_memory(const struct check *c) {
    uint64_t there = align_down(c->machine->free_bytes, MIB(1)), left = there;
    for (unsigned i = 0; i < c->config->nr_partitions && c->machine->free_bytes != 0; i++) {
        const struct partition_config *p = &c->config->partitions[i];
        uint64_t bytes = p->memory_bytes + (p->identity ? GUEST_RAM_BASE : 0); /* its low megabyte */

        if (bytes <= left)
            left -= bytes;
        else
            report_error(c->report, p->line_of[KEY_MEMORY],
                         "memory = %s%s: this machine has %s for partitions, %s of them left",
                         config_print_size(p->memory_bytes).s, p->identity ? " identity" : "",
                         config_print_size(there).s, config_print_size(left).s);
    }
}

/* ---- I/O ports and device windows ------------------------------------------------------------ */

/* One window of one partition's list, on its way past everything that is taken. */
struct window {
    const struct check *c;
    const struct partition_config *p;
    enum config_key key; /* KEY_PORTS or KEY_MMIO */
    const struct range *at;
    bool refused; /* said so: once is enough */
};

static struct config_text window_text(const struct window *w, struct range at) {
    return w->key == KEY_PORTS ? config_print_ports(at) : config_print_mmio(at);
}

static void refuse(struct window *w, struct range taken, const char *whose) {
    if (w->refused || !range_overlaps(*w->at, taken))
        return;
    w->refused = true;
    report_error(w->c->report, w->p->line_of[w->key], "%s = %s: %s is %s",
                 w->key == KEY_PORTS ? "ports" : "mmio", window_text(w, *w->at).s, window_text(w, taken).s,
                 whose);
}

/* What a PC, or an emulated one, has at fixed ports that act on the whole machine. */
static const struct {
    struct range at;
    const char *whose;
} machine_ports[] = {
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

/* A register ACPI describes, with the aligned block of ports or the page it lies in. */
static void refuse_register(struct window *w, uint64_t unit, uint64_t address, const char *whose) {
    if (address != 0)
        refuse(w, (struct range){align_down(address, unit), unit}, whose);
}

static void check_ports(struct window *w) {
    const struct platform *platform = w->c->machine->platform;
    if (w->c->config->console.stride == 0)
        refuse(w, uart_range(w->c->config->console), "the system console (console in [system])");
    if (w->p->vuart)
        refuse(w, (struct range){0x3f8, 8}, "the partition's own console = vuart");
    for (unsigned i = 0; i < ARRAY_SIZE(machine_ports); i++)
        refuse(w, machine_ports[i].at, machine_ports[i].whose);
    /* Chipsets have the SMI enable bits and the watchdog in the same 128 ports as PM1. */
    refuse_register(w, 128, platform->pm1a_port, "power management");
    refuse_register(w, 128, platform->pm1b_port, "power management");
    refuse_register(w, 4, platform->pm_timer_port, "the ACPI timer");
    refuse_register(w, 1, platform->smi_port, "the SMI port");
    if (platform->reset_reg.space == SPACE_IO)
        refuse_register(w, 1, platform->reset_reg.address, "the reset register");
    if (platform->sleep_control.space == SPACE_IO)
        refuse_register(w, 1, platform->sleep_control.address, "power management");
}

static void check_mmio(struct window *w) {
    const struct platform *platform = w->c->machine->platform;
    const struct boot_info *boot = w->c->machine->boot;
    struct range ram[3];
    guest_ram(w->p, ram);
    for (unsigned i = 0; i < ARRAY_SIZE(ram); i++)
        refuse(w, ram[i], "the partition's own memory");
    refuse(w, (struct range){GUEST_TABLES_BASE, GUEST_TABLES_BYTES}, "the partition's ACPI tables");
    if (w->c->machine->address_end != 0)
        refuse(w, (struct range){w->c->machine->address_end, FRAMES_LIMIT - w->c->machine->address_end},
               "beyond the addresses of this CPU");
    if (w->p->load_at_reset)
        refuse(w, (struct range){GIB(4) - GUEST_TABLES_BYTES, GUEST_TABLES_BYTES}, "the ROM of load = reset");
    refuse(w, (struct range){0xfec00000, PAGE_SIZE}, "the I/O APIC"); /* the guest's own too */
    refuse(w, (struct range){GUEST_LAPIC_BASE, MIB(1)}, "the local APICs and interrupt messages");
    for (unsigned i = 0; i < boot->nr_memory; i++)
        if (boot->memory[i].kind != MEMORY_RESERVED)
            refuse(w, boot->memory[i].range, "memory of this machine, not a device");
    refuse_register(w, PAGE_SIZE, platform->lapic.v, "the local APIC");
    refuse_register(w, PAGE_SIZE, platform->hpet.v, "the HPET");
    for (unsigned i = 0; i < platform->nr_ioapics; i++)
        refuse_register(w, PAGE_SIZE, platform->ioapics[i].at.v, "an I/O APIC");
    for (unsigned i = 0; i < platform->nr_ecam; i++)
        refuse(w, platform->ecam[i], "PCI configuration space");
    for (unsigned i = 0; i < platform->nr_vtd; i++)
        refuse(w, platform->vtd[i], "a DMA remapping unit");
    if (w->c->config->console.stride != 0)
        refuse(w, uart_range(w->c->config->console), "the system console (console in [system])");
    if (w->c->config->screen)
        refuse(w, screen_range(&boot->screen), "the system console's screen (screen in [system])");
    if (platform->reset_reg.space == SPACE_MEMORY)
        refuse_register(w, PAGE_SIZE, platform->reset_reg.address, "the reset register");
    if (platform->sleep_control.space == SPACE_MEMORY)
        refuse_register(w, PAGE_SIZE, platform->sleep_control.address, "power management");
}

static const struct config_windows *windows_of(const struct partition_config *p, enum config_key key) {
    return key == KEY_PORTS ? &p->ports : &p->mmio;
}

/* What stands before this window in the file: other partitions, and the list itself. */
static void check_given(struct window *w) {
    char whose[LOG_LINE_MAX];
    for (const struct partition_config *other = w->c->config->partitions; other <= w->p; other++) {
        const struct config_windows *given = windows_of(other, w->key);
        str_format(whose, sizeof(whose), "given to partition %s in line %u", other->name,
                   other->line_of[w->key]);
        for (unsigned i = 0; i < given->count && &given->at[i] != w->at; i++)
            refuse(w, given->at[i], whose);
    }
}

static void check_windows(const struct check *c, const struct partition_config *p, enum config_key key) {
    const struct config_windows *windows = windows_of(p, key);
    for (unsigned i = 0; i < windows->count; i++) {
        struct window w = {c, p, key, &windows->at[i], false};
        if (key == KEY_PORTS)
            check_ports(&w);
        else
            check_mmio(&w);
        check_given(&w);
    }
}

enum err config_check(const struct system_config *config, const struct machine *machine,
                      struct report *report) {
    const struct check c = {config, machine, report};
    unsigned errors = report->errors;
    if (config->nr_partitions == 0)
        report_error(report, 0, "nothing to run; a section [partition NAME] says what to");
    check_memory(&c);
    for (unsigned i = 0; i < config->nr_partitions; i++) {
        const struct partition_config *p = &config->partitions[i];
        check_cores(&c, p);
        check_images(&c, p);
        check_windows(&c, p, KEY_PORTS);
        check_windows(&c, p, KEY_MMIO);
    }
    return report->errors == errors ? ERR_OK : ERR_RANGE;
}
