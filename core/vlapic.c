/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's view of its local APIC. May touch its own struct vlapic and read others' in routing.
 * SDM: "Local APIC", "Extended XAPIC (x2APIC)", "x2APIC State Transitions". */
#include "core/vlapic.h"

#define BASE_ADDRESS   UINT64_C(0xfee00000)
#define BASE_BSP       BIT(8)
#define BASE_EXTD      BIT(10)
#define BASE_ENABLE    BIT(11)
#define BASE_RESERVED  UINT64_C(0x2ff) /* below the page number */

#define SVR_ENABLE     0x100u
#define SVR_BITS       0x13ffu /* vector, enable, focus checking, EOI-broadcast suppression */
#define SVR_HARDWARE   0x1ffu  /* suppression faults where it is absent, and means nothing here */

#define LVT_MODE       0x700u
#define LVT_LEVEL      0x8000u
#define LVT_STATUS     0x1000u /* read-only; with LVT_LEVEL there is Remote IRR too */
#define LVT_REMOTE_IRR 0x4000u
#define LVT_MASKED     0x10000u
#define LVT_DEADLINE   0x40000u
#define LVT_TIMER_MODE 0x60000u /* both set: reserved */

#define ICR_STATUS     BIT(12)
#define ICR_BITS       UINT64_C(0xccfff) /* of the low half, without the status */
#define ICR_LOW        UINT64_C(0xffffffff)

#define DIVIDE_BITS    0xbu

/* Only entries that concern the core alone are written to the real APIC. The pins and what firmware
 * set up for temperature and corrected errors stay as the hypervisor has them. */
static const struct lvt_rule {
    uint32_t bits; /* that exist */
    bool real;
} lvt_rules[VLAPIC_LVTS] = {
    {0x107ff, false}, /* CMCI */
    {0x700ff, true},  /* timer */
    {0x107ff, false}, /* thermal */
    {0x107ff, true},  /* performance counters */
    {0x1a7ff, false}, /* LINT0 */
    {0x1a7ff, false}, /* LINT1 */
    {0x100ff, true},  /* error */
};

/* Index into lvt[], or VLAPIC_LVTS. */
static unsigned lvt_index(unsigned reg) {
    if (reg == APIC_LVT_CMCI)
        return 0;
    return reg >= APIC_LVT_TIMER && reg <= APIC_LVT_ERROR ? reg - APIC_LVT_TIMER + 1 : VLAPIC_LVTS;
}

static uint32_t x2apic_ldr(uint32_t id) {
    return id >> 4 << 16 | UINT32_C(1) << (id & 15);
}

void vlapic_init_signal(struct vlapic *v) {
    v->icr = 0;
    v->ldr = v->mode == VLAPIC_X2APIC ? x2apic_ldr(v->id) : 0;
    v->dfr = UINT32_MAX;
    v->svr = 0xff;
    for (unsigned i = 0; i < VLAPIC_LVTS; i++)
        v->lvt[i] = LVT_MASKED;
}

void vlapic_reset(struct vlapic *v, uint32_t id, bool bsp, bool tsc_deadline) {
    *v = (struct vlapic){
        .id = id,
        .mode = VLAPIC_XAPIC,
        .base_msr = BASE_ADDRESS | BASE_ENABLE | (bsp ? BASE_BSP : 0),
        .tsc_deadline = tsc_deadline,
    };
    vlapic_init_signal(v);
}

/* A register that is not there, or not for this kind of access. */
static enum vlapic_verdict absent(const struct vlapic *v) {
    return v->mode == VLAPIC_X2APIC ? VLAPIC_GP : VLAPIC_DONE;
}

static enum vlapic_verdict own_read(const struct vlapic *v, unsigned reg, uint64_t *value) {
    bool x2 = v->mode == VLAPIC_X2APIC;
    unsigned lvt = lvt_index(reg);

    if (reg == APIC_ID)
        *value = x2 ? v->id : v->id << 24;
    else if (reg == APIC_LDR)
        *value = v->ldr;
    else if (reg == APIC_DFR && !x2)
        *value = v->dfr;
    else if (reg == APIC_SVR)
        *value = v->svr;
    else if (reg == APIC_ICR)
        *value = x2 ? v->icr : v->icr & ICR_LOW;
    else if (reg == APIC_ICR_HIGH && !x2)
        *value = v->icr >> 32;
    else if (lvt < VLAPIC_LVTS)
        *value = v->lvt[lvt];
    else
        return absent(v);
    return VLAPIC_DONE;
}

