/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder against libcapstone over whole opcode maps, the executor against the CPU this runs
 * on, which executes the very bytes that were decoded. */
#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/insn.h"
#include "tests/unit/unit.h"

static csh engine;
static cs_insn *theirs;
static unsigned long agreed;

static const enum insn_mode modes[] = {INSN_16, INSN_32, INSN_64};
static const cs_mode cs_modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

static void complain(const uint8_t *bytes, enum insn_mode mode, const char *what) {
    char text[64] = "";

    for (unsigned i = 0; i < INSN_MAX_BYTES; i++)
        sprintf(text + 3 * i, "%02x ", bytes[i]);
    fail_msg("mode %u: %s: %s; capstone: %s %s", 8u * mode, text, what, theirs->mnemonic, theirs->op_str);
}

#define agree(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            complain(bytes, mode, #cond);                                                                    \
    } while (0)

/* Number of a general register by capstone's name for it; -1 for others. */
static int reg_number(x86_reg reg, bool *high) {
    static const char *const names[][5] = {
        {"al", "ah", "ax", "eax", "rax"},    {"cl", "ch", "cx", "ecx", "rcx"},
        {"dl", "dh", "dx", "edx", "rdx"},    {"bl", "bh", "bx", "ebx", "rbx"},
        {"spl", "", "sp", "esp", "rsp"},     {"bpl", "", "bp", "ebp", "rbp"},
        {"sil", "", "si", "esi", "rsi"},     {"dil", "", "di", "edi", "rdi"},
        {"r8b", "", "r8w", "r8d", "r8"},     {"r9b", "", "r9w", "r9d", "r9"},
        {"r10b", "", "r10w", "r10d", "r10"}, {"r11b", "", "r11w", "r11d", "r11"},
        {"r12b", "", "r12w", "r12d", "r12"}, {"r13b", "", "r13w", "r13d", "r13"},
        {"r14b", "", "r14w", "r14d", "r14"}, {"r15b", "", "r15w", "r15d", "r15"},
    };
    static int numbers[X86_REG_ENDING]; /* 0 = not looked up */
    const char *name = reg == X86_REG_INVALID ? "none" : cs_reg_name(engine, reg);

    if (numbers[reg] == 0) {
        numbers[reg] = -1;
        for (int n = 0; n < 16; n++) {
            for (int k = 0; k < 5; k++)
                if (strcmp(names[n][k], name) == 0)
                    numbers[reg] = 1 + n + (k == 1 ? 100 : 0);
        }
    }
    *high = numbers[reg] > 100;
    return numbers[reg] < 0 ? -1 : (numbers[reg] - 1) % 100;
}

static unsigned segment_of(x86_reg reg) {
    static const x86_reg order[] = {X86_REG_ES, X86_REG_CS, X86_REG_SS, X86_REG_DS, X86_REG_FS, X86_REG_GS};
    unsigned s = 0;

    while (s < ARRAY_SIZE(order) && order[s] != reg)
        s++;
    return s;
}

static int op_of(unsigned id) {
    switch (id) {
    case X86_INS_ADD:
        return INSN_ADD;
    case X86_INS_OR:
        return INSN_OR;
    case X86_INS_AND:
        return INSN_AND;
    case X86_INS_SUB:
        return INSN_SUB;
    case X86_INS_XOR:
        return INSN_XOR;
    case X86_INS_CMP:
        return INSN_CMP;
    case X86_INS_TEST:
        return INSN_TEST;
    case X86_INS_MOV:
    case X86_INS_MOVABS:
        return INSN_MOV;
    case X86_INS_MOVZX:
        return INSN_MOVZX;
    case X86_INS_MOVSX:
    case X86_INS_MOVSXD:
        return INSN_MOVSX;
    case X86_INS_XCHG:
        return INSN_XCHG;
    case X86_INS_MOVSB:
    case X86_INS_MOVSW:
    case X86_INS_MOVSD: /* and of SSE, which has another opcode */
    case X86_INS_MOVSQ:
        return INSN_MOVS;
    case X86_INS_STOSB:
    case X86_INS_STOSW:
    case X86_INS_STOSD:
    case X86_INS_STOSQ:
        return INSN_STOS;
    case X86_INS_LODSB:
    case X86_INS_LODSW:
    case X86_INS_LODSD:
    case X86_INS_LODSQ:
        return INSN_LODS;
    default:
        return -1;
    }
}

