/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into Bochs: an account of time and VM exits that does not come from the hypervisor, and
 * the same random numbers in every run. Knows Debian's bochs-bin only; elsewhere it does nothing.
 *
 * Each console line that ends (LF to COM1 from outside any guest), and the end of the run, writes a
 * row into the file that MULLION_WITNESS names: nanoseconds since reset, then cpu:reason:count for
 * all exits so far.
 *
 * A prefetch of MARK + n, an instruction without effect on any CPU and without an exit, is a guest's mark n.
 * It writes "mark", nanoseconds, n and the counts into NAME.marks. VMREAD and VMWRITE are counted there as
 * reasons beyond those that are. From the first mark on each exit is a row in NAME.exits: nanoseconds, cpu,
 * reason, and in hexadecimal the qualification and the guest's EAX, ECX and RIP.
 *
 * What the hypervisor does against leaks by speculation is in NAME.deeds: nanoseconds, cpu, and "verw" or, in
 * hexadecimal, the MSR written and the value.
 */
#define _GNU_SOURCE
#include "tests/rig/witness.h"

#include <dlfcn.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REASONS  128
#define VMREADS  128
#define VMWRITES 129
#define COUNTS   130
#define MARK     0x4d61726b00 /* n is its last byte */
#define SEED     1
#define COM1     0x3f8
#define COM1_LCR 0x3fb
#define LCR_DLAB 0x80
#define RET      0xc3

static uint64_t counts[WITNESS_CPUS][COUNTS];
static FILE *rows, *marks, *each, *deeds;
static bool marked;    /* a guest set a mark */
static bool com1_dlab; /* COM1 is the divisor now, not the data */
static uint64_t (*now_ns)(void *pc_system);
static void *pc_system;
static void ***cpus;      /* a table of the emulator's CPUs, made after this library is loaded */
static unsigned *dbg_cpu; /* whose registers the next two read; it is the debugger's */
static uint32_t (*dbg_reg)(unsigned number);
static uint64_t (*dbg_rip)(void);

unsigned long long witness_now(void) {
    return now_ns(pc_system);
}

static void write_counts(FILE *file, unsigned limit) {
    for (unsigned cpu = 0; cpu < WITNESS_CPUS; cpu++) {
        for (unsigned reason = 0; reason < limit; reason++)
            if (counts[cpu][reason] != 0)
                fprintf(file, " %u:%u:%llu", cpu, reason, (unsigned long long)counts[cpu][reason]);
    }
    fputc('\n', file);
    fflush(file);
}

static void write_row(void) {
    fprintf(rows, "%llu", witness_now());
    write_counts(rows, REASONS);
}

static void write_exit(unsigned cpu, uint32_t reason, uint64_t qualification) {
    enum { EAX, ECX }; /* as instructions number them */
    unsigned before = *dbg_cpu;
    *dbg_cpu = cpu;
    fprintf(each, "%llu %u %u %llx %x %x %llx\n", witness_now(), cpu, reason,
            (unsigned long long)qualification, dbg_reg(EAX), dbg_reg(ECX), (unsigned long long)dbg_rip());
    *dbg_cpu = before;
}

/* Bochs calls these where it has empty instrumentation hooks. */
static void on_vmexit(unsigned cpu, uint32_t reason, uint64_t qualification) {
    counts[cpu % WITNESS_CPUS][reason % REASONS]++;
    if (marked)
        write_exit(cpu, reason, qualification);
    trace_vmexit(cpu % WITNESS_CPUS, reason, qualification);
    cost_vmexit(cpu % WITNESS_CPUS, reason, qualification);
}

static void on_out(uint16_t port, unsigned bytes, unsigned value) {
    (void)bytes;
    if (port == COM1_LCR)
        com1_dlab = (value & LCR_DLAB) != 0;
    else if (port == COM1 && !com1_dlab && (value & 0xff) == '\n')
        write_row();
}

static void on_prefetch(unsigned cpu, unsigned what, unsigned segment, uint64_t offset) {
    (void)cpu, (void)what, (void)segment;
    if (offset >> 8 != MARK >> 8)
        return;
    marked = true;
    fflush(each);
    fprintf(marks, "mark %llu %u", witness_now(), (unsigned)offset & 0xff);
    write_counts(marks, COUNTS);
}

static bool in_hypervisor(unsigned cpu) {
    unsigned before = *dbg_cpu;
    *dbg_cpu = cpu;
    bool is = dbg_rip() - IMAGE_VIRT < IMAGE_BYTES;
    *dbg_cpu = before;
    return is;
}

static void on_wrmsr(unsigned cpu, unsigned index, uint64_t value) {
    bool deed = index == 0x48 || index == 0x49 || index == 0x10b || index == 0x123; /* arch/x86/msr.h */
    if (deed && in_hypervisor(cpu))
        fprintf(deeds, "%llu %u %x %llx\n", witness_now(), cpu, index, (unsigned long long)value);
}

/* VMREAD and VMWRITE, with 32-bit and with 64-bit operands. */
static instruction *vmread_32, *vmread_64, *vmwrite_32, *vmwrite_64, *verw;

