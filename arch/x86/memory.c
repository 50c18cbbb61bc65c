/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and switches the hypervisor's own page tables with core/pagetable. Policy is in memory.h's contract:
 * who sees what, when. */
#include "arch/x86/memory.h"

#include "arch/x86/cpu.h"
#include "arch/x86/percpu.h"
#include "boot/layout.h"
#include "core/host.h"

#define VIEW_MAX    (MAX_GUEST_REGIONS + MAX_MODULES + 1) /* memory, images and struct of a partition */
#define IMAGE_PD    510 /* of the top gigabytes: the image, then the per-CPU pages */
#define TOP_SLOT    511
#define CPUID_1G    BIT(26)
#define ADDRESS     UINT64_C(0x000ffffffffff000)
#define BOOT_CACHED (BIT(63) | 0x83) /* XD, large */
#define BOOT_UNCACHED                                                                                        \
    (BIT(63) | 0x93) /* and PCD without PWT: uncached, but write-combining where the MTRRs say so */
#define DEVICE_RW (PT_READ | PT_WRITE | PT_UC)

struct cpu_memory {
    struct pagetable sealed;     /* for after the seal */
    hpa_t boot_root;             /* the same, but with all of memory */
    hpa_t frames;                /* the per-CPU pages */
    struct range view[VIEW_MAX]; /* what host_phys may point to after the seal */
    unsigned view_count;
};

static struct frames *frames __attribute__((section(".bss.sealed")));
static struct pagetable boot __attribute__((section(".bss.sealed")));
static struct cpu_memory cpus[MAX_CPUS] __attribute__((section(".bss.sealed")));
static uint64_t direct_end = BOOT_MAP_END; /* of what is mapped until the seal */
static struct {
    struct range physical;
    unsigned attributes;
} windows[WINDOW_COUNT] __attribute__((section(".bss.sealed")));
static bool sealed;

extern const char image_start[], text_end[], rodata_end[], sealed_start[], sealed_end[];
extern const char boot_stack_guard[], boot_pml4[], image_end[];
extern uint64_t boot_pd_image[];
extern const uint32_t boot_image_phys; /* where the image was loaded: start.S */

/* The pages of one CPU, in the order in which their frames lie. */
static const struct range percpu_pages[] = {
    {PERCPU_DATA, PAGE_SIZE},
    {PERCPU_STACK, PERCPU_STACK_TOP - PERCPU_STACK},
    {PERCPU_NMI, PERCPU_NMI_TOP - PERCPU_NMI},
    {PERCPU_FAULT, PERCPU_FAULT_TOP - PERCPU_FAULT},
};
#define PERCPU_FRAMES 7 /* the pages above, the VMXON region, the VMCS */

hpa_t memory_image_phys(const void *symbol) {
    return hpa((uintptr_t)symbol - IMAGE_VIRT + boot_image_phys);
}

struct range memory_image_range(void) {
    return (struct range){boot_image_phys, (uintptr_t)image_end - IMAGE_VIRT};
}

bool memory_has_stack(uint64_t at, uint64_t bytes) {
    const struct range first = {(uintptr_t)boot_stack_guard + PAGE_SIZE, BOOT_STACK_BYTES},
                       want = {at, bytes};
    bool has = range_contains(first, want);
    for (unsigned i = 0; i < ARRAY_SIZE(percpu_pages); i++)
        has |= range_contains(percpu_pages[i], want);
    return has;
}

unsigned memory_this_cpu(void) {
    return cpu_read_cr3() == memory_image_phys(boot_pml4).v ? 0 : this_cpu.index;
}

void *host_phys(hpa_t at, uint64_t bytes) {
    const struct range all = {0, direct_end}, want = {at.v, bytes};
    const struct range *view = sealed ? cpus[this_cpu.index].view : &all;
    unsigned count = sealed ? cpus[this_cpu.index].view_count : 1;
    for (unsigned i = 0; i < count; i++)
        if (range_contains(view[i], want))
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
    for (unsigned i = 0; i < ARRAY_SIZE(parts) && e == ERR_OK; i++)
        e = pt_map(&boot, (uintptr_t)parts[i].from, memory_image_phys(parts[i].from),
                   (uint64_t)(parts[i].to - parts[i].from), parts[i].attributes);
    return e;
}

/* RAM, ACPI tables and what firmware reserves may overlap or share pages in the map, so each page is mapped
 * once, hole by hole. */
static enum err map_direct(struct range r, unsigned attributes) {
    uint64_t at = align_down(r.base, PAGE_SIZE), end = align_up(range_end(r), PAGE_SIZE);
    enum err e = ERR_OK;
    while (at < end && e == ERR_OK) {
        struct pt_leaf leaf;
        bool there = pt_lookup(&boot, DIRECT_VIRT + at, &leaf);
        uint64_t next = leaf.from + leaf.bytes - DIRECT_VIRT;
        next = next < end ? next : end;
        if (!there)
            e = pt_map(&boot, DIRECT_VIRT + at, hpa(at), next - at, attributes);
        at = next;
    }
    return e;
}

static uint64_t window_virt(unsigned window) {
    return WINDOW_VIRT + (uint64_t)window * WINDOW_BYTES;
}

