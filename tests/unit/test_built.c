/* SPDX-License-Identifier: Apache-2.0 */
/* Every table of every kind of system, walked page by page (built.h); and the proof must see what is wrong
 * with tables that were spoilt. */
#include "tests/unit/built.h"

#include "tests/unit/unit.h"

static struct system_config config;

static void parse(const char *text) {
    struct report report = {"c", 0};
    struct machine machine = {.cores =
                                  built.platform.nr_cpus == 64 ? UINT64_MAX : BIT(built.platform.nr_cpus) - 1,
                              .boot = &built.info,
                              .platform = &built.platform};

    stub_log_clear();
    if (config_parse(text, strlen(text), &config, &report) != ERR_OK ||
        config_check(&config, &machine, &report) != ERR_OK)
        fail_msg("%s", stub_log);
}

static void build(const char *text) {
    parse(text);
    if (built_build(&config) != ERR_OK)
        fail_msg("%s", stub_log);
}

static void good(const char *text) {
    build(text);
    if (!built_prove())
        fail_msg("%s", built.offence);
}

static void machine(unsigned cores, uint64_t memory) {
    built_machine(cores, memory);
    built_module("k", 70000);
    built_module("i", MIB(9) + 5);
    built_module("empty", 0);
}

#define P(name, cpus, memory) "[partition " name "]\nkernel=k\ncpus=" cpus "\nmemory=" memory "\n"

static void test_kinds_of_partitions(void **state) {
    static const char *const texts[] = {
        P("a", "0", "16M"),
        P("a", "0-1", "512M") "initrd=i\nmodule=empty\nmodule=i again\n" P("b", "3", "2M"),
        P("a", "0", "16M") P("b", "1", "16M") P("c", "2", "16M") P("d", "3", "16M"),
        P("a", "1", "64M identity") P("b", "2-3", "1G identity") "initrd=i\n",
        P("a", "1", "3G") P("b", "2", "2500M"), /* across the device hole; pieces above and below 4 GiB */
        P("a", "1", "5000M") "mmio=0xfd000000+16M,0xfe000000+4K,0xc0000000+256M\n" P(
            "b", "2", "32M") "mmio=0xfe001000+4K,0x2000000000+2G\n",
        P("a", "2", "16M") "load=reset\n" P("b", "3", "16M identity") "load=reset\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        machine(4, GIB(8));
        good(texts[i]);
    }
}

/* The demo, as it is shipped. */
static void test_demo(void **state) {
    static char text[16384];
    FILE *file = fopen("guests/mullion.conf", "rb");

    (void)state;
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    built_machine(4, GIB(1));
    built_module("vmlinuz", MIB(15));
    built_module("initrd.img", MIB(1));
    built_module("jitter.elf", 30000);
    good(text);
}

/* The most that a config can ask for. */
static void test_largest(void **state) {
    static char text[4096];
    size_t used = 0;

    (void)state;
    machine(64, GIB(40));
    for (unsigned i = 0; i < MAX_PARTITIONS; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used,
                                 P("p%u", "%u-%u", "2100M") "initrd=i\nmmio=0x%lx+8K,0x%lx+2M\n", i, 4 * i,
                                 4 * i + 3, 0xfd000000ul + i * 8192, 0x2000000000ul + i * MIB(2));
    good(text);
}

/* One core and hardly more RAM than the guest gets. */
static void test_smallest(void **state) {
    (void)state;
    machine(1, MIB(64));
    good(P("a", "0", "24M"));
    assert_int_equal(built.host.direct.count, 3); /* low memory, and around the hole */
}

static void offence(const char *words) {
    if (built_prove() || strstr(built.offence, words) == NULL)
        fail_msg("%s: expected: %s", built.offence, words);
}

static int setup_two(void **state) {
    (void)state;
    machine(3, GIB(8));
    build(P("a", "0", "16M") "mmio=0xfe000000+4K\n" P("b", "1", "16M") "initrd=i\n");
    assert_true(built_prove());
    return 0;
}

