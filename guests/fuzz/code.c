/* SPDX-License-Identifier: Apache-2.0 */
/* Encodes: instructions with every form of a memory operand, in every mode, made so that they reach one
 * address. */
#include "guests/fuzz/fuzz.h"

enum { RSP = 4, RBP = 5, BX = 3, SI = 6, DI = 7 };

/* ModRM, SIB and displacement of an operand, and the registers that it needs. */
struct operand {
    uint8_t mod, rm, sib, displacement_bytes;
    uint8_t base, index, rex; /* rex: X and B */
    bool has_sib, has_base, has_index;
    uint64_t displacement;
};

void code_begin(struct fuzz_code *c) {
    if (c->count < ARRAY_SIZE(c->starts))
        c->starts[c->count++] = (uint16_t)c->used;
}

void code_put(struct fuzz_code *c, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        ((uint8_t *)(uint64_t)FUZZ_CODE)[c->used++] = (uint8_t)(value >> (8 * i));
}

void code_bytes(struct fuzz_code *c, const char *bytes, unsigned count) {
    code_begin(c);
    for (unsigned i = 0; i < count; i++)
        code_put(c, (uint8_t)bytes[i], 1);
}

/* MOV of an immediate, which changes no flag and cannot fault. */
void code_set(struct fuzz_code *c, unsigned reg, uint64_t value) {
    bool wide = c->mode->bits == 64 && value >> 32 != 0;
    code_begin(c);
    if (c->mode->bits == 16)
        code_put(c, 0x66, 1);
    if (wide || reg >= 8)
        code_put(c, 0x40u | (wide ? 8u : 0u) | (reg >= 8 ? 1u : 0u), 1);
    code_put(c, 0xB8u + reg % 8, 1);
    code_put(c, value, wide ? 8 : 4);
}

static void choose_16(struct operand *o) {
    static const uint8_t bases[] = {BX, BX, RBP, RBP, SI, DI, RBP, BX};
    o->mod = (uint8_t)fuzz_below(3);
    o->rm = (uint8_t)fuzz_below(8);
    o->base = bases[o->rm];
    o->index = (o->rm & 1) != 0 ? DI : SI;
    o->has_index = o->rm < 4;
    o->has_base = o->mod != 0 || o->rm != 6;
    o->displacement_bytes = o->has_base ? o->mod : 2;
}

/* Not RSP: outside long mode CPL 0 takes its traps on the stack that it has. */
static uint8_t any_register(unsigned bits) {
    uint8_t reg = (uint8_t)fuzz_below(bits == 64 ? 16 : 8);
    return reg == RSP ? DI : reg;
}

static void choose_wide(struct operand *o, unsigned bits) {
    static const uint8_t sizes[] = {0, 1, 4};
    o->base = any_register(bits);
    o->index = any_register(bits);
    o->has_base = !fuzz_chance(8);
    o->has_sib = fuzz_chance(2) || (o->base & 7) == RSP;
    o->has_index = o->has_sib && o->index != o->base && fuzz_chance(2);
    o->mod = o->has_base ? (uint8_t)fuzz_below(3) : 0;
    if (o->has_base && o->mod == 0 && (o->base & 7) == RBP)
        o->mod = 1;
    o->displacement_bytes = o->has_base ? sizes[o->mod] : 4;
    o->rm = o->has_sib ? RSP : o->has_base ? o->base & 7 : RBP;
    o->sib = (uint8_t)(fuzz_below(4) << 6 | (o->has_index ? o->index & 7u : RSP) << 3 |
                       (o->has_base ? o->base & 7u : RBP));
    o->rex = (uint8_t)((o->has_index && o->index >= 8 ? 2 : 0) | (o->has_base && o->base >= 8 ? 1 : 0));
}

/* Give the registers such values that this is the operand's offset. */
static void aim(struct fuzz_code *c, struct operand *o, uint64_t offset) {
    uint64_t index = fuzz_chance(2) ? fuzz_below(256) : fuzz_random();
    unsigned shift = o->has_sib ? o->sib >> 6 : 0, unused = 64 - 8u * o->displacement_bytes;
    if (o->has_index) {
        code_set(c, o->index, index);
        offset -= (c->mode->bits == 64 ? index : (uint32_t)index) << shift;
    }
    o->displacement = offset;
    if (o->has_base) {
        o->displacement = o->displacement_bytes == 0 ? 0 : (uint64_t)((int64_t)fuzz_random() >> unused);
        code_set(c, o->base, offset - o->displacement);
    }
}

