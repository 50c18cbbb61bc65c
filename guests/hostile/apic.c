/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC, by its page and by its MSRs: every way to reach a neighbour by an interrupt. */
#include "guests/hostile/hostile.h"

#include "core/str.h"

#define ICR_HIGH   0x31
#define MODE_INIT  5u
#define STORM      50000
#define VECTOR_NMI 2
#define BASE       (LAPIC_PAGE | BIT(8) | BIT(11)) /* IA32_APIC_BASE at RESET */
#define EXTD       BIT(10)

static volatile uint64_t taken;

static void on_interrupt(const struct guest_frame *frame) {
    taken++;
    if (frame->vector != VECTOR_NMI)
        guest_apic_write(APIC_EOI, 0);
}

/* Where a SIPI may send our second vCPU: it halts. */
static void catch_sipis(void) {
    static const uint8_t halt[] = {0xFA, 0xF4, 0xEB, 0xFC};

    for (uint64_t page = 0; page < 0x100000; page += 0x1000)
        if (page < 0xA0000 || page >= 0xC0000)
            memcpy((void *)page, halt, sizeof(halt)); /* our IVT and trampoline are not needed now */
}

static void listen(void) {
    for (unsigned vector = 32; vector < 256; vector++)
        guest_on_irq(vector, on_interrupt);
    guest_on_irq(VECTOR_NMI, on_interrupt);
    guest_apic_write(SVR, 0x1FF);
    catch_sipis();
}

static void write_icr(void *arg) {
    uint64_t icr = *(const uint64_t *)arg;

    if ((rdmsr(MSR_APIC_BASE) & EXTD) != 0) {
        wrmsr(MSR_X2APIC + APIC_ICR, icr);
    } else {
        guest_apic_write(ICR_HIGH, (uint32_t)(icr >> 32));
        guest_apic_write(APIC_ICR, (uint32_t)icr);
    }
}

/* INIT to our own boot CPU: a death (death.c). */
static bool resets_us(uint32_t destination, uint32_t low) {
    bool ours = destination == 0 || destination >= 0xFF000000 || (low & BIT(11)) != 0;

    return (low >> 8 & 7) == MODE_INIT && (low >> 18 & 3) == 0 && (low & 0xC000) != 0x8000 && ours;
}

/* Every delivery mode, destination mode, level, trigger and shorthand, with vectors that are illegal, those
 * of exceptions, and the usual ones. */
