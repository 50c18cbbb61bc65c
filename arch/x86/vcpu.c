/* SPDX-License-Identifier: Apache-2.0 */
/* One vCPU on its core: start, kick, park, start again. Which state it starts in comes from the
 * image loader or the guest's own INIT and SIPI; whether it restarts, from core/partition. */
#include "arch/x86/vcpu.h"

#include "arch/x86/console_io.h"
#include "arch/x86/cpu.h"
#include "arch/x86/devices.h"
#include "arch/x86/lapic.h"
#include "arch/x86/memory.h"
#include "arch/x86/msr.h"
#include "arch/x86/percpu.h"
#include "arch/x86/smp.h"
#include "arch/x86/system.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_cpu.h"
#include "arch/x86/vmx_exit.h"
#include "core/log.h"
#include "core/speculation.h"
#include "core/str.h"

#define DR6_RESET       UINT64_C(0xffff0ff0)
#define XCR0_RESET      1u
#define XSAVE_BYTES     576u /* legacy region and header */
#define MXCSR_RESET     0x1f80u
#define CPUID1_XSAVE    BIT(26)
#define CPUID1_DEADLINE BIT(24)
#define CPUID7_TSC_ADJ  BIT(1)

/* [in x2APIC mode?][kind of TSC] */
static uint8_t msr_bitmaps[2][MSR_TSC_KINDS][PAGE_SIZE]
    __attribute__((section(".bss.sealed"), aligned(4096)));

_Noreturn void vmx_launch(void); /* vmx_exit.S */

void vcpu_bitmaps_init(void) {
    msr_policy_init();
    for (unsigned tsc = 0; tsc < MSR_TSC_KINDS; tsc++) {
        msr_bitmap_build(msr_bitmaps[0][tsc], false, tsc);
        msr_bitmap_build(msr_bitmaps[1][tsc], true, tsc);
    }
}

void vcpu_mode_changed(struct vcpu *v) {
    bool bare = (cpu_cpuid(7, 0).ebx & CPUID7_TSC_ADJ) != 0 && cpu_rdmsr(IA32_TSC_ADJUST) == 0;
    enum msr_tsc tsc = v->msrs.tsc_adjust != 0 ? MSR_TSC_MOVED : bare ? MSR_TSC_BARE : MSR_TSC_REAL;
    const uint8_t *bitmap = msr_bitmaps[v->lapic.mode == VLAPIC_X2APIC][tsc];
    vmcs_write(VMCS_MSR_BITMAP, memory_image_phys(bitmap).v);
    cpuid_show(&v->cpuid, v->lapic.mode != VLAPIC_DISABLED, vmcs_read(VMCS_CR4_SHADOW));
}

/* What the partition's other vCPUs look at. Before any of them can run. */
static void reset_shared(struct vcpu *v) {
    vlapic_reset(&v->lapic, v->index, v->index == 0, (cpu_cpuid(1, 0).ecx & CPUID1_DEADLINE) != 0);
    v->pending = 0;
}

void vcpu_init(struct vcpu *v, uint32_t tsc_khz, bool invariant_tsc) {
    struct cpuid_view view = {
        .vcpu = v->index,
        .nr_vcpus = v->partition->nr_vcpus,
        .tsc_khz = tsc_khz,
        .invariant_tsc = invariant_tsc,
        .secondary = vmx_controls.word[VMX_SECONDARY],
    };
    v->apic_id = this_cpu.apic_id;
    cpuid_build(&v->cpuid, &view, vmx_cpuid);
    cr_policy_init(&v->cr, &vmx_caps, &v->cpuid);
    reset_shared(v);
}

static void zero_host_msrs(void) {
    static const uint32_t msrs[] = {IA32_STAR, IA32_LSTAR, IA32_CSTAR, IA32_FMASK, IA32_KERNEL_GS_BASE};
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
        cpu_wrmsr(msrs[i], 0);
    if ((vmx_controls.word[VMX_SECONDARY] & SECONDARY_USER_WAIT) != 0)
        cpu_wrmsr(IA32_UMWAIT_CONTROL, 0);
    if ((vmx_controls.word[VMX_SECONDARY] & SECONDARY_RDTSCP) != 0)
        cpu_wrmsr(IA32_TSC_AUX, 0);
    if ((vmx_controls.word[VMX_SECONDARY] & SECONDARY_XSAVES) != 0)
        cpu_wrmsr(IA32_XSS, 0);
}

