/* SPDX-License-Identifier: Apache-2.0 */
/* A bzImage made by hand goes where the boot protocol says, finds around it what the protocol
 * promises, and is refused with a reason when it cannot. */
#include "core/load.h"
#include "core/range.h"
#include "tests/unit/guest_memory.h"

#define SETUP_SECTS  3u
#define PAYLOAD_AT   ((SETUP_SECTS + 1) * 512)
#define PAYLOAD      KIB(300)
#define KERNEL_BYTES (PAYLOAD_AT + PAYLOAD)
#define INIT_SIZE    MIB(1)
#define INITRD_BYTES (KIB(100) + 5)

#define ENTRY_AT     0x40

static uint8_t kernel[KERNEL_BYTES], initrd[INITRD_BYTES];
static struct load_request request;
static struct guest_start start;

static void put(unsigned offset, uint64_t value, unsigned bytes) {
    memcpy(kernel + offset, &value, bytes);
}

static int set_up(void **state) {
    (void)state;
    for (size_t i = 0; i < KERNEL_BYTES; i++)
        kernel[i] = (uint8_t)(i * 7 + (i >> 8));
    for (size_t i = 0; i < INITRD_BYTES; i++)
        initrd[i] = (uint8_t)(i * 13 + (i >> 8));
    memset(kernel + 0x1F1, 0, 0x290 - 0x1F1);
    put(0x1F1, SETUP_SECTS, 1);
    put(0x1FE, 0xAA55, 2);
    put(0x200, 0x6AEB, 2); /* a short jump: the header ends at 26CH */
    memcpy(kernel + 0x202, "HdrS", 4);
    put(0x206, 0x020F, 2);
    put(0x211, 1, 1);                 /* loadflags: loaded high */
    put(0x214, MIB(1) + ENTRY_AT, 4); /* code32_start */
    put(0x22C, 0x7FFFFFFF, 4);        /* initrd_addr_max */
    put(0x230, MIB(2), 4);            /* kernel_alignment */
    put(0x234, 1, 1);                 /* relocatable */
    put(0x236, 3, 2);                 /* xloadflags: it and its initrd may be anywhere */
    put(0x238, 2047, 4);              /* cmdline_size */
    put(0x258, MIB(16), 8);
    put(0x260, INIT_SIZE, 4);
    put(0x268, 0xCAFE, 4); /* kernel_info: beyond what the loader knows by name */
    memory_reset();
    config_reset("console=ttyS0 quiet");
    request = (struct load_request){
        .config = &config,
        .map = &map,
        .kernel = {"vmlinuz", "", kernel, KERNEL_BYTES},
        .modules = {{"initrd.img", "", initrd, INITRD_BYTES}},
        .nr_modules = 1,
    };
    return 0;
}

static void load(void) {
    memory_scrub();
    stub_log_clear();
    if (load_guest(&request, &start) != ERR_OK)
        fail_msg("log: %s", stub_log);
    memory_tables_untouched();
}

static void kernel_is_at(uint64_t at) {
    assert_int_equal(start.rip, at + ENTRY_AT);
    assert_memory_equal(memory_at(at, PAYLOAD), kernel + PAYLOAD_AT, PAYLOAD);
}

/* Protected mode, entered where code32_start says. */
static void test_state_at_entry(void **state) {
    (void)state;
    memory_add(MIB(1), MIB(31), REGION_RAM);
    load();
    kernel_is_at(MIB(16));
    assert_int_equal(start.mode, START_PROTECTED);
    assert_int_equal(start.cs, 0x10);
    assert_int_equal(start.ds, 0x18);
    assert_int_equal(start.gdt_limit, 0x1F);
    assert_int_equal(memory_value(start.gdt_base + 0x10, 8), 0x00CF9B000000FFFF);
    assert_int_equal(memory_value(start.gdt_base + 0x18, 8), 0x00CF93000000FFFF);
    assert_int_equal(start.rbx, 0);
    assert_int_equal(memory_value(start.rsi + 0x214, 4), MIB(16) + ENTRY_AT);
    put(0x214, MIB(1) - 1, 4);
    memory_refused(&request, ERR_MALFORMED, "the entry 0xffffffffffffffff after them");
    put(0x214, MIB(1) + PAYLOAD, 4);
    memory_refused(&request, ERR_MALFORMED, "the entry 0x4b000 after them");
}

