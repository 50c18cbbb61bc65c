/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID, MSRs, the TSC, XCR0, and the instructions that run as on the machine or are #UD. */
#include "guests/rows/rows.h"

#include "core/str.h"

#define FAULT_UD       6u
#define FAULT_GP       13u

#define MSR_TSC        0x10u
#define MSR_TSC_ADJUST 0x3Bu
#define MSR_PAT        0x277u
#define MSR_XSS        0xDA0u
#define MSR_TSC_AUX    0xC0000103u

#define EXIT_NMI       0u
#define EXIT_VMCALL    18u
#define EXIT_WRMSR     32u
#define EXIT_BUS_LOCK  74u

#define VECTOR         0x43u
#define LVT_TIMER      0x32u
#define LVT_DEADLINE   BIT(18)

static bool shown(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit) {
    struct cpuid r = cpuid(leaf, subleaf);
    const uint32_t regs[] = {r.eax, r.ebx, r.ecx, r.edx};

    return (regs[reg] >> bit & 1) != 0;
}

enum { EAX, EBX, ECX, EDX };

static uint64_t exits_of(unsigned reason) {
    return guest_counter(HYPERCALL_COUNTER_EXIT_REASON + reason);
}

/* All but those that come from elsewhere or from asking: NMIs of the console, at any time, and VMCALL. */
static uint64_t own_exits(void) {
    uint64_t nmis, own;

    do {
        nmis = exits_of(EXIT_NMI);
        own = exits_of(EXIT_VMCALL);
        own = guest_exits() - own - nmis;
    } while (exits_of(EXIT_NMI) != nmis);
    return own;
}

/* ---- Instructions, each a function of one argument, which it finds in RDI ---- */
#define DO(name, instruction)                                                                                \
    static void name(void *arg) {                                                                            \
        __asm__ volatile(instruction : "+D"(arg) : : "rax", "rbx", "rcx", "rdx", "memory", "cc");            \
    }

DO(do_vmclear, "vmclear (%%rdi)")
DO(do_vmlaunch, "vmlaunch")
DO(do_vmptrld, "vmptrld (%%rdi)")
DO(do_vmptrst, "vmptrst (%%rdi)")
DO(do_vmread, "mov $0x4402, %%eax; vmread %%rax, %%rcx")
DO(do_vmresume, "vmresume")
DO(do_vmwrite, "mov $0x681E, %%eax; vmwrite %%rax, %%rax")
DO(do_vmxoff, "vmxoff")
DO(do_vmxon, "vmxon (%%rdi)")
DO(do_invept, "mov $2, %%eax; invept (%%rdi), %%rax")
DO(do_invvpid, "mov $2, %%eax; invvpid (%%rdi), %%rax")
DO(do_vmfunc, "xor %%eax, %%eax; xor %%ecx, %%ecx; vmfunc")
DO(do_getsec, "xor %%eax, %%eax; getsec")
DO(do_rsm, "rsm")
DO(do_encls, "xor %%eax, %%eax; .byte 0x0f, 0x01, 0xcf")
DO(do_enclv, "xor %%eax, %%eax; .byte 0x0f, 0x01, 0xc0")
DO(do_pconfig, "xor %%eax, %%eax; .byte 0x0f, 0x01, 0xc5")
DO(do_loadiwkey, "xor %%eax, %%eax; .byte 0xf3, 0x0f, 0x38, 0xdc, 0xc1")
DO(do_seamcall, "xor %%eax, %%eax; .byte 0x66, 0x0f, 0x01, 0xcf")
DO(do_tdcall, "xor %%eax, %%eax; .byte 0x66, 0x0f, 0x01, 0xcc")
DO(do_rdmsrlist, "xor %%ecx, %%ecx; .byte 0xf2, 0x0f, 0x01, 0xc6")
DO(do_wrmsrlist, "xor %%ecx, %%ecx; .byte 0xf3, 0x0f, 0x01, 0xc6")
DO(do_urdmsr, "xor %%eax, %%eax; .byte 0xf2, 0x0f, 0x38, 0xf8, 0xc0")
DO(do_uwrmsr, "xor %%eax, %%eax; .byte 0xf3, 0x0f, 0x38, 0xf8, 0xc0")
DO(do_enqcmd, "mov %%rdi, %%rax; .byte 0xf2, 0x0f, 0x38, 0xf8, 0x07")
DO(do_monitor, "mov %%rdi, %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor")
DO(do_mwait, "xor %%eax, %%eax; xor %%ecx, %%ecx; mwait")
DO(do_rdpmc, "xor %%ecx, %%ecx; rdpmc")
DO(do_invlpg, "invlpg (%%rdi)")
DO(do_pause, "pause")
DO(do_rdtsc, "rdtsc")
DO(do_rdtscp, "rdtscp")
DO(do_rdrand, "rdrand %%rax")
DO(do_rdseed, "rdseed %%rax")
DO(do_invpcid, "mov $2, %%eax; invpcid (%%rdi), %%rax")
DO(do_tpause, "xor %%eax, %%eax; xor %%edx, %%edx; xor %%ecx, %%ecx; .byte 0x66, 0x0f, 0xae, 0xf1")
DO(do_umonitor, ".byte 0xf3, 0x0f, 0xae, 0xf7")
DO(do_debug, "mov %%db0, %%rax; mov %%rax, %%db0; mov %%db7, %%rax; mov %%rax, %%db7")
DO(do_tables, "sub $16, %%rsp; sgdt (%%rsp); lgdt (%%rsp); sidt (%%rsp); lidt (%%rsp); add $16, %%rsp;"
              "sldt %%eax; lldt %%ax; str %%eax")
