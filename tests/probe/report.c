/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's own account of itself. The first word of a line says what it is: README.md explains them. */
#include "tests/probe/report.h"

#include "core/host.h"
#include "core/log.h"

#define LEAF_HYBRID   0x1a
#define TYPE_ATOM     0x20 /* "Hybrid Information Enumeration Leaf" */
#define TYPE_CORE     0x40
#define LEAF_EXTENDED 0x80000000
#define SUBLEAVES     64
#define HEX_BYTES     32       /* of a table in one line */
#define ALONE_BYTES   MIB(16)  /* of a guest that is no Linux, at least */
#define SLACK_MAX     MIB(512) /* left free: the firmware's map may differ at the next boot */
#define ARGS_SHOWN    120
#define MAGIC_LINUX   0x53726448 /* "HdrS" at 202H */
#define MAGIC_ELF     0x464c457f

/* "0-2,4" */
#define CORE_LIST(cores) (config_print_cores(cores).s + (count_bits(cores) == 1 ? 5 : 6))

/* Offsets, as in acpi.c. */
enum { RSDP_REVISION_1 = 15, RSDP_RSDT = 16, RSDP_XSDT_8 = 24, TABLE_LENGTH = 4, TABLE_BYTES = 36 };
enum { TABLE_OEM = 10, DMAR_ENTRIES = 48, ENTRY_TYPE_2 = 0, ENTRY_UNIT = 0, ENTRY_LENGTH_2 = 2 };
enum { UNIT_FLAGS_1 = 4, UNIT_SEGMENT_2 = 6, UNIT_BASE_8 = 8, UNIT_SCOPES = 16 };
enum { SCOPE_LENGTH_1 = 1, SCOPE_BUS_1 = 5, SCOPE_PATH = 6, SCOPE_BYTES = 8 };

static void add(struct probe_text *t, const char *format, ...) printf_like(2, 3);
static void add(struct probe_text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    t->used += str_vformat(t->s + t->used, sizeof(t->s) - t->used, format, args);
    va_end(args);
}

/* ---- The CPU --------------------------------------------------------------------------------- */

static void log_leaf(cpuid_fn *cpuid, uint32_t leaf) {
    static const uint64_t has_subleaves = BIT(4) | BIT(7) | BIT(0xb) | BIT(0xd) | BIT(0xf) | BIT(0x10) |
                                          BIT(0x12) | BIT(0x14) | BIT(0x17) | BIT(0x18) | BIT(0x1d) |
                                          BIT(0x1f);
    unsigned count = leaf < 64 && (has_subleaves >> leaf & 1) != 0 ? SUBLEAVES : 1;
    for (unsigned sub = 0; sub < count; sub++) {
        uint32_t r[4];
        cpuid(leaf, sub, r);
        /* ECX and EDX of a topology level that is not there are not 0. */
        if ((r[CPUID_EAX] | r[CPUID_EBX]) != 0 || (sub == 0 && (r[CPUID_ECX] | r[CPUID_EDX]) != 0))
            log_line("cpuid %08x %02x %08x %08x %08x %08x", leaf, sub, r[0], r[1], r[2], r[3]);
    }
}

void probe_log_cpu(cpuid_fn *cpuid, probe_rdmsr_fn *rdmsr) {
    static const struct range msrs[] = {
        {0x17, 1},  {0x1b, 1},  {0x34, 1},  {0x3a, 2},   {0x48, 1},   {0x8b, 1},  {0xce, 1},
        {0xfe, 1},  {0x10a, 1}, {0x122, 2}, {0x1a0, 1},  {0x200, 32}, {0x250, 1}, {0x258, 2},
        {0x268, 8}, {0x277, 1}, {0x2ff, 1}, {0x480, 20}, {0x6e0, 1},  {0xda0, 1},
    };
    uint32_t r[4];
    for (unsigned half = 0; half < 2; half++) {
        cpuid(half * LEAF_EXTENDED, 0, r);
        for (uint32_t n = 0; n <= (r[CPUID_EAX] & 0xff) && r[CPUID_EAX] >= half * LEAF_EXTENDED; n++)
            log_leaf(cpuid, half * LEAF_EXTENDED + n);
    }
    for (const struct range *m = msrs; m < msrs + ARRAY_SIZE(msrs); m++)
        for (uint64_t index = m->base, value; index < range_end(*m); index++)
            if (rdmsr((uint32_t)index, &value))
                log_line("msr %08lx %016lx", index, value);
}

void probe_log_speculation(const struct speculation *s) {
    for (unsigned i = 0; i < SPECULATION_ROWS; i++)
        log_line("leak %s: %s; %s", speculation_rows[i].name,
                 (s->open >> i & 1) != 0 ? "possible" : "not on this CPU", speculation_rows[i].why);
}

static const struct {
    const char *name;
    uint32_t index;
    unsigned shift;
} core_msrs[PROBE_CORE_MSRS] = {{"feature_control", 0x3a, 0},
                                {"microcode", 0x8b, 32},
                                {"smi", 0x34, 0},
                                {"mtrr", 0x2ff, 0},
                                {"tsc_adjust", 0x3b, 0}};

