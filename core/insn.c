/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction bytes in, struct insn out; struct insn and two values in, two values and flags out.
 * Pure: touches nothing but its arguments. See "Instruction Format" and the opcode maps, SDM 2. */
#include "core/insn.h"

enum { RAX = 0, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7 };

#define REX_W   0x8u
#define REX_R   0x4u
#define REX_X   0x2u
#define REX_B   0x1u
#define FLAG_CF 0x001u
#define FLAG_PF 0x004u
#define FLAG_AF 0x010u
#define FLAG_ZF 0x040u
#define FLAG_SF 0x080u
#define FLAG_OF 0x800u

struct decoder {
    const uint8_t *bytes;
    unsigned count, at;
    enum err err; /* the first one stays */
    enum insn_mode mode;
    bool operand_size, address_size, lock, repeat, has_segment; /* prefixes */
    enum insn_segment segment;
    uint8_t rex; /* 0 = none */
};

enum shape { MEM_REG, REG_MEM, MEM_IMM, MEM_IMM8, ACC_MOFFS, MOFFS_ACC, STRING };

struct form {
    uint16_t first, last; /* opcodes; 0Fxx: two bytes. Bit 0: not byte-sized */
    enum insn_op op;      /* of 80..83: overridden by the reg field */
    enum shape shape;
};

/* Without the ALU rows 00..3B, which follow a rule. */
static const struct form forms[] = {
    {0x63, 0x63, INSN_MOVSX, REG_MEM},     {0x80, 0x81, INSN_ADD, MEM_IMM},
    {0x83, 0x83, INSN_ADD, MEM_IMM8},      {0x84, 0x85, INSN_TEST, MEM_REG},
    {0x86, 0x87, INSN_XCHG, MEM_REG},      {0x88, 0x89, INSN_MOV, MEM_REG},
    {0x8a, 0x8b, INSN_MOV, REG_MEM},       {0xa0, 0xa1, INSN_MOV, ACC_MOFFS},
    {0xa2, 0xa3, INSN_MOV, MOFFS_ACC},     {0xa4, 0xa5, INSN_MOVS, STRING},
    {0xaa, 0xab, INSN_STOS, STRING},       {0xac, 0xad, INSN_LODS, STRING},
    {0xc6, 0xc7, INSN_MOV, MEM_IMM},       {0xf6, 0xf7, INSN_TEST, MEM_IMM},
    {0x0fb6, 0x0fb7, INSN_MOVZX, REG_MEM}, {0x0fbe, 0x0fbf, INSN_MOVSX, REG_MEM},
};

uint64_t insn_cut(uint64_t value, unsigned bytes) {
    return value & UINT64_MAX >> (64 - 8 * bytes);
}

uint64_t insn_merge(uint64_t old, uint64_t value, unsigned bytes) {
    value = insn_cut(value, bytes);
    return bytes >= 4 ? value : (old ^ insn_cut(old, bytes)) | value;
}

static uint64_t sign_extend(uint64_t value, unsigned bytes) {
    unsigned unused = 64 - 8 * bytes;
    return (uint64_t)((int64_t)(value << unused) >> unused);
}

/* The next `bytes` bytes, little-endian; 0 once there was an error. */
static uint64_t take(struct decoder *d, unsigned bytes) {
    unsigned end = d->at + bytes;
    uint64_t value = 0;
    if (d->err == ERR_OK && (end > d->count || end > INSN_MAX_BYTES))
        d->err = end > INSN_MAX_BYTES ? ERR_MALFORMED : ERR_RANGE;
    for (unsigned i = 0; i < bytes && d->err == ERR_OK; i++)
        value |= (uint64_t)d->bytes[d->at++] << (8 * i);
    return value;
}

/* Returns the first byte that is no prefix. */
static uint8_t take_prefixes(struct decoder *d) {
    for (;;) {
        uint8_t byte = (uint8_t)take(d, 1), rex = 0;
        if (byte == 0x64 || byte == 0x65) {
            d->has_segment = true;
            d->segment = byte == 0x64 ? INSN_FS : INSN_GS;
        } else if ((byte & 0xe7) == 0x26) {
            if (d->mode != INSN_64) { /* where they count for nothing */
                d->has_segment = true;
                d->segment = (enum insn_segment)(byte >> 3 & 3); /* 26 2E 36 3E */
            }
        } else if (byte == 0x66) {
            d->operand_size = true;
        } else if (byte == 0x67) {
            d->address_size = true;
        } else if (byte == 0xf0) {
            d->lock = true;
        } else if (byte == 0xf2 || byte == 0xf3) {
            d->repeat = true;
        } else if (d->mode == INSN_64 && (byte & 0xf0) == 0x40) {
            rex = byte;
        } else {
            return byte;
        }
        d->rex = rex; /* counts only right before the opcode */
    }
}

