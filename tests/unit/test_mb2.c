/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/boot_info.h"
#include "core/frames.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

/* A structure under construction. Parsed from a heap copy of exactly its size, so that a read past
 * the end is seen. */
#define INFO 0x5001
static uint8_t blob[65536];
static uint32_t blob_bytes;
static struct boot_info out;

static void put(const void *bytes, size_t count) {
    memcpy(blob + blob_bytes, bytes, count);
    blob_bytes += (uint32_t)count;
}

static void put_u32(uint32_t v) {
    put(&v, sizeof(v));
}

static void put_u64(uint64_t v) {
    put(&v, sizeof(v));
}

static void blob_start(void) {
    memset(blob, 0xaa, sizeof(blob)); /* padding is not zero */
    blob_bytes = 8;
    stub_log_clear();
}

static void tag_start(uint32_t type, uint32_t body_bytes) {
    blob_bytes = (blob_bytes + 7) & ~7u;
    put_u32(type);
    put_u32(8 + body_bytes);
}

static void tag_text(uint32_t type, const char *text) {
    tag_start(type, (uint32_t)strlen(text) + 1);
    put(text, strlen(text) + 1);
}

static void tag_module(uint32_t start, uint32_t end, const char *text) {
    tag_start(3, 8 + (uint32_t)strlen(text) + 1);
    put_u32(start);
    put_u32(end);
    put(text, strlen(text) + 1);
}

static void tag_memory(uint64_t base, uint64_t size, uint32_t kind) {
    tag_start(6, 8 + 24);
    put_u32(24);
    put_u32(0);
    put_u64(base);
    put_u64(size);
    put_u32(kind);
    put_u32(0);
}

static enum err parse_only(uint32_t readable) {
    uint8_t *copy = malloc(readable);
    enum err e;

    memcpy(copy, blob, readable);
    stub_phys_set(INFO, copy, readable);
    e = mb2_parse(hpa(INFO), &out);
    stub_phys_set(0, NULL, 0);
    free(copy);
    return e;
}

static enum err parse(void) {
    tag_start(0, 0);
    memcpy(blob, &blob_bytes, 4);
    return parse_only(blob_bytes);
}

static void expect_error(const char *log) {
    assert_int_equal(parse(), ERR_MALFORMED);
    assert_non_null(strstr(stub_log, log));
}

static void test_everything(void **state) {
    uint8_t rsdp[36];

    (void)state;
    blob_start();
    memset(rsdp, 0x20, sizeof(rsdp));
    tag_text(1, "console=com1 -- x");
    tag_text(2, "GRUB 2.06"); /* loader name: skipped */
    tag_module(0x200000, 0x200123, "/boot/mullion.conf");
    tag_module(0x300000, 0x300000, " \t(hd0)/a/vmlinuz \tconsole=ttyS0  root=/dev/sda ");
    tag_start(6, 8 + 5 * 24);
    put_u32(24);
    put_u32(0);
    for (uint32_t i = 0; i < 5; i++) {
        put_u64(0x100000ull * i);
        put_u64(i == 2 ? 0 : 0x1000);
        put_u32(i == 4 ? 12 : i + 1);
        put_u32(0xffffffff);
    }
    tag_start(17, 9);
    put("efi table", 9);
    tag_start(8, 24 + 6);
    put_u64(0x4c0000000);
    put_u32(5504); /* pitch */
    put_u32(1366);
    put_u32(768);
    put_u32(0xffff0120); /* 32 bits, RGB, reserved */
    put_u32(0x08080810); /* where red, green and blue are: not asked for */
    put("\x08\x00", 2);
    tag_start(15, 36);
    put(rsdp, 36);
    memset(rsdp, 0x10, sizeof(rsdp));
    tag_start(14, 20);
    put(rsdp, 20);
    assert_int_equal(parse(), ERR_OK);

    assert_int_equal(out.nr_modules, 2);
    assert_string_equal(out.modules[0].name, "mullion.conf");
    assert_string_equal(out.modules[0].args, "");
    assert_int_equal(out.modules[0].at.v, 0x200000);
    assert_int_equal(out.modules[0].bytes, 0x123);
    assert_string_equal(out.modules[1].name, "vmlinuz");
    assert_string_equal(out.modules[1].args, "console=ttyS0  root=/dev/sda");
    assert_int_equal(out.modules[1].bytes, 0);
    assert_int_equal(out.nr_memory, 4); /* the empty one is left out */
    assert_int_equal(out.memory[1].range.base, 0x100000);
    assert_int_equal(out.memory[1].range.size, 0x1000);
    assert_int_equal(out.memory[1].kind, MEMORY_RESERVED);
    assert_int_equal(out.memory[2].kind, MEMORY_NVS);
    assert_int_equal(out.memory[3].kind, MEMORY_RESERVED); /* 12 is nothing we know */
    assert_int_equal(out.screen.at.v, 0x4c0000000);
    assert_int_equal(out.screen.pitch, 5504);
    assert_int_equal(out.screen.width, 1366);
    assert_int_equal(out.screen.height, 768);
    assert_int_equal(out.screen.bits, 32);
    assert_int_equal(out.screen.kind, FRAMEBUFFER_RGB);
    assert_int_equal(out.rsdp_bytes, 36);
    assert_int_equal(out.rsdp[35], 0x20);
    assert_string_equal(stub_log, "");

    assert_ptr_equal(boot_info_module(&out, "vmlinuz"), &out.modules[1]);
    assert_null(boot_info_module(&out, "vmlinu"));
}

