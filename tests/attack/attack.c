/* SPDX-License-Identifier: Apache-2.0 */
/* Which attack it is to be, and the panics that tests avert to go on with the next one. */
#include "tests/attack/attack.h"

#include <stdarg.h>

#include "arch/x86/trap.h"
#include "core/hypercall_abi.h"
#include "core/log.h"
#include "core/str.h"
#include "guests/attack.h"

static struct {
    bool on, say_so;
    void *back[5];
} averting[MAX_CPUS];
static unsigned panic_faults;
static bool panic_told;

exit_fn __real_exit_vmcall, __wrap_exit_vmcall;
_Noreturn void __real_panic_at(const struct trap_frame *frame, const char *format, ...);
_Noreturn void __wrap_panic_at(const struct trap_frame *frame, const char *format, ...) printf_like(2, 3);
bool __real_memory_has_stack(uint64_t at, uint64_t bytes);
bool __wrap_memory_has_stack(uint64_t at, uint64_t bytes);
void __real_console_panic(void);
void __wrap_console_panic(void);

struct verdict __wrap_exit_vmcall(struct vcpu *v, struct guest_regs *regs) {
    static const struct attack *const lists[] = {memory_attacks, fault_attacks, flip_attacks};
    if (regs->rax != HYPERCALL_ATTACK)
        return __real_exit_vmcall(v, regs);
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        for (const struct attack *a = lists[i]; a->name[0] != '\0'; a++)
            if (memcmp(a->name, &regs->rbx, ATTACK_NAME_BYTES) == 0)
                return a->run(v, regs->rcx);
    return attack_answer((uint64_t)HYPERCALL_ENOSYS);
}

bool attack_averted(void (*code)(uint64_t), uint64_t argument, bool say_so) {
    unsigned cpu = this_cpu.index;
    averting[cpu].say_so = say_so;
    averting[cpu].on = true;
    bool averted = __builtin_setjmp(averting[cpu].back) != 0;
    if (!averted)
        code(argument);
    averting[cpu].on = false;
    return averted;
}

void __wrap_panic_at(const struct trap_frame *frame, const char *format, ...) {
    char text[LOG_LINE_MAX];
    unsigned cpu = this_cpu.index;
    va_list args;
    if (averting[cpu].on && !averting[cpu].say_so)
        __builtin_longjmp(averting[cpu].back, 1);
    va_start(args, format);
    str_vformat(text, sizeof(text), format, args);
    va_end(args);
    if (averting[cpu].on) {
        log_line("averted: %s, RIP %016lx", text, frame != NULL ? frame->rip : 0);
        __builtin_longjmp(averting[cpu].back, 1);
    }
    __real_panic_at(frame, "%s", text);
}

void attack_panic_too(unsigned faults) {
    panic_faults = faults;
}

/* In the backtrace, and when that is to be said. */
bool __wrap_memory_has_stack(uint64_t at, uint64_t bytes) {
    if (panic_faults == 0)
        return __real_memory_has_stack(at, bytes);
    panic_faults--;
    panic_told = true;
    attack_overflow(0);
    return false;
}

void __wrap_console_panic(void) {
    __real_console_panic();
    if (panic_told && panic_faults > 0) {
        panic_faults--;
        attack_overflow(0);
    }
}