/* Which operand is memory; -1 = none, or not two operands. */
static int memory_operand(const cs_x86 *x) {
    if (x->op_count != 2)
        return -1;
    return x->operands[0].type == X86_OP_MEM ? 0 : x->operands[1].type == X86_OP_MEM ? 1 : -1;
}

static uint64_t cut(int64_t value, unsigned bytes) {
    return (uint64_t)value & (UINT64_MAX >> (64 - 8 * bytes));
}

static void compare_memory(const uint8_t *bytes, enum insn_mode mode, const struct insn *i, const cs_x86 *x,
                           const x86_op_mem *m) {
    bool high,
        index_is_none = m->index == X86_REG_INVALID || m->index == X86_REG_EIZ || m->index == X86_REG_RIZ;
    bool rip = m->base == X86_REG_RIP || m->base == X86_REG_EIP;

    agree(i->address_bytes == x->addr_size);
    if (m->segment != X86_REG_INVALID && (mode != INSN_64 || segment_of(m->segment) >= INSN_FS))
        agree(i->segment == segment_of(m->segment));
    agree(i->rip_relative == rip);
    agree(i->base == reg_number(m->base, &high));
    agree(i->index == (index_is_none ? -1 : reg_number(m->index, &high)));
    agree(index_is_none || i->scale == m->scale);
    agree(cut(i->displacement, i->address_bytes) == cut(m->disp, i->address_bytes));
}

static void compare(const uint8_t *bytes, enum insn_mode mode, const struct insn *i, int memory) {
    const cs_x86 *x = &theirs->detail->x86;
    const cs_x86_op *other = &x->operands[1 - memory];
    /* capstone widens every MOVSXD from 32 to 64 bits; the CPU test below knows better */
    bool odd_movsxd = x->opcode[0] == 0x63 && i->reg_bytes != 8;
    bool high;

    agree(i->length == theirs->size);
    agree(i->op == (enum insn_op)op_of(theirs->id));
    /* capstone lists the operands of TEST and XCHG either way round */
    agree(i->op == INSN_TEST || i->op == INSN_XCHG || i->mem_first == (memory == 0));
    agree(i->mem_bytes == x->operands[memory].size || odd_movsxd);
    agree(i->has_immediate == (other->type == X86_OP_IMM));
    if (i->has_immediate) {
        agree(cut((int64_t)i->immediate, i->mem_bytes) == cut(other->imm, i->mem_bytes));
    } else {
        agree(i->reg == reg_number(other->reg, &high));
        agree(i->high_byte == high);
        agree(i->reg_bytes == other->size || odd_movsxd);
    }
    compare_memory(bytes, mode, i, x, &x->operands[memory].mem);
}

static bool is_string(const cs_x86 *x) {
    unsigned pair = x->opcode[0] & 0xfe;

    return pair == 0xa4 || pair == 0xaa || pair == 0xac;
}

static void compare_string(const uint8_t *bytes, enum insn_mode mode, const struct insn *i) {
    const cs_x86 *x = &theirs->detail->x86;
    const cs_x86_op *source = &x->operands[1], *sink = &x->operands[0];
    const x86_op_mem *from = &source->mem;

    agree(i->length == theirs->size);
    agree(i->op == (enum insn_op)op_of(theirs->id));
    agree((i->op != INSN_LODS) == (sink->type == X86_OP_MEM));
    agree((i->op != INSN_STOS) == (source->type == X86_OP_MEM));
    agree(i->mem_bytes == sink->size && i->mem_bytes == source->size);
    agree(i->address_bytes == x->addr_size);
    agree(i->repeat ==
          (memchr(bytes, 0xf2, theirs->size) != NULL || memchr(bytes, 0xf3, theirs->size) != NULL));
    if (i->op != INSN_STOS && (mode != INSN_64 || segment_of(from->segment) >= INSN_FS) &&
        from->segment != X86_REG_INVALID)
        agree(i->segment == segment_of(from->segment));
}

