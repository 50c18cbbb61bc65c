/* SPDX-License-Identifier: Apache-2.0 */
/* The ways a partition ends. What the log then says stands in the table. */
#include "guests/rows/rows.h"

#define NOWHERE UINT64_C(0xD0000000) /* no RAM, no device */

void row_task_switch(void); /* task.S */

static void triple_fault(void) {
    guest_die();
}

static void port_cf9(void) {
    outb(0xCF9, 2);
    outb(0xCF9, 6);
}

static void keyboard_reset(void) {
    outb(0x64, 0xFE);
}

static void hypercall_restart(void) {
    uint64_t result;

    guest_hypercall(HYPERCALL_RESTART, 0, 0, &result);
}

/* In the end the local APIC holds interrupts with the vectors of exceptions, 17 and 30 with an error code. */
static void pending_like_exceptions(void) {
    __asm__ volatile("cli");
    guest_apic_write(0x0F, 0x1FF);
    for (unsigned vector = 16; vector < 32; vector++)
        guest_apic_write(0x30, 0x44000 | vector);
    guest_die();
}

static void fetch_nowhere(void) {
    ((void (*)(void))NOWHERE)();
}

static void tables_nowhere(void) {
    __asm__ volatile("mov %0, %%cr3" : : "r"(NOWHERE) : "memory");
}

static void idt_nowhere(void) {
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } idtr = {0xFFF, NOWHERE};

    __asm__ volatile("lidt %0; ud2" : : "m"(idtr));
}

static void undecodable(void) {
    __asm__ volatile("fxsave (%0)" : : "r"(NOWHERE) : "memory");
}

static void other_vcpu_dies(void *arg) {
    guest_die();
}

static void second_vcpu(void) {
    guest_cpu_run(1, other_vcpu_dies, NULL);
    for (;;)
        __builtin_ia32_pause();
}

const struct row_test rows_life[] = {
    {"X03 triple fault", triple_fault, "triple fault", 0},
    {"X05 reset by port CF9", port_cf9, "resets the partition", 0},
    {"X05 reset by the 8042", keyboard_reset, "resets the partition", 0},
    {"X16 restart by hypercall", hypercall_restart, "resets the partition", 0},
    {"X03 with interrupts pending", pending_like_exceptions, "triple fault", 0},
    {"X36 fetch from nowhere", fetch_nowhere, "instruction fetch from where nothing is", 0},
    {"X36 page tables nowhere", tables_nowhere, "page tables where nothing is", 0},
    {"X36 IDT nowhere", idt_nowhere, "event delivery through memory that is not there", 0},
    {"V100 an instruction that is not emulated", undecodable, "by an instruction that is not emulated", 0},
    {"X32 hardware task switch", row_task_switch, "hardware task switch", 0},
    {"X03 a second vCPU takes all down", second_vcpu, "triple fault", 2},
    {0},
};