enum vlapic_verdict vlapic_read(const struct vlapic *v, enum vlapic_mode via, unsigned reg, uint64_t *value) {
    *value = 0;
    if (via != v->mode) {
        *value = UINT32_MAX;
        return via == VLAPIC_X2APIC ? VLAPIC_GP : VLAPIC_DONE;
    }
    switch (reg) {
    case APIC_VERSION:
    case APIC_TPR:
    case APIC_PPR:
    case APIC_ISR ... APIC_IRR + 7:
    case APIC_ESR:
    case APIC_INITIAL_COUNT:
    case APIC_CURRENT_COUNT:
    case APIC_DIVIDE:
        return VLAPIC_HARDWARE;
    default:
        return own_read(v, reg, value);
    }
}

static enum vlapic_verdict to_hardware(struct vlapic_effect *effect, unsigned reg, uint64_t value) {
    *effect = (struct vlapic_effect){reg, value};
    return VLAPIC_HARDWARE;
}

/* Delivery modes an entry may ask for. */
static bool lvt_mode_allowed(unsigned lvt, uint32_t value) {
    unsigned mode = (value & LVT_MODE) >> 8;
    bool is_lint = lvt == lvt_index(APIC_LVT_LINT0) || lvt == lvt_index(APIC_LVT_LINT1);

    return mode == APIC_MODE_FIXED || mode == APIC_MODE_NMI || (mode == APIC_MODE_EXTINT && is_lint);
}

static enum vlapic_verdict lvt_write(struct vlapic *v, unsigned reg, uint32_t value,
                                     struct vlapic_effect *effect) {
    unsigned lvt = lvt_index(reg);
    uint32_t bits = lvt_rules[lvt].bits & ~(v->tsc_deadline ? 0 : LVT_DEADLINE);
    uint32_t read_only = LVT_STATUS | ((bits & LVT_LEVEL) != 0 ? LVT_REMOTE_IRR : 0);
    bool bad_timer = (value & bits & LVT_TIMER_MODE) == LVT_TIMER_MODE;

    if (v->mode == VLAPIC_X2APIC && ((value & ~(bits | read_only)) != 0 || bad_timer))
        return VLAPIC_GP;
    value &= bits;
    if (bad_timer || !lvt_mode_allowed(lvt, value)) {
        v->refused++;
        value = (value & ~(LVT_MODE | LVT_TIMER_MODE)) | LVT_MASKED;
    }
    if ((v->svr & SVR_ENABLE) == 0)
        value |= LVT_MASKED;
    v->lvt[lvt] = value;
    if (!lvt_rules[lvt].real)
        return VLAPIC_DONE;
    if ((value & LVT_MODE) != 0) /* a physical NMI is the hypervisor's */
        value = (value & ~LVT_MODE) | LVT_MASKED;
    return to_hardware(effect, reg, value);
}

static enum vlapic_verdict svr_write(struct vlapic *v, uint32_t value, struct vlapic_effect *effect) {
    v->svr = value & SVR_BITS;
    for (unsigned i = 0; i < VLAPIC_LVTS && (value & SVR_ENABLE) == 0; i++)
        v->lvt[i] |= LVT_MASKED; /* as the real ones do by themselves */
    return to_hardware(effect, APIC_SVR, value & SVR_HARDWARE);
}

static enum vlapic_verdict icr_send(struct vlapic *v, struct vlapic_effect *effect) {
    struct ipi ipi;

    if (!vlapic_icr_decode(v->icr, &ipi)) {
        v->refused++;
        return VLAPIC_DONE;
    }
    *effect = (struct vlapic_effect){APIC_ICR, v->icr};
    return ipi.kind == IPI_NONE ? VLAPIC_DONE : VLAPIC_IPI;
}

/* Bits of a write in x2APIC mode that must be 0. The LVT has its own rules. */
static uint64_t x2apic_reserved(unsigned reg) {
    switch (reg) {
    case APIC_TPR:
    case APIC_SELF_IPI:
        return ~UINT64_C(0xff);
    case APIC_EOI:
    case APIC_ESR:
        return UINT64_MAX;
    case APIC_SVR:
        return ~(uint64_t)SVR_BITS;
    case APIC_ICR:
        return ICR_LOW & ~(ICR_BITS | ICR_STATUS);
    case APIC_DIVIDE:
        return ~(uint64_t)DIVIDE_BITS;
    default:
        return ~UINT64_C(0xffffffff);
    }
}

