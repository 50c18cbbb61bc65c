/* SPDX-License-Identifier: Apache-2.0 */
/* Bits that flip in what only the CPU reads: the VMCS, the EPT. */
#include "arch/x86/cpu.h"
#include "arch/x86/memory.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_cpu.h"
#include "core/host.h"
#include "core/log.h"
#include "tests/attack/attack.h"

#define TARGET    UINT64_C(0x300000) /* as guests/attack.c */
#define PTE_LARGE BIT(7)
#define PTE_FRAME UINT64_C(0xffffffffff000)

/* One try each: one more bit of these fields. Left out is what an entry cannot see but the next exit would
 * die of (the host's CR3, RIP, RSP), or would take for somebody else's memory. */
static const struct {
    uint32_t first, last; /* encodings, in steps of two */
    uint64_t bits;
} fields[] = {
    {0x0000, 0x0000, 0xffff},                                       /* VPID */
    {0x0800, 0x080e, 0x0007},                                       /* guest selectors */
    {0x0c00, 0x0c0c, 0x0007},                                       /* host selectors */
    {0x2000, 0x2004, BIT(0) | BIT(11) | BIT(55)},                   /* bitmaps */
    {0x201a, 0x201a, 0xfff | BIT(55)},                              /* EPT pointer */
    {0x2800, 0x2800, BIT(0) | BIT(12) | BIT(63)},                   /* link pointer */
    {0x2802, 0x2802, 0xfff},                                        /* debug control */
    {0x2804, 0x2804, UINT64_C(0x8888888888888888)},                 /* PAT */
    {0x2806, 0x2806, 0xfff},                                        /* EFER */
    {0x2c00, 0x2c00, UINT64_C(0x8888888888888888)},                 /* host PAT */
    {0x2c02, 0x2c02, BIT(1) | BIT(2) | BIT(8) | BIT(10) | BIT(63)}, /* host EFER */
    {0x4000, 0x4000, 0xffff & ~BIT(0)},                             /* pin-based controls */
    {0x4002, 0x4002, 0xffffffff & ~(BIT(25) | BIT(28))},            /* primary, but for the use of bitmaps */
    {0x400a, 0x400a, 0xff},                                         /* CR3 targets */
    {0x400c, 0x400c, BIT(2) | BIT(9) | BIT(15)},                    /* exit controls */
    {0x4012, 0x4012, 0xffff},                                       /* entry controls */
    {0x4014, 0x4014, 0xff},                                         /* MSRs to load */
    {0x4016, 0x4016, 0xffffffff},                                   /* event to inject */
    {0x401e, 0x401e, 0x7ffffff},                                    /* secondary controls */
    {0x4800, 0x480e, BIT(0) | BIT(20) | BIT(31)},                   /* limits */
    {0x4810, 0x4812, BIT(16) | BIT(31)},                            /* of GDTR and IDTR */
    {0x4814, 0x4822, 0x1f0ff},                                      /* access rights */
    {0x4824, 0x4824, 0xff},                                         /* interruptibility */
    {0x4826, 0x4826, 0xff},                                         /* activity */
    {0x6800, 0x6800, BIT(0) | BIT(5) | BIT(29) | BIT(30) | BIT(31) | BIT(32)}, /* CR0 */
    {0x6802, 0x6802, BIT(52) | BIT(62)},                                       /* CR3 */
    {0x6804, 0x6804, 0x7ffff},                                                 /* CR4 */
    {0x6806, 0x6818, BIT(31) | BIT(47) | BIT(62)},                             /* bases */
    {0x681a, 0x681a, BIT(10) | BIT(32)},                                       /* DR7 */
    {0x681e, 0x681e, BIT(47) | BIT(62)},                                       /* RIP */
    {0x6820, 0x6820, 0x3fffff & ~BIT(9)},                                      /* RFLAGS */
    {0x6822, 0x6822, 0x1ffff},                                                 /* pending #DB */
    {0x6824, 0x6826, BIT(62)},                                                 /* SYSENTER */
    {0x6c00, 0x6c00, BIT(0) | BIT(5) | BIT(31)},                               /* host CR0 */
    {0x6c02, 0x6c02, BIT(52) | BIT(62)},                                       /* host CR3 */
    {0x6c04, 0x6c04, BIT(5) | BIT(13) | BIT(28)},                              /* host CR4 */
    {0x6c06, 0x6c12, BIT(62)},                                                 /* host bases */
    {0x6c16, 0x6c16, BIT(62)},                                                 /* host RIP */
};