/* Any order counts, but REX comes last. */
static void put_prefixes(struct fuzz_code *c, uint8_t prefix, bool operand_size, bool address_size,
                         int segment) {
    static const uint8_t overrides[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};
    if (segment >= 0)
        code_put(c, overrides[segment], 1);
    if (operand_size)
        code_put(c, 0x66, 1);
    if (address_size)
        code_put(c, 0x67, 1);
    if (prefix != 0)
        code_put(c, prefix, 1);
}

/* Behind the prefixes. Returns the place of the displacement. */
static unsigned put_operand(struct fuzz_code *c, const struct code_form *form, const struct operand *o,
                            unsigned reg, unsigned rex) {
    if (rex != 0)
        code_put(c, rex, 1);
    if (form->escape != 0)
        code_put(c, form->escape, 1);
    code_put(c, form->opcode, 1);
    code_put(c, (uint64_t)o->mod << 6 | (reg & 7) << 3 | o->rm, 1);
    if (o->has_sib)
        code_put(c, o->sib, 1);
    code_put(c, o->displacement, o->displacement_bytes);
    return c->used - o->displacement_bytes;
}

/* RIP-relative: counted from the end of the instruction, which is known only now. */
static void settle_rip(struct fuzz_code *c, unsigned at, uint64_t offset) {
    unsigned end = c->used;
    c->used = at;
    code_put(c, offset - (FUZZ_CODE + end), 4);
    c->used = end;
}

/* The offset by which a segment reaches an address. With 16 bits it cannot reach most: then it is one that
 * does no harm. */
uint64_t code_offset(const struct fuzz_code *c, unsigned segment, unsigned bits, uint64_t linear) {
    uint32_t base = c->mode->bits != 64 || segment >= SEGMENT_FS ? fuzz_segment_base(c->mode, segment) : 0;
    uint64_t offset = linear - base;
    if (bits != 16 || offset <= UINT16_MAX)
        return offset;
    return base + 0x10000 < 0x20000 ? FUZZ_DATA - base + offset % 0x4000 : offset & UINT16_MAX;
}

void code_memory(struct fuzz_code *c, const struct code_form *form, uint8_t prefix, int override,
                 uint64_t linear) {
    const struct fuzz_mode *mode = c->mode;
    bool in_64 = mode->bits == 64, address_size = fuzz_chance(6), operand_size = fuzz_chance(4);
    unsigned bits = !address_size ? mode->bits : mode->bits == 32 ? 16 : 32;
    struct operand o = {0};
    if (bits == 16)
        choose_16(&o);
    else
        choose_wide(&o, bits);
    unsigned by_default = o.has_base && (o.base == RBP || o.base == RSP) ? SEGMENT_SS : SEGMENT_DS;
    unsigned segment = override >= 0 ? (unsigned) override : by_default;
    uint64_t offset = code_offset(c, segment, bits, linear);
    unsigned reg = form->extension >= 0 ? (unsigned)form->extension : any_register(mode->bits), rex = 0;
    aim(c, &o, offset);
    if (in_64 && (o.rex != 0 || reg >= 8 || fuzz_chance(3)))
        rex = 0x40u | o.rex | (reg >= 8 ? 4u : 0u) | (fuzz_chance(2) ? 8u : 0u);
    code_begin(c);
    put_prefixes(c, prefix, operand_size, address_size, override);
    unsigned at = put_operand(c, form, &o, reg, rex);
    bool words = (rex & 8) == 0 && (mode->bits == 16) != operand_size;
    code_put(c, fuzz_random(), form->immediate < 2 ? form->immediate : words ? 2 : 4);
    if (in_64 && o.mod == 0 && o.rm == RBP)
        settle_rip(c, at, offset);
}

/* MOV between the accumulator and an offset. */
void code_accumulator(struct fuzz_code *c, uint64_t linear) {
    code_begin(c);
    put_prefixes(c, 0, fuzz_chance(4), false, -1);
    code_put(c, 0xA0 + fuzz_below(4), 1);
    code_put(c, code_offset(c, SEGMENT_DS, c->mode->bits, linear), c->mode->bits / 8);
}
