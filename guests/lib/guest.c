/* SPDX-License-Identifier: Apache-2.0 */
/* The small run-time of our bare-metal guests, entered from start.S in 64-bit mode with interrupts
 * off. */
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

/* What a CPU has for itself, at GS:0. */
struct guest_percpu {
    uint64_t catch_rsp; /* start.S knows that it comes first */
    unsigned index;
    struct guest_fault fault;
    void (*volatile code)(void *); /* to call; NULL when done */
    void *arg;
    volatile bool up;
};

extern const uint8_t guest_stubs[], guest_ap_page[], guest_ap_page_end[];
extern const uint8_t guest_catch_landing[], guest_user_return[];
extern uint8_t guest_stack_top[], guest_user_stack_top[];
extern uint64_t guest_gdt[];
bool guest_catch_raw(void (*code)(void *), void *arg);
void guest_user_raw(void *call);
void guest_start(uint32_t magic, const uint32_t *info);
void guest_ap_start(unsigned index);
void guest_trap(struct guest_frame *frame);

static struct idt_gate guest_idt[256];
static void (*guest_handlers[256])(const struct guest_frame *frame);
static struct guest_percpu guest_cpus[GUEST_MAX_CPUS];
static uint32_t guest_tss[26]; /* RSP0 is in words 1 and 2 */
static char guest_line[1024];
static unsigned guest_ok, guest_failed;

#define MSR_GS_BASE   0xC0000101u
#define VECTOR_RETURN 0x81 /* by which user code comes back */
#define AP_STATE      0xF00
#define AP_TICKS      50000000

static struct guest_percpu *guest_this(void) {
    return (struct guest_percpu *)rdmsr(MSR_GS_BASE);
}

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
    struct guest_percpu *this = guest_this();

    if (guest_handlers[frame->vector] != NULL) {
        guest_handlers[frame->vector](frame);
        return;
    }
    this->fault = (struct guest_fault){frame->vector, frame->error, frame->rip, guest_cr2()};
    if ((frame->vector < 32 || frame->vector == VECTOR_RETURN) && this->catch_rsp != 0) {
        frame->rip = (uint64_t)guest_catch_landing;
        frame->rsp = this->catch_rsp;
        frame->cs = 0x08;
        frame->ss = 0x10;
        frame->rflags = 2;
    } else {
        guest_print("guest: CPU %u: unexpected vector %lu, error 0x%lx, rip 0x%lx, cr2 0x%lx\n", this->index,
                    frame->vector, frame->error, frame->rip, this->fault.cr2);
        guest_die(); /* so that somebody notices: the partition stops */
    }
}

bool guest_catch(void (*code)(void *), void *arg, struct guest_fault *fault) {
    bool caught = guest_catch_raw(code, arg);

    if (caught)
        *fault = guest_this()->fault;
    return caught;
}

uint64_t guest_fault_of(void (*code)(void *), void *arg) {
    struct guest_fault fault;

    return guest_catch(code, arg, &fault) ? fault.vector : GUEST_NO_FAULT;
}

struct guest_user_call {
    void (*code)(void *);
    void *arg;
};

bool guest_catch_user(void (*code)(void *), void *arg, struct guest_fault *fault) {
    struct guest_user_call call = {code, arg};

    return guest_catch(guest_user_raw, &call, fault) && fault->vector != VECTOR_RETURN;
}

struct guest_msr {
    uint32_t index;
    uint64_t value;
};

static void guest_do_rdmsr(void *arg) {
    struct guest_msr *msr = arg;

    msr->value = rdmsr(msr->index);
}

static void guest_do_wrmsr(void *arg) {
    const struct guest_msr *msr = arg;

    wrmsr(msr->index, msr->value);
}

uint64_t guest_rdmsr(uint32_t index, uint64_t *value) {
    struct guest_msr msr = {index, 0};
    uint64_t vector = guest_fault_of(guest_do_rdmsr, &msr);

    *value = msr.value;
    return vector;
}

uint64_t guest_wrmsr(uint32_t index, uint64_t value) {
    struct guest_msr msr = {index, value};

    return guest_fault_of(guest_do_wrmsr, &msr);
}

void guest_on_irq(unsigned vector, void (*handler)(const struct guest_frame *frame)) {
    guest_handlers[vector & 255] = handler;
}