/* The entry of a page. */
static uint64_t *entry(const struct pagetable *pt, uint64_t at) {
    uint64_t table = pt->root.v;

    for (unsigned level = 4;; level--) {
        uint64_t *e = (uint64_t *)(built.memory + table) + (at >> (9 * level + 3) & 511);

        if (level == 1 || (level < 4 && (*e & 0x80) != 0))
            return e;
        table = *e & UINT64_C(0xffffffffff000);
    }
}

static void test_spoilt_epts(void **state) {
    struct pagetable *a = &built.partitions.epts[0], *b = &built.partitions.epts[1];
    const uint64_t frame = UINT64_C(0xffffffffff000);

    (void)state;
    *entry(a, 0x5000) ^= 4;
    offence("a: frame");
    setup_two(NULL);
    *entry(b, 0x5000) = (*entry(b, 0x5000) & ~frame) | (*entry(a, 0x7000) & frame);
    offence("is in partitions");
    setup_two(NULL);
    *entry(b, 0x5000) = (*entry(b, 0x5000) & ~frame) | (*entry(b, 0x7000) & frame);
    offence("is in partitions 1 and 1");
    setup_two(NULL);
    *entry(a, 0x5000) = (*entry(a, 0x5000) & ~frame) | b->root.v;
    offence("is the hypervisor's");
    setup_two(NULL);
    *entry(a, 0x5000) = (*entry(a, 0x5000) & ~frame) | (GIB(3) - MIB(1));
    offence("neither RAM nor granted");
    setup_two(NULL);
    *entry(a, 0xfe000000) |= 6 << 3;
    offence("a: frame 0xfe000000 has attributes");
    setup_two(NULL);
    *entry(a, 0xfe000000) ^= BIT(12);
    offence("neither RAM nor granted");
    setup_two(NULL);
    *entry(a, 0x5000) = 0;
    offence("a: 0xfdf000 bytes of RAM");
    setup_two(NULL);
    built.memory[built.partitions.at[0]->io_bitmaps.v + 0xcf8 / 8] = 0xfe;
    offence("a: among ports 0xcf8-0xcff");
}

static void test_spoilt_host_tables(void **state) {
    struct host_map *h = &built.host;
    const struct range *ram = &h->cpus[1].view[2];
    const uint64_t text = built_layout.image[0].at.base, data = built_layout.image[2].at.base;

    (void)state;
    assert_int_equal(host_map_keep(h, 0, (struct range){ram->base, PAGE_SIZE}, PT_RW), ERR_OK);
    offence("CPU 0: sees frame");
    setup_two(NULL);
    assert_int_equal(host_map_keep(h, 2, (struct range){ram->base, PAGE_SIZE}, PT_READ), ERR_OK);
    offence("CPU 2: has no partition");
    setup_two(NULL);
    assert_int_equal(host_map_keep(h, 1, (struct range){h->cpus[1].sealed.root.v, PAGE_SIZE}, PT_RW), ERR_OK);
    offence("CPU 1: sees frame");
    setup_two(NULL);
    assert_int_equal(host_map_keep(h, 1, (struct range){0xfee00000, PAGE_SIZE}, PT_RW | PT_UC), ERR_OK);
    offence("CPU 1: sees frame");
    setup_two(NULL);
    *entry(&h->cpus[1].sealed, text) |= 2;
    offence("CPU 0: page 0xffffffff80000000 is writable and executable");
    setup_two(NULL);
    *entry(&h->cpus[1].sealed, data) ^= BIT(63);
    offence("is writable and executable");
    setup_two(NULL);
    *entry(&h->boot, BUILT_SEALED) |= 2 | 0x40; /* as if never sealed */
    offence("page 0xffffffff80060000 of the image");
    setup_two(NULL);
    *entry(&h->cpus[1].sealed, built_layout.direct + h->cpus[1].view[0].base) ^= BIT(63);
    offence("CPU 1: page 0x");
    setup_two(NULL);
    *entry(&h->cpus[1].sealed, built_layout.percpu[1].base) ^= BIT(14);
    offence("CPU 1: page 0xffffffffc0003000 is not its own");
    setup_two(NULL);
    *entry(&h->cpus[2].sealed, built_layout.percpu[1].base) = 0;
    offence("CPU 2: 0xd2000 bytes of the image, 0x4000 of its own");
}

