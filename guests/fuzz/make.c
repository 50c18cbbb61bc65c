/* SPDX-License-Identifier: Apache-2.0 */
/* What a case does: one maker for each kind of thing that exits, and a table of how often it is asked. */
#include "guests/fuzz/fuzz.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

#define PORT_RESET    0xCF9
#define PORT_KEYBOARD 0x64
#define PORT_SLEEP    0x600
#define PORT_CONSOLE  0x3F8
#define MSR_ICR       0x830u
#define MSR_SELF_IPI  0x83Fu
#define MSR_EFER      0xC0000080u
#define MSR_FS_BASE   0xC0000100u
#define MSR_GS_BASE   0xC0000101u
#define STEPS         24 /* of a case, at most */

static uint64_t any_value(void) {
    switch (fuzz_below(5)) {
    case 0:
        return fuzz_below(256);
    case 1:
        return BIT(fuzz_below(64));
    case 2:
        return UINT64_MAX << fuzz_below(64);
    case 3:
        return 0;
    default:
        return fuzz_random();
    }
}

/* By which segment: mostly the one that the operand's form has. */
static int any_segment(void) {
    return fuzz_chance(3) ? (int)fuzz_below(6) : NO_SEGMENT;
}

/* ---- The CPU itself ---- */
static void make_cpuid(struct fuzz_code *c) {
    static const uint32_t bases[] = {0, 0x80000000, 0x40000000};
    code_set(c, RAX, fuzz_chance(8) ? fuzz_random() : bases[fuzz_below(3)] + fuzz_below(0x22));
    code_set(c, RCX, fuzz_chance(4) ? fuzz_random() : fuzz_below(20));
    CODE(c, "\x0F\xA2");
}

static uint32_t any_msr(void) {
    static const uint32_t known[] = {
        0x10,  0x17,  0x1B,  0x3A,  0x3B,  0x48,       0x79,       0x8B,       0xFE,      0x10A,
        0x174, 0x175, 0x176, 0x179, 0x1A0, 0x1D9,      0x250,      0x258,      0x268,     0x277,
        0x2FF, 0x480, 0x48D, 0x6E0, 0xDA0, 0xC0000080, 0xC0000081, 0xC0000082, 0xC0000103};
    switch (fuzz_below(8)) {
    case 0:
        return (uint32_t)fuzz_random();
    case 1:
        return fuzz_below(0x2000);
    case 2:
        return 0xC0000000 + fuzz_below(0x2000);
    case 3:
    case 4:
        return MSR_X2APIC + fuzz_below(0x40);
    default:
        return known[fuzz_below(ARRAY_SIZE(known))];
    }
}

static void make_rdmsr(struct fuzz_code *c) {
    code_set(c, RCX, any_msr());
    CODE(c, "\x0F\x32");
}

static void put_wrmsr(struct fuzz_code *c, uint32_t msr, uint64_t value) {
    code_set(c, RCX, msr);
    code_set(c, RAX, (uint32_t)value);
    code_set(c, RDX, value >> 32);
    CODE(c, "\x0F\x30");
}

static void make_wrmsr(struct fuzz_code *c) {
    uint32_t msr = any_msr();
    if (msr == MSR_APIC_BASE && !fuzz_chance(4))
        put_wrmsr(c, msr, 0xFEE00000 | PICK(0x800, 0x900, 0xC00, 0xD00));
    else if (msr != MSR_EFER && msr != MSR_ICR && msr != MSR_FS_BASE && msr != MSR_GS_BASE)
        put_wrmsr(c, msr, any_value());
}