static bool find_form(unsigned opcode, enum insn_mode mode, struct form *out) {
    if (opcode < 0x40 && (opcode & 4) == 0) {
        *out = (struct form){(uint16_t)opcode, (uint16_t)opcode, (enum insn_op)(opcode >> 3),
                             (opcode & 2) != 0 ? REG_MEM : MEM_REG};
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        if (opcode >= forms[i].first && opcode <= forms[i].last) {
            *out = forms[i];
            return opcode != 0x63 || mode == INSN_64; /* ARPL elsewhere */
        }
    }
    return false;
}

/* A register number with the bit of REX that belongs to it. */
static uint8_t extended(const struct decoder *d, unsigned number, unsigned rex_bit) {
    return (uint8_t)(number | ((d->rex & rex_bit) != 0 ? 8u : 0u));
}

/* Each returns the bytes of the displacement, which is next. */
static unsigned take_address_16(unsigned mod, unsigned rm, struct insn *out) {
    static const int8_t bases[] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const int8_t indexes[] = {RSI, RDI, RSI, RDI, -1, -1, -1, -1};
    bool no_base = mod == 0 && rm == 6;
    out->base = no_base ? -1 : bases[rm];
    out->index = indexes[rm];
    return no_base ? 2 : mod;
}

static unsigned take_address(struct decoder *d, unsigned mod, unsigned rm, struct insn *out) {
    unsigned base = rm;
    if (rm == RSP) {
        unsigned sib = (unsigned)take(d, 1), index = extended(d, sib >> 3 & 7, REX_X);
        base = sib & 7;
        out->scale = (uint8_t)(1u << (sib >> 6));
        out->index = index == RSP ? -1 : (int8_t)index;
    }
    if (mod == 0 && base == RBP) {
        out->rip_relative = rm == RBP && d->mode == INSN_64;
        return 4;
    }
    out->base = (int8_t)extended(d, base, REX_B);
    return mod == 2 ? 4 : mod;
}

static void take_memory(struct decoder *d, unsigned mod, unsigned rm, struct insn *out) {
    unsigned bytes = out->address_bytes == 2 ? take_address_16(mod, rm, out) : take_address(d, mod, rm, out);
    if (bytes > 0)
        out->displacement = (int64_t)sign_extend(take(d, bytes), bytes);
    if (out->base == RBP || out->base == RSP)
        out->segment = INSN_SS;
}

static void set_sizes(const struct decoder *d, unsigned opcode, struct insn *out) {
    uint8_t operand = (d->rex & REX_W) != 0 ? 8 : (d->mode == INSN_16) != d->operand_size ? 2 : 4;
    bool odd = (opcode & 1) != 0;
    out->address_bytes = (uint8_t)(!d->address_size ? d->mode : d->mode == INSN_32 ? 2 : 4);
    out->mem_bytes = out->reg_bytes = odd ? operand : 1;
    if (opcode > 0xff || opcode == 0x63) { /* MOVZX, MOVSX; MOVSXD */
        out->reg_bytes = operand;
        out->mem_bytes = opcode == 0x63 ? (operand == 2 ? 2 : 4) : odd ? 2 : 1;
    }
}

static void set_register(const struct decoder *d, unsigned reg, struct insn *out) {
    out->high_byte = out->reg_bytes == 1 && d->rex == 0 && reg >= 4;
    out->reg = extended(d, out->high_byte ? reg - 4 : reg, REX_R);
}

static void set_accesses(struct insn *out, enum shape shape) {
    bool compares = out->op == INSN_CMP || out->op == INSN_TEST;
    out->mem_first = shape != REG_MEM && shape != ACC_MOFFS;
    out->has_immediate = shape == MEM_IMM || shape == MEM_IMM8;
    out->reads_mem = out->op != INSN_MOV || !out->mem_first;
    out->writes_mem = out->mem_first && !compares;
    out->writes_reg = out->op == INSN_XCHG || (!out->mem_first && !compares);
}

/* What follows the opcode. False: not a form of ours. */
static bool take_operands(struct decoder *d, const struct form *form, struct insn *out) {
    if (form->shape == STRING)
        return true;
    if (form->shape == ACC_MOFFS || form->shape == MOFFS_ACC) {
        out->displacement = (int64_t)take(d, out->address_bytes);
    } else {
        uint8_t modrm = (uint8_t)take(d, 1);
        unsigned reg = modrm >> 3 & 7;
        if (modrm >= 0xc0)
            return false; /* two registers */
        if (form->shape == MEM_REG || form->shape == REG_MEM)
            set_register(d, reg, out);
        else if (form->first <= 0x83)
            out->op = (enum insn_op)reg;
        else if (reg != 0)
            return false;
        take_memory(d, modrm >> 6, modrm & 7, out);
    }
    set_accesses(out, form->shape);
    if (out->has_immediate) {
        unsigned bytes = form->shape == MEM_IMM8 ? 1 : out->mem_bytes == 8 ? 4 : out->mem_bytes;
        out->immediate = sign_extend(take(d, bytes), bytes);
    }
    return out->op != 2 && out->op != 3; /* ADC, SBB */
}

