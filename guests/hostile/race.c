/* SPDX-License-Identifier: Apache-2.0 */
/* Two vCPUs of one partition against each other, while the hypervisor is at work for one of them. */
#include "guests/hostile/hostile.h"

#include "core/str.h"

#define BACK_TICKS 20000000
#define START_PAGE 0x6000u
#define VECTOR     0x60u
#define VECTOR_NMI 2
#define COM1       0x3F8u
#define IOAPIC     UINT64_C(0xFEC00000)
#define UART_ENTRY 0x18u /* of the IOAPIC */
#define NO_PORT    0x3A
#define MODE_X2    (BIT(10) | BIT(11))

static volatile bool going;
static volatile uint64_t turns; /* of the other one */

static void on_interrupt(const struct guest_frame *frame) {
    if (frame->vector != VECTOR_NMI)
        guest_apic_write(APIC_EOI, 0);
}

/* mine(i) here, so many times, while the second vCPU does the other thing. */
static void against(void (*other)(void *), void (*mine)(void *), uint64_t times) {
    bool started;

    guest_on_irq(VECTOR, on_interrupt);
    guest_on_irq(VECTOR_NMI, on_interrupt);
    going = true;
    turns = 0;
    started = guest_cpu_run(1, other, NULL);
    for (uint64_t i = 0; i < times; i++)
        hostile_try(mine, &i);
    going = false;
    started = guest_cpu_wait(1, BACK_TICKS) && started;
    outb(COM1 + 4, 0); /* devices() may have silenced it */
    EXPECT("the second vCPU came through", started);
    hostile_tried += turns;
}