static void test_little(void **state) {
    (void)state;
    blob_start();
    tag_memory(0, 0x80000, 1);
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.nr_modules, 0);
    assert_int_equal(out.rsdp_bytes, 0);

    blob_start();
    tag_memory(0, 0x80000, 1);
    tag_start(14, 20);
    put("RSD PTR 123456789012", 20);
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.rsdp_bytes, 20);
    assert_memory_equal(out.rsdp, "RSD PTR ", 8);
}

static void test_large_entries(void **state) {
    (void)state;
    blob_start();
    tag_start(6, 8 + 2 * 40);
    put_u32(40);
    put_u32(1);
    for (uint32_t i = 0; i < 2; i++) {
        put_u64(i * 0x1000);
        put_u64(0x1000);
        put_u64(1);
        put_u64(7);
        put_u64(9);
    }
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.nr_memory, 2);
    assert_int_equal(out.memory[1].range.base, 0x1000);
    assert_int_equal(out.memory[1].kind, MEMORY_RAM);
}

static void test_bad_frames(void **state) {
    static const uint32_t sizes[] = {0, 7, 0xffffffff, 0xfffffff8};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        blob_start();
        tag_start(2, 8);
        memcpy(blob + 12, &sizes[i], 4);
        put_u64(0);
        expect_error("bytes at offset 8 cannot be used");
    }

    blob_start(); /* every cut of a good one: total_size is right, the end tag is lost */
    tag_text(1, "a command line");
    tag_module(0, 0, "x");
    tag_memory(0, 0x80000, 1);
    assert_int_equal(parse(), ERR_OK);
    for (uint32_t cut = 0; cut < blob_bytes; cut++) {
        stub_log_clear();
        memcpy(blob, &cut, 4);
        assert_int_equal(parse_only(cut), ERR_MALFORMED);
        assert_true(stub_log[0] != '\0');
    }

    memcpy(blob, &blob_bytes, 4); /* total_size beyond what is readable */
    assert_int_equal(parse_only(blob_bytes - 1), ERR_MALFORMED);
    assert_non_null(strstr(stub_log, "no information of"));
    memcpy(blob, &(uint32_t){blob_bytes - 1}, 4);
    assert_int_equal(parse_only(blob_bytes), ERR_MALFORMED);
    assert_non_null(strstr(stub_log, "no end tag"));
}

static void test_short_bodies(void **state) {
    static const struct { uint32_t type, least; } rows[] = {{3, 8}, {6, 8}, {14, 20}, {15, 36}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t body[40] = {0};

        blob_start();
        tag_start(rows[i].type, rows[i].least - 1);
        put(body, rows[i].least - 1);
        expect_error("cannot be used");
    }
}

/* A string that does not end ends with its tag. */
static void test_open_text(void **state) {
    (void)state;
    blob_start();
    tag_memory(0, 0x80000, 1);
    tag_start(3, 12);
    put_u64(0);
    put("abcd", 4);
    assert_int_equal(parse(), ERR_OK);
    assert_string_equal(out.modules[0].name, "abcd");
}