DO(do_invd, "invd")
DO(do_wbinvd, "wbinvd")

static uint64_t scratch[64] __attribute__((aligned(64)));

static bool undefined(void (*code)(void *)) {
    return guest_fault_of(code, scratch) == FAULT_UD;
}

static bool native(void (*code)(void *)) {
    uint64_t before = own_exits();

    for (unsigned i = 0; i < 20; i++)
        if (guest_fault_of(code, scratch) != GUEST_NO_FAULT)
            return false;
    return own_exits() == before;
}

static void undefined_instructions(void) {
    EXPECT("X17 I2 VMCLEAR is #UD", undefined(do_vmclear));
    EXPECT("X18 I4 VMLAUNCH is #UD", undefined(do_vmlaunch));
    EXPECT("X19 I2 VMPTRLD is #UD", undefined(do_vmptrld));
    EXPECT("X20 I2 VMPTRST is #UD", undefined(do_vmptrst));
    EXPECT("X21 I3 VMREAD is #UD", undefined(do_vmread));
    EXPECT("X22 I4 VMRESUME is #UD", undefined(do_vmresume));
    EXPECT("X23 I3 VMWRITE is #UD", undefined(do_vmwrite));
    EXPECT("X24 I1 VMXOFF is #UD", undefined(do_vmxoff));
    EXPECT("X25 I1 C28 VMXON is #UD", undefined(do_vmxon));
    EXPECT("X42 I6 INVEPT is #UD", undefined(do_invept));
    EXPECT("X43 I6 INVVPID is #UD", undefined(do_invvpid));
    EXPECT("X48 C37 I7 VMFUNC is #UD", undefined(do_vmfunc));
    EXPECT("Y04 GETSEC is #UD", undefined(do_getsec));
    EXPECT("Y06 V098 RSM is #UD", undefined(do_rsm));
    EXPECT("X50 ENCLS is #UD", undefined(do_encls));
    EXPECT("Y13 ENCLV is #UD", undefined(do_enclv));
    EXPECT("Y13 PCONFIG is #UD", undefined(do_pconfig));
    EXPECT("Y12 LOADIWKEY is #UD", undefined(do_loadiwkey));
    EXPECT("Y14 ENQCMD is #UD or #GP",
           undefined(do_enqcmd) || guest_fault_of(do_enqcmd, scratch) == FAULT_GP);
    EXPECT("Y15 SEAMCALL is #UD", undefined(do_seamcall));
    EXPECT("Y15 TDCALL is #UD", undefined(do_tdcall));
    EXPECT("Y16 RDMSRLIST and WRMSRLIST are #UD", undefined(do_rdmsrlist) && undefined(do_wrmsrlist));
    EXPECT("Y16 URDMSR and UWRMSR are #UD", undefined(do_urdmsr) && undefined(do_uwrmsr));
    EXPECT("X41 C10 MONITOR is #UD, and hidden", undefined(do_monitor) && !shown(1, 0, ECX, 3));
    EXPECT("X39 C09 MWAIT is #UD", undefined(do_mwait));
    EXPECT("X15 C12 RDPMC is #GP, and there is no PMU",
           guest_fault_of(do_rdpmc, NULL) == FAULT_GP && cpuid(0xA, 0).eax == 0);
}

