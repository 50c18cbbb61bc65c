/* SPDX-License-Identifier: Apache-2.0 */
/* What changes the CPU itself: MSRs, CPUID, control registers by the bit, instructions that a guest has no
 * business with, hypercalls. */
#include "guests/hostile/hostile.h"

#include "core/str.h"

#define MSRS       0x2000u /* in each of the two ranges of the bitmap */
#define TSC_ADJUST 0x3Bu
#define CALLS      0x10000u
#define PTE_USER   UINT64_C(4)

struct msr {
    uint32_t index;
    uint64_t value;
};

static void read_msr(void *arg) {
    struct msr *m = arg;

    m->value = rdmsr(m->index);
}

/* What was there comes back at once: this CPU needs its GS base and its paging. */
static void write_msr(void *arg) {
    const struct msr *m = arg;
    uint32_t low, high;

    __asm__ volatile(
        "rdmsr; mov %%eax, %%esi; mov %%edx, %%edi; mov %k3, %%eax; mov %3, %%rdx; shr $32, %%rdx\n"
        "wrmsr; mov %%esi, %%eax; mov %%edi, %%edx; wrmsr"
        : "=&a"(low), "=&d"(high)
        : "c"(m->index), "r"(m->value)
        : "rsi", "rdi", "memory");
}

/* Those that cannot be read or have another meaning then. */
static void write_msr_only(void *arg) {
    const struct msr *m = arg;

    wrmsr(m->index, m->value);
}

static void one_msr(uint32_t index) {
    struct msr m = {index, 0};
    bool readable = hostile_try(read_msr, &m) == GUEST_NO_FAULT;
    uint64_t values[] = {0, UINT64_MAX, hostile_random()};

    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        m.value = values[i];
        hostile_try(readable ? write_msr : write_msr_only, &m);
    }
}

/* Both ranges, and some of what the bitmap does not cover. */
static void msrs(void) {
    static const uint32_t others[] = {MSRS,       0x4B564D00,        0x40000000, 0x7FFFFFFF,
                                      0xBFFFFFFF, 0xC0000000 + MSRS, 0xC0010000, UINT32_MAX};

    for (uint32_t i = 0; i < MSRS; i++) {
        one_msr(i);
        one_msr(0xC0000000 + i);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        one_msr(others[i]);
    wrmsr(TSC_ADJUST, 0);
}

static void leaves(void) {
    static const uint32_t regions[] = {0,          0x40000000, 0x80000000, 0x20000000,
                                       0x8FFFFF00, 0xC0000000, 0xFFFFFF00};

    for (unsigned i = 0; i < ARRAY_SIZE(regions); i++)
        for (uint32_t leaf = 0; leaf < 0x100; leaf++)
            for (uint32_t subleaf = 0; subleaf < 0x10; subleaf++, hostile_tried++)
                (void)cpuid(regions[i] + leaf, subleaf == 0xF ? UINT32_MAX : subleaf);
    for (unsigned i = 0; i < 20000; i++, hostile_tried++)
        (void)cpuid((uint32_t)hostile_random(), (uint32_t)hostile_random());
}

/* Each flips the bits of *arg, and back. */
#define FLIP(name, reg)                                                                                      \
    static void name(void *arg) {                                                                            \
        uint64_t old, flip = *(const uint64_t *)arg;                                                         \
                                                                                                             \
        __asm__ volatile("mov %%" reg ", %0; xor %0, %1; mov %1, %%" reg "; mov %0, %%" reg                  \
                         : "=&r"(old), "+r"(flip)                                                            \
                         :                                                                                   \
                         : "memory");                                                                        \
    }
FLIP(flip_cr0, "cr0")
FLIP(flip_cr3, "cr3")
FLIP(flip_cr4, "cr4")
FLIP(flip_cr8, "cr8")

static void flip_efer(void *arg) {
    uint64_t old = rdmsr(0xC0000080);

    wrmsr(0xC0000080, old ^ *(const uint64_t *)arg);
    wrmsr(0xC0000080, old);
}

static void flip_xcr0(void *arg) {
    uint64_t value = 1 ^ *(const uint64_t *)arg;

    __asm__ volatile("xsetbv; mov $1, %%eax; xor %%edx, %%edx; xsetbv"
                     : "+a"(value)
                     : "c"(0), "d"(value >> 32)
                     : "memory");
}

static void set_xcr(void *arg) {
    __asm__ volatile("xsetbv" : : "a"(1), "c"(*(const uint32_t *)arg), "d"(0));
}

static void set_user_pages(bool user) {
    guest_pml4[0] = user ? guest_pml4[0] | PTE_USER : guest_pml4[0] & ~PTE_USER;
    __asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
}

/* SMEP and SMAP would not let us live on user pages. Of CR3 only what is not the tables' address. */
static void bits(void) {
    static void (*const flips[])(void *) = {flip_cr0, flip_cr4, flip_cr8, flip_efer, flip_cr3};
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    set_user_pages(false);
    for (unsigned i = 0; i < ARRAY_SIZE(flips); i++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t one = BIT(bit), two = one | BIT(hostile_random() % 12);
            if (flips[i] == flip_cr3 && bit >= 12 && bit < 52)
                continue;
            hostile_try(flips[i], &one);
            if (flips[i] != flip_cr3)
                hostile_try(flips[i], &two);
        }
    }
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | BIT(18))); /* OSXSAVE */
    for (uint64_t value = 0; value < 0x1000; value++)
        hostile_try(flip_xcr0, &value);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t one = BIT(bit);
        uint32_t number = bit + 1;
        hostile_try(flip_xcr0, &one);
        hostile_try(set_xcr, &number);
    }
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
    set_user_pages(true);
}