/* Registers of which the two modes have the same. */
static enum vlapic_verdict common_write(struct vlapic *v, unsigned reg, uint32_t value,
                                        struct vlapic_effect *effect) {
    switch (reg) {
    case APIC_TPR:
        return to_hardware(effect, reg, value & 0xff);
    case APIC_EOI:
    case APIC_ESR:
        return to_hardware(effect, reg, 0);
    case APIC_SVR:
        return svr_write(v, value, effect);
    case APIC_INITIAL_COUNT:
        return to_hardware(effect, reg, value);
    case APIC_DIVIDE:
        return to_hardware(effect, reg, value & DIVIDE_BITS);
    default:
        return lvt_index(reg) < VLAPIC_LVTS ? lvt_write(v, reg, value, effect) : absent(v);
    }
}

static enum vlapic_verdict x2apic_write(struct vlapic *v, unsigned reg, uint64_t value,
                                        struct vlapic_effect *effect) {
    if ((value & x2apic_reserved(reg)) != 0)
        return VLAPIC_GP;
    if (reg == APIC_ICR) {
        v->icr = value & ~ICR_STATUS;
        return icr_send(v, effect);
    }
    if (reg == APIC_SELF_IPI)
        return to_hardware(effect, reg, value);
    return common_write(v, reg, (uint32_t)value, effect);
}

static enum vlapic_verdict xapic_write(struct vlapic *v, unsigned reg, uint32_t value,
                                       struct vlapic_effect *effect) {
    switch (reg) {
    case APIC_LDR:
        v->ldr = value & 0xff000000;
        return VLAPIC_DONE;
    case APIC_DFR:
        v->dfr = value | 0x0fffffff;
        return VLAPIC_DONE;
    case APIC_ICR_HIGH:
        v->icr = (v->icr & ICR_LOW) | (uint64_t)(value & 0xff000000) << 32;
        return VLAPIC_DONE;
    case APIC_ICR:
        v->icr = (v->icr & ~ICR_LOW) | (value & ICR_BITS);
        return icr_send(v, effect);
    default:
        return common_write(v, reg, value, effect);
    }
}

enum vlapic_verdict vlapic_write(struct vlapic *v, enum vlapic_mode via, unsigned reg, uint64_t value,
                                 struct vlapic_effect *effect) {
    *effect = (struct vlapic_effect){0};
    if (via != v->mode)
        return via == VLAPIC_X2APIC ? VLAPIC_GP : VLAPIC_DONE;
    return via == VLAPIC_X2APIC ? x2apic_write(v, reg, value, effect)
                                : xapic_write(v, reg, (uint32_t)value, effect);
}

enum vlapic_verdict vlapic_write_base(struct vlapic *v, uint64_t value, bool x2apic_allowed) {
    bool enable = (value & BASE_ENABLE) != 0, extd = (value & BASE_EXTD) != 0;
    enum vlapic_mode old = v->mode;
    enum vlapic_mode mode = extd ? VLAPIC_X2APIC : enable ? VLAPIC_XAPIC : VLAPIC_DISABLED;

    if ((value & BASE_RESERVED) != 0 || (extd && (!enable || !x2apic_allowed)) ||
        (old == VLAPIC_X2APIC && mode == VLAPIC_XAPIC) || (old == VLAPIC_DISABLED && mode == VLAPIC_X2APIC))
        return VLAPIC_GP;
    if ((value & ~(PAGE_SIZE - 1)) != BASE_ADDRESS) {
        v->refused++;
        return VLAPIC_GP;
    }
    v->base_msr = (value & ~BASE_BSP) | (v->base_msr & BASE_BSP); /* who booted is not the guest's */
    v->mode = mode;
    if (mode == VLAPIC_X2APIC && old != VLAPIC_X2APIC) {
        v->ldr = x2apic_ldr(v->id);
        v->icr &= ICR_LOW;
    }
    if (mode == VLAPIC_DISABLED && old != VLAPIC_DISABLED) {
        vlapic_init_signal(v);
        return VLAPIC_RESET;
    }
    return VLAPIC_DONE;
}
