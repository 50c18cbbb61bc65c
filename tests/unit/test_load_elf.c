/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot and PVH kernels of every shape, made by hand: loaded where they say, told what the
 * specifications promise, and refused with a reason when they cannot be. */
#include "core/load.h"
#include "core/range.h"
#include "tests/unit/guest_memory.h"

#define MB1_MAGIC  0x1BADB002u
#define MB2_MAGIC  0xE85250D6u
#define FILE_BYTES KIB(16)
#define NO_FORMAT  "kernel.elf: no Linux bzImage, no multiboot header, no ELF with a PVH note"
#define HEADER_AT  0x1000u /* of the multiboot header, in the file and in the first segment */

static uint8_t file[FILE_BYTES], initrd[5000];
static struct load_request request;
static struct guest_start start;

static void put(uint64_t offset, uint64_t value, unsigned bytes) {
    assert_true(offset + bytes <= FILE_BYTES);
    memcpy(file + offset, &value, bytes);
}

static void put_mb1(uint64_t at, uint32_t flags) {
    put(at, MB1_MAGIC, 4);
    put(at + 4, flags, 4);
    put(at + 8, 0u - MB1_MAGIC - flags, 4);
}

static void put_mb2(uint64_t at, uint32_t length) {
    put(at, MB2_MAGIC, 4);
    put(at + 4, 0, 4);
    put(at + 8, length, 4);
    put(at + 12, 0u - MB2_MAGIC - length, 4);
    put(at + length - 8, 0, 4); /* end tag */
    put(at + length - 4, 8, 4);
}

/* ELF32 header and program headers; the fields lie differently in ELF64. */
static void put_elf32(uint64_t entry, unsigned phnum) {
    memcpy(file,
           "\x7f"
           "ELF\1\1\1",
           7);
    put(16, 2, 2);
    put(18, 3, 2);
    put(24, entry, 4);
    put(28, 52, 4);
    put(42, 32, 2);
    put(44, phnum, 2);
}

static void put_phdr32(unsigned n, uint64_t offset, uint64_t vaddr, uint64_t paddr, uint64_t filesz,
                       uint64_t memsz) {
    const uint64_t words[] = {1, offset, vaddr, paddr, filesz, memsz, 7, 4096};

    for (unsigned i = 0; i < 8; i++)
        put(52 + n * 32 + i * 4, words[i], 4);
}

static void put_elf64(uint64_t entry, unsigned phnum) {
    memcpy(file,
           "\x7f"
           "ELF\2\1\1",
           7);
    put(16, 2, 2);
    put(18, 62, 2);
    put(24, entry, 8);
    put(32, 64, 8);
    put(54, 56, 2);
    put(56, phnum, 2);
}

static void put_phdr64(unsigned n, uint64_t offset, uint64_t vaddr, uint64_t paddr, uint64_t filesz,
                       uint64_t memsz) {
    const uint64_t words[] = {offset, vaddr, paddr, filesz, memsz, 4096};

    put(64 + n * 56, 0x700000001, 8);
    for (unsigned i = 0; i < 6; i++)
        put(64 + n * 56 + 8 + i * 8, words[i], 8);
}

/* Two segments, text from 1000H in the file with the multiboot header at its start, and bss. */
static void put_usual64(void) {
    put_elf64(MIB(1) + 0x40, 2);
    put_phdr64(0, 0x1000, MIB(1), MIB(1), 0x1800, 0x1800);
    put_phdr64(1, 0x2800, MIB(1) + 0x3000, MIB(1) + 0x3000, 0x800, 0x9000);
    put_mb1(HEADER_AT, 3);
}

static int set_up(void **state) {
    (void)state;
    for (size_t i = 0; i < FILE_BYTES; i++)
        file[i] = (uint8_t)(i * 7 + (i >> 8));
    memset(file, 0, HEADER_AT);
    for (size_t i = 0; i < sizeof(initrd); i++)
        initrd[i] = (uint8_t)(i * 13 + (i >> 8));
    memory_reset();
    memory_add(MIB(1), MIB(31), REGION_RAM);
    start = (struct guest_start){0};
    config_reset("one two=2");
    request = (struct load_request){
        .config = &config,
        .map = &map,
        .kernel = {"kernel.elf", "", file, FILE_BYTES},
    };
    return 0;
}