void probe_core_read(struct probe_core *out, cpuid_fn *cpuid, probe_rdmsr_fn *rdmsr) {
    uint32_t regs[4];
    cpuid(0, 0, regs);
    bool hybrid = regs[CPUID_EAX] >= LEAF_HYBRID;
    cpuid(hybrid ? LEAF_HYBRID : 0, 0, regs);
    out->type = hybrid ? (uint8_t)(regs[CPUID_EAX] >> 24) : 0;
    cpuid(1, 0, regs); /* puts the microcode's revision into its MSR */
    for (unsigned i = 0; i < PROBE_CORE_MSRS; i++)
        if (!rdmsr(core_msrs[i].index, &out->msrs[i]))
            out->msrs[i] = PROBE_ABSENT;
}

void probe_log_types(uint64_t there, const struct probe_core *cores) {
    uint64_t fast = 0, slow = 0;
    for (unsigned n = 0; n < MAX_CPUS; n++) {
        fast |= cores[n].type == TYPE_CORE ? there & BIT(n) : 0;
        slow |= cores[n].type == TYPE_ATOM ? there & BIT(n) : 0;
    }
    if (fast != 0 && slow != 0)
        log_line("a hybrid CPU: %s are fast, %s slow", config_print_cores(fast).s,
                 config_print_cores(slow).s);
}

void probe_log_cores(const struct machine *machine, const struct probe_core *cores) {
    for (unsigned n = 0; n < machine->platform->nr_cpus; n++) {
        uint64_t threads = platform_siblings(machine->platform, n);
        struct probe_text t = {.used = 0};
        add(&t, "core %u apic %u threads %s type %02x", n, machine->platform->apic_ids[n], CORE_LIST(threads),
            cores[n].type);
        for (unsigned i = 0; i < PROBE_CORE_MSRS; i++)
            if (cores[n].msrs[i] != PROBE_ABSENT)
                add(&t, " %s %lx", core_msrs[i].name, cores[n].msrs[i] >> core_msrs[i].shift);
        if ((machine->cores >> n & 1) != 0)
            log_line("%s", t.s);
    }
}

/* ---- The firmware and the devices ------------------------------------------------------------ */

/* "DMA Remapping Reporting Structure" in the VT-d specification: which unit serves which devices. */
static void log_dmar(struct bytes t) {
    for (uint64_t at = DMAR_ENTRIES, size = UNIT_SCOPES; at < t.length && size >= UNIT_SCOPES; at += size) {
        size = bytes_field(t, at + ENTRY_LENGTH_2, 2);
        struct bytes e = {t.at + at, size < t.length - at ? size : t.length - at};
        struct probe_text out = {.used = 0};
        add(&out, "dmar unit %lx segment %lu%s", bytes_field(e, UNIT_BASE_8, 8),
            bytes_field(e, UNIT_SEGMENT_2, 2), (bytes_u8(e, UNIT_FLAGS_1) & 1) != 0 ? " all others" : "");
        for (uint64_t s = UNIT_SCOPES, step = SCOPE_BYTES; s < e.length && step >= SCOPE_BYTES; s += step) {
            step = bytes_u8(e, s + SCOPE_LENGTH_1);
            add(&out, " %02x:%02x.%u%s", bytes_u8(e, s + SCOPE_BUS_1), bytes_u8(e, s + SCOPE_PATH),
                bytes_u8(e, s + SCOPE_PATH + 1), step > SCOPE_BYTES ? "/.." : "");
        }
        if (bytes_field(e, ENTRY_TYPE_2, 2) == ENTRY_UNIT && size >= UNIT_SCOPES)
            log_line("%s", out.s);
    }
}

/* In full only what Mullion goes by: others may hold what is nobody's business. */
static void log_table(struct bytes t) {
    static const char shown[] = "APICFACPHPETMCFGDMARSPCR";
    const char *name = shown;
    while (*name != '\0' && memcmp(t.at, name, 4) != 0)
        name += 4;
    log_line("table %.*s %lu bytes by %.*s", 4, t.at, t.length, 6, t.at + TABLE_OEM);
    for (uint64_t at = 0; *name != '\0' && at < t.length; at += HEX_BYTES) {
        struct probe_text out = {.used = 0};
        for (uint64_t i = at; i < at + HEX_BYTES && i < t.length; i++)
            add(&out, "%02x", t.at[i]);
        log_line("acpi %.*s %04lx %s", 4, name, at, out.s);
    }
    if (memcmp(t.at, "DMAR", 4) == 0)
        log_dmar(t);
}

/* As far as it is in reach, sound or not. */
static struct bytes table_at(uint64_t at) {
    const void *header = host_phys(hpa(at), TABLE_BYTES);
    uint32_t length = bytes_u32((struct bytes){header, header == NULL ? 0 : TABLE_BYTES}, TABLE_LENGTH);
    const void *all = length >= TABLE_BYTES ? host_phys(hpa(at), length) : NULL;
    return (struct bytes){all, all == NULL ? 0 : length};
}

