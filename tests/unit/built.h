/* SPDX-License-Identifier: Apache-2.0 */
/* All tables that a boot would build for a config, and the proof about them that reads nothing but the
 * tables: who reaches which frame, from where, how. Host tables as well as EPTs; the first offence is told in
 * words. */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/partition_build.h"
#include "core/trap_map.h"
#include "tests/audit/ept_check.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/pages.h"

#define BUILT_MEMORY GIB(64) /* of physical addresses; only what is touched exists */
#define BUILT_IMAGE  MIB(2)  /* where the image lies, before its modules */

static struct {
    struct boot_info info;
    struct platform platform;
    struct frames frames;
    struct host_map host;
    struct host_layout layout;
    struct partitions partitions;
    struct vmx_caps caps;
    const struct system_config *config;
    uint8_t *memory;
    char offence[256];
} built;

/* As arch/x86/memory.c and linker.ld have it. */
static const struct host_layout built_layout = {
    .direct = UINT64_C(0xffff800000000000),
    .image = {{{UINT64_C(0xffffffff80000000), 0x30000}, PT_RX},
              {{UINT64_C(0xffffffff80030000), 0x10000}, PT_READ},
              {{UINT64_C(0xffffffff80040000), 0x90000}, PT_RW},
              {{UINT64_C(0xffffffff800d1000), 0x2000}, PT_RW}},
    .percpu = {{UINT64_C(0xffffffffc0001000), 0x1000},
               {UINT64_C(0xffffffffc0003000), 0x2000},
               {UINT64_C(0xffffffffc0006000), 0x1000},
               {UINT64_C(0xffffffffc0008000), 0x1000}},
    .image_phys = {BUILT_IMAGE},
};
#define BUILT_SEALED UINT64_C(0xffffffff80060000) /* 64 KiB of the data */

