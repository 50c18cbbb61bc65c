/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and switches the hypervisor's own page tables with core/pagetable. Policy is in
 * memory.h's contract: who sees what, when. */
#include "arch/x86/memory.h"

#include "arch/x86/cpu.h"
#include "arch/x86/percpu.h"
#include "boot/layout.h"
#include "core/check.h"
#include "core/host.h"
#include "core/log.h"
#include "core/str.h"

#define VIEW_MAX  (MAX_GUEST_REGIONS + MAX_MODULES + 1) /* memory, images and struct of a partition */
#define IMAGE_PD  510 /* of the top gigabytes: the image, then the per-CPU pages */
#define TOP_SLOT  511
#define CPUID_1G  BIT(26)
#define ADDRESS   UINT64_C(0x000ffffffffff000)
#define DEVICE_RW (PT_READ | PT_WRITE | PT_UC)

/* What host_phys may point to. */
struct view {
    struct range ranges[VIEW_MAX];
    unsigned count;
};

struct cpu_memory {
    struct pagetable sealed; /* for after the seal */
    hpa_t boot_root;         /* the same, but with all of memory */
    hpa_t frames;            /* the per-CPU pages */
    struct view view;
};

static hpa_t image_base;
static struct frames *frames __attribute__((section(".bss.sealed")));
static struct pagetable boot __attribute__((section(".bss.sealed")));
static struct cpu_memory cpus[MAX_CPUS] __attribute__((section(".bss.sealed")));
static uint64_t direct_end __attribute__((section(".bss.sealed")));
static bool sealed;

extern const char image_start[], text_end[], rodata_end[], sealed_start[], sealed_end[];
extern const char boot_stack_guard[], boot_pml4[], image_end[];

/* The pages of one CPU, in the order in which their frames lie. */
static const struct {
    uint64_t virt;
    uint64_t bytes;
} percpu_pages[] = {
    {PERCPU_DATA, PAGE_SIZE},
    {PERCPU_STACK, PERCPU_STACK_TOP - PERCPU_STACK},
    {PERCPU_NMI, PERCPU_NMI_TOP - PERCPU_NMI},
    {PERCPU_FAULT, PERCPU_FAULT_TOP - PERCPU_FAULT},
};
#define PERCPU_FRAMES 7 /* the pages above, the VMXON region, the VMCS */

void memory_start(hpa_t base) {
    image_base = base;
    direct_end = BOOT_MAP_END;
}

hpa_t memory_image_phys(const void *symbol) {
    return hpa((uintptr_t)symbol - IMAGE_VIRT + image_base.v);
}

struct range memory_image_range(void) {
    return (struct range){image_base.v, (uintptr_t)image_end - IMAGE_VIRT};
}

void *host_phys(hpa_t at, uint64_t bytes) {
    struct range want = {at.v, bytes};

    if (!sealed)
        return range_contains((struct range){0, direct_end}, want) ? (void *)(DIRECT_VIRT + at.v) : NULL;
    for (unsigned i = 0; i < cpus[this_cpu.index].view.count; i++)
        if (range_contains(cpus[this_cpu.index].view.ranges[i], want))
            return (void *)(DIRECT_VIRT + at.v);
    return NULL;
}

static enum err map_image(void) {
    static const struct {
        const char *from, *to;
        unsigned attributes;
    } parts[] = {
        {image_start, text_end, PT_READ | PT_EXEC},
        {text_end, rodata_end, PT_READ},
        {rodata_end, boot_stack_guard, PT_READ | PT_WRITE},
        {boot_stack_guard + PAGE_SIZE, image_end, PT_READ | PT_WRITE},
    };
    enum err e = ERR_OK;

    for (unsigned i = 0; i < ARRAY_SIZE(parts) && e == ERR_OK; i++) {
        e = pt_map(&boot, (uintptr_t)parts[i].from, memory_image_phys(parts[i].from),
                   (uint64_t)(parts[i].to - parts[i].from), parts[i].attributes);
    }
    return e;
}

/* RAM, ACPI tables and what firmware reserves may overlap or share pages in the map, so each page
 * is mapped once, hole by hole. */
static enum err map_ram(struct range r) {
    uint64_t at = align_down(r.base, PAGE_SIZE), end = align_up(range_end(r), PAGE_SIZE);
    enum err e = ERR_OK;

    while (at < end && e == ERR_OK) {
        struct pt_leaf leaf;
        bool there = pt_lookup(&boot, DIRECT_VIRT + at, &leaf);
        uint64_t next = leaf.from + leaf.bytes - DIRECT_VIRT;

        next = next < end ? next : end;
        if (!there)
            e = pt_map(&boot, DIRECT_VIRT + at, hpa(at), next - at, PT_RW);
        at = next;
    }
    return e;
}

static enum err map_device(hpa_t at) {
    struct pt_leaf leaf;

    if (at.v == 0 || pt_lookup(&boot, DIRECT_VIRT + at.v, &leaf))
        return ERR_OK;
    return pt_map(&boot, DIRECT_VIRT + align_down(at.v, PAGE_SIZE), hpa(align_down(at.v, PAGE_SIZE)),
                  PAGE_SIZE, DEVICE_RW);
}

