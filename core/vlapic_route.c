/* SPDX-License-Identifier: Apache-2.0 */
/* From an ICR or an IOAPIC's entry to the vCPUs it is for: "Issuing Interprocessor Interrupts",
 * "Determining IPI Destination". Reads the partition's struct vlapics, writes only its result. */
#include "core/vlapic.h"

#define ICR_LOGICAL  BIT(11)
#define ICR_ASSERT   BIT(14)
#define ICR_LEVEL    BIT(15)
#define SVR_ENABLE   0x100u
#define FIRST_VECTOR 16 /* below: illegal */

enum { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS }; /* ICR bits 19:18 */
#define MODE_LOWEST 1

static unsigned ipi_kind(uint64_t icr) {
    static const uint8_t kinds[8] = {IPI_FIXED, IPI_FIXED, 0, 0, IPI_NMI, IPI_INIT, IPI_SIPI, 0};
    unsigned kind = kinds[icr >> 8 & 7], shorthand = icr >> 18 & 3;
    if (kind == IPI_FIXED)
        return (uint8_t)icr >= FIRST_VECTOR ? kind : IPI_NONE;
    if (kind == IPI_INIT && (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
        return IPI_NONE; /* the level de-assert is a thing of the past: nothing happens */
    return shorthand == TO_DESTINATION || shorthand == TO_OTHERS ? kind : IPI_NONE;
}

struct destination {
    uint32_t id; /* or logical mask */
    bool logical, broadcast;
    uint64_t among; /* the vCPUs that come into question */
};

/* May run while the target's vCPU changes its registers: each is read once. */
static bool is_target(const struct vlapic *t, const struct destination *d) {
    enum vlapic_mode mode = __atomic_load_n(&t->mode, __ATOMIC_RELAXED);
    uint32_t ldr = __atomic_load_n(&t->regs[APIC_LDR], __ATOMIC_RELAXED);
    uint32_t dfr = __atomic_load_n(&t->regs[APIC_DFR], __ATOMIC_RELAXED);
    if (mode == VLAPIC_DISABLED || d->broadcast)
        return mode != VLAPIC_DISABLED;
    if (!d->logical)
        return d->id == t->id;
    if (mode == VLAPIC_X2APIC)
        return ldr >> 16 == d->id >> 16 && (ldr & d->id & 0xffff) != 0;
    ldr >>= 24;
    if (dfr >> 28 == 0xf) /* flat */
        return (ldr & d->id) != 0;
    return ldr >> 4 == d->id >> 4 && (ldr & d->id & 0xf) != 0;
}

/* Lowest priority takes one: the first whose APIC would accept it. */
static uint64_t pick_lowest(const struct vlapic *const *all, uint64_t targets) {
    uint64_t left = targets;
    while (left != 0 &&
           (__atomic_load_n(&all[__builtin_ctzll(left)]->regs[APIC_SVR], __ATOMIC_RELAXED) & SVR_ENABLE) == 0)
        left &= left - 1;
    return left != 0 ? left & -left : targets & -targets;
}

static void route(const struct vlapic *const *all, unsigned count, uint64_t icr, const struct destination *d,
                  struct ipi *out) {
    unsigned kind = ipi_kind(icr);
    uint64_t targets = 0;
    for (unsigned n = 0; n < count && kind != IPI_NONE; n++)
        targets |= (d->among & BIT(n)) != 0 && is_target(all[n], d) ? BIT(n) : 0;
    if ((icr >> 8 & 7) == MODE_LOWEST)
        targets = pick_lowest(all, targets);
    *out = (struct ipi){.kind = targets == 0 ? IPI_NONE : kind, .vector = (uint8_t)icr, .targets = targets};
}

void vlapic_route(const struct vlapic *const *all, unsigned count, unsigned self, uint64_t icr,
                  struct ipi *out) {
    bool x2 = all[self]->mode == VLAPIC_X2APIC;
    unsigned shorthand = icr >> 18 & 3;
    uint32_t id = (uint32_t)(icr >> (x2 ? 32 : 56));
    struct destination d = {
        .id = id,
        .logical = (icr & ICR_LOGICAL) != 0,
        .broadcast = shorthand != TO_DESTINATION || id == (x2 ? UINT32_MAX : 0xff),
        .among = shorthand == TO_SELF     ? BIT(self)
                 : shorthand == TO_OTHERS ? ~BIT(self)
                                          : UINT64_MAX,
    };
    route(all, count, icr, &d, out);
}

bool vlapic_plain_ipi(struct vlapic *self, const struct vlapic *const *all, unsigned count, uint64_t icr,
                      uint64_t *targets) {
    uint32_t id = (uint32_t)(icr >> 32), low = (uint32_t)icr, place = id;
    uint64_t to = 1;
    if ((low & ~(ICR_LOGICAL | ICR_ASSERT | 0xff)) != 0 || (uint8_t)low < FIRST_VECTOR ||
        self->mode != VLAPIC_X2APIC)
        return false;
    if ((low & ICR_LOGICAL) != 0) { /* a cluster and 16 bits: "Logical Destination Mode in x2APIC Mode" */
        place = id >> 16 << 4;
        to = id & 0xffff;
    }
    if (place >= count)
        return false;
    to = to << place & (UINT64_MAX >> (64 - count));
    for (uint64_t left = to; left != 0; left &= left - 1)
        if (__atomic_load_n(&all[__builtin_ctzll(left)]->mode, __ATOMIC_RELAXED) != VLAPIC_X2APIC)
            return false;
    self->regs[APIC_ICR] = low;
    self->regs[APIC_ICR_HIGH] = id;
    *targets = to;
    return true;
}

void vlapic_route_message(const struct vlapic *const *all, unsigned count, uint64_t entry, struct ipi *out) {
    struct destination d = {(uint32_t)(entry >> 56), (entry & ICR_LOGICAL) != 0, entry >> 56 == 0xff,
                            UINT64_MAX};
    route(all, count, entry & 0x7ff, &d, out); /* mode and vector stand as in an ICR */
    if (out->kind == IPI_SIPI)                 /* not a mode of an IOAPIC */
        *out = (struct ipi){.kind = IPI_NONE};
}

uint32_t vlapic_post(uint32_t pending, const struct ipi *ipi) {
    switch (ipi->kind) {
    case IPI_INIT:
        return VCPU_PENDING_INIT;
    case IPI_SIPI:
        return (pending & VCPU_PENDING_SIPI) != 0
                   ? pending
                   : pending | VCPU_PENDING_SIPI | (uint32_t)ipi->vector << VCPU_SIPI_SHIFT;
    case IPI_NMI:
        return pending | VCPU_PENDING_NMI;
    default:
        return pending;
    }
}
