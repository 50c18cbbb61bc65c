/* SPDX-License-Identifier: Apache-2.0 */
/* Runs cases until this vCPU has made `exits=` exits since power-on, over all lives of the partition, and
 * says every now and then how far it is, with a digest of all that happened in this life. Command line:
 * seed=, exits=, lethal= (one case in so many may end a life). */
#include "guests/fuzz/fuzz.h"

#include "core/str.h"

#define VECTOR_DB       1
#define FLAG_TF         BIT(8)
#define FLAG_RF         BIT(16)
#define MOST_TRAPS      64 /* in a run of a case: some would go on for ever */
#define RUNS            8  /* of a case, at most */
#define REPORTS         8
#define HANG_TICKS      20000000 /* no case takes a tenth of it */
#define UNWATCHED_CASES 1000     /* some take hundreds of thousands of ticks */
#define VECTOR_NMI      2
#define REASONS         87

static const struct fuzz_mode modes[] = {
    {"64-bit", WAY_LONG, 64, false, SEL_CASE_64, 40},
    {"64-bit user", WAY_LONG, 64, true, SEL_USER_64, 12},
    {"compatibility", WAY_LONG, 32, false, SEL_CASE_32, 8},
    {"compatibility user", WAY_LONG, 32, true, SEL_USER_32, 4},
    {"compatibility 16", WAY_LONG, 16, false, SEL_CASE_16, 4},
    {"compatibility 16 user", WAY_LONG, 16, true, SEL_USER_16, 2},
    {"32-bit", WAY_LEGACY, 32, false, SEL_CASE_32, 10},
    {"32-bit user", WAY_LEGACY, 32, true, SEL_USER_32, 4},
    {"16-bit", WAY_LEGACY, 16, false, SEL_CASE_16, 4},
    {"16-bit user", WAY_LEGACY, 16, true, SEL_USER_16, 2},
    {"virtual 8086", WAY_V86, 16, true, FUZZ_BASE_16 >> 4, 5},
    {"real", WAY_REAL, 16, false, FUZZ_BASE_16 >> 4, 5},
};

static uint64_t random_state, digest, cases;
static volatile uint64_t alive;   /* changes as long as this life goes on, */
static volatile uint64_t watched; /* and this as long as it is watched: INIT ends that */
static uint64_t cases_of[ARRAY_SIZE(modes)];
static struct fuzz_code code;