static void make_plain(struct fuzz_code *c) {
    static const char *const whole[] = {
        "\x0F\x08",         "\x0F\x09",         "\x0F\x33",        "\x0F\x31",     "\x0F\x01\xF9",
        "\x0F\x01\xC8",     "\x0F\x01\xC9",     "\x0F\x37",        "\x0F\x01\xCF", "\x0F\x01\xD7",
        "\x0F\x01\xC0",     "\x0F\xAA",         "\x0F\x01\xC2",    "\x0F\x01\xC3", "\x0F\x01\xC4",
        "\x0F\x01\xD4",     "\x0F\x01\xD0",     "\x0F\x0B",        "\xF3\x90",     "\x0F\x01\xC5",
        "\x0F\x01\xCA",     "\x0F\x01\xCB",     "\x0F\xC7\xF0",    "\x0F\xC7\xF8", "\x0F\x77",
        "\x0F\x01\xEE",     "\x0F\x01\xEF",     "\x0F\x01\xCE",    "\x0F\x01\xC6", "\xF2\x0F\x01\xC6",
        "\xF3\x0F\x01\xC6", "\x66\x0F\x01\xCC", "\x66\x0F\x01\xCD"};
    const char *it = whole[fuzz_below(ARRAY_SIZE(whole))];
    unsigned length = 0;
    while (it[length] != 0)
        length++;
    code_set(c, RAX, any_value());
    code_set(c, RCX, fuzz_below(4));
    code_bytes(c, it, length);
}

static void put_eax_xor(struct fuzz_code *c, uint64_t value) {
    code_begin(c);
    if (c->mode->bits == 16)
        code_put(c, 0x66, 1);
    code_put(c, 0x35, 1);
    code_put(c, value, 4);
}

/* What an MSR holds, with a bit the other way round. */
static void make_msr_bit(struct fuzz_code *c) {
    uint32_t msr = any_msr();
    code_set(c, RCX, msr == MSR_FS_BASE || msr == MSR_GS_BASE ? MSR_EFER : msr);
    CODE(c, "\x0F\x32");
    put_eax_xor(c, BIT(fuzz_below(32)));
    CODE(c, "\x0F\x30");
}

/* A bit the other way round; not PE, PG, PSE, PAE, the consequences of which are lethal's. */
static void make_cr(struct fuzz_code *c) {
    unsigned bit = (unsigned)PICK(0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
                                  23, 24, 31);
    if (fuzz_chance(2)) {
        CODE(c, "\x0F\x20\xC0");
        put_eax_xor(c, BIT(PICK(1, 2, 3, 5, 16, 18, 29, 30, 30)));
        CODE(c, "\x0F\x22\xC0");
    } else if (fuzz_chance(4)) {
        CODE(c, "\x0F\x20\xD8");
        put_eax_xor(c, BIT(PICK(3, 4)));
        CODE(c, "\x0F\x22\xD8");
    } else {
        CODE(c, "\x0F\x20\xE0");
        put_eax_xor(c, BIT(bit));
        CODE(c, "\x0F\x22\xE0");
    }
}

static void make_cr_other(struct fuzz_code *c) {
    static const char *const some[] = {"\x0F\x06\x90", "\x0F\x01\xE0", "\x0F\x22\xD0", "\x0F\x20\xD0",
                                       "\x0F\x22\xC8", "\x0F\x20\xC8", "\x0F\x22\xF8"};
    code_set(c, RAX, fuzz_random());
    if (c->mode->bits == 64 && fuzz_chance(3)) {
        code_set(c, RAX, fuzz_below(20));
        CODE(c, "\x44\x0F\x22\xC0"); /* CR8 */
        CODE(c, "\x44\x0F\x20\xC0");
    } else if (fuzz_chance(3)) {
        code_set(c, RAX, (fuzz_random() & 0xFFFE) | (c->mode->way != WAY_REAL));
        CODE(c, "\x0F\x01\xF0"); /* LMSW */
    } else {
        code_bytes(c, some[fuzz_below(ARRAY_SIZE(some))], 3);
    }
}