static void give_module(const char *name, const char *args, uint64_t bytes) {
    request.modules[request.nr_modules++] = (struct load_image){name, args, initrd, bytes};
}

static void load(void) {
    memory_scrub();
    stub_log_clear();
    if (load_guest(&request, &start) != ERR_OK)
        fail_msg("log: %s", stub_log);
    memory_tables_untouched();
}

/* What guests in the wild expect of CS and DS must be what the GDT in memory says. */
static void protected_mode(uint32_t eax) {
    assert_int_equal(start.mode, START_PROTECTED);
    assert_int_equal(start.rax, eax);
    assert_int_equal(start.cs, 0x08);
    assert_int_equal(start.ds, 0x10);
    assert_int_equal(start.gdt_limit, 0x17);
    assert_int_equal(memory_value(start.gdt_base + 0x08, 8), 0x00CF9B000000FFFF);
    assert_int_equal(memory_value(start.gdt_base + 0x10, 8), 0x00CF93000000FFFF);
}

static const char *text_at(uint64_t at) {
    return (const char *)memory_at(at, 1);
}

static void is_zero(uint64_t at, uint64_t bytes) {
    const uint8_t *p = memory_at(at, bytes);

    for (uint64_t i = 0; i < bytes; i++)
        assert_int_equal(p[i], 0);
}

static void test_elf64_segments(void **state) {
    (void)state;
    put_usual64();
    load();
    protected_mode(0x2BADB002);
    assert_int_equal(start.rip, MIB(1) + 0x40);
    assert_memory_equal(memory_at(MIB(1), 0x1800), file + 0x1000, 0x1800);
    assert_memory_equal(memory_at(MIB(1) + 0x3000, 0x800), file + 0x2800, 0x800);
    is_zero(MIB(1) + 0x3800, 0x8800);
}

static void test_elf32_at_a_virtual_address(void **state) {
    (void)state;
    put_elf32(0xC0100020, 1);
    put_phdr32(0, 0x1000, 0xC0100000, MIB(2), 0x1000, 0x2000);
    put_mb1(HEADER_AT, 0);
    load();
    protected_mode(0x2BADB002);
    assert_int_equal(start.rip, MIB(2) + 0x20);
    assert_memory_equal(memory_at(MIB(2), 0x1000), file + 0x1000, 0x1000);
    is_zero(MIB(2) + 0x1000, 0x1000);

    put_elf32(MIB(2) + 0x30, 1); /* others give the physical entry point */
    load();
    assert_int_equal(start.rip, MIB(2) + 0x30);

    put_elf32(MIB(2) + 0x30, 2); /* one segment's physical address, the other's virtual one */
    put_phdr32(1, 0x2000, MIB(2), MIB(4), 0x1000, 0x1000);
    put_mb1(HEADER_AT, 0);
    load();
    assert_int_equal(start.rip, MIB(4) + 0x30);

    put_elf32(MIB(2) + 0x2000, 1);
    memory_refused(&request, ERR_MALFORMED,
                   "kernel.elf: entry point 0x202000 lies in nothing that was loaded");
}

