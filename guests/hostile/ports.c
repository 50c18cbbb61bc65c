/* SPDX-License-Identifier: Apache-2.0 */
/* All ports in all widths, and string instructions that end badly. */
#include "guests/hostile/hostile.h"

#define PORTS      0x10000u
#define NO_PORT    0x3Au
#define PORT_RESET 0xCF9u /* these two end the partition: death.c */
#define PORT_SLEEP 0x600u
#define COM1       0x3F8u

static uint64_t buffer[2];

static void in_all(void) {
    uint32_t value;

    for (uint32_t port = 0; port < PORTS; port++, hostile_tried += 3) {
        __asm__ volatile("inb %w1, %b0" : "=a"(value) : "d"(port));
        __asm__ volatile("inw %w1, %w0" : "=a"(value) : "d"(port));
        __asm__ volatile("inl %w1, %0" : "=a"(value) : "d"(port));
    }
}

/* What all that was written to the UART makes of it. */
static void repair_console(void) {
    static const uint8_t writes[][2] = {{3, 0x80}, {0, 1}, {1, 0}, {3, 3}, {4, 0}}; /* register, value */

    for (unsigned i = 0; i < ARRAY_SIZE(writes); i++)
        outb(COM1 + writes[i][0], writes[i][1]);
    guest_print("\n");
}

static void out_all(void) {
    for (uint32_t port = 0; port < PORTS; port++) {
        uint32_t value = port == PORT_RESET || port == PORT_SLEEP ? 0 : (uint32_t)hostile_random();
        __asm__ volatile("outb %b0, %w1; outw %w0, %w1; outl %0, %w1" : : "a"(value), "d"(port));
        hostile_tried += 3;
    }
    repair_console();
}

static void string_all(void) {
    uint64_t at, count;

    for (uint32_t group = 0; group < PORTS; group += (uint32_t)hostile_thin, hostile_tried += 6) {
        uint32_t port = group + (uint32_t)(hostile_random() % hostile_thin);
        at = (uint64_t)buffer;
        __asm__ volatile("insb; insw; insl" : "+D"(at) : "d"(port) : "memory");
        buffer[0] = 0; /* harmless everywhere */
        at = (uint64_t)buffer;
        count = 1;
        __asm__ volatile("rep outsb; std; outsw; outsl; cld" : "+S"(at), "+c"(count) : "d"(port) : "memory");
    }
    repair_console();
}

struct string {
    uint64_t at, count;
    uint32_t port;
};

static void rep_in(void *arg) {
    struct string *s = arg;

    __asm__ volatile("rep insb" : : "D"(s->at), "c"(s->count), "d"(s->port) : "memory");
}

static void rep_out(void *arg) {
    struct string *s = arg;

    __asm__ volatile("rep outsw" : : "S"(s->at), "c"(s->count), "d"(s->port) : "memory");
}

/* Buffers that begin where it is right and end where nothing is, no page, no canonical address; ports that
 * are there and that are not. */
static void bad_buffers(void) {
    static const uint64_t ends[] = {
        RAM,     UINT64_C(0xA0000),      NOWHERE,      LAPIC_PAGE,
        BIT(47), UINT64_C(0x8000000000), ~UINT64_C(0), UINT64_C(0xFFFF800000000000)};
    static const uint32_t ports[] = {NO_PORT, COM1 + 7, 0x71, 0xFFFF};

    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(ports); k++) {
            for (unsigned before = 0; before < 4; before++) {
                struct string s = {ends[i] - before, 64, ports[k]};
                hostile_try(rep_in, &s);
                hostile_try(rep_out, &s);
            }
        }
    }
}

static volatile bool stop;

static void on_timer(const struct guest_frame *frame) {
    ((struct guest_frame *)frame)->rcx = 1; /* of the instruction that was interrupted */
    stop = true;
    guest_apic_write(APIC_EOI, 0);
}

/* With 2^64 - 1 elements to go an interrupt still comes, and a neighbour does not care. */
static void endless(void) {
    uint64_t count = UINT64_MAX, from = (uint64_t)buffer;

    guest_on_irq(0x40, on_timer);
    guest_apic_write(SVR, 0x1FF);
    guest_apic_write(0x3E, 0xB);
    guest_apic_write(0x32, 0x40);
    guest_apic_write(0x38, 1000000);
    __asm__ volatile("sti; rep outsb; cli" : "+c"(count), "+S"(from) : "d"(NO_PORT) : "memory");
    hostile_tried = 1;
    EXPECT("an endless string instruction can be interrupted", stop);
}

const struct attack attacks_ports[] = {
    {"ports-in", in_all, 1, NULL},         {"ports-out", out_all, 1, NULL},
    {"ports-string", string_all, 1, NULL}, {"string-buffers", bad_buffers, 1, NULL},
    {"string-endless", endless, 1, NULL},  {0},
};
