/* SPDX-License-Identifier: Apache-2.0 */
/* All of guest-physical memory that is not the partition's own. Whether the hypervisor, the neighbours, a
 * firmware or nobody has those frames in the machine makes no difference here: that is what is tested. */
#include "guests/hostile/hostile.h"

#define VGA_BASE UINT64_C(0xA0000)
#define VGA_END  UINT64_C(0xC0000)
#define FINE_END (64 * UINT64_C(0x40000000)) /* above: less often */
#define COARSE   (16 * UINT64_C(0x40000000))

/* Each page is read and written, by one instruction: two accesses. Of `thin` pages one, any of them. */
static void each(uint64_t from, uint64_t to, uint64_t thin) {
    for (uint64_t at = from; at < to; at += thin * PAGE_SIZE, hostile_tried += 2)
        hostile_exchange(at + hostile_random() % thin * PAGE_SIZE);
}

static void below_4g(void) {
    each(VGA_BASE, VGA_END, 1);
    each(RAM, UINT64_C(0x100000000), hostile_thin);
}

static void above_4g(void) {
    unsigned bits = cpuid(0x80000008, 0).eax & 0xFF;
    uint64_t from = UINT64_C(0x100000000), fine = hostile_thin * PAGE_2M;

    for (uint64_t at = from; at < BIT(bits); at += at < FINE_END ? fine : COARSE, hostile_tried += 2) {
        hostile_window(at + (at < FINE_END ? hostile_random() % hostile_thin * PAGE_2M : 0));
        hostile_exchange(WINDOW + hostile_random() % (PAGE_2M / 4) * 4);
    }
    hostile_window(WINDOW);
}

/* Every byte of the pages of both kinds of APIC, in each width; what is written there as it should be:
 * apic.c. */
static void apic_pages(void) {
    static const uint64_t pages[] = {LAPIC_PAGE, UINT64_C(0xFEC00000)};
    uint64_t value, step = hostile_thin | 1; /* reaches each offset into a register */

    for (unsigned i = 0; i < 2; i++) {
        for (uint64_t at = pages[i]; at < pages[i] + PAGE_SIZE - 8; at += step, hostile_tried += 7) {
            __asm__ volatile("movb (%1), %b0; movw (%1), %w0; movl (%1), %k0; movq (%1), %0"
                             : "=&r"(value)
                             : "r"(at));
            value = hostile_random();
            __asm__ volatile("movb %b0, (%1); movw %w0, (%1); movq %0, (%1)"
                             :
                             : "r"(value), "r"(at)
                             : "memory");
        }
    }
}

/* Rewritten between its runs, through another address: what runs is what is there. */
static void self_modifying(void) {
    static uint8_t code[] = {0xB8, 0, 0, 0, 0, 0xC3}; /* MOV EAX, imm32; RET */
    volatile uint32_t *operand;
    uint64_t wrong = 0;

    hostile_window((uint64_t)code & ~(PAGE_2M - 1));
    operand = (volatile uint32_t *)(WINDOW + ((uint64_t)code & (PAGE_2M - 1)) + 1);
    for (uint32_t i = 0; i < 10000; i++, hostile_tried++) {
        *operand = i;
        __asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx");
        wrong += ((uint32_t(*)(void))code)() != i;
    }
    EXPECT("the code that runs is the code that was written", wrong == 0);
}

const struct attack attacks_space[] = {
    {"below-4g", below_4g, 1, NULL},
    {"above-4g", above_4g, 1, NULL},
    {"apic-pages", apic_pages, 1, NULL},
    {"self-modifying", self_modifying, 1, NULL},
    {0},
};