/* FPU and vector registers: XRSTOR of an empty header puts every component into its initial state. */
static void reset_fpu(void) {
    static const uint32_t area[XSAVE_BYTES / 4] __attribute__((aligned(64))) = {[6] = MXCSR_RESET};
    struct cpuid_regs components = cpu_cpuid(0xd, 0);
    cpu_xsetbv(0, (uint64_t)components.edx << 32 | components.eax);
    cpu_xrstor(area);
    cpu_xsetbv(0, XCR0_RESET);
}

/* What RESET and INIT have in common, "Processor State After Reset". */
static void init_core(struct vcpu *v) {
    lapic_reset();
    memset(vcpu_regs(), 0, sizeof(struct guest_regs));
    vcpu_regs()->rdx = cpu_cpuid(1, 0).eax;
    v->trace_left = 0;
    v->wait_rip = UINT64_MAX;
    cpu_write_db0(0);
    cpu_write_db1(0);
    cpu_write_db2(0);
    cpu_write_db3(0);
    cpu_write_db6(DR6_RESET);
    cpu_write_cr2(0);
}

/* What the boot or a former life of the guest left where speculation could find it. */
static void forget(const struct speculation *s) {
    uint64_t options = (s->deeds & SPEC_MCU_OPT) != 0 ? cpu_rdmsr(IA32_MCU_OPT_CTRL) : 0;
    if ((options & SPEC_MCU_OPT_OFF) != 0)
        cpu_wrmsr(IA32_MCU_OPT_CTRL, options & ~SPEC_MCU_OPT_OFF);
    if ((s->deeds & SPEC_IBPB) != 0) {
        cpu_wrmsr(IA32_SPEC_CTRL, 0);
        cpu_wrmsr(IA32_PRED_CMD, BIT(0));
    }
    if ((s->deeds & SPEC_FLUSH_L1D) != 0)
        cpu_wrmsr(IA32_FLUSH_CMD, BIT(0));
    if ((s->deeds & SPEC_VERW) != 0)
        cpu_verw(SEL_DATA);
}

/* All that a guest can have left in this core and that no VMCS field holds. */
static void reset_core(struct vcpu *v) {
    struct speculation s = speculation_decide(vmx_cpuid, trap_msr_or_zero(IA32_ARCH_CAPABILITIES));
    zero_host_msrs();
    if ((cpu_cpuid(1, 0).ecx & CPUID1_XSAVE) != 0)
        reset_fpu();
    msr_state_init(&v->msrs, trap_msr_or_zero(IA32_BIOS_SIGN_ID), s.arch_capabilities);
    init_core(v);
    vmcs_setup(v);
    vcpu_mode_changed(v);
    forget(&s);
}

/* Put this core's vCPU into its first state and run it, or let it wait for its SIPI. */
_Noreturn static void start(struct vcpu *v) {
    reset_core(v);
    v->waits_for_sipi = v->index != 0;
    if (v->index == 0)
        vmcs_set_start(v, &v->partition->start, vcpu_regs());
    this_cpu.kicked = 1; /* vcpu_kicked holds it until the SIPI has come, and looks at the devices */
    vmx_launch();
}

/* The last vCPU to park decides for the partition, while all others wait. */
static void last_parked(struct partition *p) {
    if (partition_restarts(p)) {
        log_line("%s: restart %u", p->config->name, p->restarts + 1);
        if (partition_scrub(p, 0, 1) == ERR_OK && partition_load(p) == ERR_OK) {
            devices_reset(p);
            p->parked = 0;
            for (unsigned i = 0; i < p->nr_vcpus; i++)
                reset_shared(&p->vcpus[i]);
            __atomic_store_n(&p->state, PARTITION_RUNNING, __ATOMIC_RELAXED);
            __atomic_fetch_add(&p->restarts, 1, __ATOMIC_RELEASE);
            for (unsigned i = 0; i < p->nr_vcpus; i++)
                smp_kick(p->vcpus[i].cpu);
            return;
        }
    }
    __atomic_store_n(&p->state, PARTITION_STOPPED, __ATOMIC_RELEASE);
    system_partition_stopped(p);
}

/* Until a kick, or at least for a moment: where input is polled, core 0 does so with no guest to run, too. */
static void wait_idle(void) {
    if (console_poll_ticks() != 0) {
        console_service();
        cpu_pause();
    } else {
        cpu_wait_kick(); /* an NMI may still bring console work, done in its handler */
    }
}

/* The partition has stopped: stay halted until it starts again. It may have stopped anew by the time this
 * core wakes up, so the count tells, not the state. */