static void test_boot_params(void **state) {
    uint64_t params, cmdline;

    (void)state;
    memory_add(MIB(1), MIB(31), REGION_RAM);
    load();
    params = start.rsi;
    assert_int_equal(params % PAGE_SIZE, 0);
    assert_int_equal(memory_value(params + 0x70, 8), 0xE0000);
    assert_int_equal(memory_value(params + 0x210, 1), 0xFF);
    assert_int_equal(memory_value(params + 0x1FE, 2), 0xAA55);
    assert_int_equal(memory_value(params + 0x206, 2), 0x020F);
    assert_int_equal(memory_value(params + 0x268, 4), 0xCAFE);
    for (unsigned i = 0; i < 0x40; i++) /* screen_info: no screen */
        assert_int_equal(memory_value(params + i, 1), 0);
    cmdline = memory_value(params + 0x228, 4) | memory_value(params + 0xC8, 4) << 32;
    assert_string_equal((char *)memory_at(cmdline, 20), config.cmdline);
}

/* The header may claim to reach over what follows it in boot_params. */
static void test_header_of_any_length(void **state) {
    (void)state;
    memory_add(MIB(1), MIB(31), REGION_RAM);
    memset(kernel + 0x290, 0xEE, 0x80);
    put(0x201, 0xFF, 1);
    load();
    for (unsigned i = 0x290; i < 0x2D0; i++)
        assert_int_equal(memory_value(start.rsi + i, 1), 0);
    put(0x201, 0, 1); /* nothing of it */
    memory_refused(&request, ERR_UNSUPPORTED, "vmlinuz: boot protocol 0.0");
}

static void test_no_setup_sectors_means_four(void **state) {
    (void)state;
    memory_add(MIB(1), MIB(31), REGION_RAM);
    put(0x1F1, 0, 1);
    load();
    assert_memory_equal(memory_at(MIB(16), PAYLOAD - 512), kernel + 5 * 512, PAYLOAD - 512);
}

static void test_initrd_is_high_but_within_reach(void **state) {
    uint64_t at;

    (void)state;
    memory_add(MIB(1), MIB(31), REGION_RAM);
    memory_add(GIB(5), MIB(2), REGION_RAM);
    load();
    at = memory_value(start.rsi + 0x218, 4) | memory_value(start.rsi + 0xC0, 4) << 32;
    assert_int_equal(at, align_down(MIB(32) - INITRD_BYTES, PAGE_SIZE));
    assert_int_equal(memory_value(start.rsi + 0x21C, 4), INITRD_BYTES);
    assert_memory_equal(memory_at(at, INITRD_BYTES), initrd, INITRD_BYTES);

    put(0x22C, MIB(20) - 1, 4); /* initrd_addr_max */
    put(0x236, 0, 2);
    load();
    at = memory_value(start.rsi + 0x218, 4);
    assert_int_equal(at, align_down(MIB(20) - INITRD_BYTES, PAGE_SIZE));
    request.modules[0].bytes = KIB(100); /* up to the last byte that may be used */
    load();
    assert_int_equal(memory_value(start.rsi + 0x218, 4), MIB(20) - KIB(100));

    request.nr_modules = 0;
    load();
    assert_int_equal(memory_value(start.rsi + 0x218, 8), 0);
}