static void guest_traps_load(unsigned cpu) {
    struct table_register idtr = {sizeof(guest_idt) - 1, guest_idt};

    guest_cpus[cpu].index = cpu;
    wrmsr(MSR_GS_BASE, (uint64_t)&guest_cpus[cpu]);
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

/* Where user code's exceptions find a kernel stack: CPU 0's, below what it is using meanwhile. */
static void guest_tss_init(void) {
    uint64_t at = (uint64_t)guest_tss, rsp0 = (uint64_t)guest_stack_top - 0x1000;

    guest_tss[1] = (uint32_t)rsp0;
    guest_tss[25] = sizeof(guest_tss) << 16; /* no I/O bitmap */
    guest_gdt[8] = (sizeof(guest_tss) - 1) | (at & 0xFFFFFF) << 16 | UINT64_C(0x89) << 40;
    __asm__ volatile("ltr %w0" : : "r"(0x40));
}

static void guest_traps_init(void) {
    for (unsigned i = 0; i < 256; i++) {
        uint64_t stub = (uint64_t)(guest_stubs + 16 * i);

        guest_idt[i] = (struct idt_gate){
            .offset_0 = (uint16_t)stub,
            .selector = 0x08,
            .type = i == VECTOR_RETURN ? 0xEE00 : 0x8E00,
            .offset_16 = (uint16_t)(stub >> 16),
            .offset_32 = (uint32_t)(stub >> 32),
        };
    }
    guest_traps_load(0);
    guest_tss_init();
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

static bool guest_in_x2apic(void) {
    return (rdmsr(MSR_APIC_BASE) & BIT(10)) != 0;
}

static volatile uint32_t *guest_xapic(unsigned reg) {
    return (volatile uint32_t *)(UINT64_C(0xFEE00000) + reg * 16);
}

uint32_t guest_apic_read(unsigned reg) {
    return guest_in_x2apic() ? (uint32_t)rdmsr(MSR_X2APIC + reg) : *guest_xapic(reg);
}

void guest_apic_write(unsigned reg, uint32_t value) {
    if (guest_in_x2apic())
        wrmsr(MSR_X2APIC + reg, value);
    else
        *guest_xapic(reg) = value;
}

void guest_ipi(uint32_t apic_id, uint32_t low) {
    if (guest_in_x2apic()) {
        wrmsr(MSR_X2APIC + APIC_ICR, (uint64_t)apic_id << 32 | low);
    } else {
        *guest_xapic(APIC_ICR + 1) = apic_id << 24;
        *guest_xapic(APIC_ICR) = low;
    }
}

/* ---- Other CPUs ---- */
unsigned guest_cpu(void) {
    return guest_this()->index;
}

unsigned guest_nr_cpus(void) {
    return (unsigned)guest_number("cpus", cpuid(1, 0).ebx >> 16 & 0xFF);
}

/* An AP, from start.S. */
void guest_ap_start(unsigned index) {
    struct guest_percpu *this = &guest_cpus[index];

    guest_traps_load(index);
    this->catch_rsp = 0;
    this->code = NULL;
    this->up = true;
    for (;;) {
        while (this->code == NULL)
            __builtin_ia32_pause();
        this->code(this->arg);
        this->code = NULL;
    }
}

static bool guest_spin_until(const volatile bool *flag, uint64_t ticks) {
    uint64_t end = rdtsc() + ticks;

    while (!*flag && rdtsc() < end)
        __builtin_ia32_pause();
    return *flag;
}

const struct guest_state *guest_cpu_state(uint32_t page) {
    return (const struct guest_state *)(uint64_t)(page + AP_STATE);
}

void guest_cpu_stop(unsigned cpu) {
    guest_ipi(cpu, ICR_INIT);
    guest_cpus[cpu].up = false;
    for (volatile unsigned i = 0; i < 10000; i++) /* the target's kick is on its way */
        ;
    guest_cpus[cpu].up = false;
}

bool guest_cpu_start(unsigned cpu, uint32_t page) {
    if (cpu >= guest_nr_cpus() || cpu >= GUEST_MAX_CPUS)
        return false;
    guest_cpu_stop(cpu);
    memcpy((void *)(uint64_t)page, guest_ap_page, (size_t)(guest_ap_page_end - guest_ap_page));
    guest_ipi(cpu, ICR_SIPI | page >> 12);
    return guest_spin_until(&guest_cpus[cpu].up, AP_TICKS);
}

bool guest_cpu_run(unsigned cpu, void (*code)(void *), void *arg) {
    if (!guest_cpus[cpu].up && !guest_cpu_start(cpu, GUEST_TRAMPOLINE))
        return false;
    guest_cpus[cpu].arg = arg;
    guest_cpus[cpu].code = code;
    return true;
}

bool guest_cpu_wait(unsigned cpu, uint64_t ticks) {
    uint64_t end = rdtsc() + ticks;

    while (guest_cpus[cpu].code != NULL && rdtsc() < end)
        __builtin_ia32_pause();
    return guest_cpus[cpu].code == NULL;
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

uint64_t guest_counter(uint64_t which) {
    uint64_t value = 0;

    guest_hypercall(HYPERCALL_COUNTER, which, 0, &value);
    return value;
}

uint64_t guest_exits(void) {
    uint64_t value = 0;

    guest_hypercall(HYPERCALL_EXITS, 0, 0, &value);
    return value;
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
        (void)str_copy(guest_line, sizeof(guest_line), (const char *)(uint64_t)info[4],
                       str_length((const char *)(uint64_t)info[4]));
    guest_main();
    guest_stop();
}