static void test_multiboot1_information(void **state) {
    static const struct {
        uint64_t base, size;
        uint32_t type;
    } want[] = {{0, KIB(640), 1},
                {0xE0000, KIB(128), 3},
                {MIB(1), MIB(31), 1},
                {0xFEC00000, KIB(4), 2},
                {0xFEE00000, KIB(4), 2}};
    uint64_t info, at;

    (void)state;
    put_usual64();
    give_module("disk", "ro fast", sizeof(initrd));
    load();
    info = start.rbx;
    assert_int_equal(memory_value(info, 4), 0x24D); /* memory, cmdline, modules, mmap, loader name */
    assert_string_equal(text_at(memory_value(info + 64, 4)), "Mullion");
    assert_int_equal(memory_value(info + 4, 4), 640);
    assert_int_equal(memory_value(info + 8, 4), 31 * 1024);
    assert_string_equal(text_at(memory_value(info + 16, 4)), "one two=2");
    assert_int_equal(memory_value(info + 44, 4), 24 * ARRAY_SIZE(want));
    at = memory_value(info + 48, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++, at += 24) {
        assert_int_equal(memory_value(at, 4), 20);
        assert_int_equal(memory_value(at + 4, 8), want[i].base);
        assert_int_equal(memory_value(at + 12, 8), want[i].size);
        assert_int_equal(memory_value(at + 20, 4), want[i].type);
    }
    assert_int_equal(memory_value(info + 20, 4), 1);
    at = memory_value(info + 24, 4);
    assert_string_equal(text_at(memory_value(at + 8, 4)), "disk ro fast");
    assert_int_equal(memory_value(at + 4, 4) - memory_value(at, 4), sizeof(initrd));
    at = memory_value(at, 4);
    assert_int_equal(at % PAGE_SIZE, 0);
    assert_true(at >= MIB(1) + 0xC000);
    assert_memory_equal(memory_at(at, sizeof(initrd)), initrd, sizeof(initrd));

    give_module("more", "", 3); /* at the next page */
    load();
    assert_int_equal(memory_value(start.rbx + 20, 4), 2);
    at = memory_value(start.rbx + 24, 4);
    assert_int_equal(memory_value(at + 16, 4), memory_value(at, 4) + 0x2000);
    assert_int_equal(memory_value(at + 20, 4), memory_value(at + 16, 4) + 3);
    assert_string_equal(text_at(memory_value(at + 24, 4)), "more");
    assert_memory_equal(memory_at(memory_value(at + 16, 4), 3), initrd, 3);

    request.nr_modules = 0;
    config_reset("");
    load();
    assert_int_equal(memory_value(start.rbx + 20, 4), 0);
    assert_string_equal(text_at(memory_value(start.rbx + 16, 4)), "");
}

/* The content of the last tag of a type, which must be there `before` times before it; 0 = none. */
static uint64_t tag_nth(uint64_t info, uint32_t type, unsigned before, uint32_t *bytes) {
    uint64_t end = info + memory_value(info, 4), found = 0;
    unsigned count = 0;

    for (uint64_t at = info + 8; at < end; at += align_up(memory_value(at + 4, 4), 8)) {
        if (memory_value(at, 4) == 0) {
            assert_int_equal(at + 8, end);
            assert_int_equal(memory_value(at + 4, 4), 8);
        } else if (memory_value(at, 4) == type) {
            count++;
            found = at;
        }
    }
    assert_int_equal(count, found == 0 ? 0 : before + 1);
    *bytes = found != 0 ? (uint32_t)memory_value(found + 4, 4) - 8 : 0;
    return found != 0 ? found + 8 : 0;
}

static uint64_t tag(uint64_t info, uint32_t type, uint32_t *bytes) {
    return tag_nth(info, type, 0, bytes);
}

static void test_multiboot2_information(void **state) {
    uint32_t bytes;
    uint64_t at;

    (void)state;
    put_usual64();
    put_mb2(HEADER_AT, 24); /* over version 1: both could be there, 2 is preferred */
    put_mb1(HEADER_AT + 64, 3);
    give_module("disk", "", sizeof(initrd));
    load();
    protected_mode(0x36D76289);
    at = tag(start.rbx, 1, &bytes);
    assert_string_equal(text_at(at), "one two=2");
    assert_int_equal(bytes, 10);
    at = tag(start.rbx, 4, &bytes);
    assert_int_equal(memory_value(at, 4), 640);
    assert_int_equal(memory_value(at + 4, 4), 31 * 1024);
    at = tag(start.rbx, 6, &bytes);
    assert_int_equal(bytes, 8 + 5 * 24);
    assert_int_equal(memory_value(at, 8), 24); /* size of an entry, version 0 */
    assert_int_equal(memory_value(at + 8 + 24, 8), 0xE0000);
    assert_int_equal(memory_value(at + 8 + 24 + 8, 8), KIB(128));
    assert_int_equal(memory_value(at + 8 + 24 + 16, 4), 3);
    at = tag(start.rbx, 3, &bytes);
    assert_string_equal(text_at(at + 8), "disk");
    assert_memory_equal(memory_at(memory_value(at, 4), sizeof(initrd)), initrd, sizeof(initrd));
    at = tag(start.rbx, 15, &bytes);
    assert_int_equal(bytes, 36);
    assert_memory_equal(memory_at(at, 36), memory_at(0xE0000, 36), 36);
    at = tag(start.rbx, 14, &bytes); /* as much of it as ACPI 1.0 knows */
    assert_int_equal(bytes, 20);
    assert_memory_equal(memory_at(at, 20), memory_at(0xE0000, 20), 20);
    assert_string_equal(text_at(tag(start.rbx, 2, &bytes)), "Mullion");

    request.nr_modules = 0;
    load();
    assert_int_equal(tag(start.rbx, 3, &bytes), 0);
}

