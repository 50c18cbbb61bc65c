/* SPDX-License-Identifier: Apache-2.0 */
/* Dies in the way its command line names, after a line that says so. */
#include "guests/lib/guest.h"

#define NOWHERE UINT64_C(0xD0000000) /* no RAM, no device */

static void die_nowhere(void) {
    ((void (*)(void))NOWHERE)();
}

static void back_to_the_same(const struct guest_frame *frame) {
    (void)frame;
}

static void die_udloop(void) {
    guest_on_irq(6, back_to_the_same);
    __asm__ volatile("ud2");
}

static void die_spin(void) {
    for (;;)
        __asm__ volatile("cli; pause");
}

static void die_hlt(void) {
    guest_halt();
}

static void die_reset(void) {
    outb(0xCF9, 6);
}

/* What a guest should survive: reads of nothing give all ones. */
static void die_read(void) {
    guest_print("crash: read 0x%x\n", *(volatile uint32_t *)NOWHERE);
}

static void die_screen(void) {
    uint64_t rdi = 0xB8000, rcx = 2000;

    __asm__ volatile("rep stosw" : "+D"(rdi), "+c"(rcx) : "a"(0x0720) : "memory");
}

static void die_port(void) {
    (void)inb(0x1F0);
}

static void die_insb(void) {
    uint64_t rdi = NOWHERE;

    __asm__ volatile("insb" : "+D"(rdi) : "d"((uint16_t)0x3FF) : "memory");
}

static void die_msr(void) {
    wrmsr(0x3A, 1);
}

/* For a debugger that damages the hypervisor's tables at this mark; the TLB must forget what they were. */
static void die_misconfig(void) {
    __asm__ volatile("xchg %%bx, %%bx; mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
}

static const struct {
    const char *name;
    void (*die)(void);
} ways[] = {
    {"triple", guest_die},  {"nowhere", die_nowhere}, {"udloop", die_udloop},
    {"spin", die_spin},     {"hlt", die_hlt},         {"reset", die_reset},
    {"read", die_read},     {"msr", die_msr},         {"misconfig", die_misconfig},
    {"screen", die_screen}, {"port", die_port},       {"insb", die_insb},
};

void guest_main(void) {
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        if (guest_has_word(ways[i].name)) {
            guest_print("crash: %s\n", ways[i].name);
            ways[i].die();
            guest_print("crash: survived %s\n", ways[i].name);
            return;
        }
    }
    guest_print("crash: wanted on the command line, one of:");
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
        guest_print(" %s", ways[i].name);
    guest_print("\n");
}
