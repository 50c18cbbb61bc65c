/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC of this CPU, both ways of reaching it. */
#include "arch/x86/lapic.h"

#include "arch/x86/cpu.h"
#include "arch/x86/msr.h"
#include "arch/x86/trap.h"
#include "core/host.h"
#include "core/vlapic.h"

#define CPUID_X2APIC    BIT(21)
#define CPUID_DEADLINE  BIT(24)
#define ICR_PENDING     0x1000u
#define XAPIC_BROADCAST 0xffu
#define ICR_SPINS       1000000
#define SVR_ENABLE      0x1ffu /* software-enabled, spurious vector FFH */
#define SVR_RESET       0xffu
#define LVT_MASKED      0x10000u
#define VECTORS         256

static hpa_t xapic_page __attribute__((section(".bss.sealed")));

static bool x2apic_here(void) {
    return (cpu_rdmsr(IA32_APIC_BASE) & APIC_BASE_X2APIC) != 0;
}

static volatile uint32_t *xapic_reg(unsigned reg) {
    return (volatile uint32_t *)host_phys(hpa(xapic_page.v + reg * 16), 4);
}

void lapic_init(hpa_t page) {
    uint64_t base = cpu_rdmsr(IA32_APIC_BASE) | APIC_BASE_EN;
    if (xapic_page.v == 0) /* sealed by the time at which a core may come that is late */
        xapic_page = page;
    cpu_wrmsr(IA32_APIC_BASE, base); /* x2APIC mode can be entered from xAPIC mode only */
    if ((cpu_cpuid(1, 0).ecx & CPUID_X2APIC) != 0) {
        cpu_wrmsr(IA32_APIC_BASE, base | APIC_BASE_X2APIC);
        lapic_write(APIC_SVR, SVR_ENABLE);
    } else {
        *xapic_reg(APIC_SVR) = SVR_ENABLE;
    }
}

uint32_t lapic_id(void) {
    return x2apic_here() ? (uint32_t)lapic_read(APIC_ID) : *xapic_reg(APIC_ID) >> 24;
}

void lapic_send(uint32_t apic_id, uint64_t low) {
    if (x2apic_here()) {
        /* WRMSR to an x2APIC register does not wait for earlier stores: what the receiver is to see must be
         * out first ("MSR Access in x2APIC Mode"). */
        cpu_mfence();
        cpu_lfence();
        lapic_write(APIC_ICR, (uint64_t)apic_id << 32 | low);
        return;
    }
    if (apic_id >= XAPIC_BROADCAST)
        return; /* cut to 8 bits it would be another core's, or everybody's */
    for (unsigned i = 0; i < ICR_SPINS && (*xapic_reg(APIC_ICR) & ICR_PENDING) != 0; i++)
        cpu_pause();
    *xapic_reg(APIC_ICR_HIGH) = apic_id << 24;
    *xapic_reg(APIC_ICR) = (uint32_t)low;
}

static bool any_bit(unsigned first_reg) {
    uint64_t bits = 0;
    for (unsigned r = 0; r < VECTORS / 32; r++)
        bits |= lapic_read(first_reg + r);
    return bits != 0;
}

/* End what the last guest left in service, then take what it left pending: a vector leaves IRR only when the
 * CPU accepts it, so interrupts are let in, one instruction wide, to a gate that does nothing but end them.
 * All sources are masked by now. */
static void lapic_drain(void) {
    for (unsigned i = 0; i < VECTORS && any_bit(APIC_ISR); i++)
        lapic_write(APIC_EOI, 0);
    for (unsigned i = 0; i < VECTORS && any_bit(APIC_IRR); i++)
        cpu_take_interrupts();
}

void lapic_reset(void) {
    static const struct {
        uint8_t reg, entry; /* there if "Max LVT Entry" is so big */
    } lvts[] = {{APIC_LVT_TIMER, 0}, {APIC_LVT_LINT0, 0},   {APIC_LVT_LINT1, 0}, {APIC_LVT_ERROR, 0},
                {APIC_LVT_PMC, 4},   {APIC_LVT_THERMAL, 5}, {APIC_LVT_CMCI, 6}};
    unsigned last = lapic_read(APIC_VERSION) >> 16 & 0xff;
    if ((cpu_cpuid(1, 0).ecx & CPUID_DEADLINE) != 0)
        cpu_wrmsr(IA32_TSC_DEADLINE, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(lvts); i++)
        if (lvts[i].entry <= last)
            lapic_write(lvts[i].reg, LVT_MASKED);
    lapic_write(APIC_INITIAL_COUNT, 0);
    lapic_write(APIC_DIVIDE, 0);
    lapic_write(APIC_TPR, 0);
    lapic_write(APIC_SVR, SVR_ENABLE); /* one that is off may keep what it has pending */
    lapic_drain();
    lapic_write(APIC_ESR, 0);
    lapic_write(APIC_SVR, SVR_RESET);
}
