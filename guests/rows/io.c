/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and memory that exit: what is absent, string moves through the guest's own segments and page tables,
 * accesses that leave their page or the RAM. */
#include "guests/rows/rows.h"

#include "core/str.h"

#define ABSENT   0x1F0 /* a port with nothing behind it */
#define SCRATCH  0x3FF /* of the UART: keeps a byte */
#define NOWHERE  UINT64_C(0xD0000000)
#define VGA      UINT64_C(0xB8000)
#define APIC     UINT64_C(0xFEE00000)
#define TPR      (APIC + 0x80)
#define VERSION  (APIC + 0x30)

#define PRESENT  1u
#define WRITABLE 2u
#define USER     4u
#define CR0_WP   BIT(16)
#define CR0_AM   BIT(18)

#define FAULT_DB 1
#define FAULT_SS 12
#define FAULT_GP 13
#define FAULT_PF 14
#define FAULT_AC 17

extern uint64_t guest_pml4[512], guest_gdt[];
void row_user(void *call);
void row_compat(void *call);
extern const uint8_t row_insb[], row_insw[], row_insb_16[], row_outsb[], row_outsb_es[], row_outsb_ss[];

static struct guest_fault fault;

/* ---- A window of 4 KiB pages at 512 GiB ---- */
#define WINDOW  UINT64_C(0x8000000000)
#define PAGE(n) (WINDOW + (n)*0x1000)

static uint64_t tables[3][512] __attribute__((aligned(4096)));
static volatile uint8_t ram[2][4096] __attribute__((aligned(4096)));

static void map(unsigned n, uint64_t physical, unsigned rights) {
    tables[2][n] = rights == 0 ? 0 : physical | rights;
    __asm__ volatile("invlpg (%0)" : : "r"(PAGE(n)) : "memory");
}

static void clear_ram(void) {
    for (unsigned i = 0; i < 4096; i++)
        ram[0][i] = ram[1][i] = 0;
}

static void window(void) {
    guest_pml4[1] = (uint64_t)tables[0] | 7;
    tables[0][0] = (uint64_t)tables[1] | 7;
    tables[1][0] = (uint64_t)tables[2] | 7;
    for (unsigned n = 0; n < 16; n++)
        map(n, 0, 0);
    clear_ram();
}

