/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, on the way of a boot, what core/probe.c turns into a report. */
#include "arch/x86/probe.h"

#include "arch/x86/memory.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmx_cpu.h"
#include "drivers/pci.h"

#define PCI_FUNCTIONS 0x10000 /* 256 buses of 32 devices of 8 functions */
#define PCI_MULTI     BIT(23) /* of the header type's register */

void probe_machine(const struct boot_info *info) {
    probe_log_cpu(vmx_cpuid, trap_read_msr);
    log_line("image %016lx %016lx", memory_image_range().base, memory_image_range().size);
    probe_log_firmware(info);
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
    vmx_ctl_ladder(&vmx_caps);
}

/* Line by line: the first word is the mark by which to find it in what was recorded. */
static void log_draft(struct text rest) {
    for (bool more = true; more && rest.length > 0;) {
        struct text line = text_cut(&rest, '\n', &more);
        log_line("conf %.*s", (int)line.length, line.at);
    }
}

void probe_report(const struct machine *machine, const struct probe_core *cores,
                  struct system_config *scratch) {
    static struct probe_text draft;
    struct report report = {"draft", 0};
    probe_log_cores(machine, cores);
    log_line("free %016lx", machine->free_bytes);
    bool runs = vmx_ctl_resolve(&vmx_caps, &vmx_controls) == ERR_OK;
    if (!probe_draft(&draft, machine))
        log_line("no draft of a mullion.conf: GRUB has loaded neither a Linux kernel nor an ELF file");
    else if (config_parse(draft.s, draft.used, scratch, &report) == ERR_OK &&
             config_check(scratch, machine, &report) == ERR_OK)
        log_draft((struct text){draft.s, draft.used});
    log_line("verdict: Mullion %s on this machine", runs ? "runs" : "does not run");
}