_Noreturn static void park(struct vcpu *v) {
    struct partition *p = v->partition;
    uint32_t restarts = __atomic_load_n(&p->restarts, __ATOMIC_RELAXED);
    if (__atomic_or_fetch(&p->parked, BIT(v->cpu), __ATOMIC_ACQ_REL) == p->config->cpus)
        last_parked(p);
    while (__atomic_load_n(&p->restarts, __ATOMIC_ACQUIRE) == restarts)
        wait_idle();
    start(v);
}

void vcpu_stop(struct vcpu *v, enum stop_cause cause) {
    struct partition *p = v->partition;
    if (partition_stop(p, cause)) {
        for (unsigned i = 0; i < p->nr_vcpus; i++)
            if (i != v->index)
                smp_kick(p->vcpus[i].cpu);
        uint64_t silent = smp_wait_for(&p->parked, p->config->cpus & ~BIT(v->cpu));
        if (silent != 0)
            log_line("%s: waits for cores 0x%lx, which do not answer", p->config->name, silent);
    }
    park(v);
}

/* INIT: registers as after INIT, then wait. SIPI: only while waiting, else it is dropped. */
static void take_init(struct vcpu *v) {
    if (v->index == 0) { /* the boot CPU does not wait but goes to the reset vector, which resets */
        log_line("%s: INIT to the boot vCPU resets the partition", v->partition->config->name);
        vcpu_stop(v, STOP_RESET);
    }
    vlapic_init_signal(&v->lapic);
    init_core(v);
    vmcs_set_init(v, (vmcs_read(VMCS_CR0_SHADOW) & (CR0_CD | CR0_NW)) | CR0_ET);
    vcpu_mode_changed(v);
    v->waits_for_sipi = true;
}

static void take_sipi(struct vcpu *v, uint8_t vector) {
    if (v->waits_for_sipi) {
        vmcs_set_sipi(vector);
        v->waits_for_sipi = false;
    }
}

void vcpu_set_timer(uint64_t count) {
    uint32_t pin = vmcs_read(VMCS_PIN_CONTROLS) & ~PIN_PREEMPTION_TIMER;
    vmcs_write(VMCS_PIN_CONTROLS, count != 0 ? pin | PIN_PREEMPTION_TIMER : pin);
    if (count != 0)
        vmcs_write(VMCS_PREEMPTION_TIMER, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX);
}

/* By where it halts: no HLT ends where the VMCALL did. */
void vcpu_end_wait(const struct vcpu *v) {
    if (vmcs_read(VMCS_GUEST_RIP) == v->wait_rip) {
        vmcs_write(VMCS_GUEST_ACTIVITY, 0);
        vcpu_set_timer(console_poll_ticks());
    }
}

void vcpu_kicked(void) {
    struct vcpu *v = this_cpu.vcpu;
    for (;;) {
        uint32_t pending = __atomic_fetch_and(&v->pending, VCPU_PENDING_NMI, __ATOMIC_ACQ_REL);
        if (__atomic_load_n(&v->partition->state, __ATOMIC_ACQUIRE) != PARTITION_RUNNING)
            park(v);
        if ((pending & VCPU_PENDING_INIT) != 0)
            take_init(v);
        if ((pending & VCPU_PENDING_SIPI) != 0)
            take_sipi(v, (uint8_t)(pending >> VCPU_SIPI_SHIFT));
        if (!v->waits_for_sipi)
            break;
        cpu_wait_kick();
    }
    if ((__atomic_load_n(&v->pending, __ATOMIC_ACQUIRE) & VCPU_PENDING_NMI) != 0)
        event_exit_when(PRIMARY_NMI_WINDOW, true);
    devices_service(v);
    vcpu_end_wait(v); /* entering would start its timer anew */
}

void vcpu_send_ipi(struct vcpu *v, const struct ipi *ipi) {
    for (uint64_t left = ipi->targets; left != 0; left &= left - 1) {
        struct vcpu *to = &v->partition->vcpus[__builtin_ctzll(left)];
        if (ipi->kind == IPI_FIXED) {
            vcpu_send_vector(to, ipi->vector);
            continue;
        }
        uint32_t old = __atomic_load_n(&to->pending, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&to->pending, &old, vlapic_post(old, ipi), true, __ATOMIC_ACQ_REL,
                                            __ATOMIC_RELAXED))
            continue;
        smp_kick(to->cpu);
    }
}

void vcpu_run(void) {
    struct vcpu *v = this_cpu.vcpu;
    while (v == NULL)
        wait_idle();
    start(v);
}