/* What CPUID shows runs without an exit, what it does not is #UD. */
static void native_instructions(void) {
    bool rdtscp = shown(0x80000001, 0, EDX, 27), tpause = shown(7, 0, ECX, 5);

    EXPECT("C11 X14 INVLPG does not exit", native(do_invlpg));
    EXPECT("C22 X38 PAUSE does not exit", native(do_pause));
    EXPECT("C23 X34 X35 descriptor tables do not exit", native(do_tables));
    EXPECT("C07 X07 MOV DR does not exit", native(do_debug));
    EXPECT("C08 Y05 RDTSC does not exit", native(do_rdtsc));
    EXPECT("C24 Y05 RDTSCP does not exit", rdtscp ? native(do_rdtscp) : undefined(do_rdtscp));
    EXPECT("C25 X47 INVPCID does not exit",
           shown(7, 0, EBX, 10) ? native(do_invpcid) : undefined(do_invpcid));
    EXPECT("C31 X44 RDRAND does not exit", shown(1, 0, ECX, 30) ? native(do_rdrand) : undefined(do_rdrand));
    EXPECT("C30 X45 RDSEED does not exit", shown(7, 0, EBX, 18) ? native(do_rdseed) : undefined(do_rdseed));
    EXPECT("C34 Y11 TPAUSE does not exit", tpause ? native(do_tpause) : undefined(do_tpause));
    EXPECT("C34 Y11 UMONITOR does not exit", tpause ? native(do_umonitor) : undefined(do_umonitor));

    uint32_t aux = 0;
    if (rdtscp) {
        wrmsr(MSR_TSC_AUX, 0x1234);
        __asm__ volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
        wrmsr(MSR_TSC_AUX, 0);
    }
    EXPECT("C24 K10 TSC_AUX is the guest's", !rdtscp || aux == 0x1234);
}

static void caches(void) {
    volatile uint64_t *at = scratch;

    at[0] = 0x1234;
    EXPECT("X13 INVD loses nothing", guest_fault_of(do_invd, NULL) == GUEST_NO_FAULT && at[0] == 0x1234);
    at[0] = 0x5678;
    EXPECT("X30 C18 V077 WBINVD", guest_fault_of(do_wbinvd, NULL) == GUEST_NO_FAULT && at[0] == 0x5678);
}

static void bus_lock(void) {
    uint64_t before = exits_of(EXIT_BUS_LOCK);
    uint32_t *split = (uint32_t *)((uint8_t *)scratch + 62);
    *split = 7;
    __asm__ volatile("lock incl %0" : "+m"(*split) : : "cc");
    uint64_t counted = exits_of(EXIT_BUS_LOCK) - before;
    EXPECT("C38 X51 a split lock works, and is counted where the CPU can", *split == 8 && counted <= 1);
}

/* ---- CPUID ---- */
static bool zeros(uint32_t leaf, uint32_t subleaf) {
    struct cpuid r = cpuid(leaf, subleaf);

    return (r.eax | r.ebx | r.ecx | r.edx) == 0;
}

static void topology(void *arg) {
    bool *good = arg;
    unsigned self = guest_cpu(), nr = guest_nr_cpus();
    struct cpuid threads = cpuid(0xB, 0), cores = cpuid(0xB, 1), basic = cpuid(1, 0), v2 = cpuid(0x1F, 1);

    *good = basic.ebx >> 24 == self && (basic.ebx >> 16 & 0xFF) == nr && threads.edx == self &&
            threads.ebx == 1 && threads.ecx == 0x100 && cores.edx == self && cores.ebx == nr &&
            cores.ecx == 0x201 && (1u << cores.eax) >= nr && memcmp(&v2, &cores, sizeof(v2)) == 0 &&
            (cpuid(0xB, 2).ecx & 0xFF00) == 0 && cpuid(0x1F, 2).edx == self &&
            (cpuid(4, 0).eax >> 14 & 0xFFF) == 0 && (1u << cores.eax) - 1 == cpuid(4, 0).eax >> 26;
}