/* Breakpoints are where a case goes, or nowhere: elsewhere they would hit on the way to it, for ever. */
static void make_dr(struct fuzz_code *c) {
    unsigned reg = fuzz_below(8);
    uint64_t value = reg >= 4         ? fuzz_random() & 0xFFFF2FFF
                     : fuzz_chance(2) ? FUZZ_CODE + fuzz_below(512)
                                      : fuzz_address();
    code_set(c, RAX, value);
    code_begin(c);
    code_put(c, 0x0F, 1);
    code_put(c, fuzz_chance(4) ? 0x21 : 0x23, 1);
    code_put(c, 0xC0 | reg << 3, 1);
}

static void make_xsetbv(struct fuzz_code *c) {
    code_set(c, RCX, fuzz_chance(6) ? fuzz_random() : 0);
    code_set(c, RAX, fuzz_chance(2) ? PICK(1, 3, 7, 0xE7, 0x1F) : any_value());
    code_set(c, RDX, fuzz_chance(6) ? any_value() : 0);
    CODE(c, "\x0F\x01\xD1");
}

/* ---- The outside ---- */
static uint16_t any_port(void) {
    uint64_t port = fuzz_chance(2) ? fuzz_random() & 0xFFFF
                                   : PICK(0x20, 0x40, 0x60, 0x70, 0x80, 0x2F8, 0x3F8, 0x510, 0xCF8, 0x8900) +
                                         fuzz_below(8);
    bool ends =
        port == PORT_RESET || port == PORT_KEYBOARD || port == PORT_SLEEP; /* the partition, one for good */
    return ends || port == PORT_CONSOLE ? PORT_CONSOLE + 5 : (uint16_t)port;
}

static void make_io(struct fuzz_code *c) {
    uint16_t port = any_port();
    bool by_dx = fuzz_chance(2) || port > 0xFF;
    code_set(c, RDX, port);
    code_set(c, RAX, any_value());
    code_begin(c);
    if (fuzz_chance(3))
        code_put(c, 0x66, 1);
    code_put(c, (by_dx ? 0xECu : 0xE4u) + fuzz_below(4), 1);
    if (!by_dx)
        code_put(c, port, 1);
}

/* String moves, with memory or a port. */
static void put_string(struct fuzz_code *c, unsigned opcode) {
    unsigned bits = c->mode->bits;
    code_set(c, RCX, fuzz_chance(8) ? 0 : fuzz_below(fuzz_chance(4) ? 48 : 6));
    code_set(c, RSI, code_offset(c, SEGMENT_DS, bits, fuzz_address()));
    code_set(c, RDI, code_offset(c, SEGMENT_ES, bits, fuzz_address()));
    if (fuzz_chance(6))
        code_bytes(c, fuzz_chance(2) ? "\xFD" : "\xFC", 1);
    code_begin(c);
    for (unsigned n = fuzz_below(3); n > 0; n--)
        code_put(c, PICK(0x66, 0xF3, 0xF2, 0x64, 0x26, bits == 32 ? 0x66 : 0x67), 1);
    if (fuzz_chance(2))
        code_put(c, 0xF3, 1);
    if (bits == 64 && fuzz_chance(3))
        code_put(c, 0x40 + fuzz_below(16), 1);
    code_put(c, opcode, 1);
}

static void make_string_io(struct fuzz_code *c) {
    code_set(c, RDX, any_port());
    put_string(c, 0x6C + fuzz_below(4));
}

static void make_string(struct fuzz_code *c) {
    put_string(c, (unsigned)PICK(0xA4, 0xA5, 0xAA, 0xAB, 0xAC, 0xAD));
}

