/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers: every #GP of "MOV - Move to/from Control Registers", LMSW, CLTS, CR8, and the ways from
 * mode to mode with the PDPTEs. A row of script operations runs in 32-bit mode: modes.S. */
#include "guests/rows/rows.h"

#define FAULT_GP  13u
#define NO_FAULT  UINT32_MAX

#define CR0_PE    BIT(0)
#define CR0_MP    BIT(1)
#define CR0_EM    BIT(2)
#define CR0_TS    BIT(3)
#define CR0_ET    BIT(4)
#define CR0_NE    BIT(5)
#define CR0_WP    BIT(16)
#define CR0_NW    BIT(29)
#define CR0_CD    BIT(30)
#define CR0_PG    BIT(31)
#define CR4_TSD   BIT(2)
#define CR4_PSE   BIT(4)
#define CR4_PAE   BIT(5)
#define CR4_MCE   BIT(6)
#define CR4_PGE   BIT(7)
#define CR4_UMIP  BIT(11)
#define CR4_VMXE  BIT(13)
#define CR4_SMXE  BIT(14)
#define CR4_PCIDE BIT(17)
#define EFER_LME  BIT(8)
#define EFER_LMA  BIT(10)

#define PAGE_USE  0x87u /* present, writable, user, large */
#define EXIT_CR   28u

/* ---- One register at a time, in 64-bit mode ---- */
#define CONTROL_REGISTER(n)                                                                                  \
    static uint64_t read_cr##n(void) {                                                                       \
        uint64_t value;                                                                                      \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(value));                                                \
        return value;                                                                                        \
    }                                                                                                        \
    static void write_cr##n(void *value) {                                                                   \
        __asm__ volatile("mov %0, %%cr" #n : : "r"(*(uint64_t *)value) : "memory");                          \
    }                                                                                                        \
    static uint64_t fault_cr##n(uint64_t value) {                                                            \
        return guest_fault_of(write_cr##n, &value);                                                          \
    }

CONTROL_REGISTER(0)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)
CONTROL_REGISTER(8)

static uint64_t cr_exits(void) {
    return guest_counter(HYPERCALL_COUNTER_EXIT_REASON + EXIT_CR);
}

static void cr0(void) {
    uint64_t cr0 = read_cr0();
    bool reserved = true;

    EXPECT("X06 V023 CR0.PG without PE is #GP", fault_cr0(cr0 & ~CR0_PE) == FAULT_GP);
    EXPECT("X06 V023 CR0.NW without CD is #GP", fault_cr0(cr0 | CR0_NW) == FAULT_GP);
    EXPECT("X06 V023 clearing CR0.PG in 64-bit mode is #GP", fault_cr0(cr0 & ~CR0_PG) == FAULT_GP);
    EXPECT("X06 V023 also where CD is written with it", fault_cr0((cr0 & ~CR0_PG) | CR0_CD) == FAULT_GP &&
                                                            fault_cr0((cr0 & ~CR0_PE) | CR0_CD) == FAULT_GP);
    for (unsigned bit = 32; bit < 64; bit++)
        reserved = reserved && fault_cr0(cr0 | BIT(bit)) == FAULT_GP &&
                   fault_cr0(cr0 | CR0_CD | BIT(bit)) == FAULT_GP;
    EXPECT("X06 V023 bits 63:32 of CR0 are #GP", reserved);
    EXPECT("X06 V023 none of these has changed it", read_cr0() == cr0);

    EXPECT("X06 V023 CR0.CD and NW read back",
           fault_cr0(cr0 | CR0_CD | CR0_NW) == GUEST_NO_FAULT && read_cr0() == (cr0 | CR0_CD | CR0_NW) &&
               fault_cr0(cr0 | CR0_CD) == GUEST_NO_FAULT && read_cr0() == (cr0 | CR0_CD));
    EXPECT("X06 V023 CR0.NE reads back",
           fault_cr0((cr0 ^ CR0_NE) | CR0_CD) == GUEST_NO_FAULT && read_cr0() == ((cr0 ^ CR0_NE) | CR0_CD));
    EXPECT("X06 V023 reserved low bits and ET cannot be changed",
           fault_cr0((cr0 ^ CR0_ET) | BIT(6) | BIT(28)) == GUEST_NO_FAULT && read_cr0() == cr0);

    uint64_t exits = cr_exits();
    write_cr0(&(uint64_t){cr0 ^ CR0_WP});
    EXPECT("X06 V023 CR0.WP is the guest's own", read_cr0() == (cr0 ^ CR0_WP) && cr_exits() == exits);
    write_cr0(&cr0);
}