#define TRY_TICKS BIT(20) /* for which a guest may hang */

static unsigned row, field, bit, tries;
static bool sweeping;

void __real_dump_guest(const struct vcpu *v, const struct guest_regs *regs, enum stop_cause cause,
                       const char *why);
void __wrap_dump_guest(const struct vcpu *v, const struct guest_regs *regs, enum stop_cause cause,
                       const char *why);

exit_fn __real_exit_preemption_timer, __wrap_exit_preemption_timer;

struct verdict __wrap_exit_preemption_timer(struct vcpu *v, struct guest_regs *regs) {
    return sweeping ? exit_stop(STOP_CRASHED, "hangs") : __real_exit_preemption_timer(v, regs);
}

/* The console has no time for all registers of hundreds of crashes. */
void __wrap_dump_guest(const struct vcpu *v, const struct guest_regs *regs, enum stop_cause cause,
                       const char *why) {
    if (!sweeping)
        __real_dump_guest(v, regs, cause, why);
    else if (cause == STOP_CRASHED)
        log_line("%s: %s", v->partition->config->name, why == NULL ? "an exit that must not happen" : why);
}

/* The next try; false: that was the last. */
static bool next_try(void) {
    for (; row < ARRAY_SIZE(fields); row++, field = bit = 0)
        for (; fields[row].first + field <= fields[row].last; field += 2, bit = 0)
            for (; bit < 64; bit++)
                if ((fields[row].bits & BIT(bit)) != 0)
                    return true;
    return false;
}

/* Asked for by the guest whenever it starts: 0 if there is nothing to go on with. */
static struct verdict sweep_on(struct vcpu *v, uint64_t argument) {
    if (!sweeping)
        return attack_answer(0);
    if (!next_try()) {
        log_line("%u bits of the VMCS flipped", tries);
        sweeping = false;
        return attack_answer(0);
    }
    uint32_t encoding = fields[row].first + field;
    log_line("try %u: field 0x%x, bit %u", ++tries, encoding, bit);
    vcpu_set_timer(TRY_TICKS >> vmx_preemption_shift(&vmx_caps));
    vmcs_write_raw(encoding, vmcs_read_raw(encoding) ^ BIT(bit++));
    return attack_answer(1);
}

static struct verdict sweep_vmcs(struct vcpu *v, uint64_t argument) {
    sweeping = true;
    return sweep_on(v, 0);
}

/* A bit of the entry that maps the page which the guest touches next. The tables are seen in the tables of
 * the boot alone. */
static struct verdict flip_ept(struct vcpu *v, uint64_t argument) {
    uint64_t table = v->partition->ept_pointer, *entry = &table, mine = cpu_read_cr3();
    cpu_write_cr3(memory_cpu_cr3(this_cpu.index));
    for (unsigned shift = 39; shift >= 12 && (shift == 39 || (table & PTE_LARGE) == 0); shift -= 9) {
        entry = (uint64_t *)(DIRECT_VIRT + (table & PTE_FRAME)) + (TARGET >> shift & 511);
        table = *entry;
    }
    *entry ^= BIT(argument);
    cpu_write_cr3(mine);
    vmx_invept(INVALIDATE_ALL, 0);
    return attack_answer(table);
}

const struct attack flip_attacks[] = {
    {"vmcs", sweep_vmcs}, {"go on", sweep_on}, {"ept", flip_ept}, {"", NULL}};
