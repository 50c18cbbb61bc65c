/* SPDX-License-Identifier: Apache-2.0 */
/* Flat binaries, which go where the config says, and what is none of the kinds that can be started. */
#include "core/load.h"
#include "core/range.h"
#include "tests/unit/guest_memory.h"

#define FILE_BYTES KIB(16)
#define ROM        KIB(256)

static uint8_t file[ROM + 1];
static struct load_request request;
static struct guest_start start;

static int set_up(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(file); i++)
        file[i] = (uint8_t)(i * 7 + (i >> 8));
    memory_reset();
    memory_add(MIB(1), MIB(31), REGION_RAM);
    start = (struct guest_start){0};
    config_reset("");
    config.has_load = true;
    request =
        (struct load_request){.config = &config, .map = &map, .kernel = {"flat.bin", "", file, FILE_BYTES}};
    return 0;
}

static void load(void) {
    memory_scrub();
    stub_log_clear();
    if (load_guest(&request, &start) != ERR_OK)
        fail_msg("log: %s", stub_log);
}

static void test_flat_real_mode(void **state) {
    (void)state;
    config.has_load = true;
    config.load = 0x7C00;
    load();
    assert_int_equal(start.mode, START_REAL);
    assert_int_equal(start.cs, 0x7C0);
    assert_int_equal(start.ds, 0x7C0);
    assert_int_equal(start.rip, 0);
    assert_int_equal(start.gdt_limit, 0);
    assert_memory_equal(memory_at(0x7C00, FILE_BYTES), file, FILE_BYTES);
    config.load = 0x7C08;
    load();
    assert_int_equal(start.cs, 0x7C0);
    assert_int_equal(start.rip, 8);
    config.load = KIB(640) - FILE_BYTES + 16;
    memory_refused(&request, ERR_RANGE, "flat.bin: 0x4000 bytes for 0x9c010: not free RAM below 4 GiB");
    config.load = 0xE0000;
    memory_refused(&request, ERR_RANGE, "not free RAM below 4 GiB");
}

static void test_flat_protected_mode(void **state) {
    (void)state;
    config.has_load = true;
    config.load = MIB(2) + 8;
    load();
    assert_int_equal(start.mode, START_PROTECTED);
    assert_int_equal(start.cs, 0x08);
    assert_int_equal(start.ds, 0x10);
    assert_int_equal(memory_value(start.gdt_base + 0x08, 8), 0x00CF9B000000FFFF);
    assert_int_equal(memory_value(start.gdt_base + 0x10, 8), 0x00CF93000000FFFF);
    assert_int_equal(start.rip, MIB(2) + 8);
    assert_int_equal(start.rbx, 0);
    assert_memory_equal(memory_at(MIB(2) + 8, FILE_BYTES), file, FILE_BYTES);
    config.load = MIB(32);
    memory_refused(&request, ERR_RANGE, "not free RAM below 4 GiB");
    memory_add(GIB(4), MIB(1), REGION_RAM);
    config.load = GIB(4);
    memory_refused(&request, ERR_RANGE, "for 0x100000000: not free RAM");
    config.load = UINT64_MAX - 15;
    memory_refused(&request, ERR_RANGE, "for 0xfffffffffffffff0: not free RAM");
}

/* The state of RESET: CS base FFFF0000H, so the first fetch is 16 bytes below 4 GiB. */
static void test_reset_vector(void **state) {
    (void)state;
    config.load_at_reset = true;
    memory_add(GIB(4) - ROM, ROM, REGION_TABLES);
    for (uint64_t bytes = 16; bytes <= KIB(128); bytes *= 2) {
        request.kernel.bytes = bytes;
        load();
        assert_int_equal(start.mode, START_RESET);
        assert_int_equal(start.rip, 0xFFF0);
        assert_memory_equal(memory_at(MIB(1) - bytes, bytes), file, bytes);
        assert_memory_equal(memory_at(GIB(4) - bytes, bytes), file, bytes);
    }
    memset(memory_at(0xE0000, KIB(128)), 0xA5, KIB(128));
    request.kernel.bytes = 15;
    memory_refused(&request, ERR_RANGE, "flat.bin: 15 bytes for load = reset; wanted: from 16 to 262144");
    request.kernel.bytes = ROM + 1;
    memory_refused(&request, ERR_RANGE, "262145 bytes for load = reset; wanted: from 16 to 262144");
    map.count--; /* no such memory below 4 GiB */
    request.kernel.bytes = 16;
    memory_refused(&request, ERR_RANGE, "guest memory at 0xfffffff0 cannot be written");
}

static void test_neither_fish_nor_fowl(void **state) {
    (void)state;
    config.has_load = false;
    memory_refused(&request, ERR_UNSUPPORTED,
                   "flat.bin: no Linux bzImage, no multiboot header, no ELF with a PVH note; if it is a flat "
                   "binary, give load = ADDRESS");
    request.kernel.bytes = 0;
    memory_refused(&request, ERR_UNSUPPORTED, "no Linux bzImage");
    request.kernel.bytes = 3;
    memory_refused(&request, ERR_UNSUPPORTED, "no Linux bzImage");
    request.kernel.bytes = FILE_BYTES;
    config.has_load = true;
    memcpy(file,
           "\x7f"
           "ELF",
           4);
    memory_refused(&request, ERR_UNSUPPORTED, "load = is for flat binaries; this is an ELF: leave it out");
    memcpy(file, "\x02\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4", 12);
    memory_refused(&request, ERR_UNSUPPORTED, "this is a multiboot kernel: leave it out");
    memcpy(file + 0x202, "HdrS", 4);
    memory_refused(&request, ERR_UNSUPPORTED, "this is a Linux kernel: leave it out");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_flat_real_mode, set_up),
        cmocka_unit_test_setup(test_flat_protected_mode, set_up),
        cmocka_unit_test_setup(test_reset_vector, set_up),
        cmocka_unit_test_setup(test_neither_fish_nor_fowl, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
