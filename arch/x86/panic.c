/* SPDX-License-Identifier: Apache-2.0 */
/* The end: our own fault. Straight to the UART, with nothing that could be what is broken. */
#include <stdarg.h>

#include "arch/x86/console_io.h"
#include "arch/x86/cpu.h"
#include "arch/x86/memory.h"
#include "arch/x86/smp.h"
#include "arch/x86/system.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmcs.h"
#include "core/host.h"
#include "core/log.h"
#include "core/str.h"

#define FRAMES_MAX 24

/* By offset from image_start, all ones at the end; each directly behind the name of the one before. */
extern const struct symbol {
    uint32_t offset;
    char name[];
} __attribute__((packed)) symbols;
_Static_assert(sizeof(struct symbol) == 4, "symbols.py");
extern const char image_start[], text_end[];

static unsigned teller; /* 1 + the core that panicked first and tells the story, 0 = none; atomic */
static unsigned again;  /* faults of its own since then */

static void print_symbol(uint64_t address) {
    uint64_t offset = address - (uintptr_t)image_start;
    const struct symbol *next = &symbols, *in = NULL;
    while (offset < (uint64_t)(text_end - image_start) && next->offset <= offset) {
        in = next;
        next = (const struct symbol *)(in->name + str_length(in->name) + 1);
    }
    if (in == NULL)
        log_line("  %016lx", address);
    else
        log_line("  %016lx %s+0x%lx", address, in->name, offset - in->offset);
}

static void print_backtrace(uint64_t rip, uint64_t frame) {
    log_line("backtrace:");
    print_symbol(rip);
    for (unsigned i = 0; i < FRAMES_MAX && frame != 0 && frame % 8 == 0 && memory_has_stack(frame, 16); i++) {
        const uint64_t *link = (const uint64_t *)frame;
        print_symbol(link[1] - 1); /* the call, not what follows it */
        frame = link[0] > frame ? link[0] : 0;
    }
}

static void print_frame(const struct trap_frame *f) {
    const uint64_t *r = f->gpr;
    log_line("RIP %016lx RSP %016lx RFLAGS %08lx CS %04lx", f->rip, f->rsp, f->rflags, f->cs);
    log_line("RAX %016lx RBX %016lx RCX %016lx RDX %016lx", r[0], r[3], r[1], r[2]);
    log_line("RSI %016lx RDI %016lx RBP %016lx R8  %016lx", r[6], r[7], r[5], r[8]);
    log_line("R9  %016lx R10 %016lx R11 %016lx R12 %016lx", r[9], r[10], r[11], r[12]);
    log_line("R13 %016lx R14 %016lx R15 %016lx", r[13], r[14], r[15]);
    log_line("CR0 %08lx CR3 %016lx CR4 %08lx", cpu_read_cr0(), cpu_read_cr3(), cpu_read_cr4());
}

void panic_at(const struct trap_frame *frame, const char *format, ...) {
    char text[LOG_LINE_MAX];
    unsigned me = memory_this_cpu() + 1, first = 0;
    uint64_t silent = 0;
    va_list args;
    if (__atomic_compare_exchange_n(&teller, &first, me, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        silent = smp_stop_others();
    else if (first != me)
        for (;;)
            smp_stop_if_told();
    else if (++again == 2) /* what is wrong may be the log */
        system_panicked(false);
    else if (again > 2)
        system_halt();
    console_panic();
    va_start(args, format);
    str_vformat(text, sizeof(text), format, args);
    va_end(args);
    log_line("%s on core %u: %s", again == 0 ? "PANIC" : "panic in the panic", me - 1, text);
    if (silent != 0)
        log_line("cores 0x%lx do not answer", silent);
    if (again != 0)
        system_panicked(true);
    if (frame != NULL) {
        print_frame(frame);
        print_backtrace(frame->rip, frame->gpr[5]);
    } else {
        print_backtrace((uintptr_t)__builtin_return_address(0), (uintptr_t)__builtin_frame_address(0));
    }
    console_rest();
    system_panicked(true);
}

void host_panic(const char *file, int line, const char *what) {
    panic_at(NULL, "%s:%u: %s", file, (unsigned)line, what);
}

void vmx_instruction_failed(const char *instruction, uint64_t operand) {
    panic_at(NULL, "%s failed, operand 0x%lx", instruction, operand);
}