static void test_e820(void **state) {
    static const struct {
        uint64_t base, size;
        uint32_t type;
    } want[] = {
        {0, KIB(640), 1},    {0xE0000, KIB(128), 3},  {MIB(1), MIB(31), 1},
        {GIB(5), MIB(2), 1}, {0xFEC00000, KIB(4), 2}, {0xFEE00000, KIB(4), 2},
    };

    (void)state;
    memory_add(MIB(1), MIB(15), REGION_RAM);
    memory_add(MIB(16), MIB(16), REGION_RAM); /* two pieces of host memory, one to the guest */
    memory_add(GIB(5), MIB(2), REGION_RAM);
    assert_int_equal(
        guest_map_add(&map, (struct guest_region){gpa(0xFD000000), hpa(0xFD000000), MIB(1), REGION_DEVICE}),
        ERR_OK);
    load();
    assert_int_equal(memory_value(start.rsi + 0x1E8, 1), ARRAY_SIZE(want));
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        uint64_t at = start.rsi + 0x2D0 + i * 20;

        assert_int_equal(memory_value(at, 8), want[i].base);
        assert_int_equal(memory_value(at + 8, 8), want[i].size);
        assert_int_equal(memory_value(at + 16, 4), want[i].type);
    }
}

/* As memtest86+ is: at 1 MiB or nowhere. */
static void test_not_relocatable_at_1_mib(void **state) {
    (void)state;
    memory_add(MIB(1), MIB(7), REGION_RAM);
    put(0x234, 0, 1);
    put(0x230, 0, 4); /* an alignment is of no interest then */
    put(0x258, MIB(1), 8);
    load();
    kernel_is_at(MIB(1));
    put(0x258, MIB(8) - INIT_SIZE + PAGE_SIZE, 8);
    memory_refused(&request, ERR_NO_MEMORY, "no room: wants 1024 KiB of RAM at 0x701000; give");
}

/* What a version does not have yet has the value that its time took for granted, whatever lies there. */
static void test_protocol_of_2002(void **state) {
    (void)state;
    memory_add(MIB(1), MIB(7), REGION_RAM);
    put(0x206, 0x0203, 2);
    put(0x201, 0x230 - 0x202, 1); /* the header ends with initrd_addr_max */
    memset(kernel + 0x230, 0xEE, 0x60);
    memset(config.cmdline, 'x', 255);
    load();
    kernel_is_at(MIB(1));
    assert_int_equal(memory_value(start.rsi + 0x230, 8), 0);
    memset(config.cmdline, 'x', 256);
    memory_refused(&request, ERR_RANGE, "a command line of 256 bytes; this kernel takes 255");
}

/* Archives one behind the other are one initrd to Linux; zeros between them, up to the next page. */
static void test_several_modules_are_one_initrd(void **state) {
    uint64_t at;

    (void)state;
    memory_add(MIB(1), MIB(31), REGION_RAM);
    request.modules[0].bytes = 5;
    request.modules[1] = (struct load_image){"more.img", "", initrd + 50, 7};
    request.nr_modules = 2;
    load();
    at = memory_value(start.rsi + 0x218, 4);
    assert_int_equal(at % PAGE_SIZE, 0);
    assert_int_equal(memory_value(start.rsi + 0x21C, 4), PAGE_SIZE + 7);
    assert_memory_equal(memory_at(at, 5), initrd, 5);
    assert_int_equal(memory_value(at + 5, 3), 0);
    assert_memory_equal(memory_at(at + PAGE_SIZE, 7), initrd + 50, 7);
    request.modules[0].bytes = MIB(33);
    memory_refused(&request, ERR_NO_MEMORY, "no room for initrd.img and more modules, 33792 KiB; give");
}

/* Identity partitions have a low megabyte and the rest wherever the host had room. */
static void test_moves_to_where_the_ram_is(void **state) {
    (void)state;
    memory_add(0x5A301000, MIB(8), REGION_RAM);
    load();
    kernel_is_at(0x5A400000);
    assert_int_equal(memory_value(start.rsi + 0x218, 4),
                     align_down(0x5A301000 + MIB(8) - INITRD_BYTES, PAGE_SIZE));

    put(0x234, 0, 1); /* not relocatable */
    memory_refused(&request, ERR_NO_MEMORY, "vmlinuz: no room: wants 1024 KiB of RAM at 0x1000000");
}

