/* SPDX-License-Identifier: Apache-2.0 */
/* Where the guest's view of its local APIC differs from the real one, which it owns: identity,
 * mode, logical address, IPIs, and what the LVT may ask for; and which vCPUs of a partition an
 * interrupt is for. The real one is always in x2APIC mode. Pure: verdicts out, the caller touches
 * hardware. A vCPU writes only its own struct vlapic; others may read it (routing) at any time. */
#pragma once

#include "core/types.h"

/* Register index: offset in the xAPIC page >> 4, and MSR number - 800H. ISR, TMR and IRR are 8 registers
 * each. DFR and ICR_HIGH are there in xAPIC mode only, SELF_IPI in x2APIC mode only. */
enum { APIC_ID = 0x02, APIC_VERSION, APIC_TPR = 0x08, APIC_PPR = 0x0a, APIC_EOI, APIC_LDR = 0x0d };
enum { APIC_DFR = 0x0e, APIC_SVR, APIC_ISR = 0x10, APIC_IRR = 0x20, APIC_ESR = 0x28, APIC_LVT_CMCI = 0x2f };
enum { APIC_ICR = 0x30, APIC_ICR_HIGH, APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PMC, APIC_LVT_LINT0 };
enum { APIC_LVT_LINT1 = 0x36, APIC_LVT_ERROR, APIC_INITIAL_COUNT, APIC_CURRENT_COUNT };
enum { APIC_DIVIDE = 0x3e, APIC_SELF_IPI, VLAPIC_REGS };

enum vlapic_mode { VLAPIC_DISABLED, VLAPIC_XAPIC, VLAPIC_X2APIC };

struct vlapic {
    uint32_t id; /* index of the vCPU in its partition */
    enum vlapic_mode mode;
    uint64_t base_msr;          /* IA32_APIC_BASE as the guest reads it */
    uint32_t regs[VLAPIC_REGS]; /* those that are not the real one's, as read in the present mode */
    uint32_t errors;            /* for ESR, until it is written */
    bool tsc_deadline;
};

enum vlapic_verdict {
    VLAPIC_DONE,     /* read: the value is given; write: absorbed */
    VLAPIC_HARDWARE, /* read: real register `reg`, with the bits of the value added; write: as `effect` says
                      */
    VLAPIC_IPI,      /* write: effect->value is an ICR for vlapic_route */
    VLAPIC_RESET,    /* APIC_BASE write: put the real registers into their reset state */
    VLAPIC_GP,
};

struct vlapic_effect {
    unsigned reg; /* real register to write, and the value: never one that faults */
    uint64_t value;
};

/* State after power-up: xAPIC mode, software-disabled. tsc_deadline: the real timer has the mode. */
void vlapic_reset(struct vlapic *v, uint32_t id, bool bsp, bool tsc_deadline);

/* What INIT does: registers as after reset, mode and id stay. The caller resets the real ones. */
void vlapic_init_signal(struct vlapic *v);

/* `via` is VLAPIC_XAPIC for the page, VLAPIC_X2APIC for an MSR. The way that is not open in the
 * present mode: #GP for an MSR, all ones and ignored for the page. */
must_check enum vlapic_verdict vlapic_read(const struct vlapic *v, enum vlapic_mode via, unsigned reg,
                                           uint64_t *value);
must_check enum vlapic_verdict vlapic_write(struct vlapic *v, enum vlapic_mode via, unsigned reg,
                                            uint64_t value, struct vlapic_effect *effect);

/* WRMSR of IA32_APIC_BASE. DONE, RESET or GP; v->mode is the new mode. The page cannot be moved. */
must_check enum vlapic_verdict vlapic_write_base(struct vlapic *v, uint64_t value);

struct ipi {
    enum { IPI_NONE, IPI_FIXED, IPI_NMI, IPI_INIT, IPI_SIPI } kind;
    uint8_t vector;
    uint64_t targets; /* bit n = vCPU n; 0 with IPI_NONE */
};

/* The common case of vlapic_write of an ICR and vlapic_route in one: a fixed interrupt from x2APIC mode
 * without a shorthand, all targets in that mode. False: it is not that, and nothing has been done. */
must_check bool vlapic_plain_ipi(struct vlapic *self, const struct vlapic *const *all, unsigned count,
                                 uint64_t icr, uint64_t *targets);

/* Who gets what from an ICR that vCPU `self` wrote, or from an IOAPIC's redirection entry. all[n]
 * is vCPU n of the partition: nothing else can be addressed. IPI_NONE: nobody, or nothing that may
 * be sent (SMI, remote read, a reserved mode, an illegal vector). */
void vlapic_route(const struct vlapic *const *all, unsigned count, unsigned self, uint64_t icr,
                  struct ipi *out);
void vlapic_route_message(const struct vlapic *const *all, unsigned count, uint64_t entry, struct ipi *out);

/* What other cores want of a vCPU, which looks at it when kicked: bits, and a SIPI's vector. */
#define VCPU_PENDING_INIT 1u
#define VCPU_PENDING_SIPI 2u
#define VCPU_PENDING_NMI  4u
#define VCPU_SIPI_SHIFT   8

/* Add an IPI to that. In the order in which they come: INIT forgets what came before it, and of
 * several SIPIs the first one counts. */
uint32_t vlapic_post(uint32_t pending, const struct ipi *ipi);
