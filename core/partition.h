/* SPDX-License-Identifier: Apache-2.0 */
/* A partition and its vCPUs: everything that is known of them at run time, the states they go
 * through, and what "stopped" means. Lives in frames that only the partition's own cores map. */
#pragma once

#include "core/boot_info.h"
#include "core/config.h"
#include "core/cpuid_policy.h"
#include "core/cr_policy.h"
#include "core/guest_map.h"
#include "core/load.h"
#include "core/lock.h"
#include "core/msr_policy.h"
#include "core/vioapic.h"
#include "core/vlapic.h"
#include "core/vuart.h"

#define VCPU_EXIT_REASONS 87 /* 0 to 85 have names; the last counts all others */

/* General registers in the order of their numbers in an instruction. The exit stub pushes them. */
struct guest_regs {
    union {
        struct {
            uint64_t rax, rcx, rdx, rbx;
            uint64_t rsp; /* not here: in the VMCS */
            uint64_t rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
        };
        uint64_t gpr[16];
    };
};

struct partition;

/* On the way from an exit to the next entry a core writes to its own stack, percpu page, VMCS and struct vcpu
 * only, reads what is sealed, and takes no lock. Cores meet where a guest asks for it: `pending` and `lapic`
 * of a vCPU that an IPI goes to, the two devices under `lock`, the console, a partition that stops. */
struct vcpu {
    struct partition *partition;
    unsigned index;   /* in the partition = the guest's APIC id */
    unsigned cpu;     /* the core it is pinned to */
    uint32_t apic_id; /* of that core */
    bool waits_for_sipi;
    uint32_t pending;        /* VCPU_PENDING_*, atomic */
    uint32_t held_interrupt; /* vector the guest gets at its interrupt window */
    uint64_t trace_left;     /* instructions still to be single-stepped */
    uint64_t wait_rip;       /* behind the VMCALL of the last HYPERCALL_WAIT */

    struct vlapic lapic;
    struct msr_state msrs;
    struct cr_policy cr;
    struct cpuid_table cpuid;

    uint64_t exits[VCPU_EXIT_REASONS];
    uint64_t denied_msrs, denied_ports, bad_accesses; /* refused or absorbed */
} __attribute__((aligned(CACHE_LINE)));

enum partition_state {
    PARTITION_RUNNING,
    PARTITION_STOPPING, /* one vCPU has stopped it, the others are on their way */
    PARTITION_STOPPED,
};

enum stop_cause {
    STOP_NONE,
    STOP_ASKED,   /* the guest asked for it */
    STOP_RESET,   /* the guest reset itself */
    STOP_CRASHED, /* it did something that no machine survives */
    STOP_BROKEN,  /* the state of a core or an EPT is lost: never to start again */
};

struct partition {
    const struct partition_config *config;
    unsigned id;
    struct guest_map map;
    uint64_t ept_pointer;
    hpa_t io_bitmaps; /* A, then B */
    const struct module *kernel, *modules[LOAD_MAX_MODULES];
    unsigned nr_modules;
    struct guest_start start;

    enum partition_state state; /* atomic */
    enum stop_cause cause;
    uint64_t parked;   /* cores that have noticed, atomic */
    uint32_t restarts; /* atomic; whoever is parked waits for the next */

    uint8_t cmos_index; /* of the clock, last written to port 70H */
    struct lock lock;   /* of the two devices below */
    struct vuart uart;
    struct vioapic ioapic;

    unsigned nr_vcpus;
    const struct vlapic *lapics[MAX_CPUS]; /* of all vCPUs, for routing */
    struct vcpu vcpus[];
};

/* All exits of a vCPU. */
uint64_t vcpu_exits(const struct vcpu *v);

/* Zero one of `parts` equal parts of the partition's memory. On one of its own cores. */
must_check enum err partition_scrub(struct partition *p, unsigned part, unsigned parts);

/* Put tables and images into the partition's memory, which was scrubbed. Leaves the first vCPU's start state
 * in p->start. On one of the partition's own cores. */
must_check enum err partition_load(struct partition *p);

/* Stop the partition of which this core runs a vCPU. True for the first to say so: its cause
 * counts. The caller then parks and kicks the other cores. */
bool partition_stop(struct partition *p, enum stop_cause cause);

/* Now that all vCPUs are parked: is it to start again? */
bool partition_restarts(const struct partition *p);
