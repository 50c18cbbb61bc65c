/* SPDX-License-Identifier: Apache-2.0 */
/* What a 32-bit guest is told at its start, whoever tells it: prints all of it, then makes free with the
 * machine as guests do. One source for every origin; the head before it says which one. No library: this
 * is i386 code. */
#include <stdbool.h>
#include <stdint.h>

#define COM1      0x3F8
#define LOW_BYTES 0xA0000u

void origin_main(uint32_t eax, uint32_t ebx, uint32_t esi);
extern const uint8_t origin_ap[], origin_ap_end[];

static const char *line = "";
static uint64_t rsdp;

static void outb(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t inb(uint16_t port) {
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* ---- Printing ---- */
static void put(char c) {
    while ((inb(COM1 + 5) & 0x20) == 0)
        ;
    outb(COM1, (uint8_t)c);
}

static void text(const char *s) {
    for (; *s != '\0'; s++) {
        if (*s == '\n')
            put('\r');
        put(*s);
    }
}

static void hex(const char *before, uint64_t value) {
    bool begun = false;

    text(before);
    text("0x");
    for (int shift = 60; shift >= 0; shift -= 4) {
        unsigned digit = (unsigned)(value >> shift) & 15;

        begun |= digit != 0 || shift == 0;
        if (begun)
            put("0123456789abcdef"[digit]);
    }
}

/* ---- What was told ---- */
static uint32_t get32(const void *at, unsigned offset) {
    return *(const uint32_t *)((const uint8_t *)at + offset);
}

static uint64_t get64(const void *at, unsigned offset) {
    return get32(at, offset) | (uint64_t)get32(at, offset + 4) << 32;
}

static const void *at(uint64_t address) {
    return (const void *)(uintptr_t)address;
}

static void told_memory(const void *run) {
    hex("memory: ", get64(run, 0));
    hex(" ", get64(run, 8));
    hex(" ", get32(run, 16));
    text("\n");
}

static void told_kib(const uint32_t kib[2]) {
    hex("KiB: ", kib[0]);
    hex(" ", kib[1]);
    text("\n");
}

static void told_loader(const char *name) {
    text("loader: ");
    text(name);
    text("\n");
}

/* FNV-1a over the content. */
static void told_module(uint64_t start, uint64_t bytes, const char *name) {
    const uint8_t *p = at(start);
    uint32_t sum = 0x811C9DC5;

    for (uint32_t i = 0; i < (uint32_t)bytes; i++)
        sum = (sum ^ p[i]) * 0x01000193;
    text("module: ");
    text(name);
    hex(", bytes ", bytes);
    hex(", sum ", sum);
    text((start & 0xFFF) == 0 ? "\n" : ", not at a page\n");
}

static void told_by_multiboot1(const uint32_t *info) {
    hex("multiboot: flags ", info[0]);
    text("\n");
    told_kib(info + 1);
    told_loader(at(info[16]));
    line = at(info[4]);
    for (uint32_t i = 0; i < info[5]; i++) {
        const uint32_t *m = at(info[6] + 16 * i);

        told_module(m[0], m[1] - m[0], at(m[2]));
    }
    for (uint32_t i = 0; i < info[11]; i += get32(at(info[12] + i), 0) + 4)
        told_memory(at(info[12] + i + 4));
}

static void told_by_multiboot2(const uint32_t *info) {
    hex("multiboot2: reserved ", info[1]);
    text("\n");
    for (const uint32_t *tag = info + 2; tag[0] != 0; tag += (tag[1] + 7) / 8 * 2) {
        if (tag[0] == 1)
            line = (const char *)(tag + 2);
        if (tag[0] == 2)
            told_loader((const char *)(tag + 2));
        if (tag[0] == 3)
            told_module(tag[2], tag[3] - tag[2], (const char *)(tag + 4));
        if (tag[0] == 4)
            told_kib(tag + 2);
        if (tag[0] == 15)
            rsdp = (uintptr_t)(tag + 2);
        for (uint32_t i = 16; tag[0] == 6 && i < tag[1]; i += tag[2])
            told_memory((const uint8_t *)tag + i);
    }
}

static void told_by_pvh(const uint32_t *info) {
    hex("PVH: version ", info[1]);
    hex(", flags ", info[2]);
    text("\n");
    line = at(get64(info, 24));
    rsdp = get64(info, 32);
    for (uint32_t i = 0; i < info[3]; i++) {
        const void *m = at(get64(info, 16) + 32 * i);

        told_module(get64(m, 0), get64(m, 8), at(get64(m, 16)));
    }
    for (uint32_t i = 0; i < info[12]; i++)
        told_memory(at(get64(info, 40) + 24 * i));
}

static void told_by_linux(const uint8_t *params) {
    hex("Linux: protocol ", get32(params, 0x206) & 0xFFFF);
    hex(", loader ", params[0x210]);
    text("\n");
    line = at(get32(params, 0x228));
    rsdp = get64(params, 0x70);
    if (get32(params, 0x21C) != 0)
        told_module(get32(params, 0x218), get32(params, 0x21C), "initrd");
    for (unsigned i = 0; i < params[0x1E8]; i++)
        told_memory(params + 0x2D0 + 20 * i);
}

/* ---- What guests do ---- */
static void said(const char *what, bool good) {
    text(good ? "ok " : "FAIL ");
    text(what);
    text("\n");
}

/* From here on nothing of what was told is needed, nor may anybody else need it. */
static void take_low_memory(void) {
    volatile uint32_t *word = (volatile uint32_t *)0;
    uint32_t wrong = 0;

    __asm__("" : "+r"(word)); /* address 0 is as good as any */
    for (uint32_t i = 0; i < LOW_BYTES / 4; i++)
        word[i] = i * 0x9E3779B1u;
    for (uint32_t i = 0; i < LOW_BYTES / 4; i++)
        wrong += word[i] != i * 0x9E3779B1u;
    said("640 KiB from 0 are RAM", wrong == 0);
}

static bool told_is(const char *word) {
    const char *l = line, *w = word;

    for (; *l != '\0' && *w != '\0'; l++)
        w = *l == *w ? w + 1 : word;
    return *w == '\0';
}

/* INIT, then a single SIPI for vector 0. */
static void start_other_cpu(void) {
    volatile uint32_t *icr = (volatile uint32_t *)0xFEE00300u;
    uint8_t *vector0 = (uint8_t *)0;
    volatile uint32_t *count;

    __asm__("" : "+r"(vector0));
    for (const uint8_t *p = origin_ap; p < origin_ap_end; p++)
        vector0[p - origin_ap] = *p;
    count = (volatile uint32_t *)(vector0 + (origin_ap_end - origin_ap) - 4);
    icr[4] = 1u << 24;
    icr[0] = 0x4500;
    icr[0] = 0x4600;
    for (uint32_t i = 0; i < 100000 && *count == 0; i++)
        __asm__ volatile("pause");
    said("one SIPI with vector 0 starts a CPU", *count == 1);
}

/* Ports and addresses where PCs have something: which do not read all ones? */
static void probe(void) {
    static const uint32_t addresses[] = {0xA0000, 0xB8000, 0xFEC00000, 0xFED00000, 0xFEE00000, 0xFFFFFFF0};

    text("ports:");
    for (uint32_t port = 0; port < 0x1000; port++)
        if (inb((uint16_t)port) != 0xFF)
            hex(" ", port);
    outb(0x21, 0xFF); /* 8259s, 8254, POST code */
    outb(0xA1, 0xFF);
    outb(0x43, 0x30);
    outb(0x80, 0);
    text("\naddresses:");
    for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        volatile uint32_t *p = (volatile uint32_t *)addresses[i];
        uint32_t value = *p;

        *p = value;
        if (value != 0xFFFFFFFF)
            hex(" ", addresses[i]);
    }
    text("\n");
}

void origin_main(uint32_t eax, uint32_t ebx, uint32_t esi) {
    uint32_t cs, ss, flags, cr0;

    __asm__("mov %%cs, %0; mov %%ss, %1; mov %%cr0, %2" : "=r"(cs), "=r"(ss), "=r"(cr0));
    __asm__("pushf; pop %0" : "=r"(flags));
    hex("origin: eax ", eax);
    hex(", cs ", cs);
    hex(", ss ", ss);
    hex(", cr0 ", cr0);
    text((flags & 0x200) == 0 ? ", interrupts off\n" : ", interrupts on\n");
    if (eax == 0x2BADB002)
        told_by_multiboot1(at(ebx));
    else if (eax == 0x36D76289)
        told_by_multiboot2(at(ebx));
    else if (ebx != 0 && get32(at(ebx), 0) == 0x336EC578)
        told_by_pvh(at(ebx));
    else
        told_by_linux(at(esi));
    text("command line: \"");
    text(line);
    text("\"\n");
    if (rsdp != 0)
        said("the RSDP is one", get64(at(rsdp), 0) == 0x2052545020445352);
    bool smp = told_is("smp"), probing = told_is("probe");

    take_low_memory();
    if (smp)
        start_other_cpu();
    if (probing)
        probe();
    text("done\n");
    outb(0x600, 0x34); /* ACPI sleep control: S5 */
    for (;;)
        __asm__ volatile("cli; hlt");
}
