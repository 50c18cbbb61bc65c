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

struct cursor {
    const uint8_t *bytes;
    unsigned count, at;
    enum err err; /* the first one stays */
};

struct prefixes {
    bool operand_size, address_size, lock, repeat, has_segment;
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

/* The next `bytes` bytes, little-endian; 0 once there was an error. */
static uint64_t take(struct cursor *c, unsigned bytes) {
    uint64_t value = 0;

    if (c->err != ERR_OK)
        return 0;
    if (c->at + bytes > INSN_MAX_BYTES) {
        c->err = ERR_MALFORMED;
        return 0;
    }
    if (c->at + bytes > c->count) {
        c->err = ERR_RANGE;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)c->bytes[c->at++] << (8 * i);
    return value;
}

static uint64_t sign_extend(uint64_t value, unsigned bytes) {
    unsigned unused = 64 - 8 * bytes;

    return (uint64_t)((int64_t)(value << unused) >> unused);
}

uint64_t insn_cut(uint64_t value, unsigned bytes) {
    return value & UINT64_MAX >> (64 - 8 * bytes);
}

uint64_t insn_merge(uint64_t old, uint64_t value, unsigned bytes) {
    value = insn_cut(value, bytes);
    return bytes >= 4 ? value : (old ^ insn_cut(old, bytes)) | value;
}

/* Returns the first byte that is no prefix. */
static uint8_t take_prefixes(struct cursor *c, enum insn_mode mode, struct prefixes *p) {
    for (;;) {
        uint8_t byte = (uint8_t)take(c, 1), rex = 0;

        if (byte == 0x64 || byte == 0x65) {
            p->has_segment = true;
            p->segment = byte == 0x64 ? INSN_FS : INSN_GS;
        } else if ((byte & 0xe7) == 0x26) {
            if (mode != INSN_64) { /* where they count for nothing */
                p->has_segment = true;
                p->segment = (enum insn_segment)(byte >> 3 & 3); /* 26 2E 36 3E */
            }
        } else if (byte == 0x66) {
            p->operand_size = true;
        } else if (byte == 0x67) {
            p->address_size = true;
        } else if (byte == 0xf0) {
            p->lock = true;
        } else if (byte == 0xf2 || byte == 0xf3) {
            p->repeat = true;
        } else if (mode == INSN_64 && (byte & 0xf0) == 0x40) {
            rex = byte;
        } else {
            return byte;
        }
        p->rex = rex; /* counts only right before the opcode */
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

static void take_displacement(struct cursor *c, struct insn *out, unsigned bytes) {
    if (bytes > 0)
        out->displacement = (int64_t)sign_extend(take(c, bytes), bytes);
}

static void take_address_16(struct cursor *c, unsigned mod, unsigned rm, struct insn *out) {
    static const int8_t bases[] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const int8_t indexes[] = {RSI, RDI, RSI, RDI, -1, -1, -1, -1};

    out->base = bases[rm];
    out->index = indexes[rm];
    if (mod == 0 && rm == 6) {
        out->base = -1;
        mod = 2;
    }
    take_displacement(c, out, mod);
}

static void take_address(struct cursor *c, const struct prefixes *p, enum insn_mode mode, unsigned mod,
                         unsigned rm, struct insn *out) {
    unsigned displacement = mod == 2 ? 4 : mod;
    unsigned base = rm;

    if (rm == RSP) {
        unsigned sib = (unsigned)take(c, 1);
        unsigned index = (sib >> 3 & 7) | ((p->rex & REX_X) != 0 ? 8u : 0u);

        base = sib & 7;
        out->scale = (uint8_t)(1u << (sib >> 6));
        out->index = index == RSP ? -1 : (int8_t)index;
    }
    if (mod == 0 && base == RBP) {
        out->rip_relative = rm == RBP && mode == INSN_64;
        displacement = 4;
    } else {
        out->base = (int8_t)(base | ((p->rex & REX_B) != 0 ? 8u : 0u));
    }
    take_displacement(c, out, displacement);
}

static void take_memory(struct cursor *c, const struct prefixes *p, enum insn_mode mode, uint8_t modrm,
                        struct insn *out) {
    if (out->address_bytes == 2)
        take_address_16(c, modrm >> 6, modrm & 7, out);
    else
        take_address(c, p, mode, modrm >> 6, modrm & 7, out);
    if (out->base == RBP || out->base == RSP)
        out->segment = INSN_SS;
}

static unsigned operand_bytes(enum insn_mode mode, const struct prefixes *p) {
    if ((p->rex & REX_W) != 0)
        return 8;
    return (mode == INSN_16) != p->operand_size ? 2 : 4;
}

static void set_sizes(struct insn *out, unsigned opcode, unsigned operand) {
    unsigned wide = (opcode & 1) != 0 ? operand : 1;

    if (opcode > 0xff) /* MOVZX, MOVSX */
        wide = (opcode & 1) != 0 ? 2 : 1;
    else if (opcode == 0x63)
        wide = operand == 2 ? 2 : 4;
    out->mem_bytes = (uint8_t)wide;
    out->reg_bytes = (uint8_t)(opcode > 0xff || opcode == 0x63 ? operand : wide);
}

static void set_register(struct insn *out, const struct prefixes *p, unsigned reg) {
    if (out->reg_bytes == 1 && p->rex == 0 && reg >= 4) {
        out->high_byte = true;
        reg -= 4;
    }
    out->reg = (uint8_t)(reg | ((p->rex & REX_R) != 0 ? 8u : 0u));
}

static void set_accesses(struct insn *out, enum shape shape) {
    if (shape == STRING)
        return;
    bool compares = out->op == INSN_CMP || out->op == INSN_TEST;

    out->mem_first = shape != REG_MEM && shape != ACC_MOFFS;
    out->has_immediate = shape == MEM_IMM || shape == MEM_IMM8;
    out->reads_mem = out->op != INSN_MOV || !out->mem_first;
    out->writes_mem = out->mem_first && !compares;
    out->writes_reg = out->op == INSN_XCHG || (!out->mem_first && !compares);
}

/* What follows the opcode. False: not a form of ours. */
static bool take_operands(struct cursor *c, const struct prefixes *p, enum insn_mode mode,
                          const struct form *form, struct insn *out) {
    if (form->shape == STRING)
        return true;
    if (form->shape == ACC_MOFFS || form->shape == MOFFS_ACC) {
        out->displacement = (int64_t)take(c, out->address_bytes);
        return true;
    }
    uint8_t modrm = (uint8_t)take(c, 1);
    unsigned reg = modrm >> 3 & 7;

    if (modrm >= 0xc0)
        return false; /* two registers */
    if (form->shape == MEM_REG || form->shape == REG_MEM)
        set_register(out, p, reg);
    else if (form->first <= 0x83)
        out->op = (enum insn_op)reg;
    else if (reg != 0)
        return false;
    take_memory(c, p, mode, modrm, out);
    if (form->shape == MEM_IMM || form->shape == MEM_IMM8) {
        unsigned bytes = form->shape == MEM_IMM8 ? 1 : out->mem_bytes;

        bytes = bytes == 8 ? 4 : bytes;
        out->immediate = sign_extend(take(c, bytes), bytes);
    }
    return true;
}

enum err insn_decode(const uint8_t *bytes, unsigned count, enum insn_mode mode, struct insn *out) {
    struct cursor c = {bytes, count, 0, ERR_OK};
    struct prefixes p = {0};
    unsigned opcode = take_prefixes(&c, mode, &p);
    struct form form;

    if (opcode == 0x0f)
        opcode = 0x0f00 | (unsigned)take(&c, 1);
    if (c.err != ERR_OK)
        return c.err;
    if (!find_form(opcode, mode, &form))
        return ERR_UNSUPPORTED;
    *out =
        (struct insn){.op = form.op, .base = -1, .index = -1, .scale = 1, .lock = p.lock, .repeat = p.repeat};
    out->address_bytes = (uint8_t)(!p.address_size ? mode : mode == INSN_32 ? 2 : 4);
    out->segment = INSN_DS;
    set_sizes(out, opcode, operand_bytes(mode, &p));
    if (!take_operands(&c, &p, mode, &form, out) || out->op == 2 || out->op == 3)
        return c.err != ERR_OK ? c.err : ERR_UNSUPPORTED;
    set_accesses(out, form.shape);
    if (p.has_segment)
        out->segment = p.segment;
    out->length = (uint8_t)c.at;
    if (c.err == ERR_OK && p.lock && !(out->writes_mem && out->reads_mem))
        return ERR_MALFORMED;
    return c.err;
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