static void log_tables(const struct boot_info *info) {
    struct bytes rsdp = {info->rsdp, info->rsdp_bytes};
    uint64_t xsdt = bytes_u8(rsdp, RSDP_REVISION_1) >= 2 ? bytes_field(rsdp, RSDP_XSDT_8, 8) : 0;
    struct bytes root = table_at(xsdt != 0 ? xsdt : bytes_u32(rsdp, RSDP_RSDT));
    unsigned width = xsdt != 0 ? 8 : 4;
    for (uint64_t at = TABLE_BYTES; at + width <= root.length; at += width) {
        struct bytes t = table_at(bytes_field(root, at, width));
        if (t.length > 0)
            log_table(t);
    }
}

void probe_log_firmware(const struct boot_info *info) {
    static const char *const kinds[] = {"?", "ram", "reserved", "acpi", "nvs", "bad"};
    for (const struct memory_range *m = info->memory; m < info->memory + info->nr_memory; m++)
        log_line("memory %016lx %016lx %s", m->range.base, m->range.size, kinds[m->kind]);
    for (const struct module *m = info->modules; m < info->modules + info->nr_modules; m++)
        log_line("module %016lx %016lx %s%s%.*s", m->at.v, m->bytes, m->name, m->args[0] != '\0' ? " " : "",
                 ARGS_SHOWN, m->args);
    log_tables(info);
}

void probe_log_pci(unsigned bdf, const uint32_t regs[PCI_HEADER_REGS]) {
    unsigned header = regs[3] >> 16 & 0x7f, bars = header == 0 ? 6 : header == 1 ? 2 : 0;
    struct probe_text t = {.used = 0};
    add(&t, "pci %02x:%02x.%u %04x:%04x class %06x header %u", bdf >> 8, bdf >> 3 & 31, bdf & 7,
        regs[0] & 0xffff, regs[0] >> 16, regs[2] >> 8, header);
    for (unsigned i = 0; i < bars; i++) {
        uint32_t low = regs[4 + i], io = low & 1;
        uint64_t high = (low & 7) == 4 && i + 1 < bars ? regs[4 + ++i] : 0;
        if (low != 0)
            add(&t, " %s %lx", io != 0 ? "io" : "mem", high << 32 | (low & (io != 0 ? ~3u : ~15u)));
    }
    log_line("%s", t.s);
}

/* ---- The draft ------------------------------------------------------------------------------- */

static const struct module *find_image(const struct boot_info *boot, uint64_t at, uint32_t magic) {
    for (const struct module *m = boot->modules; m < boot->modules + boot->nr_modules; m++) {
        struct bytes b = {host_phys(m->at, m->bytes), m->bytes};
        if (b.at != NULL && m->name[0] != '\0' && bytes_u32(b, at) == magic)
            return m;
    }
    return NULL;
}

static void add_partition(struct probe_text *t, const char *name, uint64_t cores, uint64_t bytes,
                          const struct module *kernel) {
    add(t, "\n[partition %s]\ncpus    = %s\nmemory  = %s\nkernel  = %s\nconsole = vuart\n", name,
        CORE_LIST(cores), config_print_size(bytes).s, kernel->name);
}

static void add_linux(struct probe_text *t, uint64_t cores, uint64_t bytes, const struct boot_info *boot,
                      const struct module *kernel) {
    const struct module *initrd = boot->modules, *end = boot->modules + boot->nr_modules;
    add_partition(t, "linux", cores, bytes, kernel);
    while (initrd < end && memcmp(initrd->name, "init", 4) != 0) /* initrd, initramfs */
        initrd++;
    if (initrd < end)
        add(t, "initrd  = %s\n", initrd->name);
    add(t, "cmdline = console=ttyS0%s%.*s\non_exit = restart\n", kernel->args[0] != '\0' ? " " : "",
        ARGS_SHOWN, kernel->args);
}

/* The last core is for a guest that wants to be alone: its other thread stays idle. */
bool probe_draft(struct probe_text *t, const struct machine *machine) {
    const struct module *kernel = find_image(machine->boot, 0x202, MAGIC_LINUX);
    const struct module *elf = find_image(machine->boot, 0, MAGIC_ELF);
    unsigned last = 63 - (unsigned)__builtin_clzll(machine->cores);
    uint64_t others = machine->cores & ~platform_siblings(machine->platform, last);
    if (kernel != NULL && others == 0)
        elf = NULL;
    uint64_t alone = elf == NULL ? 0 : align_up(ALONE_BYTES + 2 * elf->bytes, PAGE_2M);
    uint64_t free = machine->free_bytes, slack = alone + (free / 8 < SLACK_MAX ? free / 8 : SLACK_MAX);
    uint64_t most = free > slack ? free - slack : 0;
    *t = (struct probe_text){.used = 0};
    add(t, "# Drafted for %u cores and %lu MiB\n", count_bits(machine->cores), free >> 20);
    if (kernel != NULL)
        add_linux(t, elf != NULL ? others : machine->cores,
                  align_down(most, most < GIB(1) ? PAGE_2M : MIB(64)), machine->boot, kernel);
    if (elf != NULL)
        add_partition(t, "alone", BIT(last), alone, elf);
    return kernel != NULL || elf != NULL;
}
