/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's view of its local APIC. May touch its own struct vlapic only.
 * SDM: "Local APIC", "Extended XAPIC (x2APIC)", "x2APIC State Transitions". */
#include "core/vlapic.h"

#define BASE_ADDRESS     UINT64_C(0xfee00000)
#define BASE_BSP         BIT(8)
#define BASE_EXTD        BIT(10)
#define BASE_ENABLE      BIT(11)

#define SVR_ENABLE       0x100u
#define SVR_HARDWARE     0x1ffu /* without EOI-broadcast suppression, which faults where it is absent */

#define LVT_MODE         0x700u
#define LVT_LEVEL        0x8000u
#define LVT_STATUS       0x1000u /* read-only; with LVT_LEVEL there is Remote IRR too */
#define LVT_REMOTE_IRR   0x4000u
#define LVT_MASKED       0x10000u
#define LVT_DEADLINE     0x40000u
#define LVT_TIMER_MODE   0x60000u /* both set: reserved */

#define ICR_STATUS       BIT(12)
#define ICR_MODE         0x700u
#define MODE_LOWEST      0x100u /* this and fixed have a vector */
#define FIRST_VECTOR     16     /* below: illegal */

#define ESR_SEND_ILLEGAL 0x20u

/* Who may do what; REAL: with the real register, else it is ours in regs[]. */
enum { X_READ = 1, X2_READ = 2, X_WRITE = 4, X2_WRITE = 8, REAL_READ = 16, REAL_WRITE = 32 };
enum { READ = X_READ | X2_READ, WRITE = X_WRITE | X2_WRITE, READS = READ | REAL_READ };
enum { WRITES = WRITE | REAL_WRITE, BOTH = READS | WRITES };

/* Of the LVT the real APIC gets the timer and the error entry, which have no delivery mode. A guest has
 * no counters, and the pins and what firmware set up for temperature and corrected errors stay as the
 * hypervisor has them. */
static const struct rule {
    uint8_t access;
    uint64_t bits; /* that may be written; in x2APIC mode others fault */
} rules[VLAPIC_REGS] = {
    [APIC_ID] = {READ, 0},
    [APIC_VERSION] = {READS, 0},
    [APIC_TPR] = {BOTH, 0xff},
    [APIC_PPR] = {READS, 0},
    [APIC_EOI] = {WRITES, 0},
    [APIC_LDR] = {READ | X_WRITE, 0xff000000},
    [APIC_DFR] = {X_READ | X_WRITE, 0xf0000000},
    [APIC_SVR] = {READ | WRITE, 0x13ff}, /* vector, enable, focus checking, EOI-broadcast suppression */
    [APIC_ISR... APIC_IRR + 7] = {READS, 0},
    [APIC_ESR] = {BOTH, 0}, /* and what the real one has not seen: regs[] */
    [APIC_LVT_CMCI] = {READ | WRITE, 0x107ff},
    [APIC_ICR] = {READ | WRITE, UINT64_C(0xffffffff000ccfff)},
    [APIC_ICR_HIGH] = {X_READ | X_WRITE, 0xff000000},
    [APIC_LVT_TIMER] = {READ | WRITES, 0x700ff},
    [APIC_LVT_THERMAL] = {READ | WRITE, 0x107ff},
    [APIC_LVT_PMC] = {READ | WRITE, 0x107ff},
    [APIC_LVT_LINT0... APIC_LVT_LINT1] = {READ | WRITE, 0x1a7ff},
    [APIC_LVT_ERROR] = {READ | WRITES, 0x100ff},
    [APIC_INITIAL_COUNT] = {BOTH, 0xffffffff},
    [APIC_CURRENT_COUNT] = {READS, 0},
    [APIC_DIVIDE] = {BOTH, 0xb},
    [APIC_SELF_IPI] = {X2_WRITE | REAL_WRITE, 0xff},
};

static bool is_lvt(unsigned reg) {
    return reg == APIC_LVT_CMCI || (reg >= APIC_LVT_TIMER && reg <= APIC_LVT_ERROR);
}