/* All that we refuse though it is one of our operations, by first opcode byte and reg field. */
static const struct {
    uint8_t opcode, mask, reg; /* reg 8: any */
    const char *reason;
} refused[] = {
    {0x82, 0xff, 8, "an alias of 80 that 64-bit mode does not have and no assembler makes"},
    {0x8c, 0xfd, 8, "MOV of segment registers: nobody loads those from a device"},
    {0xf6, 0xfe, 1, "an undocumented alias of TEST F6 /0"},
};

static bool is_refused(const cs_x86 *x) {
    for (unsigned n = 0; n < ARRAY_SIZE(refused); n++)
        if ((x->opcode[0] & refused[n].mask) == refused[n].opcode &&
            (refused[n].reg == 8 || (x->modrm >> 3 & 7) == refused[n].reg))
            return true;
    return false;
}

/* One instruction, 15 bytes of room; the decoder must say what capstone says. */
static void check(const uint8_t *bytes, unsigned mode_index) {
    enum insn_mode mode = modes[mode_index];
    const cs_x86 *x = &theirs->detail->x86;
    const uint8_t *code = bytes;
    size_t left = INSN_MAX_BYTES;
    uint64_t at = 0;
    struct insn i;
    int memory;
    enum err err = insn_decode(bytes, INSN_MAX_BYTES, mode, &i);

    if (!cs_disasm_iter(engine, &code, &left, &at, theirs)) {
        theirs->mnemonic[0] = theirs->op_str[0] = '\0';
        agree(err != ERR_OK);
        return;
    }
    memory = memory_operand(x);
    if (op_of(theirs->id) < 0 || memory < 0 || is_refused(x) ||
        (op_of(theirs->id) >= (int)INSN_MOVS && !is_string(x))) {
        agree(err != ERR_OK);
        return;
    }
    if (err == ERR_MALFORMED) { /* capstone lets LOCK pass anywhere */
        agree(x->prefix[0] == X86_PREFIX_LOCK);
        agree(!i.writes_mem || !i.reads_mem);
        return;
    }
    agree(err == ERR_OK);
    if (i.op >= INSN_MOVS)
        compare_string(bytes, mode, &i);
    else
        compare(bytes, mode, &i, memory);
    for (unsigned count = 0; count < i.length; count++) {
        struct insn cut_short;

        agree(insn_decode(bytes, count, mode, &cut_short) == ERR_RANGE);
    }
    agreed++;
}

/* Prefixes, opcode (0Fxx = two bytes), ModRM, SIB or first displacement byte, then a pattern. */
static void check_bytes(const uint8_t *prefixes, unsigned nr_prefixes, unsigned opcode, unsigned modrm,
                        unsigned sib, unsigned mode_index) {
    uint8_t bytes[INSN_MAX_BYTES] = {0};
    unsigned at = nr_prefixes;

    memcpy(bytes, prefixes, nr_prefixes);
    if (opcode > 0xff)
        bytes[at++] = 0x0f;
    bytes[at++] = (uint8_t)opcode;
    bytes[at++] = (uint8_t)modrm;
    bytes[at++] = (uint8_t)sib;
    for (uint8_t pattern = 0x81; at < INSN_MAX_BYTES; pattern = (uint8_t)(pattern + 0x13))
        bytes[at++] = pattern;
    check(bytes, mode_index);
}

static bool is_prefix(unsigned opcode, enum insn_mode mode) {
    return (opcode & 0xe7) == 0x26 || (opcode >= 0x64 && opcode <= 0x67) || opcode == 0xf0 ||
           opcode == 0xf2 || opcode == 0xf3 || (mode == INSN_64 && (opcode & 0xf0) == 0x40);
}