/* What host_phys goes by: before the seal no hole of the memory map and nothing reserved inside RAM; devices
 * alone. */
static void test_seen_at_boot(void **state) {
    static const struct {
        uint64_t at, bytes;
        bool seen;
    } rows[] = {
        {MIB(1), GIB(2), true},
        {0, 0x9fc00, true},
        {0x9f000, 0x1000, true}, /* the page is shared with what is reserved */
        {0xa0000, 1, false},
        {0x9ff00, 0x101, false},
        {MIB(1) - 1, 2, false},
        {GIB(3) - MIB(8) - 1, 2, false}, /* firmware's own memory inside RAM */
        {GIB(3) - MIB(8) + 0x1000, 0x1000, true},
        {GIB(3) - MIB(1), 1, false},
        {GIB(3), 1, false},
        {0xfec00000, PAGE_SIZE, true},
        {0xfee00000, PAGE_SIZE, true},
        {0xfee01000, 1, false},
        {GIB(4), GIB(5), true},
        {GIB(9) - 1, 2, false},
        {GIB(4), UINT64_MAX, false},
        {UINT64_MAX, 2, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (host_map_sees_at_boot(&built.host, (struct range){rows[i].at, rows[i].bytes}) != rows[i].seen)
            fail_msg("0x%lx bytes at 0x%lx", rows[i].bytes, rows[i].at);
}

/* Linked in place of the allocator's (Makefile): the one that is to fail finds nothing free. */
static unsigned allocations, failing;
typeof(frames_alloc) __real_frames_alloc, __wrap_frames_alloc;
typeof(frames_alloc_pieces) __real_frames_alloc_pieces, __wrap_frames_alloc_pieces;

enum err __wrap_frames_alloc(struct frames *frames, uint64_t bytes, hpa_t *out) {
    static struct frames none;

    return __real_frames_alloc(++allocations == failing ? &none : frames, bytes, out);
}

enum err __wrap_frames_alloc_pieces(struct frames *frames, uint64_t bytes, uint64_t limit,
                                    struct range *pieces, unsigned max, unsigned *count) {
    static struct frames none;

    return __real_frames_alloc_pieces(++allocations == failing ? &none : frames, bytes, limit, pieces, max,
                                      count);
}

/* Each allocation of a boot fails once: how much was wanted is said each time, and for which partition. */
static void test_out_of_memory(void **state) {
    unsigned before, count;

    (void)state;
    machine(3, GIB(8));
    parse(P("a", "0", "16M identity") "mmio=0xfe000000+4K\n" P("b", "1-2", "3G") "initrd=i\n");
    failing = allocations = 0;
    assert_int_equal(built_host(), ERR_OK);
    before = allocations;
    machine(3, GIB(8));
    allocations = 0;
    assert_int_equal(built_build(&config), ERR_OK);
    count = allocations;
    assert_true(before > 20 && count > before + 20);
    for (failing = 1; failing <= count; failing++) {
        machine(3, GIB(8));
        stub_log_clear();
        allocations = 0;
        assert_int_equal(built_build(&config), ERR_NO_MEMORY);
        assert_int_equal(allocations, failing);
        assert_non_null(strstr(stub_log, "frames: no room for "));
        if ((strstr(stub_log, "and its tables do not fit") != NULL) != (failing > before))
            fail_msg("allocation %u of %u: %s", failing, count, stub_log);
    }
    print_message("%u allocations, %u of them for the hypervisor itself\n", count, before);
    failing = 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_of_partitions),
        cmocka_unit_test(test_demo),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_smallest),
        cmocka_unit_test_setup(test_spoilt_epts, setup_two),
        cmocka_unit_test_setup(test_spoilt_host_tables, setup_two),
        cmocka_unit_test_setup(test_seen_at_boot, setup_two),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