static void make_memory(struct fuzz_code *c) {
    static const struct code_form forms[] = {
        {0, 0x88, -1, 0}, {0, 0x89, -1, 0},    {0, 0x8A, -1, 0},    {0, 0x8B, -1, 0},    {0, 0xC6, 0, 1},
        {0, 0xC7, 0, 2},  {0x0F, 0xB6, -1, 0}, {0x0F, 0xB7, -1, 0}, {0x0F, 0xBE, -1, 0}, {0x0F, 0xBF, -1, 0},
        {0, 0x00, -1, 0}, {0, 0x01, -1, 0},    {0, 0x02, -1, 0},    {0, 0x03, -1, 0},    {0, 0x08, -1, 0},
        {0, 0x0B, -1, 0}, {0, 0x21, -1, 0},    {0, 0x22, -1, 0},    {0, 0x29, -1, 0},    {0, 0x2B, -1, 0},
        {0, 0x31, -1, 0}, {0, 0x33, -1, 0},    {0, 0x38, -1, 0},    {0, 0x3B, -1, 0},    {0, 0x80, 0, 1},
        {0, 0x81, 1, 2},  {0, 0x83, 4, 1},     {0, 0x81, 5, 2},     {0, 0x80, 6, 1},     {0, 0x83, 7, 1},
        {0, 0x84, -1, 0}, {0, 0x85, -1, 0},    {0, 0x86, -1, 0},    {0, 0x87, -1, 0},    {0, 0xF6, 0, 1},
        {0, 0xF7, 0, 2},
    };
    if (fuzz_chance(16))
        code_accumulator(c, fuzz_address());
    else
        code_memory(c, &forms[fuzz_below(ARRAY_SIZE(forms))],
                    fuzz_chance(12) ? (uint8_t)PICK(0xF0, 0xF2, 0xF3) : 0, any_segment(), fuzz_address());
}

/* Instructions with an operand of their own: VMX, descriptor tables, caches. They exit, or fault, or do it.
 */
static void make_operand(struct fuzz_code *c) {
    static const struct {
        uint8_t prefix;
        struct code_form form;
    } some[] = {
        {0x66, {0x0F, 0xC7, 6, 0}}, {0, {0x0F, 0xC7, 6, 0}},    {0, {0x0F, 0xC7, 7, 0}},
        {0xF3, {0x0F, 0xC7, 6, 0}}, {0, {0x0F, 0x78, -1, 0}},   {0, {0x0F, 0x79, -1, 0}},
        {0, {0x0F, 0xC7, 3, 0}},    {0, {0x0F, 0xC7, 5, 0}},    {0, {0x0F, 0x01, 7, 0}},
        {0, {0x0F, 0x01, 0, 0}},    {0, {0x0F, 0x01, 1, 0}},    {0, {0x0F, 0x01, 4, 0}},
        {0, {0x0F, 0x00, 0, 0}},    {0, {0x0F, 0x00, 1, 0}},    {0, {0x0F, 0x00, 4, 0}},
        {0, {0x0F, 0x00, 5, 0}},    {0, {0x0F, 0x02, -1, 0}},   {0, {0x0F, 0x03, -1, 0}},
        {0, {0x0F, 0xAE, 7, 0}},    {0x66, {0x0F, 0xAE, 7, 0}},
    };
    unsigned which = fuzz_below(ARRAY_SIZE(some));
    code_memory(c, &some[which].form, some[which].prefix, SEGMENT_SS,
                FUZZ_DATA + fuzz_below(FUZZ_DATA_BYTES - 16));
}

/* INVEPT, INVVPID, INVPCID. The last does not exit and is only for 64 bits: a hypervisor need not know it
 * elsewhere, where DS may be anything. */
static void make_invalidate(struct fuzz_code *c) {
    code_set(c, RAX, FUZZ_DATA);
    code_begin(c);
    code_put(c, 0x380F66, 3);
    code_put(c, 0x80 + fuzz_below(c->mode->bits == 64 ? 3 : 2), 1);
    code_put(c, 0, 1);
}