static void lmsw_clts(void) {
    uint64_t cr0 = read_cr0(), exits = cr_exits(), after_lmsw, after_clts;

    __asm__ volatile("lmsw %w0" : : "r"(0xFFF8u | (uint32_t)(CR0_MP | CR0_EM | CR0_TS)));
    after_lmsw = read_cr0();
    __asm__ volatile("clts");
    after_clts = read_cr0();
    __asm__ volatile("lmsw %w0" : : "r"((uint32_t)cr0 & 0xE));
    EXPECT("X06 V023 LMSW reaches MP, EM and TS, and does not clear PE",
           after_lmsw == (cr0 | CR0_MP | CR0_EM | CR0_TS));
    EXPECT("X06 V023 CLTS clears TS", after_clts == (after_lmsw & ~CR0_TS));
    EXPECT("X06 V023 LMSW back", read_cr0() == cr0);
    EXPECT("X06 V023 LMSW and CLTS do not exit", cr_exits() == exits);
}

static void cr4(void) {
    uint64_t cr4 = read_cr4(), cr3 = read_cr3(), shown = 0, exits;
    bool reserved = true;

    EXPECT("X06 V024 V025 C28 CR4.VMXE reads 0 and is #GP",
           (cr4 & CR4_VMXE) == 0 && fault_cr4(cr4 | CR4_VMXE) == FAULT_GP);
    EXPECT("X06 V025 Y04 CR4.SMXE is #GP", fault_cr4(cr4 | CR4_SMXE) == FAULT_GP);
    EXPECT("X06 V025 clearing CR4.PAE in 64-bit mode is #GP", fault_cr4(cr4 & ~CR4_PAE) == FAULT_GP);
    for (unsigned bit = 23; bit < 64; bit++) /* CET, PKS, UINTR, LAM, FRED and what has no name */
        reserved = reserved && fault_cr4(cr4 | BIT(bit)) == FAULT_GP;
    EXPECT("X06 V024 bits 63:23 of CR4 are #GP", reserved && fault_cr4(cr4 | BIT(12)) == FAULT_GP &&
                                                     fault_cr4(cr4 | BIT(15)) == FAULT_GP &&
                                                     fault_cr4(cr4 | BIT(19)) == FAULT_GP);
    shown = (cpuid(7, 0).ecx & BIT(2)) != 0 ? GUEST_NO_FAULT : FAULT_GP;
    EXPECT("V024 V076 CR4.UMIP goes by CPUID", fault_cr4(cr4 | CR4_UMIP) == shown);
    write_cr4(&cr4);
    EXPECT("X06 V024 none of these has changed it", read_cr4() == cr4);

    EXPECT("X06 V025 CR4.MCE reads back", fault_cr4(cr4 ^ CR4_MCE) == GUEST_NO_FAULT &&
                                              read_cr4() == (cr4 ^ CR4_MCE) &&
                                              fault_cr4(cr4) == GUEST_NO_FAULT && read_cr4() == cr4);
    EXPECT("X06 V025 CR4.PCIDE with a PCID in CR3 is #GP",
           fault_cr3(cr3 | 8) == GUEST_NO_FAULT && fault_cr4(cr4 | CR4_PCIDE) == FAULT_GP &&
               fault_cr4((cr4 | CR4_PCIDE) ^ CR4_MCE) == FAULT_GP && fault_cr3(cr3) == GUEST_NO_FAULT);
    EXPECT("X06 V025 CR4.PCIDE without one is not",
           (cpuid(1, 0).ecx & BIT(17)) == 0 ||
               (fault_cr4((cr4 | CR4_PCIDE) ^ CR4_MCE) == GUEST_NO_FAULT &&
                fault_cr3(cr3 | 5) == GUEST_NO_FAULT && fault_cr3(cr3) == GUEST_NO_FAULT &&
                fault_cr4(cr4) == GUEST_NO_FAULT));
    exits = cr_exits();
    write_cr4(&(uint64_t){cr4 ^ CR4_PGE});
    write_cr4(&(uint64_t){cr4 ^ CR4_TSD});
    write_cr4(&cr4);
    EXPECT("X06 V025 CR4.PGE and TSD are the guest's own", cr_exits() == exits);
}