static void check_cpuid(void) {
    struct cpuid basic = cpuid(1, 0), hypervisor = cpuid(0x40000000, 0), kvm = cpuid(0x40000100, 0);
    uint64_t base = rdmsr(MSR_APIC_BASE);
    bool good = false;

    EXPECT("X08 Intel, leaves up to 1FH",
           memcmp(&(uint32_t[]){cpuid(0, 0).ebx}, "Genu", 4) == 0 && cpuid(0, 0).eax == 0x1F);
    EXPECT("X08 a hypervisor with its own signature, and KVM's without features",
           (basic.ecx & BIT(31)) != 0 && memcmp(&hypervisor.ebx, "MullionVMX\0", 12) == 0 &&
               memcmp(&kvm.ebx, "KVMKVMKVM\0\0", 12) == 0 && zeros(0x40000101, 0));
    EXPECT("X08 C28 Y04 no VMX, SMX, SGX", (basic.ecx & 0x60) == 0 && !shown(7, 0, EBX, 2) && zeros(0x12, 0));
    EXPECT("X08 K06 C35 Y12 no MPX, PT, Key Locker",
           !shown(7, 0, EBX, 14) && !shown(7, 0, EBX, 25) && zeros(0x14, 0) && zeros(0x19, 0));
    EXPECT("X08 V095 no machine checks", (basic.edx & (BIT(7) | BIT(14))) == 0);
    EXPECT("X08 unknown leaves are zeros", zeros(3, 0) && zeros(5, 0) && zeros(0x20, 0) &&
                                               zeros(0x40000002, 0) && zeros(0x80000009, 0) &&
                                               zeros(UINT32_MAX, 5));
    topology(&good);
    EXPECT("X08 1, 4, 0BH and 1FH describe the partition", good);
    EXPECT("X08 CPUID.1.ECX.OSXSAVE follows CR4", (basic.ecx & BIT(27)) == 0);
    wrmsr(MSR_APIC_BASE, base & ~BIT(11) & ~BIT(10));
    good = !shown(1, 0, EDX, 9);
    wrmsr(MSR_APIC_BASE, base);
    EXPECT("X08 CPUID.1.EDX.APIC follows APIC_BASE", good && shown(1, 0, EDX, 9));
    EXPECT("X08 the rate of the TSC is told", guest_tsc_hz() > 1000000);
}

static void topology_of_two(void) {
    bool good = false;

    EXPECT("X08 and each vCPU its own id",
           guest_cpu_run(1, topology, &good) && guest_cpu_wait(1, 50000000) && good);
}

/* ---- MSRs ---- */
static struct guest_frame refused;

static void on_refused(const struct guest_frame *frame) {
    refused = *frame;
    ((struct guest_frame *)frame)->rip += 2;
}

static void refused_msrs(void) {
    static const uint32_t absent[] = {0x34,       0x9B,       0xC1,       0x17A,      0x186,      0x38F,
                                      0x480,      0x48E,      0x491,      0x570,      0x600,      0xD90,
                                      0x12345678, 0x40000000, 0x4B564D00, 0xC0010015, 0xC0002000, 0xFFFFFFFF};
    uint64_t value, counted = guest_counter(HYPERCALL_COUNTER_MSRS);
    bool good = true;

    for (unsigned i = 0; i < ARRAY_SIZE(absent); i++)
        good = good && guest_rdmsr(absent[i], &value) == FAULT_GP && guest_wrmsr(absent[i], 0) == FAULT_GP;
    EXPECT("X09 X10 V005 V016 V017 C14 K06 C35 MSRs that are not there are #GP", good);
    EXPECT("V104 each is counted", guest_counter(HYPERCALL_COUNTER_MSRS) == counted + 2 * ARRAY_SIZE(absent));
    guest_on_irq(FAULT_GP, on_refused);
    __asm__ volatile("rdmsr" : : "c"(0x480), "a"(0x1111), "d"(0x2222));
    guest_on_irq(FAULT_GP, NULL);
    EXPECT("X09 V104 #GP(0) leaves EDX:EAX",
           refused.rax == 0x1111 && refused.rdx == 0x2222 && refused.error == 0);
}