static void test_text_limits(void **state) {
    char text[MAX_CMDLINE + MAX_NAME + 4];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[MAX_NAME - 1] = ' ';
    text[MAX_NAME - 1 + MAX_CMDLINE] = '\0';
    memset(text + MAX_NAME, 'y', MAX_CMDLINE - 1);
    blob_start();
    tag_memory(0, 0x1000, 1);
    tag_module(0, 1, text);
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(strlen(out.modules[0].name), MAX_NAME - 1);
    assert_int_equal(strlen(out.modules[0].args), MAX_CMDLINE - 1);

    text[MAX_NAME - 1 + MAX_CMDLINE] = 'y';
    text[MAX_NAME + MAX_CMDLINE] = '\0';
    blob_start();
    tag_module(0, 1, text);
    expect_error("a name has at most 31 characters, its arguments 1023");

    memset(text, 'n', MAX_NAME);
    text[MAX_NAME] = ' ';
    blob_start();
    tag_module(0, 1, text);
    expect_error("module 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn': a name has at most 31");
}

static void test_bad_modules(void **state) {
    (void)state;
    blob_start();
    tag_module(0x2000, 0x1fff, "cfg");
    expect_error("tag of type 3 with 20 bytes at offset 8 cannot be used");

    blob_start();
    tag_module(0, 1, "/a/same one");
    tag_module(0, 1, "/b/same two");
    expect_error("two modules are named 'same'");

    blob_start(); /* nameless ones are kept, with a hint */
    tag_memory(0, 0x1000, 1);
    tag_module(0, 1, "");
    tag_module(0, 1, "  dir/ args");
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.nr_modules, 2);
    assert_string_equal(out.modules[1].name, "");
    assert_string_equal(out.modules[1].args, "args");
    assert_non_null(strstr(stub_log, "module 1 has no name"));
}

static void test_too_many(void **state) {
    char name[8] = "m00";

    (void)state;
    for (unsigned count = MAX_MODULES; count <= MAX_MODULES + 1; count++) {
        blob_start();
        tag_memory(0, 0x1000, 1);
        for (unsigned i = 0; i < count; i++) {
            name[1] = (char)('0' + i / 10);
            name[2] = (char)('0' + i % 10);
            tag_module(0, 1, name);
        }
        assert_int_equal(parse(), count == MAX_MODULES ? ERR_OK : ERR_MALFORMED);
    }
    assert_non_null(strstr(stub_log, "more than 32 modules"));

    for (unsigned count = MAX_MEMORY_RANGES; count <= MAX_MEMORY_RANGES + 1; count++) {
        blob_start();
        for (unsigned i = 0; i < count; i++)
            tag_memory(i * 0x1000, 0x1000, 1);
        assert_int_equal(parse(), count == MAX_MEMORY_RANGES ? ERR_OK : ERR_MALFORMED);
    }
    assert_non_null(strstr(stub_log, "more than entry 128"));
}

static void test_bad_memory(void **state) {
    static const uint32_t entry_sizes[] = {0, 8, 23, 25, 32, 0xffffffff};

    (void)state;
    blob_start();
    expect_error("no memory map");

    blob_start();
    tag_memory(0xfffffffffffff000, 0x1001, 2);
    expect_error("wraps round");

    for (size_t i = 0; i < sizeof(entry_sizes) / sizeof(entry_sizes[0]); i++) {
        blob_start();
        tag_memory(0, 0x1000, 1);
        memcpy(blob + 16, &entry_sizes[i], 4);
        expect_error("tag of type 6");
    }
}

/* What GRUB 2.06 left, see tests/unit/data/record.py. */
static void parse_recorded(const char *path, uint64_t bytes) {
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    assert_int_equal(fread(blob, 1, sizeof(blob), f), bytes);
    fclose(f);
    stub_log_clear();
    assert_int_equal(parse_only((uint32_t)bytes), ERR_OK);
    assert_string_equal(stub_log, "");

    assert_int_equal(out.nr_modules, 2);
    assert_string_equal(out.modules[0].name, "mullion.conf");
    assert_int_equal(out.modules[0].bytes, 300);
    assert_string_equal(out.modules[1].name, "vmlinuz");
    assert_string_equal(out.modules[1].args, "root=/dev/sda1 quiet");
    assert_int_equal(out.modules[1].bytes, 5000);
}

static void require_range(unsigned i, uint64_t base, uint64_t size, enum memory_kind kind) {
    assert_int_equal(out.memory[i].range.base, base);
    assert_int_equal(out.memory[i].range.size, size);
    assert_int_equal(out.memory[i].kind, kind);
}