unsigned witness_cpu(const void *cpu) {
    unsigned number = 0;

    while (number < WITNESS_CPUS - 1 && (*cpus)[number] != cpu)
        number++;
    return number;
}

static void count(const void *cpu, unsigned what) {
    counts[witness_cpu(cpu)][what]++;
}

static void on_vmread_32(void *cpu, void *decoded) {
    count(cpu, VMREADS);
    vmread_32(cpu, decoded);
}

static void on_vmread_64(void *cpu, void *decoded) {
    count(cpu, VMREADS);
    vmread_64(cpu, decoded);
}

static void on_vmwrite_32(void *cpu, void *decoded) {
    count(cpu, VMWRITES);
    vmwrite_32(cpu, decoded);
}

static void on_vmwrite_64(void *cpu, void *decoded) {
    count(cpu, VMWRITES);
    vmwrite_64(cpu, decoded);
}

static void on_verw(void *cpu, void *decoded) {
    if (in_hypervisor(witness_cpu(cpu)))
        fprintf(deeds, "%llu %u verw\n", witness_now(), witness_cpu(cpu));
    verw(cpu, decoded);
}

/* Bochs decodes by a table, writable, of functions: put `ours` wherever the function `name` is in it. */
void witness_replace(const char *name, instruction **theirs, instruction *ours) {
    instruction **table = (instruction **)dlsym(RTLD_DEFAULT, "BxOpcodesTable");
    const Elf64_Sym *symbol;
    Dl_info info;

    *theirs = (instruction *)dlsym(RTLD_DEFAULT, name);
    if (table == NULL || *theirs == NULL || dladdr1(table, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0)
        return;
    for (size_t i = 0; i < symbol->st_size / sizeof(*table); i++)
        if (table[i] == *theirs)
            table[i] = ours;
}

/* Calls inside the emulator's own executable cannot be interposed; a jump over the hook can. The
 * hook is a lone RET in a 16-byte slot, or this is not the build we know. */
void witness_hook(const char *name, const void *target) {
    uint8_t *hook = dlsym(RTLD_DEFAULT, name);
    uint8_t jump[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0}; /* mov rax, imm; jmp rax */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *start = (void *)((uintptr_t)hook & ~(page - 1));

    memcpy(jump + 2, &target, sizeof(target));
    if (hook != NULL && *hook == RET && mprotect(start, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC) == 0) {
        memcpy(hook, jump, sizeof(jump));
        mprotect(start, 2 * page, PROT_READ | PROT_EXEC);
    }
}

__attribute__((constructor)) static void witness_init(void) {
    const char *path = getenv("MULLION_WITNESS");
    char name[4096];

    cpus = (void ***)dlsym(RTLD_DEFAULT, "bx_cpu_array");
    pc_system = dlsym(RTLD_DEFAULT, "bx_pc_system");
    now_ns = (uint64_t(*)(void *))dlsym(RTLD_DEFAULT, "_ZN14bx_pc_system_c9time_nsecEv");
    dbg_cpu = dlsym(RTLD_DEFAULT, "dbg_cpu");
    dbg_reg = (uint32_t(*)(unsigned))dlsym(RTLD_DEFAULT, "_Z22bx_dbg_get_reg32_valuej");
    dbg_rip = (uint64_t(*)(void))dlsym(RTLD_DEFAULT, "_Z14bx_dbg_get_ripv");
    if (path == NULL || pc_system == NULL || now_ns == NULL || cpus == NULL || dbg_cpu == NULL ||
        dbg_reg == NULL || dbg_rip == NULL)
        return;
    rows = fopen(path, "w");
    snprintf(name, sizeof(name), "%s.marks", path);
    marks = fopen(name, "w");
    snprintf(name, sizeof(name), "%s.exits", path);
    each = fopen(name, "w");
    snprintf(name, sizeof(name), "%s.deeds", path);
    deeds = fopen(name, "w");
    if (rows != NULL && marks != NULL && each != NULL && deeds != NULL) {
        witness_hook("_Z14bx_instr_wrmsrjjm", (const void *)on_wrmsr);
        witness_replace("_ZN8BX_CPU_C7VERW_EwEP15bxInstruction_c", &verw, on_verw);
        witness_hook("_Z15bx_instr_vmexitjjm", (const void *)on_vmexit);
        witness_hook("_Z13bx_instr_outptjj", (const void *)on_out);
        witness_hook("_Z22bx_instr_prefetch_hintjjjm", (const void *)on_prefetch);
        witness_replace("_ZN8BX_CPU_C11VMREAD_EdGdEP15bxInstruction_c", &vmread_32, on_vmread_32);
        witness_replace("_ZN8BX_CPU_C11VMREAD_EqGqEP15bxInstruction_c", &vmread_64, on_vmread_64);
        witness_replace("_ZN8BX_CPU_C12VMWRITE_GdEdEP15bxInstruction_c", &vmwrite_32, on_vmwrite_32);
        witness_replace("_ZN8BX_CPU_C12VMWRITE_GqEqEP15bxInstruction_c", &vmwrite_64, on_vmwrite_64);
        trace_init();
        cost_init();
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