void *memory_window(enum memory_window window, struct range physical, unsigned attributes) {
    uint64_t *entry = &boot_pd_image[(window_virt(window) - IMAGE_VIRT) / PAGE_2M];
    for (uint64_t at = align_down(physical.base, PAGE_2M); at < range_end(physical); at += PAGE_2M)
        *entry++ = at | ((attributes & (PT_UC | PT_WC)) != 0 ? BOOT_UNCACHED : BOOT_CACHED);
    cpu_write_cr3(cpu_read_cr3());
    windows[window].physical = physical;
    windows[window].attributes = attributes;
    return (void *)(window_virt(window) + physical.base % PAGE_2M);
}

static enum err map_windows(void) {
    enum err e = ERR_OK;
    for (unsigned i = 0; i < WINDOW_COUNT && e == ERR_OK; i++) {
        struct range r = windows[i].physical;
        uint64_t base = align_down(r.base, PAGE_SIZE);
        if (r.size > 0)
            e = pt_map(&boot, window_virt(i) + base % PAGE_2M, hpa(base),
                       align_up(range_end(r), PAGE_SIZE) - base, windows[i].attributes);
    }
    return e;
}

static enum err init_table(struct pagetable *pt) {
    return pt_init(pt, &pt_host, (cpu_cpuid(0x80000001, 0).edx & CPUID_1G) != 0 ? 3 : 2, frames);
}

static enum err map_register(struct acpi_address r) {
    bool here = r.space == SPACE_MEMORY && r.address != 0;
    return here ? map_direct((struct range){r.address, 1}, DEVICE_RW) : ERR_OK;
}

enum err memory_init(struct frames *f, const struct boot_info *info, const struct platform *platform) {
    frames = f;
    enum err e = init_table(&boot);
    if (e == ERR_OK)
        e = map_image();
    if (e == ERR_OK)
        e = map_windows();
    for (unsigned i = 0; i < info->nr_memory && e == ERR_OK; i++) {
        const struct memory_range *m = &info->memory[i];
        if (m->kind == MEMORY_RAM) {
            e = map_direct(m->range, PT_RW);
            if (range_end(m->range) > direct_end)
                direct_end = range_end(m->range);
        }
    }
    if (e == ERR_OK)
        e = map_direct((struct range){platform->lapic.v, PAGE_SIZE}, DEVICE_RW);
    for (unsigned i = 0; i < platform->nr_ioapics && e == ERR_OK; i++)
        e = map_direct((struct range){platform->ioapics[i].at.v, PAGE_SIZE}, DEVICE_RW);
    if (e == ERR_OK)
        e = map_register(platform->reset_reg);
    return e == ERR_OK ? map_register(platform->sleep_control) : e;
}

static uint64_t *table_at(uint64_t entry) {
    return host_phys(hpa(entry & ADDRESS), PAGE_SIZE);
}

static enum err map_percpu(struct cpu_memory *m) {
    uint64_t at = m->frames.v;
    enum err e = ERR_OK;
    for (unsigned i = 0; i < ARRAY_SIZE(percpu_pages) && e == ERR_OK; i++) {
        e = pt_map(&m->sealed, percpu_pages[i].base, hpa(at), percpu_pages[i].size, PT_RW);
        at += percpu_pages[i].size;
    }
    return e;
}

enum err memory_cpu_build(unsigned cpu, uint32_t apic_id) {
    struct cpu_memory *m = &cpus[cpu];
    enum err e = init_table(&m->sealed);
    if (e == ERR_OK)
        e = frames_alloc(frames, PERCPU_FRAMES * PAGE_SIZE, &m->frames);
    if (e == ERR_OK)
        e = frames_alloc(frames, PAGE_SIZE, &m->boot_root);
    if (e == ERR_OK)
        e = map_percpu(m);
    if (e != ERR_OK)
        return e;

    /* The image's tables are shared by all CPUs, so that the seal needs to change them only once. */
    const uint64_t *shared = table_at(boot.root.v), *own = table_at(m->sealed.root.v);
    table_at(own[TOP_SLOT])[IMAGE_PD] = table_at(shared[TOP_SLOT])[IMAGE_PD];
    uint64_t *boot_root = table_at(m->boot_root.v);
    for (unsigned slot = DIRECT_SLOT; slot < TOP_SLOT; slot++)
        boot_root[slot] = shared[slot];
    boot_root[TOP_SLOT] = own[TOP_SLOT];

    struct percpu *data = host_phys(m->frames, PERCPU_FRAMES * PAGE_SIZE);
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
    if (range.size == 0)
        return ERR_OK; /* an empty module */
    for (unsigned i = 0; i < m->view_count; i++)
        if (range_contains(m->view[i], range))
            return ERR_OK; /* a module may be given more than once */
    ASSERT(m->view_count < VIEW_MAX);
    m->view[m->view_count++] = range;
    return pt_map(&m->sealed, DIRECT_VIRT + from, hpa(from), to - from, attributes);
}

void memory_seal_image(void) {
    frames->sealed = true;
    ASSERT(pt_protect(&boot, (uintptr_t)sealed_start, (uint64_t)(sealed_end - sealed_start), PT_READ) ==
           ERR_OK);
    sealed = true; /* host_phys: from here on by the views */
}

void memory_unseal(void) {
    if (sealed)
        cpu_write_cr3(cpus[this_cpu.index].boot_root.v);
    sealed = false;
}