static uint64_t read_cr0(void) {
    uint64_t value;

    __asm__ volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

static void write_cr0(uint64_t value) {
    __asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

/* ---- Ports ---- */
static uint16_t inw(uint16_t port) {
    uint16_t value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static uint32_t inl(uint16_t port) {
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void outw(uint16_t port, uint16_t value) {
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static void outl(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static void absent_ports(void) {
    uint64_t counted = guest_counter(HYPERCALL_COUNTER_PORTS), rax;
    unsigned accesses = 0;
    bool ones = true;

    for (uint32_t port = 0; port < 0x10000; port += port < 0x400 ? 1 : 251) {
        if (port == 0x64 || port == 0x70 || port == 0x71 || (port >= 0x3F8 && port < 0x400) ||
            port == 0x600 || (port >= 0x2F8 && port < 0x300)) /* granted, see run.c */
            continue;
        outb((uint16_t)port, 0x5A);
        ones = ones && inb((uint16_t)port) == 0xFF;
        accesses += 2;
    }
    EXPECT("C06 X05 absent ports read ones and swallow writes", ones);
    EXPECT("C06 X05 and are counted", guest_counter(HYPERCALL_COUNTER_PORTS) == counted + accesses);
    outw(0xCF8, 0x1234);
    outl(0xCF8, 0x80000000);
    EXPECT("C06 X05 wide ones too",
           inw(0xCFC) == UINT16_MAX && inl(0xCFC) == UINT32_MAX && inl(0xFFFE) == UINT32_MAX);
    __asm__ volatile("inb %%dx, %%al" : "=a"(rax) : "d"(ABSENT), "a"(UINT64_C(0x1122334455667788)));
    EXPECT("X05 IN AL keeps the rest of RAX", rax == 0x11223344556677FF);
    __asm__ volatile("inl %%dx, %%eax" : "=a"(rax) : "d"(ABSENT), "a"(UINT64_C(0x1122334455667788)));
    EXPECT("X05 IN EAX clears the upper half", rax == UINT32_MAX);
}

static uint8_t clock_register(uint8_t index) {
    outb(0x70, index);
    return inb(0x71);
}

static void wide_ports(void) {
    uint8_t year = clock_register(9);

    outw(SCRATCH - 1, 0xAB00);
    EXPECT("X05 G11 a word goes to two ports", inb(SCRATCH) == 0xAB && inw(SCRATCH - 1) >> 8 == 0xAB);
    EXPECT("X05 G11 a doubleword to four", inl(SCRATCH - 3) >> 24 == 0xAB);
    clock_register(0);
    outw(0x70, 0x5509);
    EXPECT("X05 G11 a word to the clock sets its index", inb(0x71) == year);
    EXPECT("X05 G11 and reads its data", inw(0x70) == (year << 8 | 0xFF));
}

/* ---- INS and OUTS in 64-bit mode ---- */
struct string {
    uint64_t at, count;
    uint16_t port;
};

static void do_insb(void *arg) {
    struct string *s = arg;

    __asm__ volatile("rep insb" : "+D"(s->at), "+c"(s->count) : "d"(s->port) : "memory");
}

static void do_insw(void *arg) {
    struct string *s = arg;

    __asm__ volatile("rep insw" : "+D"(s->at), "+c"(s->count) : "d"(s->port) : "memory");
}

static void do_insl(void *arg) {
    struct string *s = arg;

    __asm__ volatile("rep insl" : "+D"(s->at), "+c"(s->count) : "d"(s->port) : "memory");
}

static void do_outsb(void *arg) {
    struct string *s = arg;

    __asm__ volatile("rep outsb" : "+S"(s->at), "+c"(s->count) : "d"(s->port) : "memory");
}

/* code(at, count) faults with that vector, error code and CR2. */
static bool faults(void (*code)(void *), uint64_t at, uint64_t count, uint64_t vector, uint64_t error,
                   uint64_t cr2) {
    struct string s = {at, count, ABSENT};

    return guest_catch(code, &s, &fault) && fault.vector == vector && fault.error == error &&
           (vector != FAULT_PF || fault.cr2 == cr2);
}

static struct {
    unsigned count;
    uint64_t rdi, rcx, cr2;
} paged;

/* Demand paging: the missing page comes, the instruction is run again. */
static void on_page_fault(const struct guest_frame *frame) {
    paged.count++;
    paged.rdi = frame->rdi;
    paged.rcx = frame->rcx;
    __asm__ volatile("mov %%cr2, %0" : "=r"(paged.cr2));
    map(1, (uint64_t)ram[1], PRESENT | WRITABLE);
}

static void string_basics(void) {
    static uint16_t words[6];
    static char text[] = "abZ";
    struct string in = {(uint64_t)words, 4, ABSENT}, out = {(uint64_t)text, 3, SCRATCH};
    uint64_t rdi = (uint64_t)&words[5], rcx = 2, fs = rdmsr(0xC0000100);

    words[4] = 0x1234;
    do_insw(&in);
    EXPECT("X05 INSW", words[0] == 0xFFFF && words[3] == 0xFFFF && words[4] == 0x1234 &&
                           in.at == (uint64_t)(words + 4) && in.count == 0);
    do_outsb(&out);
    EXPECT("X05 OUTSB", inb(SCRATCH) == 'Z' && out.at == (uint64_t)text + 3 && out.count == 0);
    memset(words, 0, sizeof(words));
    __asm__ volatile("std; rep insw; cld" : "+D"(rdi), "+c"(rcx) : "d"(ABSENT) : "memory", "cc");
    EXPECT("X05 INSW backwards", words[3] == 0 && words[4] == 0xFFFF && words[5] == 0xFFFF &&
                                     rdi == (uint64_t)&words[3] && rcx == 0);
    in = (struct string){NOWHERE, 0, ABSENT};
    do_insw(&in);
    EXPECT("X05 no INSW with RCX 0", in.at == NOWHERE && in.count == 0);
    rdi = 0xABCD000000000000 | (uint64_t)words;
    rcx = UINT64_C(0x700000002);
    memset(words, 0, sizeof(words));
    __asm__ volatile("addr32 rep insw" : "+D"(rdi), "+c"(rcx) : "d"(ABSENT) : "memory");
    EXPECT("V022 X05 INSW with 32-bit addresses",
           words[1] == 0xFFFF && words[2] == 0 && rdi == (uint64_t)&words[2] && rcx == 0);
    wrmsr(0xC0000100, (uint64_t)text);
    rdi = 1;
    __asm__ volatile("outsb %%fs:(%%rsi), (%%dx)" : "+S"(rdi) : "d"(SCRATCH));
    EXPECT("V018 X05 OUTSB through FS", inb(SCRATCH) == 'b');
    wrmsr(0xC0000100, fs);
}

static void string_paging(void) {
    struct string s = {PAGE(1) - 4, 8, ABSENT};
    uint64_t cr0 = read_cr0();

    window();
    map(0, (uint64_t)ram[0], PRESENT | WRITABLE);
    EXPECT("X05 INSB to an absent page", faults(do_insb, PAGE(1) + 5, 1, FAULT_PF, 2, PAGE(1) + 5));
    EXPECT("X05 OUTSB from an absent page", faults(do_outsb, PAGE(1) + 5, 1, FAULT_PF, 0, PAGE(1) + 5));
    EXPECT("X05 INSW into an absent page", faults(do_insw, PAGE(1) - 1, 1, FAULT_PF, 2, PAGE(1)));
    EXPECT("X05 writes no half of it", ram[0][4095] == 0);
    EXPECT("X05 INSL to a non-canonical address", faults(do_insl, BIT(47), 1, FAULT_GP, 0, 0));
    EXPECT("X05 OUTSB from a non-canonical address", faults(do_outsb, BIT(47), 1, FAULT_GP, 0, 0));

    guest_on_irq(FAULT_PF, on_page_fault);
    do_insb(&s);
    guest_on_irq(FAULT_PF, NULL);
    EXPECT("X05 REP INSB faults where the page is absent, with what is done done",
           paged.count == 1 && paged.cr2 == PAGE(1) && paged.rdi == PAGE(1) && paged.rcx == 4);
    EXPECT("X05 and goes on when it is there", s.count == 0 && s.at == PAGE(1) + 4 && ram[0][4091] == 0 &&
                                                   ram[0][4092] == 0xFF && ram[1][3] == 0xFF &&
                                                   ram[1][4] == 0);
    s = (struct string){PAGE(1) - 3, 1, ABSENT};
    clear_ram();
    do_insl(&s);
    EXPECT("X05 INSL across two pages",
           ram[0][4092] == 0 && ram[0][4093] == 0xFF && ram[1][0] == 0xFF && ram[1][1] == 0);

    map(2, (uint64_t)ram[0], PRESENT);
    clear_ram();
    s = (struct string){PAGE(2), 1, ABSENT};
    do_insb(&s);
    EXPECT("X05 INSB to a read-only page with CR0.WP clear", ram[0][0] == 0xFF);
    write_cr0(cr0 | CR0_WP);
    EXPECT("X05 and with CR0.WP set", faults(do_insb, PAGE(2), 1, FAULT_PF, 3, PAGE(2)));
    EXPECT("X05 INSW across into a read-only page",
           (map(3, (uint64_t)ram[1], PRESENT | WRITABLE), map(4, (uint64_t)ram[0], PRESENT),
            faults(do_insw, PAGE(4) - 1, 1, FAULT_PF, 3, PAGE(4))));
    write_cr0(cr0);
}

/* A port is not read when its byte has nowhere to go: what the UART received stays. */
static void string_reads_late(void) {
    outb(SCRATCH - 3, 0x10); /* MCR: loopback */
    outb(SCRATCH - 7, 'x');
    window();
    struct string s = {PAGE(1), 1, SCRATCH - 7};
    bool faulted = guest_catch(do_insb, &s, &fault) && fault.vector == FAULT_PF;
    bool still_there = (inb(SCRATCH - 2) & 1) != 0 && inb(SCRATCH - 7) == 'x';

    outb(SCRATCH - 3, 0);
    EXPECT("X05 INSB that faults has read nothing", faulted && still_there);
}

static void string_devices(void) {
    struct string s = {TPR, 1, ABSENT};
    uint64_t base = rdmsr(MSR_APIC_BASE);

    wrmsr(MSR_APIC_BASE, base & ~(BIT(10) | BIT(11)));
    wrmsr(MSR_APIC_BASE, (base & ~BIT(10)) | BIT(11));
    do_insl(&s);
    EXPECT("X05 INSL to an APIC register", *(volatile uint32_t *)TPR == 0xFF && s.at == TPR + 4);
    *(volatile uint32_t *)TPR = 0;
    s = (struct string){VERSION, 1, SCRATCH};
    do_outsb(&s);
    EXPECT("X05 OUTSB from an APIC register", inb(SCRATCH) == *(volatile uint8_t *)VERSION);
    s = (struct string){NOWHERE, 1, SCRATCH};
    do_outsb(&s);
    EXPECT("X05 OUTSB from nowhere", inb(SCRATCH) == 0xFF && s.at == NOWHERE + 1);
    s = (struct string){NOWHERE, 3, ABSENT};
    do_insw(&s);
    EXPECT("X05 INSW to nowhere", s.at == NOWHERE + 6 && s.count == 0);
}

/* ---- The same at CPL 3 ---- */
static bool user_faults(void (*code)(void *), uint64_t at, uint64_t rflags, uint64_t vector, uint64_t error) {
    static struct string s;
    static struct {
        void (*code)(void *);
        void *arg;
        uint64_t rflags;
    } call;

    s = (struct string){at, 1, ABSENT};
    call.code = code;
    call.arg = &s;
    call.rflags = rflags;
    return guest_catch(row_user, &call, &fault) && fault.vector == vector && fault.error == error;
}

#define IOPL_3 0x3002u
#define AC     BIT(18)
#define BACK   0x81 /* it returned */

static void string_user(void) {
    uint64_t cr0 = read_cr0();

    window();
    map(0, (uint64_t)ram[0], PRESENT | WRITABLE | USER);
    map(2, (uint64_t)ram[0], PRESENT | WRITABLE);
    map(3, (uint64_t)ram[0], PRESENT | USER);
    EXPECT("V021 X05 CPL 3: INSB", user_faults(do_insb, PAGE(0), IOPL_3, BACK, 0) && ram[0][0] == 0xFF);
    EXPECT("V021 X05 CPL 3: no INSB with IOPL 0", user_faults(do_insb, PAGE(0), 2, FAULT_GP, 0));
    EXPECT("V021 X05 CPL 3: INSB to an absent page", user_faults(do_insb, PAGE(1), IOPL_3, FAULT_PF, 6));
    EXPECT("V021 X05 CPL 3: OUTSB from an absent page", user_faults(do_outsb, PAGE(1), IOPL_3, FAULT_PF, 4));
    EXPECT("V021 X05 CPL 3: INSB to a supervisor's page", user_faults(do_insb, PAGE(2), IOPL_3, FAULT_PF, 7));
    EXPECT("V021 X05 CPL 3: OUTSB from a supervisor's page",
           user_faults(do_outsb, PAGE(2), IOPL_3, FAULT_PF, 5));
    EXPECT("V021 X05 CPL 3: INSB to a read-only page", user_faults(do_insb, PAGE(3), IOPL_3, FAULT_PF, 7));
    write_cr0(cr0 | CR0_AM);
    EXPECT("V021 X05 CPL 3: misaligned INSW with AC set",
           user_faults(do_insw, PAGE(0) + 1, IOPL_3 | AC, FAULT_AC, 0));
    EXPECT("V021 X05 CPL 3: a page fault comes before it",
           user_faults(do_insw, PAGE(1) + 1, IOPL_3 | AC, FAULT_PF, 6));
    EXPECT("V021 X05 CPL 3: aligned INSW with AC set",
           user_faults(do_insw, PAGE(0) + 2, IOPL_3 | AC, BACK, 0));
    write_cr0(cr0);
}

/* ---- 32-bit code: segments ---- */
enum {
    READ_ONLY = 0x58,
    DOWN_BIG = 0x60,
    DOWN_SMALL = 0x68,
    EIGHT_BYTES = 0x70,
    LIMIT_64K = 0x28,
    FLAT = 0x10
};

struct compat {
    uint32_t code, edi, esi, ecx, edx, es, ds;
};

static struct compat c;

static void compat(const uint8_t *code, uint32_t at, uint32_t count, uint32_t es, uint32_t ds,
                   uint16_t port) {
    c = (struct compat){(uint32_t)(uint64_t)code, at, at, count, port, es, ds};
}

static bool ins_faults(const uint8_t *code, uint32_t at, uint32_t es) {
    compat(code, at, 1, es, FLAT, ABSENT);
    return guest_catch(row_compat, &c, &fault) && fault.vector == FAULT_GP && fault.error == 0;
}

static bool ins_works(const uint8_t *code, uint32_t at, uint32_t es) {
    compat(code, at, 1, es, FLAT, ABSENT);
    return !guest_catch(row_compat, &c, &fault) && c.ecx == 0;
}

static void segments(void) {
    static uint64_t gdt[16];
    static uint8_t bytes[8];
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } old, new = {sizeof(gdt) - 1, (uint64_t)gdt};
    static volatile uint64_t zero; /* address 0, of which the compiler must not think */
    volatile uint8_t *low = (volatile uint8_t *)zero;
    uint64_t base = (uint64_t)bytes;

    __asm__ volatile("sgdt %0" : "=m"(old));
    memcpy(gdt, (const void *)old.base, old.limit + 1);
    gdt[READ_ONLY / 8] = 0x00CF91000000FFFF;
    gdt[DOWN_BIG / 8] = 0x0040970000000FFF;
    gdt[DOWN_SMALL / 8] = 0x0000970000000FFF;
    gdt[EIGHT_BYTES / 8] = 0x0040930000000007 | (base & 0xFFFFFF) << 16 | (base >> 24 & 0xFF) << 56;
    __asm__ volatile("lgdt %0" : : "m"(new));

    EXPECT("V019 X05 32-bit code: INSB",
           ins_works(row_insb, (uint32_t)base, FLAT) && bytes[0] == 0xFF && bytes[1] == 0);
    EXPECT("V018 X05 base of a segment",
           ins_works(row_insb, 5, EIGHT_BYTES) && bytes[5] == 0xFF && bytes[4] == 0 && c.edi == 6);
    EXPECT("V019 X05 limit of a segment",
           ins_works(row_insb, 7, EIGHT_BYTES) && ins_faults(row_insb, 8, EIGHT_BYTES) &&
               ins_works(row_insw, 6, EIGHT_BYTES) && ins_faults(row_insw, 7, EIGHT_BYTES));
    EXPECT("V019 X05 limit and wrapping", ins_faults(row_insw, UINT32_MAX, EIGHT_BYTES));
    EXPECT("V019 X05 no INSB without a segment", ins_faults(row_insb, 0x9000, 0));
    EXPECT("V019 X05 no INSB to a read-only segment", ins_faults(row_insb, 0x9000, READ_ONLY));
    EXPECT("V019 X05 expand-down", ins_faults(row_insb, 0xFFF, DOWN_BIG) &&
                                       ins_works(row_insb, 0x1000, DOWN_BIG) &&
                                       ins_works(row_insb, 0x10000, DOWN_BIG));
    EXPECT("V019 X05 expand-down to 64 KiB",
           ins_faults(row_insb, 0xFFF, DOWN_SMALL) && ins_works(row_insb, 0xFFFF, DOWN_SMALL) &&
               ins_faults(row_insw, 0xFFFF, DOWN_SMALL) && ins_faults(row_insb, 0x10000, DOWN_SMALL));
    compat(row_insb_16, 0x1234FFFE, 0x50003, FLAT, FLAT, ABSENT);
    low[0] = low[0xFFFF] = 0;
    EXPECT("V022 X05 16-bit addresses wrap at 64 KiB", !guest_catch(row_compat, &c, &fault) &&
                                                           c.edi == 0x12340001 && c.ecx == 0x50000 &&
                                                           low[0xFFFF] == 0xFF && low[0] == 0xFF);
    bytes[3] = 0x3C;
    compat(row_outsb, 3, 1, FLAT, EIGHT_BYTES, SCRATCH);
    EXPECT("V018 X05 OUTSB through DS", !guest_catch(row_compat, &c, &fault) && inb(SCRATCH) == 0x3C);
    bytes[4] = 0x3D;
    compat(row_outsb_es, 4, 1, EIGHT_BYTES, FLAT, SCRATCH);
    EXPECT("V018 X05 OUTSB through ES", !guest_catch(row_compat, &c, &fault) && inb(SCRATCH) == 0x3D);
    compat(row_outsb, 8, 1, FLAT, EIGHT_BYTES, SCRATCH);
    EXPECT("V019 X05 OUTSB beyond DS",
           guest_catch(row_compat, &c, &fault) && fault.vector == FAULT_GP && fault.error == 0);
    compat(row_outsb_ss, 0x10000, 1, FLAT, FLAT, SCRATCH);
    EXPECT("V019 X05 OUTSB beyond SS",
           guest_catch(row_compat, &c, &fault) && fault.vector == FAULT_SS && fault.error == 0);
    __asm__ volatile("lgdt %0; mov %1, %%ds; mov %1, %%es" : : "m"(old), "r"(FLAT));
}

/* ---- Memory that is not there ---- */
static volatile unsigned steps;

static void on_step(const struct guest_frame *frame) {
    (void)frame;
    steps++;
}

/* Debug exceptions of a single-stepped REP STOSB of four bytes. */
static unsigned steps_of(uint64_t at) {
    uint64_t rcx = 4;

    steps = 0;
    __asm__ volatile("pushfq; pushfq; orl $0x100, (%%rsp); popfq; rep stosb; popfq"
                     : "+D"(at), "+c"(rcx)
                     : "a"(0)
                     : "memory", "cc");
    return steps;
}

static uint64_t end_of_ram(void) {
    volatile uint64_t *at = (volatile uint64_t *)0x400000;

    for (uint64_t old = *at; (*at = ~old) == *at && *at == ~old; old = *at) {
        *at = old;
        at += 0x100000 / 8;
    }
    return (uint64_t)at;
}

static void nowhere(void) {
    static uint8_t bytes[64];
    uint64_t counted = guest_counter(HYPERCALL_COUNTER_MEMORY), rax;
    void *from = (void *)NOWHERE, *to = (void *)VGA;
    uint64_t rcx = 80 * 25;

    *(volatile uint64_t *)NOWHERE = 0;
    EXPECT("X36 nowhere reads ones",
           *(volatile uint64_t *)NOWHERE == UINT64_MAX && *(volatile uint8_t *)(NOWHERE + 3) == 0xFF);
    EXPECT("X36 and is counted", guest_counter(HYPERCALL_COUNTER_MEMORY) == counted + 3);
    __asm__ volatile("rep stosw" : "+D"(to), "+c"(rcx) : "a"(0x0720) : "memory");
    EXPECT("X36 a screen that is not there is cleared", rcx == 0 && (uint64_t)to == VGA + 4000);
    from = (void *)(VGA + 160);
    to = (void *)VGA;
    rcx = 80;
    __asm__ volatile("rep movsw" : "+S"(from), "+D"(to), "+c"(rcx) : : "memory");
    EXPECT("X36 and scrolled", rcx == 0 && (uint64_t)from == VGA + 320 && (uint64_t)to == VGA + 160);
    from = (void *)(NOWHERE + 7);
    to = bytes + 7;
    rcx = 8;
    __asm__ volatile("std; rep movsb; cld" : "+S"(from), "+D"(to), "+c"(rcx) : : "memory", "cc");
    EXPECT("X36 copied from backwards",
           bytes[0] == 0xFF && bytes[7] == 0xFF && bytes[8] == 0 && (uint64_t)to + 1 == (uint64_t)bytes);
    from = (void *)NOWHERE;
    __asm__ volatile("lodsb" : "+S"(from), "=a"(rax) : "a"(0x1234567800) : "memory");
    EXPECT("X36 loaded from", rax == 0x12345678FF && from == (void *)(NOWHERE + 1));
    guest_on_irq(FAULT_DB, on_step);
    unsigned in_ram = steps_of((uint64_t)bytes);

    EXPECT("V044 X36 a string move to nowhere single-steps as one to RAM",
           in_ram >= 4 && steps_of(NOWHERE) == in_ram);
    guest_on_irq(FAULT_DB, NULL);
}

static void do_write_8(void *arg) {
    *(volatile uint64_t *)arg = 0x8877665544332211;
}

static void over_the_edge(void) {
    uint64_t end = end_of_ram(), rdi = end - 2, rcx = 4;
    volatile uint64_t *across = (volatile uint64_t *)(end - 4);

    *across = 0x8877665544332211;
    EXPECT("X36 a write over the end of RAM", *(volatile uint32_t *)across == 0x44332211);
    EXPECT("X36 a read over the end of RAM", *across == 0xFFFFFFFF44332211);
    __asm__ volatile("rep stosb" : "+D"(rdi), "+c"(rcx) : "a"(0x99) : "memory");
    EXPECT("X36 a string move over the end of RAM",
           *(volatile uint32_t *)across == 0x99992211 && rdi == end + 2);

    window();
    map(0, (uint64_t)ram[0], PRESENT | WRITABLE);
    map(1, NOWHERE, PRESENT | WRITABLE);
    map(2, (uint64_t)ram[1], PRESENT | WRITABLE);
    *(volatile uint64_t *)(PAGE(1) - 3) = 0x8877665544332211;
    EXPECT("X36 a write from RAM into nowhere", ram[0][4093] == 0x11 && ram[0][4095] == 0x33);
    EXPECT("X36 a read from RAM into nowhere", *(volatile uint64_t *)(PAGE(1) - 3) == 0xFFFFFFFFFF332211);
    *(volatile uint64_t *)(PAGE(2) - 3) = 0x8877665544332211;
    EXPECT("X36 a write from nowhere into RAM", ram[1][0] == 0x44 && ram[1][4] == 0x88 && ram[1][5] == 0);
    EXPECT("X36 a read from nowhere into RAM", *(volatile uint64_t *)(PAGE(2) - 3) == 0x8877665544FFFFFF);
    __asm__ volatile("lock orq %0, (%1)" : : "r"(UINT64_C(0x100)), "r"(PAGE(2) - 1) : "memory", "cc");
    EXPECT("X36 OR from nowhere into RAM", ram[1][0] == 0x45 && ram[1][1] == 0x55);
    map(2, 0, 0);
    EXPECT("X36 from nowhere into an absent page is its fault",
           guest_catch(do_write_8, (void *)(PAGE(2) - 3), &fault) && fault.vector == FAULT_PF &&
               fault.error == 2 && fault.cr2 == PAGE(2));
}

const struct row_test rows_io[] = {
    {"absent ports", absent_ports, NULL, 0},
    {"wide ports", wide_ports, NULL, 0},
    {"string", string_basics, NULL, 0},
    {"string and paging", string_paging, NULL, 0},
    {"string reads late", string_reads_late, NULL, 0},
    {"string and devices", string_devices, NULL, 0},
    {"string at CPL 3", string_user, NULL, 0},
    {"segments", segments, NULL, 0},
    {"nowhere", nowhere, NULL, 0},
    {"over the edge", over_the_edge, NULL, 0},
    {0},
};