static void user(void *arg) {
    (void)arg;
    (void)read_cr0();
}

static void cr3_cr8(void) {
    uint64_t exits = cr_exits();
    struct guest_fault fault = {0};
    bool tpr = true;

    for (uint64_t n = 0; n < 16; n++) {
        write_cr8(&n);
        tpr = tpr && read_cr8() == n && guest_apic_read(0x08) == n << 4;
    }
    write_cr8(&(uint64_t){0});
    EXPECT("C02 C03 CR8 is the TPR", tpr);
    EXPECT("C02 CR8 above 15 is #GP", fault_cr8(16) == FAULT_GP);
    for (unsigned i = 0; i < 100; i++)
        write_cr3(&(uint64_t){read_cr3()});
    EXPECT("C02 C03 C04 C05 MOV to and from CR3 and CR8 do not exit", cr_exits() == exits);
    EXPECT("X06 V021 MOV from CR0 at CPL 3 is #GP",
           guest_catch_user(user, NULL, &fault) && fault.vector == FAULT_GP);
}

/* ---- Modes ---- */
enum op { END, CR0, CR3, CR4, EFER, READ, WRITE, LTR, VMCALL, REAL };

struct row_op {
    uint32_t op, value;
    uint32_t address;        /* READ, WRITE */
    uint32_t result, vector; /* the register as read after the write; NO_FAULT */
};
_Static_assert(sizeof(struct row_op) == 20, "as modes.S has it");

void row_script(struct row_op *ops);
extern uint64_t row_idt_32[15];
extern const uint32_t row_faults_32[3];
extern uint64_t guest_pml4[512], guest_gdt[];

/* Two places in RAM that nothing else uses, and what maps one or the other at 2 GiB. */
#define ALIAS    UINT32_C(0x80000000)
#define MARKER_A UINT32_C(0xA00000)
#define MARKER_B UINT32_C(0xC00000)

static uint64_t pdptes[4] __attribute__((aligned(32)));
static uint64_t directory_a[512] __attribute__((aligned(4096))),
    directory_b[512] __attribute__((aligned(4096)));
static uint32_t directory_32[1024] __attribute__((aligned(4096)));

#define OP(op, value)                                                                                        \
    { op, value, 0, 0, 0 }
#define AT(op, value, address)                                                                               \
    { op, value, address, 0, 0 }

#define PROTECTED   (uint32_t)(CR0_PE | CR0_ET | CR0_NE)
#define PAGED       (PROTECTED | (uint32_t)CR0_PG)
#define OK(i)       (ops[i].vector == NO_FAULT)
#define IS(i, what) (OK(i) && ops[i].result == (uint32_t)(what))
#define GP(i)       (ops[i].vector == FAULT_GP)

static uint32_t low(const void *at) {
    return (uint32_t)(uint64_t)at;
}

static void prepare(void) {
    static const uint8_t vectors[] = {6, 13, 14};
    const uint64_t *pdpt = (const uint64_t *)(guest_pml4[0] & ~UINT64_C(0xFFF));

    for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++)
        row_idt_32[vectors[i]] = (row_faults_32[i] & 0xFFFF) | 0x18 << 16 | UINT64_C(0x8E00) << 32 |
                                 (uint64_t)(row_faults_32[i] >> 16) << 48;
    *(uint32_t *)(uint64_t)MARKER_A = 0xAAAAAAAA;
    *(uint32_t *)(uint64_t)MARKER_B = 0xBBBBBBBB;
    directory_a[0] = MARKER_A | PAGE_USE;
    directory_b[0] = MARKER_B | PAGE_USE;
    for (unsigned i = 0; i < 4; i++)
        pdptes[i] = (pdpt[i] & ~UINT64_C(0xFFF)) | 1;
    pdptes[2] = low(directory_a) | 1;
    for (unsigned i = 0; i < 1024; i++)
        directory_32[i] = i << 22 | PAGE_USE;
    directory_32[ALIAS >> 22] = 0x800000 | PAGE_USE;
}

