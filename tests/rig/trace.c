/* SPDX-License-Identifier: Apache-2.0 */
/* Part of the witness (witness.c): follows the hypervisor instruction by instruction, without a line of its
 * own for that. Costs a run about half its speed, so only where MULLION_TRACE names the file to write.
 *
 * When a CPU comes for the first time to one of the places in MULLION_TRACE_MARKS (offsets in the image, in
 * hexadecimal, a comma between two), a line "mark CPU OFFSET NANOSECONDS" is written. For each
 * kind of VM exit (its reason and, of an I/O instruction, its port, else 0): which instructions were executed
 * on the way from the exit to the next entry, "code REASON PORT OFFSET", once; and which cache lines of the
 * machine's memory they touched, "line REASON PORT ADDRESS READERS WRITERS", masks of CPUs, at each change.
 * And at the places in MULLION_TRACE_REGS, likewise offsets, which general registers were not 0: "regs REASON
 * PORT OFFSET MASK", once for each mask.
 */
#define _GNU_SOURCE
#include "tests/rig/witness.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_IO 30
#define SLOTS     (1u << 18)
#define LINE      64
#define NO_EXIT   0 /* an exception or NMI: not traced */
#define RW_READ   0 /* of the accesses that Bochs reports; WRITE is 1, both at once 3 */
#define IS_CODE   (UINT64_C(1) << 63)
#define IS_REGS   (UINT64_C(1) << 62)
#define REGISTERS 16 /* RIP is behind them */

/* One thing seen while a kind of exit was handled: a cache line, an instruction, or an instruction and
 * registers. */
struct seen {
    uint32_t exit; /* port, reason: 0 = the slot is empty */
    uint64_t what; /* physical address, or IS_CODE and an offset, or IS_REGS, an offset and a mask */
    uint64_t readers, writers;
};

static FILE *out;
static struct seen table[SLOTS];
static unsigned used;
static uint32_t handling[WITNESS_CPUS]; /* the exit that this CPU is at */
static uint64_t entry;                  /* offset of the first mark, */
static uint64_t entered;                /* and when it was last executed below 4 GiB: by the boot loader */
static bool in_image[WITNESS_CPUS];     /* its current instruction is the hypervisor's */
static uint64_t marked[IMAGE_BYTES];    /* CPUs that have still to come here */
static bool regs_at[IMAGE_BYTES];       /* look at the registers here */
static uint8_t **const *cpus;           /* bx_cpu_array */
static uint32_t rip_offset;             /* of RIP in one of them */

static struct seen *find(uint32_t exit, uint64_t what) {
    uint64_t hash = (what ^ (uint64_t)exit << 40) * 0x9e3779b97f4a7c15;
    struct seen *s = &table[hash >> 46];
    while (s->exit != 0 && (s->exit != exit || s->what != what))
        s = s == &table[SLOTS - 1] ? table : s + 1;
    if (s->exit == 0) {
        if (++used == SLOTS) {
            fputs("witness: too much to trace\n", stderr);
            abort();
        }
        *s = (struct seen){exit, what, 0, 0};
    }
    return s;
}

void trace_vmexit(unsigned cpu, uint32_t reason, uint64_t qualification) {
    uint32_t port = reason == REASON_IO ? (uint32_t)(qualification >> 16) & 0xffff : 0;
    handling[cpu] = reason | port << 16;
}

static void write_mark(unsigned cpu, uint64_t offset, uint64_t when) {
    fprintf(out, "mark %u %llx %llu\n", cpu, (unsigned long long)offset, (unsigned long long)when);
}

static void write_regs(unsigned cpu, uint64_t offset) {
    uint64_t regs[REGISTERS];
    unsigned mask = 0;
    memcpy(regs, (*cpus)[cpu] + rip_offset - sizeof(regs), sizeof(regs));
    for (unsigned i = 0; i < REGISTERS; i++)
        mask |= (unsigned)(regs[i] != 0) << i;
    if (find(handling[cpu], IS_REGS | offset << REGISTERS | mask)->readers++ == 0)
        fprintf(out, "regs %u %u %llx %x\n", handling[cpu] & 0xffff, handling[cpu] >> 16,
                (unsigned long long)offset, mask);
}

