/* SPDX-License-Identifier: Apache-2.0 */
/* Types into a hypervisor that attacks itself: each line `NAME ARGUMENT` (hexadecimal) is one attack. With
 * `storm` on its command line it exits all the time instead and looks after its registers. */
#include "guests/attack.h"

#include "core/str.h"
#include "guests/lib/guest.h"

#define COM1     0x3F8
#define LSR      (COM1 + 5)
#define LSR_DATA 1
#define GO_ON    UINT64_C(0x6e6f206f67) /* "go on" with what a restart has interrupted */
#define TARGET   0x300000               /* a page that nobody uses */
#define STORM    2000                   /* exits between two lines */
#define SEED     UINT64_C(0x0123456789abcdef)

static char read_char(void) {
    while ((inb(LSR) & LSR_DATA) == 0)
        __builtin_ia32_pause();
    return (char)inb(COM1);
}

static unsigned digit(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The name as a number, and the argument. */
static void read_line(uint64_t *name, uint64_t *argument) {
    unsigned used = 0;
    char c;

    *name = *argument = 0;
    while ((c = read_char()) != ' ')
        *name |= (uint64_t)(uint8_t)c << (8 * used++);
    while ((c = read_char()) != '\r')
        *argument = *argument << 4 | digit(c);
}

/* Touch a page in all ways, past the TLB. */
static uint64_t touch(void) {
    volatile uint64_t *page = (volatile uint64_t *)TARGET;

    __asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
    *page = SEED;
    *(volatile uint8_t *)(TARGET + 8) = 0xC3; /* RET */
    ((void (*)(void))(TARGET + 8))();
    return *page;
}

/* One exit with something in every register. The number of those that came back changed. */
static unsigned exit_and_look(void) {
    uint64_t bad = 0;

    __asm__ volatile(
        "mov %1, %%r8; mov %1, %%r9; mov %1, %%r10; mov %1, %%r11; mov %1, %%r12; mov %1, %%r13\n"
        "mov %1, %%r14; mov %1, %%r15; mov %1, %%rsi; mov %1, %%rdi\n"
        "mov $0x40000000, %%eax; xor %%ecx, %%ecx; cpuid\n"
        ".irp r, r8, r9, r10, r11, r12, r13, r14, r15, rsi, rdi\n"
        "cmp %1, %%\\r; je 1f; incq %0\n1:\n"
        ".endr\n"
        : "+m"(bad)
        : "m"((uint64_t){SEED})
        : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
          "cc");
    return (unsigned)bad;
}

static void storm(void) {
    for (unsigned bad = 0, line = 1;; line++) {
        for (unsigned i = 0; i < STORM; i++)
            bad += exit_and_look();
        guest_print("storm: %u lines, %u registers wrong\n", line, bad);
    }
}

void guest_main(void) {
    uint64_t name, argument, result;

    if (guest_has_word("storm"))
        storm();
    while (!guest_hypercall(HYPERCALL_ATTACK, GO_ON, 0, &result) || result != 0)
        guest_hypercall(HYPERCALL_RESTART, touch(), 0,
                        &result); /* it has survived the last one, or just a fault */
    guest_print("attack: ready, restart %lu\n", guest_counter(HYPERCALL_COUNTER_RESTARTS));
    for (;;) {
        read_line(&name, &argument);
        if (!guest_hypercall(HYPERCALL_ATTACK, name, argument, &result))
            guest_print("attack: there is no such attack\n");
        else
            guest_print("attack: answer 0x%lx, page 0x%lx\n", result, touch());
    }
}
