/* SPDX-License-Identifier: Apache-2.0 */
/* Decoder and executor of the instructions a guest reaches a trapped page with: MOV and its relatives,
 * ALU operations and XCHG with one memory operand, and the string moves, with which boot code and probing
 * guests clear and scroll a screen that is not there. That is what compilers make of an access to a
 * register and what guests were seen to use; ADC, SBB, INC, NEG, CMPXCHG, bit operations, PUSH, POP and
 * vectors are not done. Pure; bytes are the guest's. */
#pragma once

#include "core/types.h"

#define INSN_MAX_BYTES 15

enum insn_mode { INSN_16 = 2, INSN_32 = 4, INSN_64 = 8 }; /* default address size, in bytes */

/* 0..7 are the ALU group's own numbers; ADC and SBB are not done. */
enum insn_op {
    INSN_ADD = 0,
    INSN_OR = 1,
    INSN_AND = 4,
    INSN_SUB = 5,
    INSN_XOR = 6,
    INSN_CMP = 7,
    INSN_TEST,
    INSN_MOV,
    INSN_MOVZX,
    INSN_MOVSX, /* also MOVSXD */
    INSN_XCHG,
    INSN_MOVS, /* these and those below: rSI, rDI, rAX are implied, insn_execute does not know them */
    INSN_STOS,
    INSN_LODS,
    INSN_INS, /* never decoded: the VM exit says it all */
    INSN_OUTS,
};

enum insn_segment { INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS };

struct insn {
    uint8_t length;
    enum insn_op op;
    uint8_t mem_bytes;  /* 1, 2, 4, 8 */
    uint8_t reg_bytes;  /* of the register operand; differs from mem_bytes for MOVZX and MOVSX */
    bool reads_mem;     /* the old memory value goes into insn_execute */
    bool writes_mem;    /* insn_result.mem goes back */
    bool writes_reg;    /* insn_result.reg goes back to `reg` */
    bool mem_first;     /* memory is the first (destination) operand, else the second */
    bool has_immediate; /* instead of a register */
    bool high_byte;     /* AH, CH, DH, BH: reg is 0..3 then */
    bool lock;          /* LOCK prefix; XCHG has none and locks too */
    bool repeat;        /* REP or REPNE prefix, which means something to string moves only */
    uint8_t reg;        /* 0 RAX, 1 RCX, 2 RDX, 3 RBX, 4 RSP, 5 RBP, 6 RSI, 7 RDI, 8.. */
    uint64_t immediate; /* sign-extended */

    /* Effective address: base + index * scale + displacement, cut to address_bytes, + segment. */
    enum insn_segment segment; /* the override, or the default of this form */
    uint8_t address_bytes;     /* 2, 4, 8 */
    int8_t base, index;        /* register number, -1 = none */
    uint8_t scale;             /* 1, 2, 4, 8 */
    bool rip_relative;         /* to the end of this instruction */
    int64_t displacement;
};

/* ERR_RANGE: the instruction goes on behind bytes[count). ERR_UNSUPPORTED: not one of ours.
 * ERR_MALFORMED: the CPU would not run it (over 15 bytes, LOCK where it may not be). */
must_check enum err insn_decode(const uint8_t *bytes, unsigned count, enum insn_mode mode, struct insn *out);

/* Effective address of the memory operand in its segment. gpr: by their numbers. */
uint64_t insn_offset(const struct insn *i, const uint64_t gpr[16], uint64_t rip);

/* The low `bytes` of a value; what a register holds after a write of its low `bytes`: 32 bits clear the
 * upper half, 8 and 16 leave the rest. */
uint64_t insn_cut(uint64_t value, unsigned bytes);
uint64_t insn_merge(uint64_t old, uint64_t value, unsigned bytes);

struct insn_result {
    uint64_t mem;
    uint64_t reg;        /* all 64 bits: what the instruction keeps of the old value is in it */
    uint64_t flags;      /* new values of the flags in flags_mask */
    uint64_t flags_mask; /* RFLAGS bits the instruction sets; 0 for MOV and XCHG */
};

/* What the instruction does to its two operands. reg_in: all 64 bits of register `reg`. */
void insn_execute(const struct insn *i, uint64_t mem_in, uint64_t reg_in, struct insn_result *out);
