/* SPDX-License-Identifier: Apache-2.0 */
/* What the debug build does before every VM entry, and with the EPTs before the launch: it finds what a
 * lenient CPU or emulator lets pass. Linked there alone, by --wrap around the two functions that an entry
 * follows, and around the proof of all tables (Makefile). */
#include "arch/x86/cpu.h"
#include "arch/x86/vmx_exit.h"
#include "arch/x86/msr.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trap.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vmcs.h"
#include "arch/x86/vmx_cpu.h"
#include "boot/layout.h"
#include "core/guest_layout.h"
#include "tests/audit/ept_check.h"
#include "tests/audit/vmcs_rules.h"

#define EPT_POINTER_LOW 0x1e /* write-back, 4 levels */

extern const char vmx_exit_entry[];

void __real_vmx_exit(struct vcpu *v);
void __wrap_vmx_exit(struct vcpu *v);
void __real_vcpu_kicked(void);
void __wrap_vcpu_kicked(void);
enum err __real_guest_layout_prove(const struct proof_partition *partitions, unsigned count,
                                   const struct frames_list *own);
enum err __wrap_guest_layout_prove(const struct proof_partition *partitions, unsigned count,
                                   const struct frames_list *own);

static void unchanged(const char *name, uint64_t is, uint64_t was) {
    if (is != was)
        panic_at(NULL, "VMCS audit: %s is 0x%lx, was set to 0x%lx", name, is, was);
}

/* Fields that are written once: of the host, as this core is now, and what binds the vCPU to its partition.
 */
static void audit_constants(struct vcpu *v) {
    uint64_t msr_bitmap = vmcs_read(VMCS_MSR_BITMAP);
    unchanged("the host's RSP", vmcs_read(VMCS_HOST_RSP), PERCPU_STACK_TOP);
    unchanged("the host's RIP", vmcs_read(VMCS_HOST_RIP), (uintptr_t)vmx_exit_entry);
    unchanged("the host's CR0", vmcs_read(VMCS_HOST_CR0), cpu_read_cr0());
    unchanged("the host's CR3", vmcs_read(VMCS_HOST_CR3), this_cpu.sealed_cr3);
    unchanged("CR3", cpu_read_cr3(), this_cpu.sealed_cr3);
    unchanged("the host's CR4", vmcs_read(VMCS_HOST_CR4), cpu_read_cr4());
    unchanged("the host's IA32_EFER", vmcs_read(VMCS_HOST_EFER), cpu_rdmsr(IA32_EFER));
    unchanged("the host's IA32_PAT", vmcs_read(VMCS_HOST_PAT), PAT_HOST);
    unchanged("IA32_PAT", cpu_rdmsr(IA32_PAT), PAT_HOST);
    unchanged("the host's TR base", vmcs_read(VMCS_HOST_TR_BASE), (uintptr_t)&this_cpu.tss);
    unchanged("the host's GDTR base", vmcs_read(VMCS_HOST_GDTR_BASE), (uintptr_t)this_cpu.gdt);
    unchanged("the host's IDTR base", vmcs_read(VMCS_HOST_IDTR_BASE), trap_idt_base());
    unchanged("the EPT pointer", vmcs_read(VMCS_EPT_POINTER), v->partition->ept_pointer);
    unchanged("VPID", vmcs_read(VMCS_VPID), v->cpu + 1);
    unchanged("the first I/O bitmap", vmcs_read(VMCS_IO_BITMAP_A), v->partition->io_bitmaps.v);
    unchanged("the second I/O bitmap", vmcs_read(VMCS_IO_BITMAP_B), v->partition->io_bitmaps.v + PAGE_SIZE);
    vcpu_mode_changed(v); /* the same again, or a change of mode has forgotten it */
    unchanged("the MSR bitmap", msr_bitmap, vmcs_read(VMCS_MSR_BITMAP));
}

static uint64_t read_field(void *context, uint32_t encoding) {
    (void)context;
    return vmcs_read_raw(encoding);
}

static void audit(void) {
    struct vmcs_violation b;
    audit_constants(this_cpu.vcpu);
    if (!vmcs_check_all(&vmx_caps, read_field, NULL, &b))
        panic_at(NULL, "VMCS audit: %s%s (field 0x%x) is 0x%lx: %s (\"%s\")", b.field, b.segment, b.encoding,
                 b.value, b.rule, b.section);
}

void __wrap_vmx_exit(struct vcpu *v) {
    __real_vmx_exit(v);
    audit();
}

void __wrap_vcpu_kicked(void) {
    __real_vcpu_kicked();
    audit();
}

enum err __wrap_guest_layout_prove(const struct proof_partition *partitions, unsigned count,
                                   const struct frames_list *own) {
    enum err e = __real_guest_layout_prove(partitions, count, own);
    for (const struct proof_partition *p = partitions; p < partitions + count && e == ERR_OK; p++)
        e = ept_check(&vmx_caps, p->ept->root.v | EPT_POINTER_LOW, own);
    return e;
}