static void modes(void) {
    struct row_op ops[] = {
        OP(CR0, PROTECTED),            /* 0: protected mode without paging */
        OP(EFER, 0),                   /* and without long mode */
        OP(REAL, 0),                   /* 2: real mode and back */
        OP(CR4, (uint32_t)CR4_PSE),    /* 32-bit paging */
        OP(CR3, low(directory_32)),    /* */
        OP(CR0, PAGED),                /* 5 */
        AT(READ, 0, ALIAS + 0x200000), /* MARKER_A, in the second half of a 4 MiB page */
        OP(VMCALL, HYPERCALL_VERSION), /* 7 */
        OP(CR0, PROTECTED),            /* */
        OP(CR4, (uint32_t)CR4_PAE),    /* PAE paging */
        OP(CR3, low(pdptes)),          /* 10 */
        OP(CR0, PAGED),                /* */
        AT(READ, 0, ALIAS),            /* 12 */
        OP(CR0, PROTECTED),            /* */
        OP(REAL, 0),                   /* real mode once more: from PAE paging */
        OP(END, 0),
    };

    prepare();
    row_script(ops);
    EXPECT("C21 X06 V026 from 64-bit mode to protected mode", IS(0, PROTECTED) && IS(1, 0));
    EXPECT("C21 X06 real mode and back", IS(2, PROTECTED & ~1u));
    EXPECT("C21 X06 32-bit paging with 4 MiB pages", IS(5, PAGED) && IS(6, 0xAAAAAAAA));
    EXPECT("V022 VMCALL from 32-bit code", OK(7) && ops[7].result != (uint32_t)HYPERCALL_ENOSYS);
    EXPECT("C21 X06 PAE paging", IS(9, CR4_PAE) && IS(11, PAGED) && IS(12, 0xAAAAAAAA));
    EXPECT("C21 X06 real mode from PAE paging", IS(14, PROTECTED & ~1u));
    EXPECT("C21 X06 V026 and back to 64-bit mode",
           (rdmsr(0xC0000080) & (EFER_LME | EFER_LMA)) == (EFER_LME | EFER_LMA));
}

/* The CPU loads PDPTEs by itself where nothing of ours changes; where CD or MCE changes with it, we do. */
static void pdpte_loading(void) {
    const uint32_t good = low(directory_b) | 1, bad = good | 2, at = low(&pdptes[2]), cr4 = (uint32_t)CR4_PAE;
    const uint32_t cached = (uint32_t)CR0_CD, other = (uint32_t)(CR4_PGE | CR4_MCE);
    struct row_op ops[] = {
        OP(CR4, cr4),
        OP(CR3, low(pdptes)),
        AT(WRITE, bad, at),
        OP(CR0, PAGED),           /* 3: #GP by the CPU */
        OP(CR0, PAGED | cached),  /* 4: by us */
        AT(WRITE, bad & ~1u, at), /* not present: fine */
        OP(CR0, PAGED | cached),  /* 6 */
        AT(READ, 0, ALIAS),       /* 7: #PF */
        AT(WRITE, good, at),
        OP(CR4, cr4 | other), /* 9: loaded by us */
        AT(READ, 0, ALIAS),   /* 10 */
        AT(WRITE, bad, at),
        OP(CR4, cr4),                     /* 12: #GP by us */
        OP(CR4, cr4 | (uint32_t)CR4_MCE), /* 13: by the CPU: PGE changes */
        OP(CR3, low(pdptes)),             /* 14: by the CPU */
        AT(READ, 0, ALIAS),               /* 15: the old one is still there */
        AT(WRITE, low(directory_a) | 1, at),
        OP(CR0, PAGED),     /* 17: CD changes: loaded by us */
        AT(READ, 0, ALIAS), /* 18 */
        OP(CR0, PROTECTED),
        OP(END, 0),
    };

    prepare();
    row_script(ops);
    EXPECT("X06 V023 paging on with a reserved bit in a PDPTE is #GP", GP(3));
    EXPECT("X06 V023 and where CR0.CD changes with it", GP(4) && OK(5));
    EXPECT("X06 V023 a PDPTE that is not present is not", IS(6, PAGED | cached) && ops[7].vector == 14);
    EXPECT("X06 V025 a write of CR4 loads the PDPTEs", IS(9, cr4 | other) && IS(10, 0xBBBBBBBB));
    EXPECT("X06 V025 and is #GP for a bad one", GP(12) && GP(13));
    EXPECT("C04 a bad PDPTE at MOV to CR3 is #GP, the old stay", GP(14) && IS(15, 0xBBBBBBBB));
    EXPECT("X06 V023 a write of CR0.CD loads the PDPTEs", IS(17, PAGED) && IS(18, 0xAAAAAAAA));
}