/* A machine with so many cores and so much RAM, 3 GiB of it below 4 GiB, and an I/O APIC. No modules yet. */
static inline void built_machine(unsigned cores, uint64_t memory) {
    uint64_t low = memory < GIB(3) ? memory : GIB(3);
    const struct memory_range map[] = {
        {{0, 0x9fc00}, MEMORY_RAM},           {{0x9fc00, 0x60400}, MEMORY_RESERVED},
        {{MIB(1), low - MIB(1)}, MEMORY_RAM}, {{low - MIB(1), MIB(1)}, MEMORY_ACPI}, /* inside the RAM */
        {{low - MIB(8), 0x1800}, MEMORY_NVS}, /* a hole in it, which ends within a page */
        {{GIB(4), memory - low}, MEMORY_RAM},
    };

    if (built.memory == NULL)
        built.memory = mmap(NULL, BUILT_MEMORY, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    stub_phys_set(0, built.memory, BUILT_MEMORY);
    memset(&built.info, 0, sizeof(built.info));
    memset(&built.platform, 0, sizeof(built.platform));
    memset(&built.host, 0, sizeof(built.host));
    memset(&built.partitions, 0, sizeof(built.partitions));
    memcpy(built.info.memory, map, sizeof(map));
    built.info.nr_memory = ARRAY_SIZE(map);
    built.platform.nr_cpus = cores;
    for (uint32_t i = 0; i < cores; i++)
        built.platform.apic_ids[i] = i;
    built.platform.lapic = hpa(0xfee00000);
    built.platform.nr_ioapics = 1;
    built.platform.ioapics[0].at = hpa(0xfec00000);
    built.caps =
        (struct vmx_caps){.raw = {[CAP_EPT_VPID] = BIT(16) | BIT(17), [CAP_CPUID_EXT8_EAX] = 0x3027}};
    built.config = NULL;
}

/* Behind the image and the modules before it, as GRUB loads them. */
static inline void built_module(const char *name, uint64_t bytes) {
    struct module *m = &built.info.modules[built.info.nr_modules], *last = m - 1;

    m->at = built.info.nr_modules++ == 0 ? hpa(BUILT_IMAGE + MIB(2))
                                         : hpa(align_up(last->at.v + last->bytes + 1, PAGE_SIZE));
    m->bytes = bytes;
    snprintf(m->name, sizeof(m->name), "%s", name);
}

/* What init.c does on the boot core before it knows whether the config fits. */
static inline enum err built_host(void) {
    enum err e = frames_init(&built.frames, built.info.memory, built.info.nr_memory);

    built.layout = built_layout;
    if (e == ERR_OK)
        e = frames_reserve(&built.frames, (struct range){BUILT_IMAGE, MIB(2)});
    for (unsigned i = 0; i < built.info.nr_modules && e == ERR_OK; i++)
        e = frames_reserve(&built.frames,
                           (struct range){built.info.modules[i].at.v, built.info.modules[i].bytes});
    if (e == ERR_OK)
        e = host_map_init(&built.host, &built.layout, &built.frames, 3, &built.info, &built.platform);
    for (unsigned i = 0; i < built.platform.nr_cpus && e == ERR_OK; i++)
        e = host_map_cpu(&built.host, i, 2);
    return e;
}

/* And after, for a config that config_check has accepted. */
static inline enum err built_build(const struct system_config *config) {
    enum err e = built_host();

    built.config = config;
    if (e == ERR_OK)
        e = partitions_build(&built.partitions, config, &built.info, &built.caps, &built.host);
    if (e == ERR_OK)
        e = pt_protect(&built.host.boot, BUILT_SEALED, KIB(64), PT_READ);
    return e;
}

/* ---- The proof ------------------------------------------------------------------------------- */

static inline bool built_no(const char *format, ...) printf_like(1, 2);
static inline bool built_no(const char *format, ...) {
    va_list args;

    va_start(args, format);
    vsnprintf(built.offence, sizeof(built.offence), format, args);
    va_end(args);
    return false;
}

static inline struct range built_frames(const struct pt_leaf *leaf) {
    return (struct range){leaf->to.v, leaf->bytes};
}

/* Where the RAM ends that begins at or before `at`, by one entry of the map; `at` if it is in none. */
static inline uint64_t built_ram_end(uint64_t at, bool booting) {
    for (unsigned i = 0; i < built.info.nr_memory; i++) {
        struct range pages = frames_pages(built.info.memory[i].range, booting);

        if (built.info.memory[i].kind == MEMORY_RAM && range_contains(pages, (struct range){at, 1}))
            return range_end(pages);
    }
    return at;
}

/* Only RAM, and nothing of what the firmware says is something else; `booting`: a page may be both in part.
 */
static inline bool built_is_ram(struct range r, bool booting) {
    for (unsigned i = 0; i < built.info.nr_memory; i++)
        if (built.info.memory[i].kind != MEMORY_RAM &&
            range_overlaps(frames_pages(built.info.memory[i].range, !booting), r))
            return false;
    for (uint64_t at = r.base, end; at < range_end(r); at = end)
        if ((end = built_ram_end(at, booting)) == at)
            return false;
    return true;
}

static inline bool built_in_list(const struct frames_list *list, struct range r) {
    for (unsigned i = 0; i < list->count; i++)
        if (range_overlaps(list->ranges[i], r))
            return true;
    return false;
}

static inline bool built_is_window(const struct partition_config *p, struct range r) {
    for (unsigned i = 0; i < p->mmio.count; i++)
        if (range_contains(p->mmio.at[i], r))
            return true;
    return false;
}

/* Frames of each EPT, in the order of walking, to be compared with each other. */
static struct {
    struct range frames;
    unsigned partition;
} built_given[1 << 20];
static unsigned built_nr_given;

static inline bool built_prove_ept(unsigned id) {
    const struct partition_config *p = &built.config->partitions[id];
    uint64_t cursor = 0, ram = 0, windows = 0;
    struct pt_leaf leaf;

    if (ept_check(&built.caps, built.partitions.at[id]->ept_pointer, &built.frames.own) != ERR_OK)
        return built_no("%s: an EPT that a CPU may refuse", p->name);
    while (next_page(&built.partitions.epts[id], &cursor, &leaf)) {
        struct range r = built_frames(&leaf);
        bool window = built_is_window(p, r);

        if (built_in_list(&built.frames.own, r))
            return built_no("%s: frame 0x%lx is the hypervisor's", p->name, r.base);
        if (!window && !built_is_ram(r, false))
            return built_no("%s: frame 0x%lx is neither RAM nor granted", p->name, r.base);
        if (leaf.attributes != (window ? PT_RW | PT_UC : PT_RWX))
            return built_no("%s: frame 0x%lx has attributes 0x%x", p->name, r.base, leaf.attributes);
        if (window && leaf.from != r.base)
            return built_no("%s: window 0x%lx is seen at 0x%lx", p->name, r.base, leaf.from);
        *(window ? &windows : &ram) += r.size;
        built_given[built_nr_given].frames = r;
        built_given[built_nr_given++].partition = id;
    }
    if (ram != p->memory_bytes - (p->identity ? 0 : KIB(128)) + (p->identity ? KIB(896) : 0) +
                   (p->load_at_reset ? KIB(256) : 0))
        return built_no("%s: 0x%lx bytes of RAM", p->name, ram);
    for (unsigned i = 0; i < p->mmio.count; i++)
        windows -= p->mmio.at[i].size;
    return windows == 0 || built_no("%s: windows are not whole", p->name);
}

static inline int built_by_address(const void *a, const void *b) {
    const struct range *x = a, *y = b;

    return x->base < y->base ? -1 : x->base > y->base;
}

/* No frame twice, wherever. */
static inline bool built_prove_once(void) {
    qsort(built_given, built_nr_given, sizeof(built_given[0]), built_by_address);
    for (unsigned i = 1; i < built_nr_given; i++)
        if (range_end(built_given[i - 1].frames) > built_given[i].frames.base)
            return built_no("frame 0x%lx is in partitions %u and %u", built_given[i].frames.base,
                            built_given[i - 1].partition, built_given[i].partition);
    return true;
}

/* Is this page one of the image, with the rights of its part? *known: is it in the image's part at all? */
static inline bool built_image_page(const struct pt_leaf *leaf, bool *known) {
    struct range at = {leaf->from, leaf->bytes};
    unsigned want = PT_KINDS;

    for (unsigned i = 0; i < HOST_PARTS; i++)
        if (range_contains(built_layout.image[i].at, at))
            want = built_layout.image[i].attributes;
    *known = want != PT_KINDS;
    if (range_contains((struct range){BUILT_SEALED, KIB(64)}, at))
        want = PT_READ;
    return leaf->attributes == want && leaf->to.v - BUILT_IMAGE == leaf->from - built_layout.image[0].at.base;
}

/* One page of a CPU's tables, after the seal or (`boot`) before. */
static inline bool built_prove_host_page(unsigned cpu, const struct pt_leaf *leaf, bool at_boot) {
    const struct vcpu *v = built.partitions.vcpus[cpu];
    const struct partition *p = v == NULL ? NULL : v->partition;
    struct range r = built_frames(leaf), own = {built.host.cpus[cpu].frames.v, 5 * PAGE_SIZE};
    bool image, image_good = built_image_page(leaf, &image);

    if (leaf->attributes == PT_KINDS || (leaf->attributes & (PT_WRITE | PT_EXEC)) == (PT_WRITE | PT_EXEC))
        return built_no("CPU %u: page 0x%lx is writable and executable, or of no known kind", cpu,
                        leaf->from);
    if (image)
        return image_good || built_no("CPU %u: page 0x%lx of the image", cpu, leaf->from);
    for (unsigned i = 0; i < HOST_PARTS; i++)
        if (range_contains(built_layout.percpu[i], (struct range){leaf->from, leaf->bytes}))
            return (range_contains(own, r) && leaf->attributes == PT_RW) ||
                   built_no("CPU %u: page 0x%lx is not its own", cpu, leaf->from);
    if (leaf->from - built_layout.direct != r.base)
        return built_no("CPU %u: page 0x%lx is nothing known", cpu, leaf->from);
    if (at_boot)
        return (leaf->attributes == PT_RW && built_is_ram(r, true)) || leaf->attributes == (PT_RW | PT_UC) ||
               built_no("CPU %u: frame 0x%lx is seen while booting", cpu, r.base);
    if (p == NULL)
        return built_no("CPU %u: has no partition, sees frame 0x%lx", cpu, r.base);
    for (unsigned i = 0; i < p->map.count; i++)
        if (p->map.regions[i].kind != REGION_DEVICE &&
            range_contains(guest_region_frames(&p->map.regions[i]), r))
            return leaf->attributes == PT_RW || built_no("CPU %u: RAM 0x%lx", cpu, r.base);
    for (unsigned i = 0; i <= p->nr_modules; i++) {
        const struct module *m = i == p->nr_modules ? p->kernel : p->modules[i];

        if (range_contains(frames_pages((struct range){m->at.v, m->bytes}, true), r))
            return leaf->attributes == PT_READ || built_no("CPU %u: module 0x%lx", cpu, r.base);
    }
    uint64_t at = (uint64_t)((const uint8_t *)p - built.memory);
    struct range self = {at, sizeof(*p) + p->nr_vcpus * sizeof(struct vcpu)};

    return (range_contains(frames_pages(self, true), r) && leaf->attributes == PT_RW) ||
           built_no("CPU %u: sees frame 0x%lx, which is not its partition's", cpu, r.base);
}

static inline bool built_prove_cpu(unsigned cpu) {
    struct pagetable boot = built.host.cpus[cpu].sealed;
    const struct pagetable *tables[] = {&built.host.cpus[cpu].sealed, &boot};

    boot.root = built.host.cpus[cpu].boot_root;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t cursor = 0, image = 0, percpu = 0;
        struct pt_leaf leaf;

        while (next_page(tables[i], &cursor, &leaf)) {
            if (!built_prove_host_page(cpu, &leaf, i == 1))
                return false;
            image += leaf.from >= built_layout.image[0].at.base && leaf.from < built_layout.percpu[0].base
                         ? leaf.bytes
                         : 0;
            percpu += leaf.from >= built_layout.percpu[0].base ? leaf.bytes : 0;
        }
        if (image != 0xd2000 || percpu != 5 * PAGE_SIZE)
            return built_no("CPU %u: 0x%lx bytes of the image, 0x%lx of its own", cpu, image, percpu);
    }
    return true;
}

