/* SPDX-License-Identifier: Apache-2.0 */
/* The path of a boot, from GRUB to the guests. Reads as a table of contents; the chapters are elsewhere. */
#include "arch/x86/console_io.h"
#include "arch/x86/cpu.h"
#include "arch/x86/devices.h"
#include "arch/x86/lapic.h"
#include "arch/x86/memory.h"
#include "arch/x86/msr.h"
#include "arch/x86/percpu.h"
#include "arch/x86/smp.h"
#include "arch/x86/system.h"
#include "arch/x86/trap.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmx_cpu.h"
#include "boot/layout.h"
#include "core/boot_info.h"
#include "core/config.h"
#include "core/history.h"
#include "core/host.h"
#include "core/log.h"
#include "core/mtrr.h"
#include "core/partition_build.h"
#include "core/tsc.h"
#include "drivers/ioapic.h"
#include "drivers/timer_ref.h"

#define DEFAULT_UART        ((struct uart_place){0x3f8, 0})

#define CPUID1_MCE          BIT(7)
#define CPUID1_XSAVE        BIT(26)
#define CPUID7_SMEP         BIT(7)
#define CPUID7_SMAP         BIT(20)
#define CPUID7_UMIP         BIT(2)
#define CPUID_EXTENDED      0x80000000u
#define CPUID_INVARIANT     0x80000007u
#define CPUID_INVARIANT_EDX BIT(8)

static struct boot_info info __attribute__((section(".bss.sealed")));
static struct platform platform __attribute__((section(".bss.sealed")));
static struct system_config config __attribute__((section(".bss.sealed")));
static struct frames frames __attribute__((section(".bss.sealed")));
static struct partitions partitions __attribute__((section(".bss.sealed")));
static uint64_t boot_ticks __attribute__((section(".bss.sealed")));
static uint64_t tsc_khz __attribute__((section(".bss.sealed")));
static uint64_t cores __attribute__((section(".bss.sealed"))); /* that run */
static struct machine machine __attribute__((section(".bss.sealed")));

static uint64_t different; /* cores that are not like the boot core, atomic */
static unsigned failed;    /* partitions that could not be loaded, atomic */

void boot_main(uint64_t multiboot_info);
_Noreturn void cpu_main(void);
_Noreturn void cpu_enter(uint64_t cr3); /* start.S */

/* Something is wrong and has been said: nothing has been started. */
_Noreturn static void refuse(const char *why) {
    log_line("%s: nothing was started", why);
    console_forget();
    if (config.when_done == DONE_POWEROFF)
        system_end(&platform, DONE_POWEROFF);
    system_halt();
}

static void read_config(void) {
    const struct module *m = boot_info_module(&info, CONFIG_NAME);
    struct report report = {CONFIG_NAME, 0};
    if (m == NULL)
        refuse("no module named mullion.conf: give GRUB a line `module2 FILE mullion.conf`");
    else if (config_parse(host_phys(m->at, m->bytes), m->bytes, &config, &report) != ERR_OK) {
        log_line("%u errors in " CONFIG_NAME, report.errors);
        refuse("the configuration is wrong");
    }
    config.console = console_start(config.console, &info);
    if (!config.screen)
        console_screen_off();
}

static void init_frames(void) {
    uint64_t reach = BIT(vmx_phys_bits(&vmx_caps));
    boot_info_clip(&info, reach < DIRECT_END ? reach : DIRECT_END);
    enum err e = frames_init(&frames, info.memory, info.nr_memory);
    if (e == ERR_OK)
        e = mtrr_exclude(&vmx_caps, trap_msr_or_zero, &frames);
    if (e == ERR_OK)
        e = frames_reserve(&frames, memory_image_range());
    for (unsigned i = 0; i < info.nr_modules && e == ERR_OK; i++)
        e = frames_reserve(&frames, (struct range){info.modules[i].at.v, info.modules[i].bytes});
    if (e != ERR_OK)
        refuse("the memory map cannot be used");
}