/* Each rule twice: as the CPU has it, and with CR0.CD changing, which is ours. */
static void long_mode_rules(void) {
    const uint32_t lme = (uint32_t)EFER_LME, cd = (uint32_t)CR0_CD;
    uint64_t tss[2] = {guest_gdt[8], guest_gdt[9]};
    struct row_op ops[] = {
        OP(EFER, lme),
        OP(CR4, 0),
        OP(CR0, PAGED),      /* 2: no PAE */
        OP(CR0, PAGED | cd), /* 3 */
        OP(CR4, (uint32_t)CR4_PAE),
        OP(LTR, 0x40), /* a 16-bit TSS */
        OP(CR3, low(guest_pml4)),
        OP(CR0, PAGED),               /* 7 */
        OP(CR0, PAGED | cd),          /* 8 */
        OP(EFER, (uint32_t)EFER_LMA), /* 9: LMA cannot be written */
        OP(EFER, 0),
        OP(LTR, 0x48), /* a 32-bit one again */
        OP(END, 0),
    };

    prepare();
    guest_gdt[8] = 0x2B | (uint64_t)low(pdptes) << 16 | UINT64_C(0x81) << 40;
    guest_gdt[9] = 0x67 | (uint64_t)low(directory_a) << 16 | UINT64_C(0x89) << 40;
    row_script(ops);
    guest_gdt[8] = tss[0] & ~BIT(41); /* not busy */
    guest_gdt[9] = tss[1];
    __asm__ volatile("ltr %w0" : : "r"(0x40));
    EXPECT("X06 V023 V026 EFER.LME and CR0.PG without CR4.PAE are #GP", IS(0, lme) && GP(2));
    EXPECT("X06 V023 V026 and where CR0.CD changes with it", GP(3));
    EXPECT("X06 V023 long mode with a 16-bit TSS is #GP", OK(5) && GP(7) && GP(8));
    EXPECT("V026 EFER.LMA is not written", (ops[9].result & EFER_LMA) == 0 && IS(10, 0));
}

/* ---- EFER, which is native ---- */
static void efer(void) {
    uint64_t efer = rdmsr(0xC0000080);
    uint64_t exits = guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 32);
    bool reserved = true;

    for (unsigned bit = 0; bit < 64; bit++)
        if (bit != 0 && bit != 8 && bit != 10 && bit != 11)
            reserved = reserved && guest_wrmsr(0xC0000080, efer | BIT(bit)) == FAULT_GP;
    EXPECT("X10 V026 K05 reserved bits of EFER are #GP", reserved);
    EXPECT("X10 V026 EFER.LME cannot change while paging is on",
           guest_wrmsr(0xC0000080, efer & ~EFER_LME) == FAULT_GP);
    EXPECT("X10 V026 EFER.SCE and NXE read back",
           guest_wrmsr(0xC0000080, efer | BIT(0) | BIT(11)) == GUEST_NO_FAULT &&
               rdmsr(0xC0000080) == (efer | BIT(0) | BIT(11)));
    wrmsr(0xC0000080, efer);
    EXPECT("V026 K05 EFER does not exit", guest_counter(HYPERCALL_COUNTER_EXIT_REASON + 32) == exits);
}

const struct row_test rows_cr[] = {
    {"CR0", cr0, NULL, 0},
    {"LMSW and CLTS", lmsw_clts, NULL, 0},
    {"CR4", cr4, NULL, 0},
    {"CR3 and CR8", cr3_cr8, NULL, 0},
    {"modes", modes, NULL, 0},
    {"PDPTEs", pdpte_loading, NULL, 0},
    {"long mode", long_mode_rules, NULL, 0},
    {"EFER", efer, NULL, 0},
    {0},
};