/* Each MSR there is in both halves of the bitmap, read once. */
static const struct {
    uint32_t first, last;
} readable[] = {
    {0x10, 0x10},
    {0x17, 0x17},
    {0x1B, 0x1B},
    {0x3A, 0x3B},
    {0x48, 0x48},
    {0x8B, 0x8B},
    {0xE1, 0xE1},
    {0xFE, 0xFE},
    {0x10A, 0x10A},
    {0x174, 0x176},
    {0x179, 0x179},
    {0x1A0, 0x1A0},
    {0x1D9, 0x1D9},
    {0x250, 0x250},
    {0x258, 0x259},
    {0x268, 0x26F},
    {0x277, 0x277},
    {0x2FF, 0x2FF},
    {0x6E0, 0x6E0},
    {0x800, 0x8FF},
    {0xDA0, 0xDA0},
    {0xC0000080, 0xC0000084},
    {0xC0000100, 0xC0000103},
};

static bool may_read(uint32_t index) {
    for (unsigned i = 0; i < ARRAY_SIZE(readable); i++)
        if (index >= readable[i].first && index <= readable[i].last)
            return true;
    return false;
}

static void sweep(void) {
    bool good = true;

    for (uint32_t n = 0; n < 0x4000; n++) {
        uint32_t index = n < 0x2000 ? n : 0xC0000000 + n - 0x2000;
        uint64_t value;

        if (guest_rdmsr(index, &value) != FAULT_GP && !may_read(index)) {
            guest_print("MSR 0x%x reads 0x%lx\n", index, value);
            good = false;
        }
    }
    EXPECT("X09 C14 M07 V103 a sweep reads nothing else", good);
}

static bool refuses(uint32_t msr, uint64_t value) {
    return guest_wrmsr(msr, value) == FAULT_GP;
}

static bool keeps(uint32_t msr, uint64_t value) {
    return guest_wrmsr(msr, value) == GUEST_NO_FAULT && rdmsr(msr) == value;
}

static void written_msrs(void) {
    uint64_t pat = rdmsr(MSR_PAT), type = rdmsr(0x2FF), misc = rdmsr(0x1A0), value = 0;

    EXPECT("X10 PAT reads back", keeps(MSR_PAT, 0x0001040506070600) && keeps(MSR_PAT, pat));
    EXPECT("X10 a reserved type in PAT is #GP", refuses(MSR_PAT, 2) && refuses(MSR_PAT, UINT64_C(3) << 56) &&
                                                    refuses(MSR_PAT, 0x0800) && rdmsr(MSR_PAT) == pat);
    EXPECT("X10 MTRRs: default type reads back", keeps(0x2FF, 0xC00) && keeps(0x2FF, type));
    EXPECT("X10 MTRRs: a reserved type or bit is #GP",
           refuses(0x2FF, 0x802) && refuses(0x2FF, 0x1806) && refuses(0x250, 7));
    EXPECT("X10 MTRRs: fixed ranges as MTRRCAP says",
           (rdmsr(0xFE) & 0x1FF) == 0x100 && keeps(0x250, 0x0001040506060606) && keeps(0x26F, 0) &&
               keeps(0x250, 0x0606060606060606) && keeps(0x26F, 0x0606060606060606));
    EXPECT("X10 MTRRs: no variable ranges, MTRRCAP is read-only",
           refuses(0x200, 0) && refuses(0x201, 0) && refuses(0xFE, 0));
    EXPECT("X10 MISC_ENABLE keeps fast strings, refuses what is reserved",
           keeps(0x1A0, misc & ~BIT(0)) && keeps(0x1A0, misc) && refuses(0x1A0, misc | BIT(22)) &&
               refuses(0x1A0, misc | BIT(1)));
    EXPECT("X10 DEBUGCTL: BTF yes, traces no", guest_wrmsr(0x1D9, 2) == GUEST_NO_FAULT &&
                                                   refuses(0x1D9, BIT(7)) && refuses(0x1D9, BIT(6)) &&
                                                   guest_wrmsr(0x1D9, 0) == GUEST_NO_FAULT);
    EXPECT("X10 C29 XSS: no supervisor state",
           refuses(MSR_XSS, BIT(8)) && refuses(MSR_XSS, BIT(11)) && refuses(MSR_XSS, 1));
    EXPECT("X10 FEATURE_CONTROL is locked without VMX", rdmsr(0x3A) == 1 && refuses(0x3A, 5));
    EXPECT("X10 microcode: an update is swallowed, the revision stays",
           guest_rdmsr(0x8B, &value) == GUEST_NO_FAULT && guest_wrmsr(0x79, 0x1000) == GUEST_NO_FAULT &&
               guest_wrmsr(0x8B, 0) == GUEST_NO_FAULT && rdmsr(0x8B) == value);
    EXPECT("X10 ARCH_CAPABILITIES is read-only and shown", shown(7, 0, EDX, 29) && refuses(0x10A, 0));
    bool ibrs = shown(7, 0, EDX, 26);
    EXPECT("X10 SPEC_CTRL goes by CPUID",
           ibrs ? keeps(0x48, 1) && keeps(0x48, 0) && refuses(0x48, BIT(63)) : refuses(0x48, 0));
    EXPECT("X10 PRED_CMD goes by CPUID", guest_wrmsr(0x49, 1) == (ibrs ? GUEST_NO_FAULT : FAULT_GP));
}

