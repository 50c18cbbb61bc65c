/* SPDX-License-Identifier: Apache-2.0 */
/* How the machine ends. */
#include "arch/x86/system.h"

#include "arch/x86/console_io.h"
#include "arch/x86/cpu.h"
#include "arch/x86/memory.h"
#include "arch/x86/smp.h"
#include "arch/x86/vmx_cpu.h"
#include "core/log.h"
#include "drivers/power.h"
#include "drivers/timer_ref.h"

static const struct system_config *config __attribute__((section(".bss.sealed")));
static const struct platform *platform __attribute__((section(".bss.sealed")));
static uint64_t start_time, start_tsc, tsc_hz;
static unsigned running; /* partitions, atomic */
static unsigned crashed; /* of those that stopped, atomic */

void system_init(const struct system_config *c, const struct platform *p, uint64_t tsc_khz) {
    config = c;
    platform = p;
    tsc_hz = tsc_khz * 1000;
    start_time = timer_read_clock();
    start_tsc = cpu_rdtsc();
    running = c->nr_partitions;
}

uint64_t system_time(void) {
    return start_time + (cpu_rdtsc() - start_tsc) / tsc_hz;
}

/* Nothing that was refused or absorbed goes without a number. */
static void log_counters(const struct partition *p) {
    uint64_t exits = 0, msrs = 0, ports = 0, accesses = 0;
    for (unsigned i = 0; i < p->nr_vcpus; i++) {
        exits += vcpu_exits(&p->vcpus[i]);
        msrs += p->vcpus[i].denied_msrs;
        ports += p->vcpus[i].denied_ports;
        accesses += p->vcpus[i].bad_accesses;
    }
    log_line("%s: %lu exits; refused or absent: %lu MSR accesses, %lu ports, %lu memory accesses",
             p->config->name, exits, msrs, ports, accesses);
}

static const char *const then[] = {
    [DONE_HALT] = "halt", [DONE_POWEROFF] = "power off", [DONE_REBOOT] = "reboot"};

void system_partition_stopped(const struct partition *p) {
    static const char *const causes[] = {[STOP_ASKED] = "as it asked",
                                         [STOP_RESET] = "at its reset",
                                         [STOP_CRASHED] = "crashed",
                                         [STOP_BROKEN] = "for good: the machine is damaged"};
    if (p->cause != STOP_ASKED)
        __atomic_fetch_add(&crashed, 1, __ATOMIC_ACQ_REL);
    log_counters(p);
    log_line("%s: stopped, %s", p->config->name, causes[p->cause]);
    console_partition_stopped(p->id);
    if (__atomic_sub_fetch(&running, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    log_line("all partitions have stopped, %u of them not by their own wish: %s", crashed,
             then[config->when_done]);
    if (config->when_done != DONE_HALT)
        system_end(platform, config->when_done);
}

/* On the last core. */
_Noreturn static void machine_end(const struct platform *p, enum when_done how) {
    vmx_cpu_off();
    memory_unseal();
    if (how == DONE_POWEROFF) {
        power_off(p);
        log_line("this machine cannot be switched off by software: it is now safe to turn it off");
    } else if (how == DONE_REBOOT) {
        power_reset(p);
        cpu_triple_fault();
    }
    system_halt();
}

void system_end(const struct platform *p, enum when_done how) {
    smp_stop_others();
    console_flush();
    machine_end(p, how);
}

void system_panicked(bool say_so) {
    enum when_done how = config != NULL ? config->on_panic : DONE_HALT;
    if (say_so)
        log_line("the machine is stopped: %s", then[how]);
    machine_end(platform, how);
}

void system_halt(void) {
    for (;;)
        cpu_hlt();
}
