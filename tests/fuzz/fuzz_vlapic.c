/* SPDX-License-Identifier: Apache-2.0 */
/* Ten bytes an access by one of four vCPUs: nothing but harmless bits reaches a real register, and
 * no IPI leaves the partition. */
#include <stdlib.h>
#include <string.h>

#include "core/vlapic.h"

#define COUNT 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_thing) {
    if (!true_thing)
        abort();
}

static uint64_t harmless_bits(unsigned reg) {
    switch (reg) {
    case APIC_TPR:
    case APIC_SELF_IPI:
        return 0xff;
    case APIC_SVR:
        return 0x1ff;
    case APIC_INITIAL_COUNT:
        return 0xffffffff;
    case APIC_DIVIDE:
        return 0xb;
    case APIC_LVT_TIMER:
        return 0x300ff; /* without TSC-deadline */
    case APIC_LVT_ERROR:
        return 0x100ff;
    default:
        return 0; /* EOI, ESR; others may not be written at all */
    }
}

/* What goes the short way goes to the same as on the long one. */
static void check_plain(struct vlapic *v, const struct vlapic *const *all, unsigned self, uint64_t icr) {
    struct vlapic before = *v;
    uint64_t targets;
    struct ipi ipi;

    vlapic_route(all, COUNT, self, icr, &ipi);
    require(vlapic_post(0, &ipi) != 0 || ipi.kind == IPI_NONE || ipi.kind == IPI_FIXED);
    if (vlapic_plain_ipi(v, all, COUNT, icr, &targets))
        require(targets == ipi.targets && ipi.kind == (targets == 0 ? IPI_NONE : IPI_FIXED));
    else
        require(memcmp(&before, v, sizeof(before)) == 0);
}

static void check_effect(const struct vlapic *const *all, unsigned self, enum vlapic_verdict verdict,
                         const struct vlapic_effect *effect) {
    struct ipi ipi;

    if (verdict == VLAPIC_HARDWARE) {
        require((effect->value & ~harmless_bits(effect->reg)) == 0);
        require(harmless_bits(effect->reg) != 0 || effect->reg == APIC_EOI || effect->reg == APIC_ESR);
    } else if (verdict == VLAPIC_IPI) {
        vlapic_route(all, COUNT, self, effect->value, &ipi);
        require(ipi.targets >> COUNT == 0 && (ipi.targets != 0) == (ipi.kind != IPI_NONE));
        require(ipi.kind != IPI_FIXED || ipi.vector >= 16);
        vlapic_route_message(all, COUNT, effect->value, &ipi);
        require(ipi.targets >> COUNT == 0 && (ipi.targets != 0) == (ipi.kind != IPI_NONE));
        require((ipi.kind != IPI_FIXED || ipi.vector >= 16) && ipi.kind != IPI_SIPI);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct vlapic lapics[COUNT];
    const struct vlapic *all[COUNT];

    for (unsigned n = 0; n < COUNT; n++) {
        vlapic_reset(&lapics[n], n, n == 0, false);
        all[n] = &lapics[n];
    }
    for (; size >= 10; data += 10, size -= 10) {
        unsigned self = data[0] % COUNT, reg = data[1];
        enum vlapic_mode via = (data[0] & 0x10) != 0 ? VLAPIC_X2APIC : VLAPIC_XAPIC;
        struct vlapic *v = &lapics[self];
        struct vlapic_effect effect;
        uint64_t value;

        memcpy(&value, data + 2, sizeof(value));
        if ((data[0] & 0xe0) == 0) {
            (void)!vlapic_write_base(v, (value & 0xfff) | 0xfee00000);
        } else if ((data[0] & 0xe0) == 0x20) {
            (void)!vlapic_write_base(v, value);
        } else {
            check_plain(v, all, self, value);
            check_effect(all, self, vlapic_write(v, via, reg, value, &effect), &effect);
            (void)!vlapic_read(v, via, reg, &value);
        }
        require((v->mode == VLAPIC_X2APIC) == ((v->base_msr & 0xc00) == 0xc00));
    }
    return 0;
}