/* ---- The TSC ---- */
static volatile uint64_t fired; /* when, by the guest's own TSC; 0 = not yet */

static void on_timer(const struct guest_frame *frame) {
    fired = frame->tsc;
}

/* Fires within so many turns, if at all. */
static bool fires(unsigned turns) {
    for (unsigned i = 0; i < turns && fired == 0; i++)
        __asm__ volatile("sti; pause; cli");
    if (fired != 0)
        guest_apic_write(APIC_EOI, 0);
    return fired != 0;
}

static void arm(uint64_t deadline) {
    fired = 0;
    wrmsr(MSR_TSC_DEADLINE, deadline);
}

static bool in_time(uint64_t deadline) {
    arm(deadline);
    return fires(100000) && fired >= deadline && fired < deadline + 1000000;
}

static void timer_on(void) {
    guest_on_irq(VECTOR, on_timer);
    guest_apic_write(0x0F, 0x1FF);
    guest_apic_write(LVT_TIMER, LVT_DEADLINE | VECTOR);
}

static void timer_off(void) {
    wrmsr(MSR_TSC_DEADLINE, 0);
    guest_apic_write(LVT_TIMER, BIT(16));
    wrmsr(MSR_TSC_ADJUST, 0);
}

#define FAR (UINT64_C(1) << 62)

static bool moved_to(uint64_t value) {
    uint64_t adjust = rdmsr(MSR_TSC_ADJUST), before = rdtsc();
    wrmsr(MSR_TSC, value);
    uint64_t now = rdtsc(), delta = rdmsr(MSR_TSC_ADJUST) - adjust;
    return now - value < 1000000 && value - before - delta < UINT64_MAX - 1000000 + 2000000 &&
           rdmsr(MSR_TSC) - now < 1000000;
}

static void move_tsc(void) {
    uint64_t start = rdtsc(), adjust;

    EXPECT("C08 V080 TSC_ADJUST is 0 at first", rdmsr(MSR_TSC_ADJUST) == 0);
    EXPECT("C08 M08 X10 TSC written far forward", moved_to(FAR));
    adjust = rdmsr(MSR_TSC_ADJUST);
    EXPECT("C08 X10 and TSC_ADJUST tells by how much", FAR - start - adjust < 1000000);
    EXPECT("C08 X10 TSC written back to 0", moved_to(0));
    wrmsr(MSR_TSC_ADJUST, rdmsr(MSR_TSC_ADJUST) + FAR);
    EXPECT("C08 X10 TSC_ADJUST written moves the TSC", rdtsc() - FAR < 2000000);
    wrmsr(MSR_TSC_ADJUST, 0);
    EXPECT("C08 X10 and back", rdtsc() - start < 10000000);
}