static void test_nothing_is_put_above_4_gib(void **state) {
    (void)state;
    memory_add(GIB(4) - MIB(8), MIB(16), REGION_RAM);
    load();
    kernel_is_at(GIB(4) - MIB(8));
    assert_int_equal(memory_value(start.rsi + 0x218, 4), align_down(GIB(4) - INITRD_BYTES, PAGE_SIZE));
    put(0x236, 0, 2);
    memory_refused(&request, ERR_NO_MEMORY, "no room for initrd.img");
    put(0x260, MIB(9), 4);
    memory_refused(&request, ERR_NO_MEMORY,
                   "no room: wants 9216 KiB of RAM at 0x1000000 or elsewhere below 4 GiB");
}

/* A restart must leave the same machine as the first start. */
static void test_loads_again(void **state) {
    static uint8_t first[WINDOW];
    struct guest_start start_first;

    (void)state;
    memory_add(MIB(1), MIB(31), REGION_RAM);
    load();
    start_first = start;
    memcpy(first, window, sizeof(first));
    memory_scrub();
    load();
    assert_memory_equal(&start, &start_first, sizeof(start));
    assert_memory_equal(window, first, sizeof(first));
}

static void test_refusals(void **state) {
    (void)state;
    memory_add(MIB(1), MIB(31), REGION_RAM);
    memset(config.cmdline, 'x', 300);
    put(0x238, 300, 4);
    load();
    put(0x238, 299, 4);
    memory_refused(&request, ERR_RANGE, "vmlinuz: a command line of 300 bytes; this kernel takes 299");
    config_reset("");

    put(0x206, 0x0202, 2);
    memory_refused(&request, ERR_UNSUPPORTED,
                   "vmlinuz: boot protocol 2.2; wanted: a bzImage of 2.3 or later");
    put(0x206, 0x020F, 2);
    put(0x211, 0, 1);
    memory_refused(&request, ERR_UNSUPPORTED, "boot protocol 2.15; wanted: a bzImage");
    put(0x211, 1, 1);

    put(0x230, 0x1800, 4);
    memory_refused(&request, ERR_MALFORMED, "vmlinuz: kernel_alignment 0x1800; wanted: a power of two");
    put(0x230, 0, 4);
    memory_refused(&request, ERR_MALFORMED, "kernel_alignment 0x0");
    put(0x230, MIB(2), 4);

    request.kernel.bytes = PAYLOAD_AT + ENTRY_AT;
    memory_refused(&request, ERR_MALFORMED,
                   "vmlinuz: damaged: 2112 bytes with 2048 of setup code and the entry 0x40 after them");
    request.kernel.bytes = KERNEL_BYTES;

    put(0x260, 0xFFFFF000, 4);
    memory_refused(&request, ERR_NO_MEMORY, "no room: wants 4194300 KiB");
    put(0x260, INIT_SIZE, 4);

    request.modules[0].bytes = MIB(33);
    memory_refused(&request, ERR_NO_MEMORY, "vmlinuz: no room for initrd.img, 33792 KiB");
    request.modules[0].bytes = INITRD_BYTES;

    config.has_load = true;
    memory_refused(&request, ERR_UNSUPPORTED, "load = is for flat binaries; this is a Linux kernel");
    config.has_load = false;
    map.regions[0].bytes = KIB(64);
    memory_refused(&request, ERR_NO_MEMORY, "between 64 and 640 KiB");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_state_at_entry, set_up),
        cmocka_unit_test_setup(test_boot_params, set_up),
        cmocka_unit_test_setup(test_header_of_any_length, set_up),
        cmocka_unit_test_setup(test_no_setup_sectors_means_four, set_up),
        cmocka_unit_test_setup(test_initrd_is_high_but_within_reach, set_up),
        cmocka_unit_test_setup(test_e820, set_up),
        cmocka_unit_test_setup(test_not_relocatable_at_1_mib, set_up),
        cmocka_unit_test_setup(test_protocol_of_2002, set_up),
        cmocka_unit_test_setup(test_several_modules_are_one_initrd, set_up),
        cmocka_unit_test_setup(test_moves_to_where_the_ram_is, set_up),
        cmocka_unit_test_setup(test_nothing_is_put_above_4_gib, set_up),
        cmocka_unit_test_setup(test_loads_again, set_up),
        cmocka_unit_test_setup(test_refusals, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