/* Machine code, a RET behind it. RAX, RBX, RCX, RDX are as `with` has them: leaves, addresses, types. */
struct instruction {
    uint8_t bytes[8];
    uint64_t with;
};

static void execute(void *arg) {
    const struct instruction *i = arg;
    uint64_t a = i->with, b = i->with, c = i->with, d = i->with;

    __asm__ volatile("call *%4"
                     : "+a"(a), "+b"(b), "+c"(c), "+d"(d)
                     : "r"(i->bytes)
                     : "memory", "rsi", "rdi");
}

/* What needs VMX, SMX, SGX or TDX, or is about the whole machine; operands at [RAX]. */
static const uint8_t codes[][8] = {
    {0x66, 0x0F, 0xC7, 0x30, 0xC3},       /* VMCLEAR */
    {0x0F, 0xC7, 0x30, 0xC3},             /* VMPTRLD */
    {0x0F, 0xC7, 0x38, 0xC3},             /* VMPTRST */
    {0xF3, 0x0F, 0xC7, 0x30, 0xC3},       /* VMXON */
    {0x0F, 0x78, 0xC3, 0xC3},             /* VMREAD */
    {0x0F, 0x79, 0xC3, 0xC3},             /* VMWRITE */
    {0x0F, 0x01, 0xC2, 0xC3},             /* VMLAUNCH */
    {0x0F, 0x01, 0xC3, 0xC3},             /* VMRESUME */
    {0x0F, 0x01, 0xC4, 0xC3},             /* VMXOFF */
    {0x0F, 0x01, 0xD4, 0xC3},             /* VMFUNC */
    {0x66, 0x0F, 0x38, 0x80, 0x18, 0xC3}, /* INVEPT */
    {0x66, 0x0F, 0x38, 0x81, 0x18, 0xC3}, /* INVVPID */
    {0x0F, 0x37, 0xC3},                   /* GETSEC */
    {0x0F, 0x01, 0xCF, 0xC3},             /* ENCLS */
    {0x0F, 0x01, 0xD7, 0xC3},             /* ENCLU */
    {0x0F, 0x01, 0xC0, 0xC3},             /* ENCLV */
    {0x66, 0x0F, 0x01, 0xCC, 0xC3},       /* TDCALL */
    {0x66, 0x0F, 0x01, 0xCD, 0xC3},       /* SEAMRET */
    {0x66, 0x0F, 0x01, 0xCE, 0xC3},       /* SEAMOPS */
    {0x66, 0x0F, 0x01, 0xCF, 0xC3},       /* SEAMCALL */
    {0x0F, 0x01, 0xC5, 0xC3},             /* PCONFIG */
    {0xF2, 0x0F, 0x01, 0xC6, 0xC3},       /* RDMSRLIST */
    {0xF3, 0x0F, 0x01, 0xC6, 0xC3},       /* WRMSRLIST */
    {0x0F, 0x01, 0xC6, 0xC3},             /* WRMSRNS */
    {0xF3, 0x0F, 0x38, 0xDC, 0xC0, 0xC3}, /* LOADIWKEY */
    {0xF2, 0x0F, 0x38, 0xF8, 0x00, 0xC3}, /* ENQCMD */
    {0xF3, 0x0F, 0x38, 0xF8, 0x00, 0xC3}, /* ENQCMDS */
    {0x0F, 0x01, 0xC8, 0xC3},             /* MONITOR */
    {0x0F, 0x01, 0xC9, 0xC3},             /* MWAIT */
    {0x0F, 0xAA, 0xC3},                   /* RSM */
    {0x0F, 0x33, 0xC3},                   /* RDPMC */
    {0x0F, 0x08, 0xC3},                   /* INVD */
    {0x0F, 0x09, 0xC3},                   /* WBINVD */
    {0xF3, 0x0F, 0x09, 0xC3},             /* WBNOINVD */
    {0xF1, 0xC3},                         /* INT1 */
    {0x0F, 0xFF, 0xC3},                   /* UD0 */
    {0x66, 0x0F, 0x38, 0x82, 0x18, 0xC3}, /* INVPCID, which does not exit, as the next two */
    {0x0F, 0xAE, 0x38, 0xC3},             /* CLFLUSH */
    {0x66, 0x0F, 0xAE, 0x38, 0xC3},       /* CLFLUSHOPT */
};
#define NATIVE 3 /* the last: where they find no memory, they end the partition (death.c) */