/* The longest everything still fits into the block. */
static void test_multiboot2_at_its_longest(void **state) {
    static char args[MAX_CMDLINE], name[MAX_NAME];
    uint32_t bytes;
    uint64_t at;

    (void)state;
    put_usual64();
    put_mb2(HEADER_AT, 24);
    memset(config.cmdline, 'c', sizeof(config.cmdline) - 1);
    memset(args, 'a', sizeof(args) - 1);
    memset(name, 'n', sizeof(name) - 1);
    for (unsigned i = 0; i < LOAD_MAX_MODULES; i++)
        give_module(name, args, i == 0 ? sizeof(initrd) : 10);
    for (unsigned i = 0; map.count < MAX_GUEST_REGIONS; i++)
        memory_add(MIB(64) + i * MIB(1), PAGE_SIZE, REGION_RAM);
    load();
    assert_string_equal(text_at(tag(start.rbx, 1, &bytes)), config.cmdline);
    at = tag_nth(start.rbx, 3, LOAD_MAX_MODULES - 1, &bytes);
    assert_int_equal(bytes, 8 + MAX_NAME + MAX_CMDLINE);
    assert_int_equal(strlen(text_at(at + 8)), MAX_NAME + MAX_CMDLINE - 1);
    tag(start.rbx, 6, &bytes);
    assert_int_equal(bytes, 8 + (MAX_GUEST_REGIONS + 2) * 24);
    put(HEADER_AT, 0, 4);
    put_mb1(HEADER_AT + 64, 3);
    load();
    assert_string_equal(text_at(memory_value(start.rbx + 16, 4)), config.cmdline);
}

/* The header may give the entry point itself: a physical address, for 32-bit mode. */
static void test_multiboot2_entry(void **state) {
    (void)state;
    put_usual64();
    put_mb2(HEADER_AT, 16 + 16 + 8);
    put(HEADER_AT + 16, 3, 4);
    put(HEADER_AT + 20, 12, 4);
    put(HEADER_AT + 24, MIB(1) + 0x80, 4);
    load();
    protected_mode(0x36D76289);
    assert_int_equal(start.rip, MIB(1) + 0x80);
}

/* ---- Addresses in the header ---- */

/* Header address, load address, end of what is loaded, end of the zeros behind it. */
static void put_addresses(uint64_t at, uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end) {
    put(at, header, 4);
    put(at + 4, load, 4);
    put(at + 8, load_end, 4);
    put(at + 12, bss_end, 4);
}

/* Flag 16: the fields count, whether the file is an ELF that says otherwise or nothing known at all. */
static void test_address_fields(void **state) {
    (void)state;
    for (unsigned elf = 0; elf < 2; elf++) {
        if (elf)
            put_usual64();
        put_mb1(HEADER_AT, BIT(16) | 3);
        put_addresses(HEADER_AT + 12, MIB(3) + 0x100, MIB(3), MIB(3) + 0x900, MIB(3) + 0x2000);
        put(HEADER_AT + 28, MIB(3) + 0x80, 4);
        load();
        protected_mode(0x2BADB002);
        assert_int_equal(start.rip, MIB(3) + 0x80);
        assert_memory_equal(memory_at(MIB(3), 0x900), file + HEADER_AT - 0x100, 0x900);
        is_zero(MIB(3) + 0x900, 0x1700);
        is_zero(MIB(1), 0x1000); /* where the ELF would have gone */
    }
    put_addresses(HEADER_AT + 12, MIB(3) + 0x100, MIB(3), 0, 0); /* up to the end of the file, no bss */
    load();
    assert_memory_equal(memory_at(MIB(3), FILE_BYTES - HEADER_AT + 0x100), file + HEADER_AT - 0x100,
                        FILE_BYTES - HEADER_AT + 0x100);
}