static void check_opcode(const uint8_t *prefixes, unsigned n, unsigned opcode, unsigned m) {
    for (unsigned modrm = 0; modrm < 256; modrm++) {
        static const uint8_t sibs[] = {0x00, 0x24, 0x25, 0x65, 0xa5, 0xe0, 0x8c, 0xdd};
        bool all_sibs = opcode == 0x8b && (modrm & 0x38) == 0;

        if ((modrm & 7) != 4) {
            check_bytes(prefixes, n, opcode, modrm, 0x95, m);
            continue;
        }
        for (unsigned s = 0; s < (all_sibs ? 256 : sizeof(sibs)); s++)
            check_bytes(prefixes, n, opcode, modrm, all_sibs ? s : sibs[s], m);
    }
}

/* Every opcode of both maps with every ModRM, behind the prefixes that change a form. */
static void V100_every_opcode_as_capstone_decodes_it(void **state) {
    static const uint8_t prefixes[][4] = {
        {0},          {0x66},       {0x67},       {0x66, 0x67},
        {0x40},       {0x41},       {0x42},       {0x44},
        {0x48},       {0x4f},       {0x66, 0x48}, {0x66, 0x45},
        {0x67, 0x43}, {0x48, 0x66}, {0x64, 0x66}, {0x65, 0x67, 0x4d},
    };

    (void)state;
    for (unsigned m = 0; m < 3; m++) {
        cs_option(engine, CS_OPT_MODE, cs_modes[m]);
        for (unsigned p = 0; p < ARRAY_SIZE(prefixes); p++) {
            unsigned n = (unsigned)strlen((const char *)prefixes[p]);

            if (modes[m] != INSN_64 && (prefixes[p][n > 0 ? n - 1 : 0] & 0xf0) == 0x40)
                continue; /* no REX there */
            for (unsigned opcode = 0; opcode < 0x200; opcode++)
                if (opcode != 0x0f && !is_prefix(opcode, modes[m]))
                    check_opcode(prefixes[p], n, opcode < 0x100 ? opcode : 0xe00 + opcode, m);
        }
    }
    assert_true(agreed > 100000);
}

