/* SPDX-License-Identifier: Apache-2.0 */
/* The state around a case: control registers, segments, flags, general registers, and page tables in three
 * formats over one map. Low memory is mapped to itself; behind the window's pages lies what a partition has
 * and has not. */
#include "guests/fuzz/fuzz.h"

#define PTE_P       BIT(0)
#define PTE_W       BIT(1)
#define PTE_U       BIT(2)
#define PTE_LARGE   BIT(7)
#define LOW         (PTE_P | PTE_W)
#define ANY_RIGHTS  (PTE_P | PTE_W | PTE_U)
#define PAGES       512

#define CR0_KEPT    UINT64_C(0x80000031) /* PG, NE, ET, PE */
#define CR0_CHOICE  UINT64_C(0x0005000E) /* AM, WP, TS, EM, MP */
#define CR4_PSE     BIT(4)
#define CR4_PAE     BIT(5)
#define CR4_OSXSAVE BIT(18)
#define CR4_CHOICE  UINT64_C(0x00310F8F) /* SMAP, SMEP, FSGSBASE, UMIP to PGE, DE to VME */
#define MSR_EFER    0xC0000080u

#define FLAG_TF     BIT(8)
#define FLAG_VM     BIT(17)
#define FLAGS       UINT64_C(0x00257ED5) /* ID, AC, RF, NT, IOPL, OF, DF, IF, ZF to CF */

extern uint64_t guest_pml4[];
uint64_t fuzz_base_cr0, fuzz_base_cr3, fuzz_base_cr4, fuzz_base_efer; /* the kernel's, for enter.S, too */

static uint64_t pml4[PAGES] __attribute__((aligned(4096))), pdpt[PAGES] __attribute__((aligned(4096)));
static uint64_t low_tables[PAGES] __attribute__((aligned(4096))), high[PAGES] __attribute__((aligned(4096)));
static uint64_t low[PAGES] __attribute__((aligned(4096))), window[PAGES] __attribute__((aligned(4096)));
static uint64_t pdpt_pae[4] __attribute__((aligned(32)));
static uint32_t directory[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));
static uint64_t cr4_known; /* bits that this CPU takes */

#define READ(name)                                                                                           \
    static uint64_t read_##name(void) {                                                                      \
        uint64_t value;                                                                                      \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                               \
        return value;                                                                                        \
    }
#define WRITE(name)                                                                                          \
    static void write_##name(uint64_t value) {                                                               \
        __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                                      \
    }
READ(cr0)
READ(cr4)
WRITE(cr0)
WRITE(cr3)
WRITE(cr4)
WRITE(db7)

static void try_cr4(void *bit) {
    write_cr4(read_cr4() | *(uint64_t *)bit);
}

/* Guest-physical, of a page: what the window shows. */
static uint64_t any_page(void) {
    switch (fuzz_below(8)) {
    case 0:
        return 0xFEE00000;
    case 1:
        return 0xFEC00000 + (fuzz_chance(4) ? fuzz_below(16) << 12 : 0);
    case 2:
        return FUZZ_DATA;
    case 3:
        return 0xA0000 + ((uint64_t)fuzz_below(32) << 12);
    case 4:
        return 0xE0000;
    case 5:
        return BIT(32 + fuzz_below(4)) + ((uint64_t)fuzz_below(1 << 20) << 12);
    default:
        return FUZZ_NOWHERE + ((uint64_t)fuzz_below(1 << 16) << 12);
    }
}

static void set_window(unsigned page) {
    uint64_t rights = fuzz_chance(3) ? fuzz_random() & 0x1FF : ANY_RIGHTS, at = any_page();
    window[page] = at | rights | (fuzz_chance(32) ? BIT(63) : 0) | (fuzz_chance(64) ? BIT(51) : 0);
    table[PAGES + page] = (uint32_t)((at >> 32 != 0 ? FUZZ_NOWHERE : at) | rights);
}