static void test_address_fields_that_lie(void **state) {
    (void)state;
    put_mb1(HEADER_AT, BIT(16));
    put(HEADER_AT + 28, MIB(3) + 0x80, 4);
    put_addresses(HEADER_AT + 12, MIB(3), MIB(3) + 4, 0, 0); /* the header before what is loaded, and so on */
    load();
    assert_memory_equal(memory_at(MIB(3) + 4, 16), file + HEADER_AT + 4, 16);
    put_addresses(HEADER_AT + 12, MIB(3) + HEADER_AT + 1, MIB(3), 0, 0);
    memory_refused(&request, ERR_MALFORMED, "from offset 0xffffffffffffffff: not within the file's 16384");
    put_addresses(HEADER_AT + 12, MIB(3), MIB(3), MIB(3) - 1, 0);
    memory_refused(&request, ERR_MALFORMED, "not within the file's 16384 bytes");
    put_addresses(HEADER_AT + 12, MIB(3), MIB(3), MIB(3) + FILE_BYTES - HEADER_AT + 1, 0);
    memory_refused(&request, ERR_MALFORMED, "not within the file's 16384 bytes");
    put_addresses(HEADER_AT + 12, MIB(3), MIB(3), 0, MIB(3) + 0x100);
    memory_refused(&request, ERR_MALFORMED, "0x100 bytes with 0x3000 from offset 0x1000");
    put_addresses(HEADER_AT + 12, MIB(3), MIB(3), 0, MIB(32) + 1);
    memory_refused(&request, ERR_RANGE, "0x1d00001 bytes for 0x300000: not free RAM");
    put_addresses(HEADER_AT + 12, MIB(4), MIB(4), 0, 0);
    memory_refused(&request, ERR_MALFORMED, "entry point 0x300080 lies in nothing that was loaded");
    put_mb1(HEADER_AT, 0);
    memory_refused(&request, ERR_UNSUPPORTED, "kernel.elf: a multiboot header without addresses");
}

/* The address tag of version 2 says the same; its entry point is in a tag of its own. */
static void test_multiboot2_address_tag(void **state) {
    (void)state;
    put_mb2(HEADER_AT, 16 + 24 + 16 + 8);
    put(HEADER_AT + 16, 2, 4);
    put(HEADER_AT + 20, 24, 4);
    put_addresses(HEADER_AT + 24, MIB(3), UINT32_MAX, 0, 0); /* all of the file */
    put(HEADER_AT + 40, 3, 4);
    put(HEADER_AT + 44, 12, 4);
    put(HEADER_AT + 48, MIB(3) + 0x60, 4);
    load();
    protected_mode(0x36D76289);
    assert_int_equal(start.rip, MIB(3) + 0x60);
    assert_memory_equal(memory_at(MIB(3) - HEADER_AT, FILE_BYTES), file, FILE_BYTES);
    put(HEADER_AT + 40, 6 | 1 << 16, 4); /* no entry point, and no ELF to have one */
    memory_refused(&request, ERR_MALFORMED, "entry point 0x0 lies in nothing that was loaded");
}

/* ---- PVH ---- */

/* A note at 800H behind one of another owner, in a segment of its own as compilers put it. */
static void put_pvh(unsigned phdr, uint64_t entry) {
    const uint32_t notes[] = {
        4, 2, 18, 0x00554E47, 0xEEEE,             /* "GNU", two bytes of something */
        4, 8, 18, 0x006E6558, (uint32_t)entry, 0, /* "Xen" */
    };

    memcpy(file + 0x800, notes, sizeof(notes));
    put_phdr64(phdr, 0x800, 0, 0, sizeof(notes), sizeof(notes));
    put(64 + phdr * 56, 4, 4);
}