/* ---- Interrupts both ways, to each, both and all, with interrupts on ---- */
static void send_all_kinds(void *arg) {
    static const uint32_t lows[] = {0x4000 | VECTOR, 0x44000 | VECTOR, 0x84000 | VECTOR, 0xC4000 | VECTOR,
                                    0x4100 | VECTOR, 0x4800 | VECTOR,  0xC4400,          0x4200};
    uint64_t i = *(const uint64_t *)arg;

    guest_ipi(i / 8 % 2, lows[i % ARRAY_SIZE(lows)]);
    __asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

static void send_back(void *arg) {
    guest_x2apic_on();
    for (uint64_t i = 0; going; i++, turns++)
        send_all_kinds(&i);
}

static void both_send(void) {
    guest_x2apic_on();
    against(send_back, send_all_kinds, 2000);
}

/* ---- The page under an access changes: the APIC, nothing, RAM, not there ---- */
static void change_window(void *arg) {
    static const uint64_t places[] = {0xFEE00000, NOWHERE, 0x200000};

    for (uint64_t i = 0; going; i++, turns++)
        hostile_window(places[i % ARRAY_SIZE(places)]);
}

/* Within a page, into the next one, and between two. */
static void use_window(void *arg) {
    uint64_t i = *(const uint64_t *)arg, from = WINDOW + 0x1FFFFD, to = WINDOW + 0x80, count = 8;

    hostile_exchange(i % 2 == 0 ? WINDOW + 0x80 : WINDOW + 0x1FFFFE);
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
}

static void tables(void) {
    against(change_window, use_window, 1000);
    hostile_window(WINDOW);
}

/* ---- The instruction itself changes between its exit and the hypervisor's look at it ---- */
static volatile uint32_t code = 0xC307893E; /* a prefix, MOV, [RDI]; RET */

/* A prefix and an opcode of each, in any mixture: what is looked at may be half of one and half of the next,
 * and has to lead to the RET. */
static void change_code(void *arg) {
    static const uint8_t prefixes[] = {0x3E, 0x48, 0x66};
    static const uint8_t opcodes[] = {0x88, 0x89, 0x8A, 0x8B, 0x86, 0x87, 0x00, 0x01, 0x31, 0x85};

    for (uint64_t i = 0; going; i++, turns++)
        code = 0xC3070000 | (uint32_t)opcodes[i % ARRAY_SIZE(opcodes)] << 8 |
               prefixes[i / 2 % ARRAY_SIZE(prefixes)];
}

static void run_code(void *arg) {
    uint64_t from = RAM - 5,
             to = *(const uint64_t *)arg % 3 == 0 ? RAM - 3 : NOWHERE + *(const uint64_t *)arg % 4096;

    __asm__ volatile("call *%2" : "+S"(from), "+D"(to) : "r"(&code) : "rax", "memory");
}

static void instruction(void) {
    against(change_code, run_code, 2000);
}

/* ---- INIT, SIPI and NMI at one that is exiting all the time ---- */
static void start_and_stop(void) {
    static const uint8_t busy[] = {0x0F, 0xA2,                      /* CPUID */
                                   0xE4, NO_PORT,                   /* IN AL, NO_PORT */
                                   0x0F, 0x09,                      /* WBINVD */
                                   0x2E, 0x66,    0xFF, 0x06, 0, 1, /* INC dword CS:[100H] */
                                   0xEB, 0xF2};                     /* again */
    static const uint32_t lows[] = {ICR_INIT,
                                    ICR_SIPI | START_PAGE >> 12,
                                    ICR_SIPI | START_PAGE >> 12,
                                    ICR_NMI,
                                    ICR_SIPI,
                                    ICR_NMI,
                                    ICR_INIT,
                                    ICR_INIT,
                                    ICR_SIPI | START_PAGE >> 12};
    volatile uint32_t *counter = (volatile uint32_t *)(uint64_t)(START_PAGE + 0x100);

    memcpy((void *)(uint64_t)START_PAGE, busy, sizeof(busy));
    *counter = 0;
    for (unsigned i = 0; i < 5000; i++, hostile_tried++) {
        guest_ipi(1, lows[i % ARRAY_SIZE(lows)]);
        for (volatile unsigned wait = 0; wait < i % 128; wait++)
            continue;
    }
    EXPECT("the second vCPU did run in between", *counter > 0);
    guest_cpu_stop(1);
    hostile_tried += *counter;
}

/* ---- Its APIC goes through its modes while interrupts are sent to it ---- */
static void change_mode(void *arg) {
    for (; going; turns++) {
        uint64_t base = rdmsr(MSR_APIC_BASE);
        wrmsr(MSR_APIC_BASE, base | MODE_X2);
        wrmsr(MSR_X2APIC + 0xF, 0x1FF);
        wrmsr(MSR_APIC_BASE, base & ~MODE_X2);
        wrmsr(MSR_APIC_BASE, (base & ~MODE_X2) | BIT(11));
    }
}

static void send_at_modes(void *arg) {
    static const uint32_t lows[] = {0x4000 | VECTOR, 0x4800 | VECTOR, ICR_NMI, 0xC4000 | VECTOR};

    guest_ipi(1, lows[*(const uint64_t *)arg % ARRAY_SIZE(lows)]);
}

static void modes(void) {
    guest_x2apic_on();
    against(change_mode, send_at_modes, 10000);
    guest_cpu_stop(1);
}

/* ---- The devices from both sides, with an interrupt of every kind ---- */
static void use_devices(void *arg) {
    static const uint8_t writes[][2] = {{1, 0xF}, {4, 0xB}, {2, 0x7}, {4, 0x1B}, {1, 0}, {4, 0}};
    uint64_t i = *(const uint64_t *)arg;
    volatile uint32_t *ioapic = (volatile uint32_t *)IOAPIC;

    outb(COM1 + writes[i % ARRAY_SIZE(writes)][0], writes[i % ARRAY_SIZE(writes)][1]);
    (void)inb((uint16_t)(COM1 + i % 8));
    (void)inb(0x71);
    if (i % 8 == 0) {
        ioapic[0] = UART_ENTRY + i / 8 % 2;
        ioapic[4] = i / 16 % 8 == 5 ? 0 : (uint32_t)(i / 16 % 8 << 8) | VECTOR; /* all modes but INIT */
    }
}

static void use_devices_too(void *arg) {
    for (uint64_t i = 3; going; i++, turns++)
        use_devices(&i);
}

static void devices(void) {
    against(use_devices_too, use_devices, 3000);
    outb(COM1 + 1, 0);
    guest_cpu_stop(1);
}

const struct attack attacks_race[] = {
    {"race-ipi", both_send, 2, NULL},
    {"race-tables", tables, 2, NULL},
    {"race-code", instruction, 2, NULL},
    {"race-start", start_and_stop, 2, NULL},
    {"race-modes", modes, 2, NULL},
    {"race-devices", devices, 2, NULL},
    {0},
};