/* Bit n of `which` and the digits above it choose up to five prefixes, in an order that varies. */
static unsigned make_prefixes(unsigned which, bool rex, uint8_t *to) {
    static const uint8_t segments[] = {0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    static const uint8_t repeats[] = {0, 0xf0, 0xf2, 0xf3};
    uint8_t some[4] = {(which & 1) != 0 ? 0x66 : 0, (which & 2) != 0 ? 0x67 : 0, segments[which / 16 % 7],
                       repeats[which >> 2 & 3]};
    unsigned n = 0;

    for (unsigned k = 0; k < 4; k++) {
        uint8_t prefix = some[(k + which) % 4];

        if (prefix != 0)
            to[n++] = prefix;
    }
    if (rex)
        to[n++] = (uint8_t)(0x40 | which / 112 % 16);
    return n;
}

/* All combinations of prefixes, on one opcode of each shape. */
static void V100_every_prefix_as_capstone_decodes_it(void **state) {
    static const unsigned opcodes[] = {0x01, 0x3a, 0x80, 0x83, 0x84, 0x87, 0x88, 0x8b,   0xa0,
                                       0xa3, 0xc6, 0xc7, 0xf7, 0xa4, 0xab, 0xad, 0x0fb6, 0x0fbf};
    uint8_t prefixes[8];

    (void)state;
    agreed = 0;
    for (unsigned m = 0; m < 3; m++) {
        cs_option(engine, CS_OPT_MODE, cs_modes[m]);
        for (unsigned which = 0; which < 112 * 16; which++) {
            unsigned n = make_prefixes(which, modes[m] == INSN_64, prefixes);

            for (unsigned o = 0; o < ARRAY_SIZE(opcodes); o++) {
                check_bytes(prefixes, n, opcodes[o], 0x44, 0x8d, m);
                check_bytes(prefixes, n, opcodes[o], 0x06, 0x12, m);
            }
        }
    }
    assert_true(agreed > 50000);
}

static enum err decode(enum insn_mode mode, const char *bytes, unsigned count, struct insn *i) {
    memset(i, 0xa5, sizeof(*i));
    return insn_decode((const uint8_t *)bytes, count, mode, i);
}

static void V018_segment_of_an_operand(void **state) {
    struct insn i;

    (void)state;
    assert_int_equal(decode(INSN_32, "\x8b\x03", 2, &i), ERR_OK);
    assert_int_equal(i.segment, INSN_DS);
    assert_int_equal(decode(INSN_32, "\x8b\x45\x00", 3, &i), ERR_OK); /* [ebp] */
    assert_int_equal(i.segment, INSN_SS);
    assert_int_equal(decode(INSN_32, "\x8b\x04\x24", 3, &i), ERR_OK); /* [esp] */
    assert_int_equal(i.segment, INSN_SS);
    assert_int_equal(decode(INSN_32, "\x8b\x04\x2b", 3, &i), ERR_OK); /* [ebx + ebp] */
    assert_int_equal(i.segment, INSN_DS);
    assert_int_equal(decode(INSN_16, "\x8b\x02", 2, &i), ERR_OK); /* [bp + si] */
    assert_int_equal(i.segment, INSN_SS);
    assert_int_equal(decode(INSN_16, "\x8b\x06\x34\x12", 4, &i), ERR_OK); /* [1234] */
    assert_int_equal(i.segment, INSN_DS);
    assert_int_equal(decode(INSN_64, "\x41\x8b\x45\x00", 4, &i), ERR_OK); /* [r13] */
    assert_int_equal(i.segment, INSN_DS);
    assert_int_equal(decode(INSN_16, "\x2e\x8b\x02", 3, &i), ERR_OK);
    assert_int_equal(i.segment, INSN_CS);
    assert_int_equal(decode(INSN_16, "\x2e\x26\xa1\x34\x12", 5, &i), ERR_OK);
    assert_int_equal(i.segment, INSN_ES);
    assert_int_equal(decode(INSN_64, "\x65\x26\x8b\x02", 4, &i), ERR_OK);
    assert_int_equal(i.segment, INSN_GS);
    assert_int_equal(decode(INSN_64, "\x65\x3e\x8b\x02", 4, &i), ERR_OK); /* DS is not looked at */
    assert_int_equal(i.segment, INSN_GS);
    assert_int_equal(decode(INSN_64, "\x64\x8b\x02", 3, &i), ERR_OK);
    assert_int_equal(i.segment, INSN_FS);
}

static void V100_lock_where_it_may_not_be(void **state) {
    struct insn i;

    (void)state;
    assert_int_equal(decode(INSN_64, "\xf0\x09\x03", 3, &i), ERR_OK);
    assert_true(i.lock);
    assert_int_equal(decode(INSN_64, "\xf0\x87\x03", 3, &i), ERR_OK);
    assert_int_equal(decode(INSN_64, "\xf0\x83\x0b\x01", 4, &i), ERR_OK);
    assert_int_equal(decode(INSN_64, "\x09\x03", 2, &i), ERR_OK);
    assert_false(i.lock);
    assert_int_equal(decode(INSN_64, "\xf0\x0b\x03", 3, &i), ERR_MALFORMED); /* or r, m */
    assert_int_equal(decode(INSN_64, "\xf0\x89\x03", 3, &i), ERR_MALFORMED); /* mov */
    assert_int_equal(decode(INSN_64, "\xf0\x39\x03", 3, &i), ERR_MALFORMED); /* cmp */
    assert_int_equal(decode(INSN_64, "\xf0\x85\x03", 3, &i), ERR_MALFORMED); /* test */
    assert_int_equal(decode(INSN_64, "\xf0\xc6\x03\x01", 4, &i), ERR_MALFORMED);
    assert_int_equal(decode(INSN_64, "\xf0\xa2\1\2\3\4\5\6\7\10", 10, &i), ERR_MALFORMED);
}

/* Where capstone is wrong: without REX.W it is 16 from 16 or 32 from 32 bits. */
static void V022_movsxd_where_capstone_is_wrong(void **state) {
    struct insn i;

    (void)state;
    assert_int_equal(decode(INSN_64, "\x63\x03", 2, &i), ERR_OK);
    assert_int_equal(i.mem_bytes, 4);
    assert_int_equal(i.reg_bytes, 4);
    assert_int_equal(decode(INSN_64, "\x66\x63\x03", 3, &i), ERR_OK);
    assert_int_equal(i.mem_bytes, 2);
    assert_int_equal(i.reg_bytes, 2);
    assert_int_equal(decode(INSN_64, "\x66\x48\x63\x03", 4, &i), ERR_OK);
    assert_int_equal(i.mem_bytes, 4);
    assert_int_equal(i.reg_bytes, 8);
}

static void V100_over_15_bytes(void **state) {
    char bytes[20];
    struct insn i;

    (void)state;
    memset(bytes, 0x66, sizeof(bytes));
    memcpy(bytes + 13, "\x8b\x03", 2);
    assert_int_equal(decode(INSN_64, bytes, 20, &i), ERR_OK);
    assert_int_equal(i.length, 15);
    assert_int_equal(decode(INSN_64, bytes, 14, &i), ERR_RANGE);
    memcpy(bytes + 13, "\x66\x8b\x03", 3);
    assert_int_equal(decode(INSN_64, bytes, 20, &i), ERR_MALFORMED);
    assert_int_equal(decode(INSN_64, bytes, 15, &i), ERR_MALFORMED);
    assert_int_equal(decode(INSN_64, bytes, 14, &i), ERR_RANGE);
    memset(bytes, 0x66, sizeof(bytes));
    assert_int_equal(decode(INSN_64, bytes, 20, &i), ERR_MALFORMED);
    assert_int_equal(decode(INSN_64, bytes, 0, &i), ERR_RANGE);
}

/* ---- The effective address against LEA, which the CPU executes with the same ModRM and SIB ---- */

static uint8_t *page;

/* mov r10, rdi; mov rax..rdi, [r10 + 8 n]; the LEA; back with RAX. R8 to R15 are left out, RSP and RBP
 * are put back. */
static uint64_t lea(const uint8_t *bytes, unsigned count, const uint64_t *gpr) {
    static const uint8_t before[] = {0x53, 0x55, 0x49, 0x89, 0xfa, 0x49, 0x89, 0xe3};
    static const uint8_t after[] = {0x4c, 0x89, 0xdc, 0x5d, 0x5b, 0xc3};
    uint8_t *at = page;
    uint64_t (*stub)(const uint64_t *);

    memcpy(at, before, sizeof(before)); /* push rbx; push rbp; mov r10, rdi; mov r11, rsp */
    at += sizeof(before);
    for (unsigned n = 0; n < 8; n++) {
        uint8_t load[] = {0x49, 0x8b, (uint8_t)(0x42 | n << 3), (uint8_t)(8 * n)};

        memcpy(at, load, sizeof(load));
        at += sizeof(load);
    }
    memcpy(at, bytes, count);
    memcpy(at + count, after, sizeof(after)); /* mov rsp, r11; pop rbp; pop rbx; ret */
    memcpy(&stub, &page, sizeof(stub));
    return stub(gpr);
}

static void V018_effective_address_like_the_cpu(void **state) {
    static const uint64_t gpr[16] = {0x1122334455667788, 0x80000001,        0xfffffffffffffff0,
                                     0x7fffffffffff0000, 0x123456789000,    0xffff800000000001,
                                     0x8000000000000000, 0xf0f0f0f0f0f0f0f1};
    const uint64_t rip_of_insn = (uint64_t)(page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) +
                                 8 + 8 * 4;

    (void)state;
    for (unsigned n = 0; n < 2 * 0xc0 * 256; n++) {
        uint8_t bytes[10] = {0x67, 0x48, 0x8b, (uint8_t)(n / 256 % 0xc0 & 0xc7), (uint8_t)n, 0xf3,
                             0xff, 0xff, 0x8f};
        const uint8_t *start = n < 0xc0 * 256 ? bytes : bytes + 1;
        struct insn i;
        uint64_t expected;

        assert_int_equal(insn_decode(start, 9, INSN_64, &i), ERR_OK);
        bytes[2] = 0x8d;
        expected = lea(start, i.length, gpr);
        assert_int_equal(insn_offset(&i, gpr, rip_of_insn), expected);
    }
    munmap(page, 4096);
}

/* 16 bits, which this CPU will not run: bases, wrapping, and that 16-bit addresses are cut. */
static void V022_effective_address_of_16_bits(void **state) {
    static const uint64_t gpr[16] = {0, 0, 0, 0x7001, 0, 0xffff, 0x300, 0x40};
    static const uint16_t sums[] = {0x7301, 0x7041, 0x2ff, 0x3f, 0x300, 0x40, 0, 0x7001};
    struct insn i;

    (void)state;
    for (unsigned rm = 0; rm < 8; rm++) {
        const uint8_t bytes[] = {0x8b, (uint8_t)(0x80 | rm), 0x02, 0x90, 0, 0, 0};

        assert_int_equal(insn_decode(bytes, sizeof(bytes), INSN_16, &i), ERR_OK);
        assert_int_equal(insn_offset(&i, gpr, 0x1234), (uint16_t)((rm == 6 ? 0xffff : sums[rm]) + 0x9002));
    }
    assert_int_equal(insn_merge(0x1111222233334444, 0xabcdef, 1), 0x11112222333344ef);
    assert_int_equal(insn_merge(0x1111222233334444, 0xabcdef, 2), 0x111122223333cdef);
    assert_int_equal(insn_merge(0x1111222233334444, 0xffabcdef12, 4), 0xabcdef12);
    assert_int_equal(insn_merge(0x1111222233334444, 0xffabcdef12, 8), 0xffabcdef12);
}

/* ---- The executor against the CPU: mem in RDI, the register under test anything but that ---- */

struct trial {
    uint8_t bytes[INSN_MAX_BYTES];
    unsigned count;
    unsigned reg; /* number of the register under test */
    uint64_t mem, value, flags;
};

static void emit(uint8_t **at, const char *bytes, unsigned count) {
    memcpy(*at, bytes, count);
    *at += count;
}

static void emit_reg_move(uint8_t **at, char opcode, unsigned reg) {
    char move[] = {(char)(reg >= 8 ? 0x4d : 0x49), opcode, (char)((reg & 7) << 3 | 2)};

    emit(at, move, 3); /* between the register and [r10] */
}

static void build_stub(const struct trial *t) {
    uint8_t *at = page;

    emit(&at, "\x53\x41\x54\x41\x55\x41\x57", 7); /* push rbx, r12, r13, r15 */
    emit(&at, "\x49\x89\xf2\x49\x89\xd3", 6);     /* mov r10, rsi; mov r11, rdx */
    emit_reg_move(&at, '\x8b', t->reg);
    emit(&at, "\x41\xff\x33\x9d", 4); /* push [r11]; popf */
    emit(&at, (const char *)t->bytes, t->count);
    emit(&at, "\x9c\x41\x8f\x03", 4); /* pushf; pop [r11] */
    emit_reg_move(&at, '\x89', t->reg);
    emit(&at, "\x41\x5f\x41\x5d\x41\x5c\x5b\xc3", 8);
}

static void run_trial(const struct trial *t, const struct insn *i) {
    struct insn_result r;
    uint64_t mem = t->mem, value = t->value, flags = t->flags, mask;
    void (*stub)(uint64_t *, uint64_t *, uint64_t *);

    memcpy(&stub, &page, sizeof(stub));
    stub(&mem, &value, &flags);
    insn_execute(i, t->mem, t->value, &r);
    mask = UINT64_MAX >> (64 - 8 * i->mem_bytes);
    assert_int_equal(r.mem, mem & mask);
    assert_int_equal(mem & ~mask, t->mem & ~mask);
    assert_int_equal(r.reg, value);
    mask = 0x8d5;
    if (i->op == INSN_AND || i->op == INSN_OR || i->op == INSN_XOR || i->op == INSN_TEST)
        mask &= ~UINT64_C(0x10); /* AF is undefined there */
    assert_int_equal(((t->flags & ~r.flags_mask) | r.flags) & mask, flags & mask);
}

static void run_values(struct trial *t, const struct insn *i) {
    static const uint64_t values[] = {
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x8000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x0123456789abcdef,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xfedcba9876543210,
        UINT64_MAX,
    };

    build_stub(t);
    for (unsigned a = 0; a < ARRAY_SIZE(values); a++) {
        for (unsigned b = 0; b < ARRAY_SIZE(values); b++) {
            t->mem = values[a];
            t->value = values[b];
            t->flags = (a + b) % 2 == 0 ? 0x202 : 0xad7;
            run_trial(t, i);
        }
    }
}

static unsigned run_opcode(uint8_t prefix, uint8_t rex, unsigned opcode, unsigned reg) {
    struct trial t = {.count = 0};
    struct insn i;

    if (prefix != 0)
        t.bytes[t.count++] = prefix;
    if (rex != 0)
        t.bytes[t.count++] = rex;
    if (opcode > 0xff)
        t.bytes[t.count++] = 0x0f;
    t.bytes[t.count++] = (uint8_t)opcode;
    t.bytes[t.count++] = (uint8_t)(reg << 3 | 7); /* [rdi] */
    memcpy(t.bytes + t.count, "\xf1\x80\x34\x92", 4);
    if (insn_decode(t.bytes, INSN_MAX_BYTES, INSN_64, &i) != ERR_OK || i.base != 7)
        return 0; /* not ours, or has no ModRM */
    if (!i.has_immediate && (0x4cb0 >> i.reg & 1) != 0)
        return 0; /* RSP, RBP, RDI, R10, R11, R14 are in use */
    t.count = i.length;
    t.reg = i.reg;
    run_values(&t, &i);
    return 1;
}

static void X36_execute_like_the_cpu(void **state) {
    static const uint8_t prefixes[] = {0, 0x66, 0xf0};
    static const uint8_t rexes[] = {0, 0x40, 0x44, 0x48, 0x4c};
    unsigned forms = 0;

    (void)state;
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    for (unsigned opcode = 0; opcode < 0x200; opcode++) {
        for (unsigned p = 0; p < ARRAY_SIZE(prefixes) * ARRAY_SIZE(rexes); p++) {
            for (unsigned reg = 0; reg < 8; reg++) {
                forms +=
                    run_opcode(prefixes[p % 3], rexes[p / 3], opcode < 0x100 ? opcode : 0xe00 + opcode, reg);
            }
        }
    }
    assert_true(forms > 2000);
    munmap(page, 4096);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(V100_every_opcode_as_capstone_decodes_it),
        cmocka_unit_test(V100_every_prefix_as_capstone_decodes_it),
        cmocka_unit_test(V018_segment_of_an_operand),
        cmocka_unit_test(V100_lock_where_it_may_not_be),
        cmocka_unit_test(V022_movsxd_where_capstone_is_wrong),
        cmocka_unit_test(V100_over_15_bytes),
        cmocka_unit_test(V018_effective_address_like_the_cpu),
        cmocka_unit_test(V022_effective_address_of_16_bits),
        cmocka_unit_test(X36_execute_like_the_cpu),
    };

    if (cs_open(CS_ARCH_X86, CS_MODE_64, &engine) != CS_ERR_OK)
        return 1;
    cs_option(engine, CS_OPT_DETAIL, CS_OPT_ON);
    theirs = cs_malloc(engine);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