static void test_pvh_start_info(void **state) {
    uint64_t info, at;

    (void)state;
    put_usual64();
    put(HEADER_AT, 0, 4);                       /* not multiboot */
    put_elf64(UINT64_C(0xFFFFFFFF81000000), 3); /* of no interest here */
    put_pvh(2, MIB(1) + 0x50);
    give_module("disk", "ro", sizeof(initrd));
    give_module("more", "", 1);
    load();
    protected_mode(0);
    assert_int_equal(start.rip, MIB(1) + 0x50);
    assert_memory_equal(memory_at(MIB(1), 0x1800), file + 0x1000, 0x1800);
    info = start.rbx;
    assert_int_equal(memory_value(info, 4), 0x336EC578);
    assert_int_equal(memory_value(info + 4, 4), 1); /* version */
    assert_int_equal(memory_value(info + 8, 4), 0);
    assert_int_equal(memory_value(info + 12, 4), 2);
    assert_string_equal(text_at(memory_value(info + 24, 8)), "one two=2");
    assert_int_equal(memory_value(info + 32, 8), 0xE0000);
    at = memory_value(info + 16, 8);
    assert_memory_equal(memory_at(memory_value(at, 8), sizeof(initrd)), initrd, sizeof(initrd));
    assert_int_equal(memory_value(at + 8, 8), sizeof(initrd));
    assert_string_equal(text_at(memory_value(at + 16, 8)), "disk ro");
    assert_int_equal(memory_value(at + 32, 8), memory_value(at, 8) + 0x2000);
    assert_int_equal(memory_value(at + 40, 8), 1);
    assert_string_equal(text_at(memory_value(at + 48, 8)), "more");
    at = memory_value(info + 40, 8);
    assert_int_equal(memory_value(info + 48, 4), 5);
    assert_int_equal(memory_value(at + 2 * 24, 8), MIB(1));
    assert_int_equal(memory_value(at + 2 * 24 + 8, 8), MIB(31));
    assert_int_equal(memory_value(at + 2 * 24 + 16, 8), 1);
    assert_int_equal(memory_value(at + 4 * 24, 8), 0xFEE00000);
    assert_int_equal(memory_value(at + 4 * 24 + 16, 8), 2);
}

/* Who can start by either is a multiboot kernel: it is told more. */
static void test_multiboot_before_pvh(void **state) {
    (void)state;
    put_usual64();
    put_elf64(MIB(1) + 0x40, 3);
    put_pvh(2, MIB(1) + 0x50);
    load();
    assert_int_equal(start.rax, 0x2BADB002);
    assert_int_equal(start.rip, MIB(1) + 0x40);
}

static void test_pvh_notes_that_lie(void **state) {
    (void)state;
    put_usual64();
    put(HEADER_AT, 0, 4);
    put_elf64(0, 3);
    put_pvh(2, MIB(1) + 0xD000);
    memory_refused(&request, ERR_MALFORMED, "entry point 0x10d000 lies in nothing that was loaded");
    put_pvh(2, MIB(1));
    put(18, 40, 2);
    memory_refused(&request, ERR_UNSUPPORTED, "an ELF of class 2 for machine 40");
    put(18, 62, 2);
    load();
    put(0x800 + 20 + 8, 17, 4); /* another kind of note */
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
    put_pvh(2, MIB(1));
    put(0x800 + 20, 8, 4); /* somebody whose name begins like that */
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
    put_pvh(2, MIB(1));
    put(0x800 + 20 + 4, 0, 4); /* no description */
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
    put(0x800 + 20 + 4, 32, 4); /* more than there is of the segment */
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
    put_pvh(2, MIB(1));
    put(0x800, UINT32_MAX, 4); /* the first name reaches over everything */
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
    put_pvh(2, MIB(1));
    put(64 + 2 * 56 + 32, UINT64_MAX - 0x900, 8);
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
}

/* Fourteen segments, the information page and the module are what there is room to note. */
static void test_many_segments(void **state) {
    (void)state;
    put_mb1(HEADER_AT, 0);
    put_elf64(MIB(2), 17);
    for (unsigned i = 0; i < 17; i++)
        put_phdr64(i, 0x1000, MIB(2) + i * 0x1000, MIB(2) + i * 0x1000, i < 14 ? 16 : 0, i < 14 ? 16 : 0);
    give_module("disk", "", sizeof(initrd));
    load();
    assert_memory_equal(memory_at(MIB(2) + 0xD000, 16), file + 0x1000, 16);
    for (unsigned i = 14; i < 17; i++)
        put_phdr64(i, 0x1000, 0, MIB(2) + i * 0x1000, 16, 16);
    memory_refused(&request, ERR_RANGE, "or one of too many pieces");
}

