/* SPDX-License-Identifier: Apache-2.0 */
/* A Linux program, `mark N [SECONDS N]...`: tells the emulator's witness (tests/rig/witness.c) that its user
 * is at point N, one digit, and perhaps sleeps and tells it the next. The prefetch of an address where
 * nothing is has no effect on any CPU and makes no exit. Nor does the start of this program: a C library's
 * would ask CPUID. */
#include <stdint.h>

#define MARK          UINT64_C(0x4d61726b00)
#define SYS_NANOSLEEP 35
#define SYS_EXIT      60

void start(uint64_t *stack);

static void syscall(uint64_t number, uint64_t first, uint64_t second) {
    __asm__ volatile("syscall" : "+a"(number) : "D"(first), "S"(second) : "rcx", "r11", "memory");
}

static uint64_t number_of(const char *text) {
    uint64_t number = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    return number;
}

/* The stack of a new process: argc, argv, NULL. */
__attribute__((used)) void start(uint64_t *stack) {
    for (uint64_t i = 1; i < stack[0]; i++) {
        uint64_t number = number_of((const char *)stack[1 + i]);
        uint64_t time[2] = {number, 0}; /* struct timespec */
        if (i % 2 == 0)
            syscall(SYS_NANOSLEEP, (uint64_t)time, 0);
        else
            __asm__ volatile("prefetcht0 (%0)" : : "r"(MARK | (number & 0xff)));
    }
    syscall(SYS_EXIT, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n call start");
