/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and switches the hypervisor's own page tables with core/pagetable. Policy is in memory.h's contract:
 * who sees what, when. */
#include "arch/x86/memory.h"

#include "arch/x86/cpu.h"
#include "arch/x86/percpu.h"
#include "boot/layout.h"
#include "core/host.h"

#define BOOT_CACHED (BIT(63) | 0x83) /* XD, large */
#define BOOT_UNCACHED                                                                                        \
    (BIT(63) | 0x93) /* and PCD without PWT: uncached, but write-combining where the MTRRs say so */
#define CPUID_1G  BIT(26)
#define CPU_EXTRA 2 /* frames of a CPU behind its pages: the VMXON region, the VMCS */

struct host_map memory_map __attribute__((section(".bss.sealed")));
static struct host_layout layout __attribute__((section(".bss.sealed")));
static struct {
    struct range physical;
    unsigned attributes;
} windows[WINDOW_COUNT] __attribute__((section(".bss.sealed")));
static bool sealed;

extern const char image_start[], text_end[], rodata_end[], sealed_start[], sealed_end[];
extern const char boot_stack_guard[], boot_pml4[], image_end[];
static const char *image_used = image_end; /* up to here */
extern uint64_t boot_pd_image[];
extern const uint32_t boot_image_phys; /* where the image was loaded: start.S */

/* The pages of one CPU, in the order in which their frames lie. */
static const struct range percpu_pages[HOST_PARTS] = {
    {PERCPU_DATA, PAGE_SIZE},
    {PERCPU_STACK, PERCPU_STACK_TOP - PERCPU_STACK},
    {PERCPU_NMI, PERCPU_NMI_TOP - PERCPU_NMI},
    {PERCPU_FAULT, PERCPU_FAULT_TOP - PERCPU_FAULT},
};
#define PERCPU_FRAMES 5

hpa_t memory_image_phys(const void *symbol) {
    return hpa((uintptr_t)symbol - IMAGE_VIRT + boot_image_phys);
}

void memory_image_trim(const void *end) {
    image_used = (const char *)align_up((uintptr_t)end, PAGE_SIZE);
}

struct range memory_image_range(void) {
    return (struct range){boot_image_phys, (uintptr_t)image_used - IMAGE_VIRT};
}

bool memory_has_stack(uint64_t at, uint64_t bytes) {
    const struct range first = {(uintptr_t)boot_stack_guard + PAGE_SIZE, BOOT_STACK_BYTES},
                       want = {at, bytes};
    bool has = range_contains(first, want);
    for (unsigned i = 0; i < ARRAY_SIZE(percpu_pages); i++)
        has |= range_contains(percpu_pages[i], want);
    return has;
}

static bool on_bootstrap_tables(void) {
    return cpu_read_cr3() == memory_image_phys(boot_pml4).v;
}

unsigned memory_this_cpu(void) {
    return on_bootstrap_tables() ? 0 : this_cpu.index;
}

void *host_phys(hpa_t at, uint64_t bytes) {
    const struct range want = {at.v, bytes};
    bool seen = sealed                  ? host_map_sees(&memory_map, this_cpu.index, want)
                : on_bootstrap_tables() ? range_contains((struct range){0, BOOT_MAP_END}, want)
                                        : host_map_sees_at_boot(&memory_map, want);
    return seen ? (void *)(DIRECT_VIRT + at.v) : NULL;
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
        struct range r = frames_pages(windows[i].physical, true);
        if (r.size > 0)
            e = pt_map(&memory_map.boot, window_virt(i) + r.base % PAGE_2M, hpa(r.base), r.size,
                       windows[i].attributes);
    }
    return e;
}

enum err memory_init(struct frames *frames, const struct boot_info *info, const struct platform *platform) {
    const struct {
        const char *from, *to;
        unsigned attributes;
    } parts[HOST_PARTS] = {
        {image_start, text_end, PT_RX},
        {text_end, rodata_end, PT_READ},
        {rodata_end, boot_stack_guard, PT_RW},
        {boot_stack_guard + PAGE_SIZE, image_used, PT_RW},
    };
    for (unsigned i = 0; i < HOST_PARTS; i++) {
        layout.image[i].at =
            (struct range){(uintptr_t)parts[i].from, (uint64_t)(parts[i].to - parts[i].from)};
        layout.image[i].attributes = parts[i].attributes;
        layout.percpu[i] = percpu_pages[i];
    }
    layout.direct = DIRECT_VIRT;
    layout.image_phys = memory_image_phys(image_start);
    enum err e = host_map_init(&memory_map, &layout, frames,
                               (cpu_cpuid(0x80000001, 0).edx & CPUID_1G) != 0 ? 3 : 2, info, platform);
    return e == ERR_OK ? map_windows() : e;
}

enum err memory_cpu_build(unsigned cpu, uint32_t apic_id) {
    enum err e = host_map_cpu(&memory_map, cpu, CPU_EXTRA);
    if (e != ERR_OK)
        return e;
    struct percpu *data = host_phys(memory_map.cpus[cpu].frames, PAGE_SIZE);
    ASSERT(data != NULL);
    data->index = cpu;
    data->apic_id = apic_id;
    data->vmxon_region = hpa(memory_map.cpus[cpu].frames.v + PERCPU_FRAMES * PAGE_SIZE);
    data->vmcs = hpa(data->vmxon_region.v + PAGE_SIZE);
    data->sealed_cr3 = memory_map.cpus[cpu].sealed.root.v;
    return ERR_OK;
}

uint64_t memory_cpu_cr3(unsigned cpu) {
    return memory_map.cpus[cpu].boot_root.v;
}

void memory_seal_image(void) {
    memory_map.frames->sealed = true;
    ASSERT(pt_protect(&memory_map.boot, (uintptr_t)sealed_start, (uint64_t)(sealed_end - sealed_start),
                      PT_READ) == ERR_OK);
    sealed = true; /* host_phys: from here on by the views */
}

void memory_unseal(void) {
    if (sealed)
        cpu_write_cr3(memory_map.cpus[this_cpu.index].boot_root.v);
    sealed = false;
}