static void test_recorded_bios(void **state) {
    (void)state;
    parse_recorded("tests/unit/data/grub-bios.mb2", 744);
    assert_int_equal(out.modules[0].at.v, 0x101000);
    assert_int_equal(out.modules[1].at.v, 0x102000);
    assert_int_equal(out.nr_memory, 7);
    require_range(0, 0, 0x9fc00, MEMORY_RAM);
    require_range(6, 0xfd00000000, 0x300000000, MEMORY_RESERVED);
    assert_int_equal(out.rsdp_bytes, 20);
}

static void test_recorded_efi(void **state) {
    (void)state;
    parse_recorded("tests/unit/data/grub-efi.mb2", 7224);
    assert_int_equal(out.modules[0].at.v, 0x3000);
    assert_int_equal(out.modules[1].at.v, 0x4000);
    assert_int_equal(out.nr_memory, 18);
    require_range(2, 0x806000, 0x2000, MEMORY_NVS);
    require_range(9, 0x75ec000, 0x100000, MEMORY_RESERVED); /* GRUB says 20: EFI runtime code */
    require_range(11, 0x776c000, 0x12000, MEMORY_ACPI);
    assert_int_equal(out.rsdp_bytes, 36);
    assert_int_equal(out.rsdp[15], 2);
}

/* What EFI's own map (tag 17) says is not the loader's, boot services' or free: firmware at run time, its
 * tables, devices. GRUB has made the other map of it; nothing of all that may be free for us. */
static void test_nothing_of_efi_is_free(void **state) {
    static struct frames frames;
    const uint8_t *tag = blob + 8;
    uint32_t size, each;
    unsigned kept = 0;

    (void)state;
    parse_recorded("tests/unit/data/grub-efi.mb2", 7224);
    assert_int_equal(frames_init(&frames, out.memory, out.nr_memory), ERR_OK);
    for (; tag[0] != 17; tag += (size + 7) & ~7u)
        memcpy(&size, tag + 4, 4);
    memcpy(&size, tag + 4, 4);
    memcpy(&each, tag + 8, 4);
    for (uint32_t at = 16; at < size; at += each) {
        uint64_t base, pages;
        uint32_t type;

        memcpy(&type, tag + at, 4);
        memcpy(&base, tag + at + 8, 8);
        memcpy(&pages, tag + at + 24, 8);
        for (unsigned i = 0; i < frames.free.count && (type == 0 || type > 4) && type != 7; i++)
            assert_false(range_overlaps(frames.free.ranges[i], (struct range){base, pages * PAGE_SIZE}));
        kept += (type == 0 || type > 4) && type != 7;
    }
    assert_int_equal(kept, 12);
    assert_true(frames_free_bytes(&frames) > MIB(100));
}

static void test_clip(void **state) {
    (void)state;
    parse_recorded("tests/unit/data/grub-bios.mb2", 744);
    out.memory[1] = (struct memory_range){{GIB(63), GIB(2)}, MEMORY_RAM};
    out.memory[2] = (struct memory_range){{GIB(64), GIB(2)}, MEMORY_RAM};
    out.memory[3] = (struct memory_range){{GIB(63), UINT64_MAX}, MEMORY_RESERVED};
    boot_info_clip(&out, GIB(64));
    require_range(0, 0, 0x9fc00, MEMORY_RAM);
    require_range(1, GIB(63), GIB(1), MEMORY_RAM);
    assert_int_equal(out.memory[2].range.size, 0);
    require_range(3, GIB(63), GIB(1), MEMORY_RESERVED);
    assert_int_equal(out.memory[6].range.size, 0);
    assert_string_equal(
        stub_log, "memory: of 0x80000000 bytes at 0xfc0000000 all from 0x1000000000 on is out of reach\n"
                  "memory: of 0x80000000 bytes at 0x1000000000 all from 0x1000000000 on is out of reach\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),    cmocka_unit_test(test_little),
        cmocka_unit_test(test_large_entries), cmocka_unit_test(test_bad_frames),
        cmocka_unit_test(test_short_bodies),  cmocka_unit_test(test_open_text),
        cmocka_unit_test(test_text_limits),   cmocka_unit_test(test_bad_modules),
        cmocka_unit_test(test_too_many),      cmocka_unit_test(test_bad_memory),
        cmocka_unit_test(test_recorded_bios), cmocka_unit_test(test_recorded_efi),
        cmocka_unit_test(test_clip),          cmocka_unit_test(test_nothing_of_efi_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
