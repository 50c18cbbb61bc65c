/* SPDX-License-Identifier: Apache-2.0 */
/* probe.elf: the hypervisor's own start, up to where partitions would be built. Linked with the whole of it,
 * by
 * --wrap around the functions that are passed on the way (Makefile); tells what the machine has and starts
 * nothing. Needs no VMX. */
#include "arch/x86/console_io.h"
#include "arch/x86/cpu.h"
#include "arch/x86/memory.h"
#include "arch/x86/msr.h"
#include "arch/x86/percpu.h"
#include "arch/x86/system.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmx_cpu.h"
#include "core/tsc.h"
#include "tests/probe/report.h"

#define PCI_FUNCTIONS 0x10000 /* 256 buses of 32 devices of 8 functions */
#define PCI_MULTI     BIT(23) /* of the header type's register */
#define KHZ_AT_MOST   10000000

static struct probe_core cores[MAX_CPUS];
static struct probe_text draft;
static struct system_config scratch;
static bool runs;

enum err __real_config_parse(const char *text, size_t length, struct system_config *out,
                             struct report *report);
enum err __wrap_config_parse(const char *text, size_t length, struct system_config *out,
                             struct report *report);
enum err __real_acpi_parse(const struct boot_info *info, struct platform *out);
enum err __wrap_acpi_parse(const struct boot_info *info, struct platform *out);
uint64_t __real_tsc_khz_choose(uint64_t claimed, uint64_t measured);
uint64_t __wrap_tsc_khz_choose(uint64_t claimed, uint64_t measured);
bool __real_vmx_same_as_boot(void);
bool __wrap_vmx_same_as_boot(void);
enum err __real_vmx_ctl_resolve(const struct vmx_caps *caps, struct vmx_controls *out);
enum err __wrap_vmx_ctl_resolve(const struct vmx_caps *caps, struct vmx_controls *out);
enum err __real_config_check(const struct system_config *config, const struct machine *machine,
                             struct report *report);
enum err __wrap_config_check(const struct system_config *config, const struct machine *machine,
                             struct report *report);

/* What can be used of it is used; what is wrong has been said. */
enum err __wrap_config_parse(const char *text, size_t length, struct system_config *out,
                             struct report *report) {
    (void)!__real_config_parse(text, length, out, report);
    return ERR_OK;
}

/* By mechanism 1: all ones where no function is. bdf: bus 15:8, device 7:3, function 2:0. */
static uint32_t pci_read(unsigned bdf, unsigned offset) {
    cpu_out32(0xcf8, 0x80000000 | bdf << 8 | offset);
    return cpu_in32(0xcfc);
}

static void log_devices(void) {
    for (unsigned bdf = 0; bdf < PCI_FUNCTIONS; bdf++) {
        uint32_t regs[PCI_HEADER_REGS] = {pci_read(bdf, 0)};
        bool there = regs[0] != UINT32_MAX;
        for (unsigned i = 1; i < PCI_HEADER_REGS && there; i++)
            regs[i] = pci_read(bdf, 4 * i);
        if (there)
            probe_log_pci(bdf, regs);
        if (bdf % 8 == 0 && (regs[3] & PCI_MULTI) == 0)
            bdf += 7;
    }
}

/* Here the bootstrap tables show all below 4 GiB: where ACPI tables lie. */
enum err __wrap_acpi_parse(const struct boot_info *info, struct platform *out) {
    struct speculation speculation = speculation_decide(vmx_cpuid, trap_msr_or_zero(IA32_ARCH_CAPABILITIES));
    probe_log_cpu(vmx_cpuid, trap_read_msr);
    probe_log_speculation(&speculation);
    log_line("image %016lx %016lx", memory_image_range().base, memory_image_range().size);
    probe_log_firmware(info);
    log_devices();
    return __real_acpi_parse(info, out);
}

uint64_t __wrap_tsc_khz_choose(uint64_t claimed, uint64_t measured) {
    uint64_t khz = __real_tsc_khz_choose(claimed, measured);
    log_line("tsc claimed %lu measured %lu kHz, by CPUID and the ACPI timer", claimed, measured);
    return khz != 0 ? khz : KHZ_AT_MOST; /* good enough to wait by */
}

bool __wrap_vmx_same_as_boot(void) {
    probe_core_read(&cores[this_cpu.index], vmx_cpuid, trap_read_msr);
    return __real_vmx_same_as_boot();
}

enum err __wrap_vmx_ctl_resolve(const struct vmx_caps *caps, struct vmx_controls *out) {
    runs = __real_vmx_ctl_resolve(caps, out) == ERR_OK;
    return ERR_OK;
}

/* Line by line: the first word is the mark by which to find it in what was recorded. */
static void log_draft(struct text rest) {
    for (bool more = true; more && rest.length > 0;) {
        struct text line = text_cut(&rest, '\n', &more);
        log_line("conf %.*s", (int)line.length, line.at);
    }
}

/* All cores have come: the end of the way. */
enum err __wrap_config_check(const struct system_config *config, const struct machine *machine,
                             struct report *report) {
    struct report errors = {"draft", 0};
    probe_core_read(&cores[0], vmx_cpuid, trap_read_msr);
    probe_log_types(machine->cores, cores);
    probe_log_cores(machine, cores);
    log_line("free %016lx", machine->free_bytes);
    if (!probe_draft(&draft, machine))
        log_line("no draft of a mullion.conf: GRUB has loaded neither a Linux kernel nor an ELF file");
    else if (__real_config_parse(draft.s, draft.used, &scratch, &errors) == ERR_OK &&
             __real_config_check(&scratch, machine, &errors) == ERR_OK)
        log_draft((struct text){draft.s, draft.used});
    log_line("verdict: Mullion %s on this machine", runs ? "runs" : "does not run");
    log_line("probe: nothing was started");
    console_forget();
    system_halt();
}