static void move_deadline(void) {
    static const uint64_t places[] = {1, FAR, BIT(63) - 50000, UINT64_MAX - 40000000};
    uint64_t exits, deadline;
    bool good = true, past = true, off = true, back = true;

    timer_on();
    EXPECT("C08 the deadline timer", in_time(rdtsc() + 100000));
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        wrmsr(MSR_TSC, places[i]);
        good = good && in_time(rdtsc() + 100000);
        arm(rdtsc() - 1);
        past = past && fires(1000);
        arm(1);
        past = past && fires(1000);
        deadline = rdtsc() + 30000;
        arm(deadline);
        back = back && rdmsr(MSR_TSC_DEADLINE) == deadline;
        arm(0);
        off = off && !fires(3000);
    }
    EXPECT("C08 X10 fires in time wherever the TSC was moved to", good);
    EXPECT("C08 X10 and at once for a time that has passed", past);
    EXPECT("C08 X09 a deadline reads back", back);
    EXPECT("C08 X10 0 disarms", off);

    wrmsr(MSR_TSC_ADJUST, 0);
    arm(rdtsc() + 40000000);
    wrmsr(MSR_TSC, FAR);
    EXPECT("C08 X10 an armed deadline that the TSC jumps over fires", fires(1000) && fired >= FAR);
    deadline = rdtsc() + 200000;
    arm(deadline);
    wrmsr(MSR_TSC, 0);
    EXPECT("C08 X10 and one that it jumps back from does not",
           !fires(10000) && rdmsr(MSR_TSC_DEADLINE) == deadline);
    arm(0);
    wrmsr(MSR_TSC_ADJUST, 0);
    exits = exits_of(EXIT_WRMSR);
    arm(rdtsc() + 100000);
    EXPECT("C08 back at 0 the deadline is native", exits_of(EXIT_WRMSR) == exits && fires(100000));
    timer_off();
}

static void store_tsc(void *arg) {
    ((volatile uint64_t *)arg)[0] = rdtsc();
    ((volatile uint64_t *)arg)[1] = rdmsr(MSR_TSC_ADJUST);
}

static void move_far(void *arg) {
    (void)arg;
    wrmsr(MSR_TSC, FAR);
}

static void move_back(void *arg) {
    (void)arg;
    wrmsr(MSR_TSC_ADJUST, 0);
}

static bool on_other(void (*code)(void *), volatile uint64_t *arg) {
    return guest_cpu_run(1, code, (void *)arg) && guest_cpu_wait(1, 50000000);
}

static void move_neighbour(void) {
    volatile uint64_t theirs[2] = {0, 1};
    uint64_t start = rdtsc();

    wrmsr(MSR_TSC, FAR);
    bool ran = on_other(store_tsc, theirs);
    wrmsr(MSR_TSC_ADJUST, 0);
    EXPECT("C08 V080 the other vCPU's TSC does not move",
           ran && theirs[1] == 0 && theirs[0] - start < 1000000000 && rdtsc() - theirs[0] < 1000000000);
    start = rdtsc();
    EXPECT("C08 V080 nor ours by theirs", on_other(move_far, NULL) && rdtsc() - start < 1000000000);
    guest_cpu_stop(1);
    EXPECT("C08 INIT keeps the TSC", on_other(store_tsc, theirs) && theirs[0] >= FAR && theirs[1] > FAR / 2);
    EXPECT("C08 X10 and it goes back",
           on_other(move_back, NULL) && on_other(store_tsc, theirs) && theirs[1] == 0);
}

/* The start after this one finds TSC_ADJUST at 0: rows_state looks. */
static void die_moved(void) {
    wrmsr(MSR_TSC, FAR);
    guest_die();
}

static void wait_moved(void) {
    uint64_t result = 1, until, turns = 0;

    wrmsr(MSR_TSC, FAR);
    until = rdtsc() + 300000;
    while (rdtsc() < until && turns++ < 1000)
        guest_hypercall(HYPERCALL_WAIT, until, 0, &result);
    EXPECT("C08 X16 waiting goes by the moved TSC", turns < 1000 && rdtsc() - until < 1000000);
    wrmsr(MSR_TSC_ADJUST, 0);
}

/* ---- HLT ---- */
static void halt(void) {
    uint64_t exits;

    timer_on();
    exits = own_exits();
    arm(rdtsc() + 200000);
    while (fired == 0)
        __asm__ volatile("sti; hlt; cli");
    EXPECT("C01 X12 HLT and the timer that ends it do not exit", own_exits() == exits);
    guest_apic_write(APIC_EOI, 0);
    timer_off();
}

/* ---- XCR0 ---- */
static void do_xsetbv(void *arg) {
    const uint64_t *x = arg;

    __asm__ volatile("xsetbv" : : "c"((uint32_t)x[0]), "a"((uint32_t)x[1]), "d"((uint32_t)(x[1] >> 32)));
}

