/* SPDX-License-Identifier: Apache-2.0 */
/* What the page tables of a core have to refuse. The test says where: what it cannot know from the image is
 * told just before the seal. */
#include "arch/x86/cpu.h"
#include "arch/x86/memory.h"
#include "arch/x86/trap.h"
#include "arch/x86/vcpu.h"
#include "core/host.h"
#include "core/log.h"
#include "tests/attack/attack.h"

#define PTE_USER  BIT(2)
#define PTE_NX    BIT(63)
#define PTE_FRAME UINT64_C(0xffffffffff000)
#define STEP      (MIB(32) + PAGE_SIZE) /* where nothing is expected */

/* A page of user space in root mode, with a RET. */
static uint8_t attack_user[PAGE_SIZE] __attribute__((aligned(4096))) = {0xc3};

void __real_memory_seal_image(void);
void __wrap_memory_seal_image(void);

/* ---- Before the seal ---- */
static void make_user_page(void) {
    uint64_t at = (uintptr_t)attack_user, table = this_cpu.sealed_cr3;
    for (unsigned shift = 39; shift >= 12; shift -= 9) {
        uint64_t *entry = (uint64_t *)host_phys(hpa(table & PTE_FRAME), PAGE_SIZE) + (at >> shift & 511);
        *entry = (*entry | PTE_USER) & ~PTE_NX;
        table = *entry;
    }
}

static void tell(unsigned cpu, const struct host_cpu *core) {
    const struct percpu *data = host_phys(core->frames, PAGE_SIZE);
    log_line("core %u: own 0x%lx tables 0x%lx vmcs 0x%lx", cpu, core->frames.v, core->sealed.root.v,
             data->vmcs.v);
    if (data->vcpu == NULL)
        return;
    const struct partition *p = data->vcpu->partition;
    log_line("core %u: ram 0x%lx ept 0x%lx ports 0x%lx struct 0x%lx", cpu,
             p->map.regions[p->map.count - 1].hpa.v, p->ept_pointer & PTE_FRAME, p->io_bitmaps.v,
             (uintptr_t)p - DIRECT_VIRT);
}

void __wrap_memory_seal_image(void) {
    const struct host_map *map = &memory_map;
    for (unsigned cpu = 0; map->cpus[cpu].frames.v != 0; cpu++)
        tell(cpu, &map->cpus[cpu]);
    make_user_page();
    __real_memory_seal_image();
}

/* ---- The attacks ---- */
rarely static void attack_read(uint64_t at) {
    (void)*(volatile uint8_t *)at;
}

rarely static void attack_write(uint64_t at) {
    *(volatile uint8_t *)at = *(volatile uint8_t *)at;
}

rarely static void attack_run(uint64_t at) {
    ((void (*)(void))at)();
}

/* Not a tail call, or it would be a loop. */
void attack_overflow(uint64_t depth) {
    volatile uint64_t here = depth;
    if (here != UINT64_MAX)
        attack_overflow(here + 1);
    here = depth;
}

/* Each access alone, as it would be; with a capital letter the panic is averted, and the answer is whether it
 * came. */
#define ACCESS(name)                                                                                         \
    static struct verdict name(struct vcpu *v, uint64_t argument) {                                          \
        attack_##name(argument);                                                                             \
        return attack_answer(0);                                                                             \
    }                                                                                                        \
    static struct verdict name##_averted(struct vcpu *v, uint64_t argument) {                                \
        return attack_answer(attack_averted(attack_##name, argument, true));                                 \
    }

ACCESS(read)
ACCESS(write)
ACCESS(run)
ACCESS(overflow)

static struct verdict alloc(struct vcpu *v, uint64_t argument) {
    hpa_t at;
    return attack_answer(frames_alloc(memory_map.frames, PAGE_SIZE, &at));
}

static struct verdict registers(struct vcpu *v, uint64_t argument) {
    log_line("CR0 %08lx CR4 %08lx EFER %08lx", cpu_read_cr0(), cpu_read_cr4(), cpu_rdmsr(IA32_EFER));
    return attack_answer(0);
}

static bool sees(const struct range *ranges, unsigned count, uint64_t frame) {
    bool does = false;
    for (unsigned i = 0; i < count; i++)
        does |= range_contains(frames_pages(ranges[i], true), (struct range){frame, PAGE_SIZE});
    return does;
}

/* What this partition's core may see of physical memory, from the partition alone. */
static unsigned list_own(const struct partition *p, struct range *out, unsigned *read_only) {
    unsigned count = 0;
    for (unsigned i = 0; i < p->map.count; i++)
        if (p->map.regions[i].kind != REGION_DEVICE)
            out[count++] = guest_region_frames(&p->map.regions[i]);
    out[count++] = (struct range){(uintptr_t)p - DIRECT_VIRT, sizeof(*p) + p->nr_vcpus * sizeof(struct vcpu)};
    *read_only = count;
    out[count++] = (struct range){p->kernel->at.v, p->kernel->bytes};
    for (unsigned i = 0; i < p->nr_modules; i++)
        out[count++] = (struct range){p->modules[i]->at.v, p->modules[i]->bytes};
    return count;
}

/* Every page below `argument`, and some far beyond: read, write, and is it what is this partition's? */
static struct verdict sweep(struct vcpu *v, uint64_t argument) {
    struct range own[HOST_VIEW_MAX];
    unsigned writable, count = list_own(v->partition, own, &writable), read = 0, written = 0, wrong = 0;
    for (uint64_t frame = 0; frame < GIB(64); frame += frame < argument ? PAGE_SIZE : STEP) {
        bool r = !attack_averted(attack_read, DIRECT_VIRT + frame, false);
        bool w = r && !attack_averted(attack_write, DIRECT_VIRT + frame, false);
        read += r;
        written += w;
        wrong += r != sees(own, count, frame) || w != sees(own, writable, frame);
    }
    log_line("sweep: %u pages can be read, %u written, %u wrongly", read, written, wrong);
    return attack_answer(wrong);
}

const struct attack memory_attacks[] = {
    {"read", read},         {"write", write},         {"run", run},         {"stack", overflow},
    {"Read", read_averted}, {"Write", write_averted}, {"Run", run_averted}, {"Stack", overflow_averted},
    {"alloc", alloc},       {"control", registers},   {"sweep", sweep},     {"", NULL},
};