static void make_vmcall(struct fuzz_code *c) {
    uint64_t number = fuzz_chance(6) ? any_value() : fuzz_below(10);
    /* STOP is for good, RESTART is lethal's, and WAIT has to come to an end. */
    if (number == HYPERCALL_STOP || number == HYPERCALL_RESTART ||
        (number == HYPERCALL_WAIT && c->mode->bits != 64))
        number = HYPERCALL_EXITS;
    code_set(c, RBX, number == HYPERCALL_COUNTER ? fuzz_below(fuzz_chance(2) ? 5 : 0x200) : any_value());
    code_set(c, RCX, number == HYPERCALL_WRITE && !fuzz_chance(64) ? 0 : any_value());
    if (number == HYPERCALL_WAIT) {
        CODE(c, "\x0F\x31");                         /* RDTSC */
        CODE(c, "\x48\xC1\xE2\x20");                 /* SHL RDX, 32 */
        CODE(c, "\x48\x8D\x9C\x02\x90\x01\x00\x00"); /* LEA RBX, [RDX + RAX + 400] */
    }
    code_set(c, RAX, number);
    CODE(c, "\x0F\x01\xC1");
}

/* ---- Events ---- */
static void make_ipi(struct fuzz_code *c) {
    uint64_t mode = fuzz_chance(3) ? PICK(0, 1, 4) : fuzz_below(8), shorthand = fuzz_below(4);
    uint64_t icr =
        (fuzz_below(8) << 29 | fuzz_random() % 256) | mode << 8 | shorthand << 18 | (fuzz_random() & 0xC800);
    icr = (icr & 0xCFFFF) | (fuzz_chance(2) ? 0 : any_value() << 32);
    if (mode == 5) /* INIT to oneself is lethal's */
        icr = (icr & ~UINT64_C(0x700));
    if (fuzz_chance(3)) {
        put_wrmsr(c, MSR_SELF_IPI, fuzz_random() % 256);
    } else if (fuzz_chance(2)) {
        put_wrmsr(c, MSR_ICR, icr);
    } else { /* through the page, wherever the mode lets it be seen */
        static const struct code_form store = {0, 0x89, 0, 0};
        code_memory(c, &store, 0, any_segment(), 0xFEE00310);
        code_set(c, RAX, icr);
        code_memory(c, &store, 0, any_segment(), 0xFEE00300);
    }
}

static void make_flags(struct fuzz_code *c) {
    /* TF, IF, DF, IOPL, NT, RF, AC, VIF, VIP, ID */
    uint32_t flags = (uint32_t)fuzz_random() & 0x003D7FD7;
    if (c->mode->way != WAY_REAL && fuzz_chance(2))
        flags &= ~(uint32_t)BIT(8);
    code_begin(c);
    code_put(c, c->mode->bits == 16 ? 0x6866 : 0x68, c->mode->bits == 16 ? 2 : 1);
    code_put(c, flags, 4);
    code_bytes(c, "\x66\x9D" + (c->mode->bits != 16), c->mode->bits == 16 ? 2 : 1);
}

static void make_event(struct fuzz_code *c) {
    static const char *const some[] = {"\xFB", "\xFA", "\xCC", "\xF1", "\xCE", "\x9C", "\x90", "\x98"};
    if (fuzz_chance(3)) {
        code_begin(c);
        code_put(c, 0xCD, 1);
        code_put(c, fuzz_random(), 1);
    } else if (fuzz_chance(3)) { /* MOV SS, as it is: a shadow over what comes next */
        code_bytes(c, "\x8C\xD0", 2);
        code_bytes(c, "\x8E\xD0", 2);
    } else {
        code_bytes(c, some[fuzz_below(ARRAY_SIZE(some))], 1);
    }
}

static void make_selector(struct fuzz_code *c) {
    static const char *const some[] = {"\x8E\xD8",     "\x8E\xC0",     "\x8E\xE0",     "\x8E\xE8",
                                       "\x0F\x00\xD0", "\x0F\x00\xD8", "\x0F\x00\xE0", "\x0F\x00\xE8"};
    unsigned which = fuzz_below(ARRAY_SIZE(some));
    uint64_t known = c->mode->way >= WAY_V86
                         ? 0xA000 + fuzz_below(0x1000)
                         : PICK(0, SEL_WINDOW, SEL_APIC, 0x68, 0x78, 0xAB, 0xB3, 0xFFFF, 4);
    code_set(c, RAX, known);
    code_bytes(c, some[which], which < 4 ? 2 : 3);
}