static uint64_t xsetbv(uint32_t index, uint64_t value) {
    return guest_fault_of(do_xsetbv, (uint64_t[]){index, value});
}

static uint64_t xgetbv(void) {
    uint32_t l, h;

    __asm__ volatile("xgetbv" : "=a"(l), "=d"(h) : "c"(0));
    return (uint64_t)h << 32 | l;
}

static bool xcr0_valid(uint64_t v, uint64_t allowed) {
    return (v & 1) != 0 && (v & ~allowed) == 0 && ((v & 4) == 0 || (v & 2) != 0) &&
           ((v & 0xE0) == 0 || ((v & 0xE0) == 0xE0 && (v & 4) != 0));
}

static void set_osxsave(bool on) {
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(on ? cr4 | BIT(18) : cr4 & ~BIT(18)));
}

static void xcr0(void) {
    uint64_t allowed;
    bool good = true, sizes = true;

    EXPECT("X31 XSETBV without CR4.OSXSAVE is #UD", xsetbv(0, 1) == FAULT_UD);
    if (!shown(1, 0, ECX, 26))
        return;
    set_osxsave(true);
    EXPECT("X08 X31 CPUID.1.ECX.OSXSAVE follows", shown(1, 0, ECX, 27));
    allowed = cpuid(0xD, 0).eax;
    for (uint64_t v = 0; v < 0x400; v++) {
        bool valid = xcr0_valid(v, allowed);

        good = good && xsetbv(0, v) == (valid ? GUEST_NO_FAULT : FAULT_GP) && (!valid || xgetbv() == v);
        sizes = sizes && (!valid || (v & 6) != 6 || cpuid(0xD, 0).ebx >= 576 + 256);
    }
    EXPECT("X31 XSETBV of each value: set or #GP", good);
    EXPECT("X08 X31 the size of the area follows XCR0", sizes);
    EXPECT("X31 other registers and high bits are #GP", xsetbv(1, 1) == FAULT_GP &&
                                                            xsetbv(0, BIT(63) | 1) == FAULT_GP &&
                                                            xsetbv(0, BIT(32) | 1) == FAULT_GP);
    (void)xsetbv(0, 1);
    set_osxsave(false);
}

static uint8_t area[4096] __attribute__((aligned(64)));
DO(do_xsaves, "mov $-1, %%eax; mov $-1, %%edx; xsaves (%%rdi)")
DO(do_xrstors, "mov $-1, %%eax; mov $-1, %%edx; xrstors (%%rdi)")

static void supervisor_state(void) {
    bool there = shown(0xD, 1, EAX, 3);

    set_osxsave(shown(1, 0, ECX, 26));
    EXPECT("C29 XSAVES goes by CPUID",
           guest_fault_of(do_xsaves, area) == (there ? GUEST_NO_FAULT : FAULT_UD));
    EXPECT("Y09 XSAVES of all saves no supervisor state",
           !there || (((uint64_t *)(void *)area)[64] & ~UINT64_C(0x2FF)) == 0);
    ((uint64_t *)(void *)area)[65] |= BIT(11);
    EXPECT("Y09 XRSTORS of supervisor state is #GP",
           guest_fault_of(do_xrstors, area) == (there ? FAULT_GP : FAULT_UD));
    set_osxsave(false);
}

const struct row_test rows_cpu[] = {
    {"#UD", undefined_instructions, NULL, 0},
    {"native", native_instructions, NULL, 0},
    {"caches", caches, NULL, 0},
    {"bus lock", bus_lock, NULL, 0},
    {"CPUID", check_cpuid, NULL, 0},
    {"CPUID of two", topology_of_two, NULL, 2},
    {"refused MSRs", refused_msrs, NULL, 0},
    {"sweep", sweep, NULL, 0},
    {"written MSRs", written_msrs, NULL, 0},
    {"TSC", move_tsc, NULL, 0},
    {"deadline", move_deadline, NULL, 0},
    {"TSC of the neighbour", move_neighbour, NULL, 2},
    {"wait", wait_moved, NULL, 0},
    {"HLT", halt, NULL, 0},
    {"XCR0", xcr0, NULL, 0},
    {"XSAVES", supervisor_state, NULL, 0},
    {"C08 V080 reset with the TSC moved", die_moved, "triple fault", 0},
    {0},
};
