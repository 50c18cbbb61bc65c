/* SPDX-License-Identifier: Apache-2.0 */
/* From an ICR or an IOAPIC's message to the vCPUs it is for: "Issuing Interprocessor Interrupts",
 * "Determining IPI Destination". Reads the partition's struct vlapics, writes only its result. */
#include "core/vlapic_route.h"

#include "core/vlapic.h"

#define ICR_LOGICAL  BIT(11)
#define ICR_ASSERT   BIT(14)
#define ICR_LEVEL    BIT(15)
#define SVR_ENABLE   0x100u
#define FIRST_VECTOR 16 /* below: illegal */

enum { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS }; /* ICR bits 19:18 */

bool vlapic_icr_decode(uint64_t icr, struct ipi *out) {
    unsigned mode = icr >> 8 & 7, shorthand = icr >> 18 & 3;

    *out = (struct ipi){.kind = IPI_NONE, .vector = (uint8_t)icr};
    switch (mode) {
    case APIC_MODE_FIXED:
    case APIC_MODE_LOWEST:
        out->kind = IPI_FIXED;
        return out->vector >= FIRST_VECTOR;
    case APIC_MODE_NMI:
        out->kind = IPI_NMI;
        break;
    case APIC_MODE_INIT: /* the level de-assert is a thing of the past: nothing happens */
        out->kind = (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL ? IPI_NONE : IPI_INIT;
        break;
    case APIC_MODE_SIPI:
        out->kind = IPI_SIPI;
        break;
    default:
        return false;
    }
    return shorthand == TO_DESTINATION || shorthand == TO_OTHERS;
}

struct destination {
    uint32_t id; /* or logical mask */
    bool logical, broadcast;
};

/* May run while the target's vCPU changes its registers: each is read once. */
static bool is_target(const struct vlapic *t, const struct destination *d) {
    enum vlapic_mode mode = __atomic_load_n(&t->mode, __ATOMIC_RELAXED);
    uint32_t ldr = __atomic_load_n(&t->ldr, __ATOMIC_RELAXED);
    uint32_t dfr = __atomic_load_n(&t->dfr, __ATOMIC_RELAXED);

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

static uint64_t find_targets(const struct vlapic *const *all, unsigned count, const struct destination *d) {
    uint64_t targets = 0;

    for (unsigned n = 0; n < count; n++)
        targets |= is_target(all[n], d) ? BIT(n) : 0;
    return targets;
}

/* Lowest priority takes one: the first whose APIC would accept it. */
static uint64_t pick_lowest(const struct vlapic *const *all, unsigned count, uint64_t targets) {
    for (unsigned n = 0; n < count; n++) {
        uint32_t svr = __atomic_load_n(&all[n]->svr, __ATOMIC_RELAXED);

        if ((targets >> n & 1) != 0 && (svr & SVR_ENABLE) != 0)
            return BIT(n);
    }
    return targets & -targets;
}

static void finish(const struct vlapic *const *all, unsigned count, bool lowest, struct ipi *out) {
    if (lowest)
        out->targets = pick_lowest(all, count, out->targets);
    if (out->targets == 0)
        out->kind = IPI_NONE;
}

void vlapic_route(const struct vlapic *const *all, unsigned count, unsigned self, uint64_t icr,
                  struct ipi *out) {
    bool x2 = all[self]->mode == VLAPIC_X2APIC;
    unsigned shorthand = icr >> 18 & 3;
    struct destination d = {
        .id = (uint32_t)(icr >> (x2 ? 32 : 56)),
        .logical = (icr & ICR_LOGICAL) != 0,
    };

    if (!vlapic_icr_decode(icr, out) || out->kind == IPI_NONE) {
        out->kind = IPI_NONE;
        return;
    }
    d.broadcast = shorthand != TO_DESTINATION || d.id == (x2 ? UINT32_MAX : 0xff);
    out->targets = find_targets(all, count, &d);
    if (shorthand == TO_SELF)
        out->targets &= BIT(self);
    else if (shorthand == TO_OTHERS)
        out->targets &= ~BIT(self);
    finish(all, count, (icr >> 8 & 7) == APIC_MODE_LOWEST, out);
}

void vlapic_route_message(const struct vlapic *const *all, unsigned count, const struct irq_message *message,
                          struct ipi *out) {
    struct destination d = {
        .id = message->destination,
        .logical = message->logical,
        .broadcast = message->destination == 0xff,
    };

    *out = (struct ipi){
        .kind = message->delivery == IRQ_NMI ? IPI_NMI : IPI_FIXED,
        .vector = message->vector,
        .targets = find_targets(all, count, &d),
    };
    finish(all, count, message->delivery == IRQ_LOWEST, out);
}