static void icr_to(uint32_t destination) {
    static const uint8_t vectors[] = {0, 32, 254, 15};

    for (unsigned v = 0; v < (hostile_thin > 1 ? 2 : ARRAY_SIZE(vectors)); v++) {
        for (uint32_t mode = 0; mode < 256; mode++) { /* bits 8-11, 14-15, 18-19 */
            uint32_t low = vectors[v] | (mode & 15) << 8 | (mode >> 4 & 3) << 14 | mode >> 6 << 18;
            uint64_t icr = (uint64_t)destination << 32 | low;
            if (!resets_us(destination, low))
                hostile_try(write_icr, &icr);
        }
    }
    __asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

static void xapic_icr(void) {
    listen();
    guest_apic_write(LDR, 1 << 24);
    for (uint32_t id = 0; id < 256; id += (uint32_t)hostile_thin)
        icr_to(id << 24);
    icr_to(2u << 24); /* the neighbour, and all */
    icr_to(255u << 24);
    guest_apic_write(DFR, 0x0FFFFFFF); /* clusters */
    icr_to(0x32u << 24);
    icr_to(255u << 24);
    guest_apic_write(DFR, UINT32_MAX);
}

static void x2apic_icr(void) {
    static const uint32_t ids[] = {0,        1,        2,          3,          4,          7,         15,
                                   16,       255,      256,        0xFFFF,     65537,      0x1FFFF,   0x20001,
                                   1u << 31, 1u << 30, 0xFF000000, 0xFFFF0001, 0xFFFFFFFE, UINT32_MAX};

    guest_x2apic_on();
    listen();
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
        icr_to(ids[i]);
    for (unsigned bit = 0; bit < 32; bit++) { /* reserved ones, too */
        uint64_t icr = UINT64_C(2) << 32 | BIT(bit) | 0x4020;
        hostile_try(write_icr, &icr);
    }
}

/* INIT, SIPI, NMI, SMI and the rest, at the neighbours' ids and at everybody, as fast as it goes. */
static void ipi_storm(void) {
    static const uint32_t lows[] = {ICR_INIT, ICR_SIPI, ICR_NMI, 0x4200, 0x4300, 0x4700, 0x4020, 0x0020};
    static const uint32_t ids[] = {2, 3, 4, 5, 6, 7};
    uint64_t times = STORM / hostile_thin;

    for (unsigned i = 0; i < times; i++, hostile_tried++)
        guest_ipi(ids[i % ARRAY_SIZE(ids)], lows[i / 8 % ARRAY_SIZE(lows)]);
    for (unsigned i = 0; i < times; i++, hostile_tried++)
        guest_ipi(0, 0xC0000 | lows[i % ARRAY_SIZE(lows)]); /* to all but self */
}

struct entry {
    unsigned reg;
    uint32_t value;
};

static void write_register(void *arg) {
    const struct entry *e = arg;

    guest_apic_write(e->reg, e->value);
}

/* Each LVT entry with each delivery mode, masked and not, edge and level; and the APIC switched off under it.
 */
static void lvts(void) {
    static const unsigned regs[] = {0x2F, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37};

    for (unsigned mode = 0; mode < 2; mode++) {
        for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
            for (uint32_t bits = 0; bits < 512; bits++) { /* 8-10, 12-17 */
                struct entry e = {regs[i], (bits & 7) << 8 | bits >> 3 << 12 | 32};
                hostile_try(write_register, &e);
                e.value = 0x10000;
                hostile_try(write_register, &e);
            }
        }
        for (unsigned i = 0; i < 32; i++) {
            struct entry e = {SVR, (uint32_t)BIT(i)};
            hostile_try(write_register, &e);
        }
        guest_x2apic_on();
        guest_apic_write(SVR, 0x1FF);
    }
}

static void write_base(void *arg) {
    wrmsr(MSR_APIC_BASE, *(const uint64_t *)arg);
}

static void base_to(uint64_t value) {
    hostile_try(write_base, &value);
    hostile_exchange(LAPIC_PAGE + 0x80); /* TPR, if it is there */
    hostile_tried += 2;
}

/* The APIC moved over RAM, over nothing, over the neighbours; and through all of its modes. */
static void base(void) {
    static const uint64_t places[] = {0,          0x1000,     0x100000,        0x3FE00000, 0xFEC00000,
                                      0xFED00000, 0xFEE01000, 0xFFFFF000,      BIT(32),    BIT(45),
                                      BIT(46),    BIT(52),    ~UINT64_C(0xFFF)};

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
        for (uint64_t flags = 0; flags < 0x1000; flags += 0x100)
            base_to(places[i] | flags);
    for (unsigned bit = 0; bit < 64; bit++)
        base_to(BASE ^ BIT(bit));
    for (unsigned i = 0; i < 1000; i++) {
        base_to(BASE | EXTD);
        base_to(BASE & ~BIT(11));
        base_to(BASE);
    }
}

/* All registers of the MSR range in x2APIC mode; the ICR is above. */
static void x2apic_registers(void) {
    guest_x2apic_on();
    for (uint32_t reg = 0; reg < 0x100; reg++) {
        for (unsigned bit = 0; bit < 32 && reg != APIC_ICR; bit++) {
            struct entry e = {reg, (uint32_t)BIT(bit)};
            hostile_try(write_register, &e);
            e.value = 0;
            hostile_try(write_register, &e);
        }
    }
    uint64_t off = BASE & ~BIT(11), on = BASE;
    write_base(&off);
    write_base(&on);
}

const struct attack attacks_apic[] = {
    {"apic-base", base, 1, NULL},
    {"xapic-icr", xapic_icr, 1, NULL},
    {"xapic-storm", ipi_storm, 1, NULL},
    {"lvts", lvts, 1, NULL},
    {"x2apic-icr", x2apic_icr, 1, NULL},
    {"x2apic-storm", ipi_storm, 1, NULL},
    {"x2apic-registers", x2apic_registers, 1, NULL},
    {0},
};