static uint32_t x2apic_ldr(uint32_t id) {
    return id >> 4 << 16 | UINT32_C(1) << (id & 15);
}

void vlapic_init_signal(struct vlapic *v) {
    bool x2 = v->mode == VLAPIC_X2APIC;
    v->errors = 0;
    for (unsigned reg = 0; reg < VLAPIC_REGS; reg++)
        v->regs[reg] = is_lvt(reg) ? LVT_MASKED : 0;
    v->regs[APIC_ID] = x2 ? v->id : v->id << 24;
    v->regs[APIC_LDR] = x2 ? x2apic_ldr(v->id) : 0;
    v->regs[APIC_DFR] = UINT32_MAX;
    v->regs[APIC_SVR] = 0xff;
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

/* What it may do with a register, by this way, in the present mode. */
static unsigned access_rights(const struct vlapic *v, enum vlapic_mode via, unsigned reg) {
    unsigned mode_rights = via == VLAPIC_X2APIC ? X2_READ | X2_WRITE : X_READ | X_WRITE;
    return via == v->mode && reg < VLAPIC_REGS ? rules[reg].access & (mode_rights | REAL_READ | REAL_WRITE)
                                               : 0;
}

enum vlapic_verdict vlapic_read(const struct vlapic *v, enum vlapic_mode via, unsigned reg, uint64_t *value) {
    unsigned rights = access_rights(v, via, reg);
    *value = via == v->mode ? 0 : UINT32_MAX;
    if ((rights & READ) == 0)
        return via == VLAPIC_X2APIC ? VLAPIC_GP : VLAPIC_DONE;
    *value = v->regs[reg];
    if (reg == APIC_ICR && via == VLAPIC_X2APIC)
        *value |= (uint64_t)v->regs[APIC_ICR_HIGH] << 32;
    return (rights & REAL_READ) != 0 ? VLAPIC_HARDWARE : VLAPIC_DONE;
}

static enum vlapic_verdict to_hardware(struct vlapic_effect *effect, unsigned reg, uint64_t value) {
    *effect = (struct vlapic_effect){reg, value};
    return VLAPIC_HARDWARE;
}

static enum vlapic_verdict lvt_write(struct vlapic *v, unsigned reg, uint64_t wanted,
                                     struct vlapic_effect *effect) {
    uint32_t bits = (uint32_t)rules[reg].bits & ~(v->tsc_deadline ? 0 : LVT_DEADLINE);
    uint32_t read_only = LVT_STATUS | ((bits & LVT_LEVEL) != 0 ? LVT_REMOTE_IRR : 0);
    uint32_t value = (uint32_t)wanted & bits;
    bool bad_timer = (value & LVT_TIMER_MODE) == LVT_TIMER_MODE;
    /* A bit a delivery mode: fixed and NMI, and ExtINT for the pins, which have a level. */
    unsigned modes = (bits & LVT_LEVEL) != 0 ? 0x91 : 0x11;
    if (v->mode == VLAPIC_X2APIC && ((wanted & ~(uint64_t)(bits | read_only)) != 0 || bad_timer))
        return VLAPIC_GP;
    if (bad_timer || (modes >> (value & LVT_MODE) / 0x100 & 1) == 0)
        value = (value & ~(LVT_MODE | LVT_TIMER_MODE)) | LVT_MASKED;
    if ((v->regs[APIC_SVR] & SVR_ENABLE) == 0)
        value |= LVT_MASKED;
    v->regs[reg] = value;
    return (rules[reg].access & REAL_WRITE) != 0 ? to_hardware(effect, reg, value) : VLAPIC_DONE;
}

static enum vlapic_verdict svr_write(struct vlapic *v, uint32_t value, struct vlapic_effect *effect) {
    v->regs[APIC_SVR] = value;
    for (unsigned reg = 0; reg < VLAPIC_REGS && (value & SVR_ENABLE) == 0; reg++)
        if (is_lvt(reg))
            v->regs[reg] |= LVT_MASKED; /* as the real ones do by themselves */
    return to_hardware(effect, APIC_SVR, value & SVR_HARDWARE);
}

/* "Error Handling": nothing is sent, but the error and its interrupt are shown. */
static enum vlapic_verdict send_illegal(struct vlapic *v, struct vlapic_effect *effect) {
    v->errors |= ESR_SEND_ILLEGAL;
    if ((v->regs[APIC_LVT_ERROR] & LVT_MASKED) != 0)
        return VLAPIC_DONE;
    return to_hardware(effect, APIC_SELF_IPI, (uint8_t)v->regs[APIC_LVT_ERROR]);
}

static enum vlapic_verdict icr_write(struct vlapic *v, uint64_t value, struct vlapic_effect *effect) {
    v->regs[APIC_ICR] = (uint32_t)value;
    if (v->mode == VLAPIC_X2APIC)
        v->regs[APIC_ICR_HIGH] = (uint32_t)(value >> 32);
    if ((value & ICR_MODE) <= MODE_LOWEST && (uint8_t)value < FIRST_VECTOR)
        return send_illegal(v, effect);
    *effect = (struct vlapic_effect){APIC_ICR, (uint64_t)v->regs[APIC_ICR_HIGH] << 32 | (uint32_t)value};
    return VLAPIC_IPI;
}

/* A write shows the errors since the last one, and so does the real one. */
static enum vlapic_verdict esr_write(struct vlapic *v, struct vlapic_effect *effect) {
    v->regs[APIC_ESR] = v->errors;
    v->errors = 0;
    return to_hardware(effect, APIC_ESR, 0);
}

enum vlapic_verdict vlapic_write(struct vlapic *v, enum vlapic_mode via, unsigned reg, uint64_t value,
                                 struct vlapic_effect *effect) {
    unsigned rights = access_rights(v, via, reg);
    *effect = (struct vlapic_effect){0};
    if ((rights & WRITE) == 0)
        return via == VLAPIC_X2APIC ? VLAPIC_GP : VLAPIC_DONE;
    if (is_lvt(reg))
        return lvt_write(v, reg, value, effect);
    if (reg == APIC_ICR)
        value &= ~ICR_STATUS; /* read-only */
    if (via == VLAPIC_X2APIC && (value & ~rules[reg].bits) != 0)
        return VLAPIC_GP;
    value &= rules[reg].bits;
    if (reg == APIC_ICR)
        return icr_write(v, value, effect);
    if (reg == APIC_SVR)
        return svr_write(v, (uint32_t)value, effect);
    if (reg == APIC_ESR)
        return esr_write(v, effect);
    if ((rights & REAL_WRITE) != 0)
        return to_hardware(effect, reg, value);
    v->regs[reg] = (uint32_t)value | (reg == APIC_DFR ? 0x0fffffff : 0);
    return VLAPIC_DONE;
}

enum vlapic_verdict vlapic_write_base(struct vlapic *v, uint64_t value) {
    uint64_t mode_bits = value & (BASE_ENABLE | BASE_EXTD);
    enum vlapic_mode old = v->mode, mode = VLAPIC_X2APIC;
    if (mode_bits != (BASE_ENABLE | BASE_EXTD))
        mode = mode_bits == 0 ? VLAPIC_DISABLED : VLAPIC_XAPIC;

    if ((value & ~(BASE_BSP | BASE_ENABLE | BASE_EXTD)) != BASE_ADDRESS || mode_bits == BASE_EXTD ||
        (old == VLAPIC_X2APIC && mode == VLAPIC_XAPIC) || (old == VLAPIC_DISABLED && mode == VLAPIC_X2APIC))
        return VLAPIC_GP;
    v->base_msr = (value & ~BASE_BSP) | (v->base_msr & BASE_BSP); /* who booted is not the guest's */
    v->mode = mode;
    if (mode == VLAPIC_X2APIC && old != VLAPIC_X2APIC) {
        v->regs[APIC_ID] = v->id;
        v->regs[APIC_LDR] = x2apic_ldr(v->id);
        v->regs[APIC_ICR_HIGH] = 0;
    }
    if (mode == VLAPIC_DISABLED && old != VLAPIC_DISABLED) {
        vlapic_init_signal(v);
        return VLAPIC_RESET;
    }
    return VLAPIC_DONE;
}