static unsigned biggest_page(void) {
    return (cpu_cpuid(0x80000001, 0).edx & CPUID_1G) != 0 ? 3 : 2;
}

enum err memory_init(struct frames *f, const struct boot_info *info, const struct platform *platform) {
    enum err e;

    frames = f;
    e = pt_init(&boot, &pt_host, biggest_page(), frames);
    if (e == ERR_OK)
        e = map_image();
    for (unsigned i = 0; i < info->nr_memory && e == ERR_OK; i++) {
        if (info->memory[i].kind == MEMORY_RAM) {
            e = map_ram(info->memory[i].range);
            if (range_end(info->memory[i].range) > direct_end)
                direct_end = range_end(info->memory[i].range);
        }
    }
    if (e == ERR_OK)
        e = map_device(platform->lapic);
    for (unsigned i = 0; i < platform->nr_ioapics && e == ERR_OK; i++)
        e = map_device(platform->ioapics[i].at);
    return e;
}

static uint64_t *table_at(uint64_t entry) {
    return host_phys(hpa(entry & ADDRESS), PAGE_SIZE);
}

/* The image's tables are shared by all CPUs, so that the seal needs to change them only once. */
static void share_image(struct cpu_memory *m) {
    const uint64_t *boot_top = table_at(table_at(boot.root.v)[TOP_SLOT]);
    uint64_t *top = table_at(table_at(m->sealed.root.v)[TOP_SLOT]);

    top[IMAGE_PD] = boot_top[IMAGE_PD];
}

static enum err map_percpu(struct cpu_memory *m) {
    uint64_t at = m->frames.v;
    enum err e = ERR_OK;

    for (unsigned i = 0; i < ARRAY_SIZE(percpu_pages) && e == ERR_OK; i++) {
        e = pt_map(&m->sealed, percpu_pages[i].virt, hpa(at), percpu_pages[i].bytes, PT_READ | PT_WRITE);
        at += percpu_pages[i].bytes;
    }
    return e;
}

enum err memory_cpu_build(unsigned cpu, uint32_t apic_id) {
    struct cpu_memory *m = &cpus[cpu];
    struct percpu *data;
    uint64_t *boot_root;
    enum err e = pt_init(&m->sealed, &pt_host, biggest_page(), frames);

    if (e == ERR_OK)
        e = frames_alloc(frames, PERCPU_FRAMES * PAGE_SIZE, &m->frames);
    if (e == ERR_OK)
        e = frames_alloc(frames, PAGE_SIZE, &m->boot_root);
    if (e == ERR_OK)
        e = map_percpu(m);
    if (e != ERR_OK)
        return e;
    share_image(m);
    boot_root = table_at(m->boot_root.v);
    memset(boot_root, 0, PAGE_SIZE);
    boot_root[DIRECT_SLOT] = table_at(boot.root.v)[DIRECT_SLOT];
    boot_root[TOP_SLOT] = table_at(m->sealed.root.v)[TOP_SLOT];

    data = host_phys(m->frames, PERCPU_FRAMES * PAGE_SIZE);
    memset(data, 0, PERCPU_FRAMES * PAGE_SIZE);
    data->index = cpu;
    data->apic_id = apic_id;
    data->vmxon_region = hpa(m->frames.v + (PERCPU_FRAMES - 2) * PAGE_SIZE);
    data->vmcs = hpa(m->frames.v + (PERCPU_FRAMES - 1) * PAGE_SIZE);
    data->sealed_cr3 = m->sealed.root.v;
    return ERR_OK;
}

uint64_t memory_cpu_cr3(unsigned cpu) {
    return cpus[cpu].boot_root.v;
}

enum err memory_cpu_keep(unsigned cpu, struct range range, unsigned attributes) {
    struct cpu_memory *m = &cpus[cpu];
    uint64_t from = align_down(range.base, PAGE_SIZE), to = align_up(range_end(range), PAGE_SIZE);

    for (unsigned i = 0; i < m->view.count; i++)
        if (range_contains(m->view.ranges[i], range))
            return ERR_OK; /* a module may be given more than once */
    if (m->view.count == VIEW_MAX) {
        log_line("core %u: more than %u pieces of memory to keep in view", cpu, VIEW_MAX);
        return ERR_FULL;
    }
    m->view.ranges[m->view.count++] = range;
    return pt_map(&m->sealed, DIRECT_VIRT + from, hpa(from), to - from, attributes);
}

void memory_seal_image(void) {
    frames_seal(frames);
    ASSERT(pt_protect(&boot, (uintptr_t)sealed_start, (uint64_t)(sealed_end - sealed_start), PT_READ) ==
           ERR_OK);
    sealed = true; /* host_phys: from here on by the views */
}

void memory_seal_cpu(void) {
    cpu_write_cr3(this_cpu.sealed_cr3);
}

bool memory_has_percpu(void) {
    return cpu_read_cr3() != memory_image_phys(boot_pml4).v;
}
