/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls, each as core/hypercall_abi.h says. */
#include "guests/rows/rows.h"

#include "core/str.h"

static int64_t call(uint64_t number, uint64_t rbx, uint64_t rcx) {
    int64_t rax = (int64_t)number;

    __asm__ volatile("vmcall" : "+a"(rax) : "b"(rbx), "c"(rcx) : "memory");
    return rax;
}

static void do_vmcall(void *arg) {
    (void)call(HYPERCALL_VERSION, 0, 0);
}

static void do_vmmcall(void *arg) {
    __asm__ volatile("vmmcall");
}

static void answers(void) {
    uint64_t name[2] = {(uint64_t)call(HYPERCALL_NAME, 0, 0), (uint64_t)call(HYPERCALL_NAME, 1, 0)};
    struct guest_fault fault = {0};

    struct cpuid leaf = cpuid(0x40000000, 0);

    EXPECT("V001 our signature", memcmp(&leaf.ebx, "MullionVMX", 10) == 0);
    EXPECT("X16 I5 version", call(HYPERCALL_VERSION, 0, 0) == 2);
    EXPECT("X16 G12 name", str_equal((const char *)name, "rows"));
    EXPECT("X16 a part of the name that is not there", call(HYPERCALL_NAME, 2, 0) == HYPERCALL_EINVAL);
    EXPECT("X16 unknown number", call(9, 0, 0) == HYPERCALL_ENOSYS && call(-1ull, 0, 0) == HYPERCALL_ENOSYS);
    EXPECT("X16 V021 at CPL 3 it is #UD", guest_catch_user(do_vmcall, NULL, &fault) && fault.vector == 6);
    EXPECT("V048 VMMCALL is #UD", guest_fault_of(do_vmmcall, NULL) == 6);
}

static void counters(void) {
    uint64_t value, cpuids = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 10), all = guest_exits();
    uint64_t msrs = guest_counter(HYPERCALL_COUNTER_MSRS), ports = guest_counter(HYPERCALL_COUNTER_PORTS);

    for (unsigned i = 0; i < 5; i++)
        (void)cpuid(0, 0);
    (void)guest_rdmsr(0x12345678, &value);
    (void)inb(0x510);
    EXPECT("V043 exits by reason", guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 10) == cpuids + 5);
    EXPECT("V043 exits in all", guest_exits() > all + 7);
    EXPECT("X09 V016 refused MSRs are counted", guest_counter(HYPERCALL_COUNTER_MSRS) == msrs + 1);
    EXPECT("X05 C06 absent ports are counted", guest_counter(HYPERCALL_COUNTER_PORTS) == ports + 1);
    EXPECT("X16 a counter that is not there", call(HYPERCALL_COUNTER, 4, 0) == HYPERCALL_EINVAL &&
                                                  call(HYPERCALL_COUNTER, 0x200, 0) == HYPERCALL_EINVAL);
}

static void console(void) {
    EXPECT("X16 write", call(HYPERCALL_WRITE, 0x0A6F6C6C6568, 6) == 6); /* "hello\n" */
    EXPECT("X16 write of too much", call(HYPERCALL_WRITE, 0, 9) == HYPERCALL_EINVAL);
}

static volatile unsigned woken;

static void on_wake(const struct guest_frame *frame) {
    woken++;
    guest_apic_write(APIC_EOI, 0);
}

/* Sleeps may end early; so up to 1000 of them. */
static void wait(void) {
    uint64_t start = rdtsc(), until = start + 1000000, fired;

    EXPECT("X49 V093 V094 wait returns", call(HYPERCALL_WAIT, until, 0) == 0);
    for (unsigned i = 0; i < 1000 && rdtsc() < until; i++)
        (void)call(HYPERCALL_WAIT, until, 0);
    fired = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 52);
    EXPECT("X49 V085 the time has passed", rdtsc() >= until && rdtsc() < until + 1000000);
    for (volatile unsigned i = 0; i < 20000; i++)
        ;
    EXPECT("X49 the timer is off again", fired == guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 52));
    EXPECT("X49 a time that has passed", call(HYPERCALL_WAIT, start, 0) == 0 && rdtsc() < until + 2000000);

    guest_on_irq(0x41, on_wake);
    guest_apic_write(0x0F, 0x1FF);
    guest_apic_write(0x32, 0x41); /* one-shot */
    guest_apic_write(0x3E, 0xB);
    guest_apic_write(0x38, 100000);
    __asm__ volatile("sti");
    EXPECT("X49 X12 an interrupt ends a wait",
           call(HYPERCALL_WAIT, rdtsc() + 500000000, 0) == 0 && (woken == 1 || rdtsc() < until + 100000000));
    __asm__ volatile("cli");
    guest_apic_write(0x32, 0x10000);
}

/* Bochs 2.7 offers the monitor trap flag on its newest models, but its VM entry never looks at it. */
static void trace(void) {
    uint64_t steps = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 37);
    int64_t result = call(HYPERCALL_TRACE, 50, 0);

    for (volatile unsigned i = 0; i < 100; i++)
        ;
    steps = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 37) - steps;
    if (result == HYPERCALL_ENOSYS || steps == 0)
        guest_print("absent X40 trace: steps 50 instructions\n");
    else
        EXPECT("X40 trace: steps 50 instructions", result == 0 && steps == 50);
    EXPECT("X40 trace of too much", call(HYPERCALL_TRACE, 65, 0) == HYPERCALL_EINVAL);
}

const struct row_test rows_call[] = {
    {"answers", answers, NULL, 0}, {"counters", counters, NULL, 0}, {"console", console, NULL, 0},
    {"wait", wait, NULL, 0},       {"trace", trace, NULL, 0},       {0},
};