enum err insn_decode(const uint8_t *bytes, unsigned count, enum insn_mode mode, struct insn *out) {
    struct decoder d = {.bytes = bytes, .count = count, .mode = mode};
    unsigned opcode = take_prefixes(&d);
    struct form form;
    if (opcode == 0x0f)
        opcode = 0x0f00 | (unsigned)take(&d, 1);
    if (d.err != ERR_OK)
        return d.err;
    if (!find_form(opcode, mode, &form))
        return ERR_UNSUPPORTED;
    *out = (struct insn){.op = form.op, .base = -1, .index = -1, .scale = 1, .segment = INSN_DS};
    out->lock = d.lock;
    out->repeat = d.repeat;
    set_sizes(&d, opcode, out);
    bool ours = take_operands(&d, &form, out);
    if (d.has_segment)
        out->segment = d.segment;
    out->length = (uint8_t)d.at;
    if (d.err != ERR_OK || !ours)
        return d.err != ERR_OK ? d.err : ERR_UNSUPPORTED;
    return d.lock && !(out->writes_mem && out->reads_mem) ? ERR_MALFORMED : ERR_OK;
}

uint64_t insn_offset(const struct insn *i, const uint64_t gpr[16], uint64_t rip) {
    uint64_t offset = (uint64_t)i->displacement;
    offset += i->rip_relative ? rip + i->length : 0;
    offset += i->base >= 0 ? gpr[i->base] : 0;
    offset += i->index >= 0 ? gpr[i->index] * i->scale : 0;
    return insn_cut(offset, i->address_bytes);
}

static uint64_t flags_of(uint64_t a, uint64_t b, uint64_t value, unsigned bytes, enum insn_op op) {
    unsigned top = 8 * bytes - 1;
    uint64_t carries = 0; /* or borrows, out of each bit; logical operations have none */
    if (op == INSN_ADD)
        carries = (a & b) | ((a | b) & ~value);
    else if (op == INSN_SUB || op == INSN_CMP)
        carries = (~a & b) | ((~a | b) & value);
    return ((carries >> top & 1) != 0 ? FLAG_CF : 0) | ((carries & 8) != 0 ? FLAG_AF : 0) |
           (((carries >> top ^ carries >> (top - 1)) & 1) != 0 ? FLAG_OF : 0) | (value == 0 ? FLAG_ZF : 0) |
           ((value >> top & 1) != 0 ? FLAG_SF : 0) |
           (__builtin_parity((unsigned)value & 0xff) == 0 ? FLAG_PF : 0);
}

static uint64_t operate(enum insn_op op, uint64_t a, uint64_t b) {
    switch (op) {
    case INSN_ADD:
        return a + b;
    case INSN_OR:
        return a | b;
    case INSN_AND:
    case INSN_TEST:
        return a & b;
    case INSN_SUB:
    case INSN_CMP:
        return a - b;
    case INSN_XOR:
        return a ^ b;
    default: /* the moves */
        return b;
    }
}

void insn_execute(const struct insn *i, uint64_t mem_in, uint64_t reg_in, struct insn_result *out) {
    unsigned bytes = i->mem_bytes, shift = i->high_byte ? 8 : 0;
    uint64_t mem = insn_cut(mem_in, bytes);
    uint64_t other = insn_cut(i->has_immediate ? i->immediate : reg_in >> shift, bytes);
    uint64_t a = i->mem_first ? mem : other, b = i->mem_first ? other : mem;
    uint64_t value = insn_cut(operate(i->op, a, b), bytes);
    *out = (struct insn_result){.mem = i->writes_mem ? value : mem, .reg = reg_in};
    if (i->writes_reg) {
        uint64_t to_reg = i->op == INSN_XCHG ? mem : i->op == INSN_MOVSX ? sign_extend(value, bytes) : value;
        out->reg = i->high_byte ? (reg_in & ~UINT64_C(0xff00)) | to_reg << 8
                                : insn_merge(reg_in, to_reg, i->reg_bytes);
    }
    if (i->op <= INSN_TEST) {
        out->flags = flags_of(a, b, value, bytes, i->op);
        out->flags_mask = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF;
    }
}