static void set_user(bool user) {
    for (unsigned page = FUZZ_CODE >> 12; page < (FUZZ_DATA + FUZZ_DATA_BYTES) >> 12; page++) {
        low[page] = (uint64_t)page << 12 | LOW | (user ? PTE_U : 0);
        table[page] = (uint32_t)low[page];
    }
}

static void set_tables(void) {
    for (unsigned i = 0; i < PAGES; i++) {
        low[i] = (uint64_t)i << 12 | LOW;
        table[i] = (uint32_t)low[i];
        high[i] = 0xC0000000 + ((uint64_t)i << 21) + (PTE_LARGE | ANY_RIGHTS);
        set_window(i);
    }
    high[(0xFEE00000 >> 21) % PAGES] &= ~PTE_U; /* the kernel's way to EOI, with SMAP */
    low_tables[0] = (uint64_t)low | ANY_RIGHTS;
    low_tables[1] = (uint64_t)window | ANY_RIGHTS;
    low_tables[2] = (FUZZ_NOWHERE & ~(PAGE_2M - 1)) | PTE_LARGE | ANY_RIGHTS;
    low_tables[3] = GIB(4) | PTE_LARGE | ANY_RIGHTS;
    directory[0] = (uint32_t)(uint64_t)table | ANY_RIGHTS;
    directory[1] = FUZZ_NOWHERE | PTE_LARGE | ANY_RIGHTS;
    for (unsigned i = 768; i < 1024; i++)
        directory[i] = i << 22 | PTE_LARGE | ANY_RIGHTS;
    pdpt_pae[0] = (uint64_t)low_tables | PTE_P;
    pdpt_pae[3] = (uint64_t)high | PTE_P;
    pdpt[0] = (uint64_t)low_tables | ANY_RIGHTS;
    pdpt[3] = (uint64_t)high | ANY_RIGHTS;
    pml4[0] = (uint64_t)pdpt | ANY_RIGHTS;
}

void fuzz_state_init(void) {
    set_tables();
    write_cr3((uint64_t)pml4); /* first: SMEP and SMAP want the kernel's pages to be its own */
    for (unsigned bit = 0; bit < 32; bit++) {
        uint64_t value = BIT(bit), before = read_cr4();
        if ((CR4_CHOICE & value) != 0 && guest_fault_of(try_cr4, &value) == GUEST_NO_FAULT)
            cr4_known |= value;
        write_cr4(before);
    }
    uint64_t osxsave = CR4_OSXSAVE;
    (void)guest_fault_of(try_cr4, &osxsave);
    fuzz_base_cr0 = read_cr0() | CR0_KEPT;
    fuzz_base_cr3 = (uint64_t)pml4;
    fuzz_base_cr4 = read_cr4();
    fuzz_base_efer = rdmsr(MSR_EFER);
    fuzz_load_tables();
}

uint64_t fuzz_address(void) {
    uint64_t offset =
        fuzz_chance(8) ? 0xFF8 + fuzz_below(8) : fuzz_random() & (fuzz_chance(3) ? 0xFFF : 0xFF0);
    switch (fuzz_below(12)) {
    case 0:
    case 1:
        return FUZZ_DATA + 512 + fuzz_below(FUZZ_DATA_BYTES - 1024);
    case 2:
        return FUZZ_LARGE + fuzz_below(FUZZ_LARGE);
    case 3:
        return FUZZ_NOWHERE + fuzz_below(1 << 28);
    case 4:
        return 0xFEE00000 + (offset & 0x3FF);
    case 5:
        return 0xFEC00000 + (offset & 0x1F);
    case 6:
        return fuzz_chance(4) ? fuzz_random() | BIT(28) : FUZZ_WINDOW + offset;
    default:
        return FUZZ_WINDOW + ((uint64_t)fuzz_below(PAGES - 1) << 12) + offset;
    }
}