uint64_t fuzz_random(void) { /* splitmix64 */
    uint64_t z = random_state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

uint32_t fuzz_below(uint64_t limit) {
    return (uint32_t)((fuzz_random() >> 32) * limit >> 32);
}

bool fuzz_chance(unsigned one_in) {
    return fuzz_below(one_in) == 0;
}

uint64_t fuzz_pick(const uint64_t *values, unsigned count) {
    return values[fuzz_below(count)];
}

/* ---- What it says. By hypercall: the UART may be in any state. ---- */
static uint64_t call(uint64_t number, uint64_t b, uint64_t c) {
    __asm__ volatile("vmcall" : "+a"(number) : "b"(b), "c"(c) : "memory");
    return number;
}

static void say(const char *format, ...) printf_like(1, 2);
static void say(const char *format, ...) {
    char text[128 + 8];
    va_list args;
    va_start(args, format);
    str_vformat(text, sizeof(text) - 8, format, args);
    va_end(args);
    for (size_t at = 0, length = str_length(text); at < length;) {
        uint64_t bytes, most = length - at < 8 ? length - at : 8;
        memcpy(&bytes, text + at, 8);
        at += call(HYPERCALL_WRITE, bytes, most);
        alive++;
    }
}

static void report(uint64_t exits) {
    say("\nfuzz: exits %lu life %lu case %lu digest %lx\n", exits,
        call(HYPERCALL_COUNTER, HYPERCALL_COUNTER_RESTARTS, 0), cases, digest);
}

static void report_all(void) {
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        say("fuzz: cases %lu of this life in mode: %s\n", cases_of[i], modes[i].name);
    for (unsigned reason = 0; reason < REASONS; reason++) {
        uint64_t count = call(HYPERCALL_COUNTER, HYPERCALL_COUNTER_EXIT_REASON + reason, 0);
        if (count != 0)
            say("fuzz: reason %u exits %lu\n", reason, count);
    }
    say("fuzz: done\n");
}

/* From enter.S: the kernel itself has come to harm. The next life goes on. */
void fuzz_kernel_fault(const uint64_t *frame);
void fuzz_kernel_fault(const uint64_t *frame) {
    say("\nfuzz: life %lu ends by vector %lu at %lx\n",
        call(HYPERCALL_COUNTER, HYPERCALL_COUNTER_RESTARTS, 0), frame[0], frame[2]);
    for (;;)
        call(HYPERCALL_RESTART, 0, 0);
}

/* ---- The other vCPU: ends a life that hangs, and is somebody to send IPIs to ---- */
static void on_nmi(const struct guest_frame *frame) {
    (void)frame;
}

static void watch(void *arg) {
    uint64_t seen = alive, since = rdtsc();
    (void)arg;
    for (;;) {
        call(HYPERCALL_WAIT, rdtsc() + HANG_TICKS / 4, 0);
        watched++;
        if (alive != seen) {
            seen = alive;
            since = rdtsc();
        } else if (rdtsc() - since > HANG_TICKS) {
            call(HYPERCALL_RESTART, 0, 0);
        }
    }
}

static void need_watch(void) {
    static uint64_t seen, since;
    if (watched != seen) {
        seen = watched;
        since = cases;
    } else if (cases - since > UNWATCHED_CASES) {
        call(HYPERCALL_RESTART, 0, 0);
    }
}

/* ---- A case ---- */
static uint64_t linear_rip(const struct fuzz_mode *mode) {
    uint64_t rip = mode->way == WAY_LONG   ? fuzz_now->rip
                   : mode->way == WAY_REAL ? (uint16_t)fuzz_now->rip
                                           : (uint32_t)fuzz_now->rip;
    return rip + fuzz_segment_base(mode, SEGMENT_CS);
}

static void to_digest(uint64_t value) {
    digest = (digest ^ value) * 0x100000001B3;
}

/* After a trap: where to go on. False: nowhere. */
static bool next_instruction(const struct fuzz_mode *mode) {
    struct fuzz_context *c = fuzz_now;
    static unsigned at; /* an instruction */
    uint64_t offset = linear_rip(mode) - FUZZ_CODE, end = code.starts[code.count - 1];
    to_digest(c->vector << 32 | (uint32_t)c->error);
    to_digest(offset);
    if (c->vector >= 32)
        guest_apic_write(APIC_EOI, 0);
    if (c->vector == FUZZ_VECTOR_END || (uint16_t)c->cs != mode->cs || offset >= end)
        return false;
    c->rflags &= ~(FLAG_RF | (fuzz_chance(4) ? FLAG_TF : 0));
    if (c->vector == VECTOR_DB)
        c->rflags |= FLAG_RF;
    if (c->vector <= 4 || c->vector >= 32) /* traps, mostly */
        return true;
    if (at >= code.count || code.starts[at] > offset) /* mostly it is a little further than the last time */
        at = 0;
    while (code.starts[at] <= offset)
        at++;
    c->rip += code.starts[at] - offset;
    return code.starts[at] != end;
}

static void run_case(const struct fuzz_mode *mode) {
    unsigned traps = 0;
    do
        (mode->way == WAY_LONG ? fuzz_enter_long : fuzz_enter_legacy)();
    while (next_instruction(mode) && ++traps < MOST_TRAPS);
    fuzz_state_restore();
}

static const struct fuzz_mode *choose_mode(void) {
    unsigned sum = 0, i = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(modes); k++)
        sum += modes[k].share;
    for (unsigned chosen = fuzz_below(sum); chosen >= modes[i].share; i++)
        chosen -= modes[i].share;
    cases_of[i]++;
    return &modes[i];
}

void guest_main(void) {
    uint64_t seed = guest_number("seed", 1), goal = guest_number("exits", 1000000), exits, told;
    unsigned lethal = (unsigned)guest_number("lethal", 100);
    uint64_t life = guest_counter(HYPERCALL_COUNTER_RESTARTS);

    guest_on_irq(VECTOR_NMI, on_nmi);
    guest_cpu_run(1, watch, NULL);
    fuzz_state_init();
    exits = call(HYPERCALL_EXITS, 0, 0);
    told = exits * REPORTS / goal;
    if (life == 0)
        say("fuzz: seed %lu, until %lu exits\n", seed, goal);
    for (; exits < goal; cases++) {
        alive++;
        need_watch();
        random_state = (seed << 40) + (life << 24) + cases;
        random_state = fuzz_random();
        const struct fuzz_mode *mode = choose_mode();
        fuzz_state_for_case(mode);
        fuzz_make(&code, mode, lethal);
        for (unsigned runs = 1 + fuzz_below(RUNS); runs > 0; runs--) {
            fuzz_state_for_run(mode);
            run_case(mode);
        }
        exits = call(HYPERCALL_EXITS, 0, 0);
        if (exits * REPORTS / goal != told) {
            told = exits * REPORTS / goal;
            report(exits);
        }
    }
    report(exits);
    report_all();
    for (;;)
        call(HYPERCALL_STOP, 0, 0);
}