static void keep_log(void) {
    struct history *last;
    hpa_t place = history_place(&frames, &last);
    if (last != NULL)
        history_tell(last);
    if (place.v == 0 || frames_reserve(&frames, (struct range){place.v, sizeof(*last)}) != ERR_OK)
        log_line("no free memory at 64 MiB or above: a reset will lose the log");
    else
        console_keep(place);
}

static void init_memory(void) {
    enum err e = memory_init(&frames, &info, &platform);
    for (unsigned i = 0; i < platform.nr_cpus && e == ERR_OK; i++)
        e = memory_cpu_build(i, platform.apic_ids[i]);
    if (e != ERR_OK)
        refuse("not enough memory for the hypervisor itself");
}

/* start.S comes here, on the boot stack and the bootstrap tables. */
void boot_main(uint64_t multiboot_info) {
    boot_ticks = cpu_rdtsc();
    trap_init();
    (void)console_start(DEFAULT_UART, &info);
    log_line("Mullion, loaded at 0x%lx", memory_image_range().base);
    vmx_caps_read(&vmx_caps, vmx_cpuid, cpu_rdmsr);
    enum err e = mb2_parse(hpa(multiboot_info), &info);
    console_screen(&info);
    if (e != ERR_OK)
        refuse("the boot loader's information cannot be read");
    read_config();
    if (acpi_parse(&info, &platform) != ERR_OK)
        refuse("the ACPI tables cannot be used");
    if (config.line_of[KEY_SYSTEM_CONSOLE] == 0 && platform.uart.address != 0)
        config.console = console_start(platform.uart, &info);
    platform.smt_shift = cpuid_smt_shift(vmx_cpuid);
    if (platform.has_8259)
        pic_disable();
    lapic_init(platform.lapic);
    platform_boot_core_first(&platform, lapic_id());
    console_cores(platform.nr_cpus);
    init_frames();
    keep_log();
    init_memory();
    cpu_enter(memory_cpu_cr3(0));
}

/* All zeros where this CPU has no such leaf. */
static struct cpuid_regs cpuid_or_zero(uint32_t leaf) {
    return cpu_cpuid(leaf & CPUID_EXTENDED, 0).eax >= leaf ? cpu_cpuid(leaf, 0) : (struct cpuid_regs){0};
}

static bool invariant_tsc(void) {
    return (cpuid_or_zero(CPUID_INVARIANT).edx & CPUID_INVARIANT_EDX) != 0;
}

static void measure_tsc(void) {
    struct cpuid_regs l15 = cpuid_or_zero(0x15);
    uint64_t claimed = tsc_khz_claimed(l15.eax, l15.ebx, l15.ecx, cpuid_or_zero(0x16).eax);
    uint64_t measured = timer_measure_tsc_khz(&platform);
    tsc_khz = tsc_khz_choose(claimed, measured);
    if (tsc_khz == 0)
        refuse("the speed of the TSC is not known: no ACPI PM timer, no CPUID leaf 15H");
    log_line("TSC runs at %lu kHz", tsc_khz);
    if (!invariant_tsc())
        log_line("tsc: this CPU does not promise that it runs at that rate in every state (not invariant)");
}

static void start_cores(void) {
    hpa_t page;
    if (frames_alloc_low(&frames, &page) != ERR_OK)
        refuse("no page below 640 KiB is free for starting the other cores");
    smp_init(&platform, page);
    measure_tsc();
    cores = smp_start(tsc_khz);
    for (unsigned i = 0; i < platform.nr_cpus; i++)
        if ((cores & BIT(i)) == 0)
            log_line("core %u (APIC id %u) does not answer and is left out", i, platform.apic_ids[i]);
    cores &= ~different;
    log_line("%u of %u cores run", count_bits(cores), platform.nr_cpus);
    machine =
        (struct machine){cores, frames_free_bytes(&frames), &info, &platform, BIT(vmx_phys_bits(&vmx_caps))};
}

