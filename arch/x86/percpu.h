/* SPDX-License-Identifier: Apache-2.0 */
/* What one CPU has for itself, at the same virtual address on every CPU and mapped only there. */
#pragma once

#include "boot/layout.h"
#include "core/types.h"
#include "core/vmx_ctl.h"

struct vcpu;

struct tss { /* "Task Management in 64-bit Mode" */
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "TSS size by the SDM");

struct percpu {
    uint8_t kicked;    /* an NMI came: look for work before the next VM entry; first, for vmx_exit.S */
    unsigned index;    /* as in the boot log; 0 = boot core */
    struct vcpu *vcpu; /* NULL: this CPU has nothing to run */
    uint32_t apic_id;
    hpa_t vmxon_region, vmcs;
    uint64_t sealed_cr3;  /* tables that hold only what this CPU may see while guests run */
    const char *stop_why; /* of the last exit_stop */

    uint64_t gdt[6]; /* null, code64, data, code32, TSS (two slots) */
    struct tss tss;
};

/* The symbol is an address fixed by linker.ld: reading a field is one instruction. */
extern struct percpu this_cpu;

_Static_assert(sizeof(struct percpu) <= PAGE_SIZE, "percpu data fits its page");
_Static_assert(__builtin_offsetof(struct percpu, kicked) == 0, "vmx_exit.S");
_Static_assert(__builtin_offsetof(struct percpu, vcpu) == PERCPU_VCPU, "vmx_exit.S");