static void test_multiboot2_header_tags(void **state) {
    (void)state;
    put_usual64();
    put_mb2(HEADER_AT, 16 + 8 + 16 + 8);
    put(HEADER_AT + 16, 6, 4); /* module alignment */
    put(HEADER_AT + 20, 8, 4);
    put(HEADER_AT + 24, 11 | 1 << 16, 4); /* unknown, but optional */
    put(HEADER_AT + 28, 12, 4);           /* padded to 16 */
    load();
    put(HEADER_AT + 24, 11, 4);
    memory_refused(&request, ERR_UNSUPPORTED, "multiboot2 header wants an unknown tag, 11");
    put(HEADER_AT + 28, 7, 4);
    memory_refused(&request, ERR_MALFORMED, "without a valid end tag");
    put(HEADER_AT + 28, 0, 4);
    memory_refused(&request, ERR_MALFORMED, "without a valid end tag");
    put(HEADER_AT + 28, UINT32_MAX, 4);
    memory_refused(&request, ERR_MALFORMED, "without a valid end tag");
    put_mb2(HEADER_AT, FILE_BYTES - HEADER_AT);
    put(HEADER_AT + 16, 6, 4); /* a tag up to the end of the file, then more header than file */
    put(HEADER_AT + 20, FILE_BYTES - HEADER_AT - 16, 4);
    put(HEADER_AT + 8, FILE_BYTES, 4);
    put(HEADER_AT + 12, 0u - MB2_MAGIC - FILE_BYTES, 4);
    memory_refused(&request, ERR_MALFORMED, "without a valid end tag");
    put_mb2(HEADER_AT, 24);
    put(HEADER_AT + 4, 4, 4); /* MIPS */
    put(HEADER_AT + 12, 0u - MB2_MAGIC - 24 - 4, 4);
    memory_refused(&request, ERR_UNSUPPORTED, "multiboot2 header for architecture 0x4; wanted: 0, i386");
}

/* A restart must leave the same machine as the first start. */
static void test_loads_again(void **state) {
    static uint8_t first[WINDOW];

    (void)state;
    put_usual64();
    give_module("disk", "", sizeof(initrd));
    for (unsigned version = 1; version <= 2; version++) {
        load();
        memcpy(first, window, sizeof(first));
        load();
        assert_memory_equal(window, first, sizeof(first));
        put_mb2(HEADER_AT, 24);
    }
}

/* The loader's own blocks go around a kernel that lies below 640 KiB. */
static void test_low_kernel(void **state) {
    (void)state;
    put_elf32(0x10000, 1);
    put_phdr32(0, 0x1000, 0x10000, 0x10000, 0x1000, 0x84000);
    put_mb1(HEADER_AT, 0);
    load();
    assert_true(start.rbx >= 0x94000 && start.rbx < KIB(640));
    assert_true(start.gdt_base >= 0x94000 && start.gdt_base < KIB(640));
    is_zero(0x11000, 0x83000);
    map.count--; /* no RAM at 1 MiB, as in an identity partition */
    memory_add(MIB(64), MIB(1), REGION_RAM);
    load();
    assert_int_equal(memory_value(start.rbx + 4, 4), 640);
    assert_int_equal(memory_value(start.rbx + 8, 4), 0);
    put_mb2(HEADER_AT, 24);
    load();
    assert_int_equal(memory_value(tag(start.rbx, 4, &(uint32_t){0}), 8), 640);
    put_phdr32(0, 0x1000, 0x10000, 0x10000, 0x1000, KIB(640) - 0x10000);
    memory_refused(&request, ERR_NO_MEMORY, "between 64 and 640 KiB");
}

static void test_segments_that_do_not_fit(void **state) {
    (void)state;
    put_usual64();
    put_phdr64(1, 0x2800, 0, MIB(1) + 0x17FF, 0x800, 0x800);
    memory_refused(
        &request, ERR_RANGE,
        "kernel.elf: 0x800 bytes for 0x1017ff: not free RAM below 4 GiB, or one of too many pieces");
    put_phdr64(1, 0x2800, 0, MIB(32) - 0x7FF, 0x800, 0x800);
    memory_refused(&request, ERR_RANGE, "for 0x1fff801");
    put_phdr64(1, 0x2800, 0, 0xE0000, 0x800, 0x800);
    memory_refused(&request, ERR_RANGE, "for 0xe0000");
    put_phdr64(1, 0x2800, 0, 0u - UINT64_C(0x400), 0x800, 0x800);
    memory_refused(&request, ERR_RANGE, "for 0xfffffffffffffc00");
    memory_add(GIB(4), MIB(1), REGION_RAM);
    put_phdr64(1, 0x2800, 0, GIB(4), 0x800, 0x800);
    memory_refused(&request, ERR_RANGE, "below 4 GiB");
    put_phdr64(1, 0x2800, 0, MIB(2), 0x800, 0x7FF);
    memory_refused(&request, ERR_MALFORMED, "not within the file's 16384 bytes");
    put_phdr64(1, FILE_BYTES - 0x7FF, 0, MIB(2), 0x800, 0x800);
    memory_refused(&request, ERR_MALFORMED, "not within the file's 16384 bytes");
    put_phdr64(1, UINT64_MAX - 0x100, 0, MIB(2), 0x800, 0x800);
    memory_refused(&request, ERR_MALFORMED, "not within the file's 16384 bytes");
    put_phdr64(1, 0x2800, 0, MIB(2), 0x800, UINT64_MAX);
    memory_refused(&request, ERR_RANGE, "not free RAM");
}