static void check_config(void) {
    struct report report = {CONFIG_NAME, 0};
    if (config_check(&config, &machine, &report) != ERR_OK) {
        log_line("%u errors in " CONFIG_NAME, report.errors);
        refuse("the configuration does not fit");
    }
    config_print(&config);
}

/* What only the boot core does, while the others wait. */
static void boot_system(void) {
    start_cores();
    if (vmx_ctl_resolve(&vmx_caps, &vmx_controls) != ERR_OK)
        refuse("this machine cannot run Mullion");
    check_config();
    if (partitions_build(&partitions, &config, &info, &vmx_caps, &memory_map) != ERR_OK)
        refuse("the partitions cannot be built");
    vcpu_bitmaps_init();
    system_init(&config, &platform, tsc_khz);
    console_route(&config, &platform);
    smp_release(cores);
}

/* CR4 bits for our own protection and the one that lets us set a guest's XCR0. */
static void cpu_features(void) {
    struct cpuid_regs l1 = cpu_cpuid(1, 0), l7 = cpuid_or_zero(7);
    uint64_t cr4 = cpu_read_cr4();
    cr4 |= (l1.edx & CPUID1_MCE) != 0 ? CR4_MCE : 0; /* without it a machine check is a shutdown */
    cr4 |= (l7.ebx & CPUID7_SMEP) != 0 ? CR4_SMEP : 0;
    cr4 |= (l7.ebx & CPUID7_SMAP) != 0 ? CR4_SMAP : 0;
    cr4 |= (l7.ecx & CPUID7_UMIP) != 0 ? CR4_UMIP : 0;
    cr4 |= (l1.ecx & CPUID1_XSAVE) != 0 ? CR4_OSXSAVE : 0;
    cpu_write_cr4(cr4);
    cpu_wrmsr(IA32_PAT, PAT_HOST); /* what our page tables assume */
    cpu_write_cr3(cpu_read_cr3());
}

/* This core's part in building: its vCPU, a share of its memory; the first core of a partition, its images.
 */
static void prepare_vcpu(void) {
    struct vcpu *v = partitions.vcpus[this_cpu.index];
    enum err e = ERR_OK;
    this_cpu.vcpu = v;
    if (v != NULL) {
        vcpu_init(v, (uint32_t)tsc_khz, invariant_tsc());
        e = partition_scrub(v->partition, v->index, v->partition->nr_vcpus);
    }
    smp_barrier();
    if (v != NULL && v->index == 0 && e == ERR_OK) {
        devices_reset(v->partition);
        e = partition_load(v->partition);
    }
    if (e != ERR_OK)
        __atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
}

/* What the hypervisor keeps for itself: image, tables, per-core pages; not the modules. */
static uint64_t own_bytes(void) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < frames.own.count; i++)
        sum += frames.own.ranges[i].size;
    for (unsigned i = 0; i < info.nr_modules; i++)
        sum -= align_up(info.modules[i].bytes, PAGE_SIZE);
    return sum;
}

/* All or none: the boot core has the last word before anything is entered. */
static void seal(void) {
    smp_barrier();
    if (this_cpu.index == 0) {
        if (failed != 0)
            refuse("not every partition could be loaded");
        log_line("%lu KiB in use by the hypervisor, %lu million ticks from entry to launch",
                 own_bytes() >> 10, (cpu_rdtsc() - boot_ticks) / 1000000);
        console_launch(&config);
        memory_seal_image();
    }
    smp_barrier();
    cpu_write_cr3(this_cpu.sealed_cr3);
}

/* Every core, the boot core too, on its own stack and tables. */
void cpu_main(void) {
    trap_load();
    cpu_features();
    lapic_init(platform.lapic);
    if (this_cpu.index == 0) {
        boot_system();
    } else {
        if (!vmx_same_as_boot())
            __atomic_fetch_or(&different, BIT(this_cpu.index), __ATOMIC_ACQ_REL);
        if (!smp_join())
            system_halt();
    }
    vmx_cpu_on();
    prepare_vcpu();
    seal();
    vcpu_run();
}