static void on_instruction(unsigned cpu, const void *decoded) {
    uint64_t rip, offset;
    (void)decoded;
    memcpy(&rip, (*cpus)[cpu] + rip_offset, sizeof(rip));
    offset = rip - IMAGE_VIRT;
    cpu %= WITNESS_CPUS;
    in_image[cpu] = offset < IMAGE_BYTES;
    if (rip >> 32 == 0 && rip % IMAGE_BYTES == entry)
        entered = witness_now();
    if (!in_image[cpu])
        return;
    if (entered != 0) {
        write_mark(cpu, entry, entered);
        entered = 0;
        entry = UINT64_MAX;
    }
    if ((marked[offset] >> cpu & 1) != 0) {
        marked[offset] &= ~(UINT64_C(1) << cpu);
        write_mark(cpu, offset, witness_now());
    }
    if (handling[cpu] != NO_EXIT && find(handling[cpu], IS_CODE | offset)->readers++ == 0)
        fprintf(out, "code %u %u %llx\n", handling[cpu] & 0xffff, handling[cpu] >> 16,
                (unsigned long long)offset);
    if (handling[cpu] != NO_EXIT && regs_at[offset])
        write_regs(cpu, offset);
}

static void on_access(unsigned cpu, uint64_t linear, uint64_t physical, unsigned bytes, unsigned type,
                      unsigned rw) {
    (void)linear;
    (void)type;
    cpu %= WITNESS_CPUS;
    if (!in_image[cpu] || handling[cpu] == NO_EXIT)
        return;
    for (uint64_t line = physical / LINE; line <= (physical + bytes - 1) / LINE; line++) {
        struct seen *s = find(handling[cpu], line * LINE);
        uint64_t readers = s->readers | (uint64_t)(rw != 1) << cpu;
        uint64_t writers = s->writers | (uint64_t)(rw != RW_READ) << cpu;
        if (readers != s->readers || writers != s->writers)
            fprintf(out, "line %u %u %llx %llx %llx\n", s->exit & 0xffff, s->exit >> 16,
                    (unsigned long long)s->what, (unsigned long long)readers, (unsigned long long)writers);
        s->readers = readers;
        s->writers = writers;
    }
}

/* Where RIP is, says the function that sets it: its second instruction is MOV [RDI + disp32], RSI. */
static bool find_rip(void) {
    const uint8_t *set_eip = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C11dbg_set_eipEm");
    static const uint8_t mov[] = {0x48, 0x89, 0xb7};
    cpus = dlsym(RTLD_DEFAULT, "bx_cpu_array");
    if (set_eip == NULL || cpus == NULL || memcmp(set_eip + 7, mov, sizeof(mov)) != 0)
        return false;
    memcpy(&rip_offset, set_eip + 7 + sizeof(mov), sizeof(rip_offset));
    return true;
}

void trace_init(void) {
    const char *path = getenv("MULLION_TRACE"), *marks = getenv("MULLION_TRACE_MARKS");
    const char *regs = getenv("MULLION_TRACE_REGS");
    out = path != NULL && find_rip() ? fopen(path, "w") : NULL;
    if (out == NULL)
        return;
    entry = marks != NULL ? strtoull(marks, NULL, 16) % IMAGE_BYTES : UINT64_MAX;
    for (char *end; marks != NULL && *marks != '\0'; marks = *end == ',' ? end + 1 : end)
        marked[strtoull(marks, &end, 16) % IMAGE_BYTES] = ~UINT64_C(0);
    for (char *end; regs != NULL && *regs != '\0'; regs = *end == ',' ? end + 1 : end)
        regs_at[strtoull(regs, &end, 16) % IMAGE_BYTES] = true;
    witness_hook("_Z25bx_instr_before_executionjP15bxInstruction_c", (const void *)on_instruction);
    witness_hook("_Z19bx_instr_lin_accessjmmjjj", (const void *)on_access);
    setvbuf(out, NULL, _IOLBF, 0);
}
