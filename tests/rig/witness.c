/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into Bochs: an account of time and VM exits that does not come from the hypervisor, and
 * the same random numbers in every run. Knows Debian's bochs-bin only; elsewhere it does nothing.
 *
 * Each console line that ends (LF to COM1 from outside any guest), and the end of the run, writes a
 * row into the file that MULLION_WITNESS names: nanoseconds since reset, then cpu:reason:count for
 * all exits so far. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPUS     64
#define REASONS  128
#define SEED     1
#define COM1     0x3f8
#define COM1_LCR 0x3fb
#define LCR_DLAB 0x80
#define RET      0xc3

static uint64_t exits[CPUS][REASONS];
static FILE *rows;
static bool com1_dlab; /* COM1 is the divisor now, not the data */
static uint64_t (*now_ns)(void *pc_system);
static void *pc_system;

static void write_row(void) {
    fprintf(rows, "%llu", (unsigned long long)now_ns(pc_system));
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        for (unsigned reason = 0; reason < REASONS; reason++)
            if (exits[cpu][reason] != 0)
                fprintf(rows, " %u:%u:%llu", cpu, reason, (unsigned long long)exits[cpu][reason]);
    }
    fputc('\n', rows);
    fflush(rows);
}

/* Bochs calls these two where it has empty instrumentation hooks. */
static void on_vmexit(unsigned cpu, uint32_t reason, uint64_t qualification) {
    (void)qualification;
    exits[cpu % CPUS][reason % REASONS]++;
}

static void on_out(uint16_t port, unsigned bytes, unsigned value) {
    (void)bytes;
    if (port == COM1_LCR)
        com1_dlab = (value & LCR_DLAB) != 0;
    else if (port == COM1 && !com1_dlab && (value & 0xff) == '\n')
        write_row();
}

/* Calls inside the emulator's own executable cannot be interposed; a jump over the hook can. The
 * hook is a lone RET in a 16-byte slot, or this is not the build we know. */
static void replace_hook(uint8_t *hook, const void *target) {
    uint8_t jump[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0}; /* mov rax, imm; jmp rax */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *start = (void *)((uintptr_t)hook & ~(page - 1));

    memcpy(jump + 2, &target, sizeof(target));
    if (*hook == RET && mprotect(start, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC) == 0) {
        memcpy(hook, jump, sizeof(jump));
        mprotect(start, 2 * page, PROT_READ | PROT_EXEC);
    }
}

__attribute__((constructor)) static void witness_init(void) {
    uint8_t *vmexit = dlsym(RTLD_DEFAULT, "_Z15bx_instr_vmexitjjm");
    uint8_t *out = dlsym(RTLD_DEFAULT, "_Z13bx_instr_outptjj");
    const char *path = getenv("MULLION_WITNESS");

    pc_system = dlsym(RTLD_DEFAULT, "bx_pc_system");
    now_ns = (uint64_t(*)(void *))dlsym(RTLD_DEFAULT, "_ZN14bx_pc_system_c9time_nsecEv");
    if (path == NULL || vmexit == NULL || out == NULL || pc_system == NULL || now_ns == NULL)
        return;
    rows = fopen(path, "w");
    if (rows != NULL) {
        replace_hook(vmexit, (const void *)on_vmexit);
        replace_hook(out, (const void *)on_out);
        atexit(write_row);
    }
}

/* Bochs seeds what is behind RDRAND from the clock. */
void srand(unsigned seed) {
    void (*real)(unsigned) = (void (*)(unsigned))dlsym(RTLD_NEXT, "srand");

    (void)seed;
    if (real != NULL)
        real(SEED);
}
