/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that does at random what makes exits, the same for the same seed. A case is a piece of code in
 * one of the CPU's modes with a state around it; whatever ends an instruction of it, it goes on with the
 * next. What it does not survive restarts the partition, and the number of this life chooses what comes next.
 *
 * Everything that code of a case can name lies below 64 KiB, so that all modes reach it; its own stacks,
 * tables and code are above 1 MiB, and only lethal instructions aim there. */
#pragma once

#include "guests/lib/guest.h"

#define FUZZ_STUBS       0x5000u /* real mode's way in and out, two pages */
#define FUZZ_CONTEXT     0x7000u
#define FUZZ_CODE        0x8000u
#define FUZZ_CODE_BYTES  0x1000u
#define FUZZ_STACK       0x9800u
#define FUZZ_DATA        0xA000u
#define FUZZ_DATA_BYTES  0x5000u
#define FUZZ_WINDOW      0x200000u /* 512 pages, each of something else */
#define FUZZ_WINDOW_SIZE 0x200000u
#define FUZZ_LARGE       0x400000u /* two large pages of something else */
#define FUZZ_NOWHERE     0xD0000000u
#define FUZZ_BASE_16     0x4000u /* of 16-bit code */
#define FUZZ_VECTOR_END  0x81

/* Selectors of enter.S's GDT */
enum {
    SEL_KERNEL_64 = 0x08,
    SEL_FLAT = 0x10,
    SEL_DATA_16 = 0x28,
    SEL_USER_FLAT = 0x33,
    SEL_USER_64 = 0x3B,
    SEL_USER_32 = 0x43,
    SEL_USER_16 = 0x4B,
    SEL_CASE_64 = 0x50,
    SEL_CASE_32 = 0x58,
    SEL_CASE_16 = 0x60,
    SEL_WINDOW = 0x83,
    SEL_APIC = 0x8B,
    SEL_EXPAND_DOWN = 0x93,
    SEL_READ_ONLY = 0x9B,
    SEL_WRAPS = 0xA3,
};

enum fuzz_way { WAY_LONG, WAY_LEGACY, WAY_V86, WAY_REAL };
enum fuzz_paging { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_KINDS };

struct fuzz_mode {
    const char *name;
    enum fuzz_way way;
    uint8_t bits;
    bool user;
    uint16_t cs;
    unsigned share; /* of the cases */
};

/* What enter.S loads and stores, at FUZZ_CONTEXT. */
struct fuzz_context {
    uint64_t gpr[16]; /* as instructions number them */
    uint64_t rip, rflags;
    uint64_t cs, ss, ds, es, fs, gs;
    uint64_t cr0, cr3, cr4;
    uint64_t vector, error;
    uint64_t kernel_rsp;
    uint64_t real; /* to real mode, else to protected mode */
};
_Static_assert(sizeof(struct fuzz_context) == 248, "enter.S");
#define fuzz_now ((struct fuzz_context *)FUZZ_CONTEXT)

/* ---- enter.S: run from fuzz_context until the next trap, which is in it then ---- */
void fuzz_enter_long(void);
void fuzz_enter_legacy(void);
void fuzz_load_tables(void); /* GDT, IDT, task register */

/* ---- fuzz.c ---- */
uint64_t fuzz_random(void);
uint32_t fuzz_below(uint64_t limit);
bool fuzz_chance(unsigned one_in);
uint64_t fuzz_pick(const uint64_t *values, unsigned count);
#define PICK(...)                                                                                            \
    fuzz_pick((const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* ---- state.c ---- */
void fuzz_state_init(void);
void fuzz_state_for_case(const struct fuzz_mode *mode);                     /* segments and page tables */
void fuzz_state_for_run(const struct fuzz_mode *mode);                      /* all the rest of fuzz_context */
void fuzz_state_restore(void);                                              /* after a run */
uint32_t fuzz_segment_base(const struct fuzz_mode *mode, unsigned segment); /* ES CS SS DS FS GS */
uint64_t fuzz_address(void);                                                /* one worth an access */

/* ---- make.c ---- */
struct fuzz_code {
    const struct fuzz_mode *mode;
    unsigned used, count;
    uint16_t starts[512]; /* of its instructions, from FUZZ_CODE; the last is the one that ends it */
};

void fuzz_make(struct fuzz_code *code, const struct fuzz_mode *mode, unsigned lethal_one_in);

/* ---- code.c: bytes ---- */
void code_begin(struct fuzz_code *c); /* an instruction */
void code_put(struct fuzz_code *c, uint64_t value, unsigned bytes);
void code_bytes(struct fuzz_code *c, const char *bytes, unsigned count); /* a whole instruction */
#define CODE(c, literal) code_bytes(c, literal, sizeof(literal) - 1)
void code_set(struct fuzz_code *c, unsigned reg, uint64_t value);

/* What an instruction may have besides a memory operand. */
struct code_form {
    uint8_t escape; /* 0F, or 0 */
    uint8_t opcode;
    int8_t extension;  /* of the opcode, in ModRM; -1: a register */
    uint8_t immediate; /* 1: a byte, 2: of the operand's size */
};
enum { SEGMENT_ES, SEGMENT_CS, SEGMENT_SS, SEGMENT_DS, SEGMENT_FS, SEGMENT_GS, NO_SEGMENT = -1 };
void code_memory(struct fuzz_code *c, const struct code_form *form, uint8_t prefix, int override,
                 uint64_t linear);
void code_accumulator(struct fuzz_code *c, uint64_t linear);
uint64_t code_offset(const struct fuzz_code *c, unsigned segment, unsigned bits, uint64_t linear);