static void instructions(void) {
    static const uint64_t with[] = {0, 1, 2, 8, 0x200000, NOWHERE, LAPIC_PAGE, BIT(47), UINT64_MAX};
    struct guest_fault fault;

    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(with); k++) {
            if (i + NATIVE >= ARRAY_SIZE(codes) && (with[k] == NOWHERE || with[k] == LAPIC_PAGE))
                continue;
            struct instruction one = {.with = with[k]};
            memcpy(one.bytes, codes[i], sizeof(one.bytes));
            hostile_try(execute, &one);
            hostile_faulted += guest_catch_user(execute, &one, &fault);
            hostile_tried++;
        }
    }
}

/* Shared caches, the bus, the pipeline: what slows a neighbour on a real machine if anything does. */
static void storms(void) {
    static uint8_t lines[4096];
    uint64_t *split = (uint64_t *)(lines + 60);

    for (unsigned i = 0; i < 20000; i++, hostile_tried += 6) {
        __asm__ volatile("wbinvd; invd; pause" : : : "memory");
        __asm__ volatile("clflush (%0)" : : "r"(&lines[i % 4096]) : "memory");
        __asm__ volatile("lock incq %0; lock incq %1" : "+m"(*split), "+m"(*(uint64_t *)lines) : : "memory");
    }
}

/* By what it would mean for our own life: 2 and 3 end it (death.c), a time to come would let us sleep, a text
 * would be on our console. */
static uint64_t harmless(uint64_t number, uint64_t argument) {
    return number == HYPERCALL_WAIT || number == HYPERCALL_TRACE ? 0
           : number == HYPERCALL_WRITE                           ? argument | 16
                                                                 : argument;
}

static void hypercalls(void) {
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < CALLS + 10000; i++) {
            uint64_t number = i < CALLS ? i : hostile_random(), a = hostile_random(), b = hostile_random(),
                     result;
            if (number == HYPERCALL_STOP || number == HYPERCALL_RESTART)
                continue;
            a = round == 0 ? a & 0x1FF : a;
            __asm__ volatile("vmcall"
                             : "=a"(result)
                             : "a"(number), "b"(harmless(number, a)), "c"(harmless(number, b))
                             : "memory");
            hostile_tried++;
            hostile_faulted += (int64_t)result < 0 && (int64_t)result > -4096;
        }
    }
}

const struct attack attacks_cpu[] = {
    {"msrs", msrs, 1, NULL},
    {"cpuid", leaves, 1, NULL},
    {"control-bits", bits, 1, NULL},
    {"instructions", instructions, 1, NULL},
    {"storms", storms, 1, NULL},
    {"hypercalls", hypercalls, 1, NULL},
    {0},
};