/* No port that acts on the machine, and none twice. */
static inline bool built_prove_ports(void) {
    static const struct range machine[] = {{0, 0x22}, {0x40, 4}, {0x60, 2}, {0x64, 1}, {0x70, 8},
                                           {0x92, 1}, {0xa0, 2}, {0xb2, 2}, {0xcf8, 8}};
    static uint8_t given[TRAP_IO_BITMAP_BYTES];

    memset(given, 0, sizeof(given));
    for (unsigned i = 0; i < ARRAY_SIZE(machine); i++)
        for (uint64_t port = machine[i].base; port < range_end(machine[i]); port++)
            given[port / 8] |= (uint8_t)BIT(port % 8);
    for (unsigned id = 0; id < built.config->nr_partitions; id++) {
        const uint8_t *traps = built.memory + built.partitions.at[id]->io_bitmaps.v;

        for (unsigned i = 0; i < TRAP_IO_BITMAP_BYTES; i++) {
            uint8_t passes = (uint8_t)~traps[i];

            if ((passes & given[i]) != 0)
                return built_no("%s: among ports 0x%x-0x%x is another's", built.config->partitions[id].name,
                                8 * i, 8 * i + 7);
            given[i] |= passes;
        }
    }
    return true;
}

/* Everything about everything that was built. The first offence is in built.offence. */
static inline bool built_prove(void) {
    built.offence[0] = '\0';
    built_nr_given = 0;
    for (unsigned i = 0; i < built.config->nr_partitions; i++)
        if (!built_prove_ept(i))
            return false;
    if (!built_prove_once() || !built_prove_ports())
        return false;
    for (unsigned cpu = 0; cpu < built.platform.nr_cpus; cpu++)
        if (!built_prove_cpu(cpu))
            return false;
    return true;
}