/* Bases by selector / 8; of the others it is 0. */
uint32_t fuzz_segment_base(const struct fuzz_mode *mode, unsigned segment) {
    const uint64_t selectors[] = {fuzz_now->es, fuzz_now->cs, fuzz_now->ss,
                                  fuzz_now->ds, fuzz_now->fs, fuzz_now->gs};
    static const uint32_t bases[32] = {
        [SEL_USER_16 / 8] = FUZZ_BASE_16, [SEL_CASE_16 / 8] = FUZZ_BASE_16, [SEL_WINDOW / 8] = FUZZ_WINDOW,
        [SEL_APIC / 8] = 0xFEE00000,      [SEL_WRAPS / 8] = (uint32_t)-3,
    };
    uint32_t selector = (uint32_t)selectors[segment];
    return mode->way >= WAY_V86 ? selector << 4 : bases[selector / 8 % 32];
}

static uint64_t any_selector(const struct fuzz_mode *mode) {
    if (mode->way >= WAY_V86)
        return 0xA000 + fuzz_below(0x1000); /* nothing is there */
    return PICK(SEL_USER_FLAT, SEL_USER_FLAT, SEL_USER_FLAT, SEL_WINDOW, SEL_WINDOW, SEL_APIC,
                SEL_EXPAND_DOWN, SEL_READ_ONLY, SEL_WRAPS, 0);
}

static void choose_segments(const struct fuzz_mode *mode) {
    struct fuzz_context *c = fuzz_now;
    c->cs = mode->cs;
    c->ss = mode->way >= WAY_V86 ? 0 : mode->user ? SEL_USER_FLAT : mode->bits == 16 ? SEL_DATA_16 : SEL_FLAT;
    c->ds = any_selector(mode);
    c->es = any_selector(mode);
    c->fs = any_selector(mode);
    c->gs = any_selector(mode);
}

static void choose_registers(const struct fuzz_mode *mode) {
    struct fuzz_context *c = fuzz_now;
    for (unsigned i = 0; i < 16; i++)
        c->gpr[i] = fuzz_chance(2) ? fuzz_random() : fuzz_address();
    c->gpr[4] = FUZZ_STACK;
    c->rip = FUZZ_CODE - fuzz_segment_base(mode, SEGMENT_CS);
    c->rflags = (fuzz_random() & fuzz_random() & FLAGS) | 2 | (fuzz_chance(12) ? FLAG_TF : 0);
    if (mode->way == WAY_V86)
        c->rflags |= FLAG_VM;
}

static void choose_controls(const struct fuzz_mode *mode) {
    struct fuzz_context *c = fuzz_now;
    enum fuzz_paging paging = (enum fuzz_paging)fuzz_below(PAGING_KINDS);
    c->cr0 = CR0_KEPT | (fuzz_random() & fuzz_random() & CR0_CHOICE);
    c->cr4 = (fuzz_random() & cr4_known) | (fuzz_base_cr4 & CR4_OSXSAVE);
    if (mode->way == WAY_LONG) {
        write_cr4(c->cr4 | CR4_PAE);
        write_cr0(c->cr0);
        return;
    }
    c->cr3 = paging == PAGING_PAE ? (uint64_t)pdpt_pae : (uint64_t)directory;
    c->cr4 |= paging == PAGING_PAE ? CR4_PAE : CR4_PSE;
    if (paging == PAGING_NONE || mode->way == WAY_REAL)
        c->cr0 &= ~BIT(31);
    c->real = mode->way == WAY_REAL;
    if (c->real != 0)
        c->cr0 &= ~BIT(0);
}

void fuzz_state_for_case(const struct fuzz_mode *mode) {
    set_user(mode->user);
    set_window(fuzz_below(PAGES));
    choose_segments(mode);
}

void fuzz_state_for_run(const struct fuzz_mode *mode) {
    fuzz_now->cs = mode->cs;
    choose_registers(mode);
    choose_controls(mode);
}

void fuzz_state_restore(void) {
    write_db7(0x400);
    if (read_cr4() != fuzz_base_cr4)
        write_cr4(fuzz_base_cr4);
    if (read_cr0() != fuzz_base_cr0)
        write_cr0(fuzz_base_cr0);
    write_cr3((uint64_t)pml4);
    if (rdmsr(MSR_EFER) != fuzz_base_efer)
        wrmsr(MSR_EFER, fuzz_base_efer);
}
