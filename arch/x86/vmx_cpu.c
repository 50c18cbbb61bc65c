/* SPDX-License-Identifier: Apache-2.0 */
/* Probing VMX and switching it on; what is required is decided in core/vmx_ctl. */
#include "arch/x86/vmx_cpu.h"

#include "arch/x86/cpu.h"
#include "arch/x86/msr.h"
#include "arch/x86/percpu.h"
#include "arch/x86/vmcs.h"
#include "core/cr_policy.h"
#include "core/host.h"
#include "core/str.h"

struct vmx_caps vmx_caps __attribute__((section(".bss.sealed")));
struct vmx_controls vmx_controls __attribute__((section(".bss.sealed")));

void vmx_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]) {
    struct cpuid_regs r = cpu_cpuid(leaf, subleaf);
    regs[0] = r.eax;
    regs[1] = r.ebx;
    regs[2] = r.ecx;
    regs[3] = r.edx;
}

bool vmx_same_as_boot(void) {
    struct vmx_caps mine;
    vmx_caps_read(&mine, vmx_cpuid, cpu_rdmsr);
    return vmx_caps_equal(&vmx_caps, &mine, this_cpu.index);
}

static void region_init(hpa_t at) {
    uint32_t *region = host_phys(at, PAGE_SIZE);
    memset(region, 0, PAGE_SIZE);
    *region = (uint32_t)vmx_caps.raw[CAP_BASIC] & 0x7fffffff; /* the revision */
}

void vmx_cpu_on(void) {
    const uint64_t *cap = vmx_caps.raw;
    uint64_t now = cpu_rdmsr(IA32_FEATURE_CONTROL), want = vmx_feature_control(now);
    if (want != now)
        cpu_wrmsr(IA32_FEATURE_CONTROL, want);
    cpu_write_cr0((cpu_read_cr0() | cap[CAP_CR0_FIXED0]) & cap[CAP_CR0_FIXED1]);
    cpu_write_cr4((cpu_read_cr4() | cap[CAP_CR4_FIXED0]) & cap[CAP_CR4_FIXED1]); /* VMXE is one of them */
    region_init(this_cpu.vmxon_region);
    region_init(this_cpu.vmcs); /* only now: the seal hides both from us */
    vmx_on(this_cpu.vmxon_region);
    vmx_invept(INVALIDATE_ALL, 0); /* nothing is known of what ran here before */
    vmx_invvpid(INVALIDATE_ALL, 0);
}

void vmx_cpu_off(void) {
    if ((cpu_read_cr4() & CR4_VMXE) != 0) {
        vmx_clear(this_cpu.vmcs);
        vmx_off();
        cpu_write_cr4(cpu_read_cr4() & ~CR4_VMXE);
    }
    cpu_wbinvd();
}
