/* SPDX-License-Identifier: Apache-2.0 */
/* The small run-time of our bare-metal guests, entered from start.S in 64-bit mode with interrupts
 * off. One CPU. */
#include "guests/lib/guest.h"

#include "core/str.h"

#define COM1        0x3F8
#define LSR         (COM1 + 5)
#define LSR_THRE    0x20

#define MB1_EAX     0x2BADB002u
#define MB1_CMDLINE BIT(2)

struct idt_gate {
    uint16_t offset_0, selector, type, offset_16;
    uint32_t offset_32, reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "64-bit interrupt gate");

struct __attribute__((packed)) table_register {
    uint16_t limit;
    const void *base;
};

extern const uint8_t guest_stubs[];
extern const uint8_t guest_catch_landing[];
extern uint64_t guest_catch_rsp;
bool guest_catch_raw(void (*code)(void *), void *arg);
void guest_start(uint32_t magic, const uint32_t *info);
void guest_trap(struct guest_frame *frame);

static struct idt_gate guest_idt[256];
static void (*guest_handlers[256])(const struct guest_frame *frame);
static struct guest_fault guest_last_fault;
static const char *guest_line = "";
static unsigned guest_ok, guest_failed;

/* ---- What the compiler calls by itself ---- */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
    const uint8_t *source = from;
    uint8_t *target = to;

    if (target < source)
        return memcpy(to, from, bytes);
    while (bytes-- > 0)
        target[bytes] = source[bytes];
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

/* ---- Printing ---- */
static void guest_putc(char c) {
    while ((inb(LSR) & LSR_THRE) == 0)
        __builtin_ia32_pause();
    outb(COM1, (uint8_t)c);
}

static void guest_serial_init(void) {
    outb(COM1 + 1, 0);    /* no interrupts */
    outb(COM1 + 3, 0x80); /* divisor latch */
    outb(COM1, 1);        /* 115200 */
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3); /* 8n1 */
    outb(COM1 + 2, 7); /* FIFO on and empty */
}

void guest_print(const char *format, ...) {
    char text[256];
    va_list args;

    va_start(args, format);
    str_vformat(text, sizeof(text), format, args);
    va_end(args);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\n')
            guest_putc('\r');
        guest_putc(*c);
    }
}