static void test_elf_headers_that_lie(void **state) {
    (void)state;
    put_usual64();
    put(18, 183, 2);
    memory_refused(&request, ERR_UNSUPPORTED, "an ELF of class 2 for machine 183; wanted: ELF64");
    put(18, 3, 2);
    memory_refused(&request, ERR_UNSUPPORTED, "machine 3");
    put(4, 3, 1);
    memory_refused(&request, ERR_UNSUPPORTED, "an ELF of class 3 for machine 3");
    put(4, 2, 1);
    put(18, 62, 2);
    put(5, 2, 1);
    memory_refused(&request, ERR_UNSUPPORTED, "wanted: ELF64");
    put(5, 1, 1);
    put(56, 0, 2); /* program headers: none, or of a wrong size, or outside of the file */
    memory_refused(&request, ERR_MALFORMED, "entry point 0x100040 lies in nothing that was loaded");
    put(56, 2, 2);
    put(54, 55, 2);
    memory_refused(&request, ERR_MALFORMED, "entry point 0x100040 lies in nothing that was loaded");
    put(54, 56, 2);
    put(32, FILE_BYTES, 8);
    memory_refused(&request, ERR_MALFORMED, "entry point 0x100040 lies in nothing that was loaded");
    put(32, UINT64_MAX - 50, 8);
    memory_refused(&request, ERR_MALFORMED, "entry point 0x100040 lies in nothing that was loaded");
    put(32, 64, 8);
    put(56, 0xFFFF, 2); /* the rest are of no type */
    load();
    put(56, 2, 2);
    load();
    put(HEADER_AT + 4, 0x13, 4);
    put(HEADER_AT + 8, 0u - MB1_MAGIC - 0x13, 4);
    memory_refused(&request, ERR_UNSUPPORTED, "multiboot header flags 0x13; wanted: of flags 0-15 only 0-2");
    put(HEADER_AT + 8, 0, 4); /* a wrong checksum: no header at all */
    put_mb1(HEADER_AT + 12, 3);
    load();
    put(HEADER_AT + 12, 0, 4);
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
    put_mb1(8192, 3); /* beyond where one is looked for */
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
    request.kernel.bytes = 63;
    memory_refused(&request, ERR_UNSUPPORTED, NO_FORMAT);
}

static void test_module_without_room(void **state) {
    (void)state;
    put_usual64();
    give_module("disk", "", MIB(31));
    memory_refused(&request, ERR_NO_MEMORY, "kernel.elf: no room for disk, 31744 KiB");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_elf64_segments, set_up),
        cmocka_unit_test_setup(test_elf32_at_a_virtual_address, set_up),
        cmocka_unit_test_setup(test_multiboot1_information, set_up),
        cmocka_unit_test_setup(test_multiboot2_information, set_up),
        cmocka_unit_test_setup(test_multiboot2_at_its_longest, set_up),
        cmocka_unit_test_setup(test_multiboot2_entry, set_up),
        cmocka_unit_test_setup(test_address_fields, set_up),
        cmocka_unit_test_setup(test_address_fields_that_lie, set_up),
        cmocka_unit_test_setup(test_multiboot2_address_tag, set_up),
        cmocka_unit_test_setup(test_pvh_start_info, set_up),
        cmocka_unit_test_setup(test_multiboot_before_pvh, set_up),
        cmocka_unit_test_setup(test_pvh_notes_that_lie, set_up),
        cmocka_unit_test_setup(test_many_segments, set_up),
        cmocka_unit_test_setup(test_multiboot2_header_tags, set_up),
        cmocka_unit_test_setup(test_loads_again, set_up),
        cmocka_unit_test_setup(test_low_kernel, set_up),
        cmocka_unit_test_setup(test_segments_that_do_not_fit, set_up),
        cmocka_unit_test_setup(test_elf_headers_that_lie, set_up),
        cmocka_unit_test_setup(test_module_without_room, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