/* ---- What the partition does not survive, mostly ---- */
static void make_lethal(struct fuzz_code *c) {
    static const struct code_form not_ours[] = {{0, 0x11, -1, 0},    {0x0F, 0x29, -1, 0}, {0, 0xFF, 6, 0},
                                                {0x0F, 0xAE, 0, 0},  {0, 0x8F, 0, 0},     {0, 0xD0, 4, 0},
                                                {0x0F, 0xB1, -1, 0}, {0, 0xFF, 3, 0}};
    switch (fuzz_below(10)) {
    case 0:
        code_memory(c, &not_ours[fuzz_below(ARRAY_SIZE(not_ours))], 0, NO_SEGMENT, fuzz_address());
        break;
    case 1:
        code_set(c, RAX, any_value());
        CODE(c, "\x0F\x22\xD8"); /* CR3 */
        break;
    case 2:
        code_set(c, RAX, any_value());
        CODE(c, "\x0F\x22\xC0"); /* CR0 */
        break;
    case 3:
        code_set(c, RAX, any_value());
        CODE(c, "\x0F\x22\xE0"); /* CR4 */
        break;
    case 4:
        code_memory(c, &(const struct code_form){0x0F, 0x01, (int8_t)(2 + fuzz_below(2)), 0}, 0, NO_SEGMENT,
                    fuzz_address()); /* LGDT, LIDT */
        break;
    case 5:
        code_set(c, RDX, PICK(PORT_RESET, PORT_KEYBOARD));
        code_set(c, RAX, PICK(0x06, 0xFE));
        CODE(c, "\xEE");
        break;
    case 6:
        code_set(c, RAX, HYPERCALL_RESTART);
        CODE(c, "\x0F\x01\xC1");
        break;
    case 7:
        put_wrmsr(c, MSR_ICR, 0x4500 | (fuzz_chance(2) ? 0x40000 : 0)); /* INIT */
        break;
    case 8:
        put_wrmsr(c, MSR_EFER, any_value());
        break;
    default:
        code_set(c, RSP, any_value());
        CODE(c, "\xCC");
    }
}

static const struct {
    void (*make)(struct fuzz_code *c);
    unsigned share;
} makers[] = {
    {make_cpuid, 6},     {make_rdmsr, 8},    {make_wrmsr, 10},  {make_msr_bit, 4}, {make_plain, 10},
    {make_cr, 8},        {make_cr_other, 3}, {make_dr, 2},      {make_xsetbv, 4},  {make_io, 10},
    {make_string_io, 3}, {make_string, 2},   {make_memory, 14}, {make_operand, 8}, {make_invalidate, 1},
    {make_vmcall, 6},    {make_ipi, 6},      {make_flags, 3},   {make_event, 4},   {make_selector, 1},
};

static void make_one(struct fuzz_code *c) {
    unsigned sum = 0, chosen;
    for (unsigned i = 0; i < ARRAY_SIZE(makers); i++)
        sum += makers[i].share;
    chosen = fuzz_below(sum);
    for (unsigned i = 0; i < ARRAY_SIZE(makers); i++) {
        if (chosen < makers[i].share) {
            makers[i].make(c);
            return;
        }
        chosen -= makers[i].share;
    }
}

void fuzz_make(struct fuzz_code *c, const struct fuzz_mode *mode, unsigned lethal_one_in) {
    c->mode = mode;
    c->used = c->count = 0;
    for (unsigned left = 8 + fuzz_below(STEPS - 7); left > 0; left--)
        make_one(c);
    if (fuzz_chance(lethal_one_in))
        make_lethal(c);
    code_begin(c);
    code_put(c, FUZZ_VECTOR_END << 8 | 0xCD, 2); /* INT */
}