void guest_halt(void) {
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

void guest_die(void) {
    struct table_register none = {0, 0};

    for (;;)
        __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

/* ---- Command line ---- */
const char *guest_cmdline(void) {
    return guest_line;
}

/* The text behind `name` where a word begins with it, or NULL. */
static const char *guest_find(const char *name) {
    size_t length = str_length(name);

    for (const char *at = guest_line; *at != '\0'; at++)
        if ((at == guest_line || at[-1] == ' ') && str_length(at) >= length && memcmp(at, name, length) == 0)
            return at + length;
    return NULL;
}

bool guest_has_word(const char *word) {
    const char *end = guest_find(word);

    return end != NULL && (*end == ' ' || *end == '\0');
}

uint64_t guest_number(const char *name, uint64_t other) {
    const char *at = guest_find(name);
    size_t length = 0;
    uint64_t value;

    if (at == NULL || *at++ != '=')
        return other;
    while (at[length] != ' ' && at[length] != '\0')
        length++;
    return str_to_u64(at, length, &value) ? value : other;
}

/* ---- Traps ---- */
static uint64_t guest_cr2(void) {
    uint64_t value;

    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

void guest_trap(struct guest_frame *frame) {
    guest_last_fault = (struct guest_fault){frame->vector, frame->error, frame->rip, guest_cr2()};
    if (guest_handlers[frame->vector] != NULL) {
        guest_handlers[frame->vector](frame);
    } else if (frame->vector < 32 && guest_catch_rsp != 0) {
        frame->rip = (uint64_t)guest_catch_landing;
        frame->rsp = guest_catch_rsp;
    } else {
        guest_print("guest: unexpected vector %lu, error 0x%lx, rip 0x%lx, cr2 0x%lx\n", frame->vector,
                    frame->error, frame->rip, guest_last_fault.cr2);
        guest_die(); /* so that somebody notices: the partition stops */
    }
}

bool guest_catch(void (*code)(void *), void *arg, struct guest_fault *fault) {
    bool caught = guest_catch_raw(code, arg);

    if (caught)
        *fault = guest_last_fault;
    return caught;
}

void guest_on_irq(unsigned vector, void (*handler)(const struct guest_frame *frame)) {
    guest_handlers[vector & 255] = handler;
}

static void guest_traps_init(void) {
    struct table_register idtr = {sizeof(guest_idt) - 1, guest_idt};

    for (unsigned i = 0; i < 256; i++) {
        uint64_t stub = (uint64_t)(guest_stubs + 16 * i);

        guest_idt[i] = (struct idt_gate){
            .offset_0 = (uint16_t)stub,
            .selector = 0x08,
            .type = 0x8E00,
            .offset_16 = (uint16_t)(stub >> 16),
            .offset_32 = (uint32_t)(stub >> 32),
        };
    }
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

/* ---- Time and the local APIC ---- */
uint64_t guest_tsc_hz(void) {
    uint32_t max = cpuid(0, 0).eax;
    struct cpuid tsc = max >= 0x15 ? cpuid(0x15, 0) : (struct cpuid){0};

    if (tsc.eax != 0 && tsc.ebx != 0 && tsc.ecx != 0)
        return (uint64_t)tsc.ecx * tsc.ebx / tsc.eax;
    return max >= 0x16 ? UINT64_C(1000000) * (cpuid(0x16, 0).eax & 0xFFFF) : 0;
}

bool guest_x2apic_on(void) {
    if ((cpuid(1, 0).ecx & BIT(21)) == 0)
        return false;
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(11) | BIT(10));
    wrmsr(MSR_X2APIC + 0xF, 0x1FF); /* SVR: enabled, spurious vector 255 */
    return true;
}

/* ---- Hypercalls ---- */
struct guest_call {
    uint64_t rax, rbx, rcx;
};

static void guest_vmcall(void *arg) {
    struct guest_call *call = arg;

    __asm__ volatile("vmcall" : "+a"(call->rax) : "b"(call->rbx), "c"(call->rcx) : "memory");
}

bool guest_hypercall(uint64_t number, uint64_t a, uint64_t b, uint64_t *result) {
    struct guest_call call = {number, a, b};
    struct guest_fault fault;

    if (guest_catch(guest_vmcall, &call, &fault) || (int64_t)call.rax == HYPERCALL_ENOSYS)
        return false;
    *result = call.rax;
    return true;
}

void guest_stop(void) {
    uint64_t result;

    guest_hypercall(HYPERCALL_STOP, 0, 0, &result);
    guest_halt();
}

/* ---- Expectations ---- */
void guest_expect(bool good, const char *name, const char *file, int line) {
    if (good) {
        guest_ok++;
        guest_print("ok %s\n", name);
    } else {
        guest_failed++;
        guest_print("FAIL %s:%d %s\n", file, line, name);
    }
}

void guest_expect_summary(void) {
    guest_print("done: %u ok, %u failed\n", guest_ok, guest_failed);
}

/* From start.S. `info` is multiboot's information structure. */
void guest_start(uint32_t magic, const uint32_t *info) {
    if ((cpuid(1, 0).ecx & BIT(31)) == 0) { /* on a bare PC the 8259s are live, with a timer */
        outb(0x21, 0xFF);
        outb(0xA1, 0xFF);
    }
    guest_serial_init();
    guest_traps_init();
    if (magic == MB1_EAX && (info[0] & MB1_CMDLINE) != 0)
        guest_line = (const char *)(uint64_t)info[4];
    guest_main();
    guest_stop();
}
