/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/platform.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

/* ---- A firmware's memory, built by hand: tables one behind the other, none of them aligned ----
 */

#define BASE 0x7fe00001u
static uint8_t memory[32768];
static uint32_t used, table_at; /* offsets into it */
static uint64_t listed[64];     /* addresses for the root table */
static unsigned nr_listed;
static struct boot_info info;
static struct platform out;

static void put(const void *bytes, size_t count) {
    assert_true(used + count <= sizeof(memory));
    memcpy(memory + used, bytes, count);
    used += (uint32_t)count;
}

static void put_number(uint64_t v, size_t bytes) {
    put(&v, bytes);
}

static void put_zeros(size_t bytes) {
    while (bytes-- > 0)
        put_number(0, 1);
}

static void patch(uint32_t offset, uint64_t v, size_t bytes) {
    memcpy(memory + table_at + offset, &v, bytes);
}

static uint8_t sum(const uint8_t *bytes, size_t count) {
    uint8_t s = 0;

    while (count-- > 0)
        s = (uint8_t)(s + *bytes++);
    return s;
}

static void world_start(void) {
    memset(&info, 0, sizeof(info));
    memset(memory, 0xee, sizeof(memory));
    used = nr_listed = 0;
    stub_log_clear();
}

static void table_start(const char *signature) {
    table_at = used;
    put(signature, 4);
    put_zeros(32);
}

static void table_seal(void) {
    uint8_t *t = memory + table_at;
    uint32_t length;

    memcpy(&length, t + 4, 4);
    t[9] = 0;
    t[9] = (uint8_t)-sum(t, length);
}

static uint64_t table_end(void) {
    patch(4, used - table_at, 4);
    table_seal();
    return BASE + table_at;
}

static void table_list(void) {
    listed[nr_listed++] = table_end();
}

static uint64_t root_build(const char *signature, size_t width) {
    table_start(signature);
    for (unsigned i = 0; i < nr_listed; i++)
        put_number(listed[i], width);
    return table_end();
}

static void rsdp_build(uint64_t rsdt, uint64_t xsdt) {
    memset(info.rsdp, 0, sizeof(info.rsdp));
    memcpy(info.rsdp, "RSD PTR ", 8);
    info.rsdp[15] = xsdt != 0 ? 2 : 0;
    info.rsdp_bytes = xsdt != 0 ? 36 : 20;
    memcpy(info.rsdp + 16, &rsdt, 4);
    memcpy(info.rsdp + 24, &xsdt, 8);
    info.rsdp[8] = (uint8_t)-sum(info.rsdp, 20);
    info.rsdp[32] = (uint8_t)-sum(info.rsdp, 36);
}

/* Parse from a heap copy of exactly the bytes used. */
static enum err parse_built(void) {
    uint8_t *copy = malloc(used);
    enum err e;

    memcpy(copy, memory, used);
    stub_phys_set(BASE, copy, used);
    e = acpi_parse(&info, &out);
    stub_phys_set(0, NULL, 0);
    free(copy);
    return e;
}

static enum err parse(void) {
    rsdp_build(root_build("RSDT", 4), 0);
    return parse_built();
}

static void expect_log(const char *text) {
    if (strstr(stub_log, text) == NULL) {
        print_error("log is: %s", stub_log);
        fail();
    }
}

static void madt_start(void) {
    table_start("APIC");
    put_number(0xfee00000, 4);
    put_number(1, 4);
}

static void madt_lapic(uint8_t uid, uint8_t apic_id, uint32_t flags) {
    put((uint8_t[]){0, 8, uid, apic_id}, 4);
    put_number(flags, 4);
}

static void madt_x2apic(uint32_t uid, uint32_t apic_id, uint32_t flags) {
    put((uint8_t[]){9, 16, 0, 0}, 4);
    put_number(apic_id, 4);
    put_number(flags, 4);
    put_number(uid, 4);
}

static void madt_ioapic(uint8_t id, uint32_t address, uint32_t gsi_base) {
    put((uint8_t[]){1, 12, id, 0}, 4);
    put_number(address, 4);
    put_number(gsi_base, 4);
}

static void madt_override(uint8_t bus, uint8_t irq, uint32_t gsi, uint16_t flags) {
    put((uint8_t[]){2, 10, bus, irq}, 4);
    put_number(gsi, 4);
    put_number(flags, 2);
}

/* What every machine needs; the tests add the table they are about. */
static void world_small(void) {
    world_start();
    madt_start();
    madt_lapic(7, 3, 1);
    table_list();
}

static void put_gas(uint8_t space, uint8_t bits, uint64_t address) {
    put((uint8_t[]){space, bits, 0, 0}, 4);
    put_number(address, 8);
}

static void put_fadt_v1(uint32_t dsdt, uint32_t flags) {
    table_start("FACP");
    put_number(0, 4);
    put_number(dsdt, 4);
    put_zeros(4);
    put_number(0xb2, 4); /* SMI_CMD, ACPI_ENABLE */
    put_number(0xe1, 4);
    put_zeros(8);
    put_number(0x404, 4); /* PM1a control */
    put_number(0x504, 4); /* PM1b control */
    put_number(0, 4);
    put_number(0x408, 4); /* PM timer */
    put_zeros(8);
    put((uint8_t[]){4, 2, 0, 4}, 4); /* lengths of PM1 event, PM1 control, PM2 control, timer */
    put_zeros(20);
    put_number(flags, 4);
}

static uint64_t put_dsdt(const void *aml, size_t bytes) {
    table_start("DSDT");
    put("xyz_S5_", 7); /* not a Name */
    put(aml, bytes);
    return table_end();
}

/* ---- The way to the tables ------------------------------------------------------------------- */

static void test_no_rsdp(void **state) {
    (void)state;
    world_small();
    rsdp_build(root_build("RSDT", 4), 0);
    info.rsdp_bytes = 0;
    assert_int_equal(parse_built(), ERR_MALFORMED);
    expect_log("no sound RSDP");

    rsdp_build((uint32_t)(BASE + table_at), 0);
    info.rsdp[0] = 'r';
    info.rsdp[8] = (uint8_t)(info.rsdp[8] - 32);
    assert_int_equal(parse_built(), ERR_MALFORMED);
    expect_log("no sound RSDP");

    rsdp_build((uint32_t)(BASE + table_at), 0);
    info.rsdp[9] ^= 1;
    assert_int_equal(parse_built(), ERR_MALFORMED);
}

/* Root tables that list different MADTs show which one was used. */
static void two_roots(uint64_t *rsdt, uint64_t *xsdt) {
    world_small();
    *rsdt = root_build("RSDT", 4);
    listed[0] |= BIT(32); /* not there: entries of an XSDT have eight bytes */
    nr_listed = 1;
    madt_start();
    madt_lapic(0, 64, 1);
    table_list();
    *xsdt = root_build("XSDT", 8);
}

static void test_xsdt_first(void **state) {
    uint64_t rsdt, xsdt;

    (void)state;
    two_roots(&rsdt, &xsdt);
    rsdp_build(rsdt, xsdt);
    assert_int_equal(parse_built(), ERR_OK);
    assert_int_equal(out.apic_ids[0], 64);
    assert_string_equal(stub_log, "");

    info.rsdp[15] = 0; /* the field means nothing before revision 2 */
    info.rsdp[8] = 0;
    info.rsdp[8] = (uint8_t)-sum(info.rsdp, 20);
    assert_int_equal(parse_built(), ERR_OK);
    assert_int_equal(out.apic_ids[0], 3);
    assert_string_equal(stub_log, "");
}

static void test_rsdt_as_fallback(void **state) {
    uint64_t rsdt, xsdt;

    (void)state;
    two_roots(&rsdt, &xsdt);
    rsdp_build(rsdt, xsdt);
    info.rsdp[33] ^= 1;
    assert_int_equal(parse_built(), ERR_OK);
    assert_int_equal(out.apic_ids[0], 3);

    rsdp_build(rsdt, UINT64_MAX - 8);
    assert_int_equal(parse_built(), ERR_OK);
    assert_int_equal(out.apic_ids[0], 3);
    expect_log("no sound table XSDT at 0xfffffffffffffff7");

    rsdp_build(rsdt, xsdt);
    memory[table_at + 36] ^= 1;
    assert_int_equal(parse_built(), ERR_OK);
    assert_int_equal(out.apic_ids[0], 3);
    expect_log("no sound table XSDT at 0x7fe00091");

    rsdp_build(xsdt, 0); /* and no fallback behind that */
    assert_int_equal(parse_built(), ERR_MALFORMED);
    expect_log("no sound table RSDT at 0x7fe00091");
}

static void test_table_frames(void **state) {
    static const struct {
        uint32_t length;
        const char *log;
    } bad[] = {
        {0, "with 0 bytes"},
        {43, "no sound table APIC at 0x7fe00001 with 43 bytes, at least 44"},
        {16777217, "with 16777217 bytes"},
        {16777216, "with 16777216 bytes"},
        {45, "with 45 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        world_small();
        patch(4, bad[i].length, 4);
        assert_int_not_equal(parse(), ERR_OK);
        expect_log(bad[i].log);
        assert_int_equal(out.nr_cpus, 0);
    }
}

static void test_no_madt(void **state) {
    (void)state;
    world_start();
    listed[nr_listed++] = 0; /* an empty entry is nothing */
    listed[nr_listed++] = 0x1000;
    table_start("SSDT");
    table_list();
    assert_int_equal(parse(), ERR_MALFORMED);
    expect_log("without a MADT");
}

/* ---- MADT ------------------------------------------------------------------------------------ */

static void test_madt_cpus(void **state) {
    (void)state;
    world_start();
    madt_start();
    madt_lapic(10, 4, 1);
    madt_lapic(11, 2, 3);
    madt_lapic(12, 5, 2); /* online capable: not there yet */
    madt_lapic(13, 6, 0);
    madt_lapic(14, 0xff, 1);
    madt_x2apic(15, 2, 1); /* both kinds of entry for one CPU */
    madt_x2apic(16, 0xff, 1);
    madt_x2apic(17, 0xffffffff, 1);
    madt_x2apic(18, 0x12345, 1);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_int_equal(out.nr_cpus, 4);
    assert_int_equal(out.apic_ids[0], 4);
    assert_int_equal(out.apic_ids[1], 2);
    assert_int_equal(out.apic_ids[2], 0xff);
    assert_int_equal(out.apic_ids[3], 0x12345);
    assert_int_equal(out.lapic.v, 0xfee00000);
    assert_true(out.has_8259);
}

static void test_madt_rest(void **state) {
    (void)state;
    world_start();
    madt_start();
    patch(40, 0, 4);
    madt_lapic(0, 0, 1);
    put((uint8_t[]){0x80, 3, 0}, 3); /* a type of the vendor's; what follows is unaligned */
    put((uint8_t[]){5, 12, 0, 0}, 4);
    put_number(0x1fee00000, 8);
    madt_ioapic(8, 0xfec00000, 0);
    madt_ioapic(1, 0, 24);
    madt_ioapic(9, 0xfec10000, 24);
    madt_override(0, 0, 2, 0);
    madt_override(0, 9, 20, 0xf);
    madt_override(0, 10, 21, 0x5);
    madt_override(0, 11, 22, 0x3);
    madt_override(0, 12, 23, 0xc);
    madt_override(1, 3, 30, 0);
    madt_override(0, 16, 31, 0);
    madt_override(0, 9, 32, 3);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.lapic.v, 0x1fee00000);
    assert_false(out.has_8259);
    assert_int_equal(out.nr_ioapics, 2);
    assert_int_equal(out.ioapics[0].at.v, 0xfec00000);
    assert_int_equal(out.ioapics[0].gsi_base, 0);
    assert_int_equal(out.ioapics[1].gsi_base, 24);
    assert_int_equal(out.isa[0].gsi, 2);
    assert_false(out.isa[0].active_low);
    assert_int_equal(out.isa[9].gsi, 32); /* the last says it */
    assert_true(out.isa[9].active_low);
    assert_false(out.isa[10].active_low);
    assert_int_equal(out.isa[11].gsi, 22);
    assert_true(out.isa[11].active_low);
    assert_false(out.isa[12].active_low);
    assert_int_equal(out.isa[3].gsi, 3); /* not of the ISA bus */
    assert_int_equal(out.isa[15].gsi, 15);
}

static void test_madt_bad_entries(void **state) {
    static const uint8_t types[][2] = {{0, 8}, {1, 12}, {2, 10}, {5, 12}, {9, 16}};

    (void)state;
    for (uint8_t length = 0; length < 2; length++) { /* would never end */
        world_start();
        madt_start();
        madt_lapic(0, 0, 1);
        put((uint8_t[]){0x80, length, 0, 0}, 4);
        table_list();
        assert_int_equal(parse(), ERR_MALFORMED);
        expect_log("at offset 52 cannot be used");
    }
    world_start();
    madt_start();
    put((uint8_t[]){0x80, 5, 0, 0}, 4); /* would end behind the table */
    table_list();
    assert_int_equal(parse(), ERR_MALFORMED);
    expect_log("MADT entry of type 128 with 5 bytes at offset 44");

    world_start();
    madt_start();
    madt_lapic(0, 0, 1);
    put_zeros(1); /* no room for a length */
    table_list();
    assert_int_equal(parse(), ERR_MALFORMED);

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        world_start();
        madt_start();
        put((uint8_t[]){types[i][0], (uint8_t)(types[i][1] - 1)}, 2);
        put_zeros(types[i][1] - 3u);
        madt_lapic(0, 0, 1);
        table_list();
        assert_int_equal(parse(), ERR_MALFORMED);
        expect_log("MADT entry of type");
    }
}

static void test_madt_limits(void **state) {
    (void)state;
    world_start();
    madt_start();
    for (uint32_t i = 0; i < MAX_CPUS + 3; i++)
        madt_x2apic(i, 1000 + i, 1);
    madt_x2apic(0, 1000, 1);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.nr_cpus, MAX_CPUS);
    assert_int_equal(out.apic_ids[MAX_CPUS - 1], 1000 + MAX_CPUS - 1);
    expect_log("APIC id 1064 is left out, 64 are known");
    assert_null(strstr(stub_log, "APIC id 1000 "));

    for (uint8_t count = MAX_IOAPICS; count <= MAX_IOAPICS + 1; count++) {
        world_start();
        madt_start();
        madt_lapic(0, 0, 1);
        for (uint8_t i = 0; i < count; i++)
            madt_ioapic(i, 0xfec00000u + 0x1000u * i, 24u * i);
        table_list();
        assert_int_equal(parse(), count == MAX_IOAPICS ? ERR_OK : ERR_MALFORMED);
    }
    expect_log("MADT entry of type 1 with 12 bytes");

    world_start();
    madt_start();
    madt_lapic(0, 0, 1);
    for (unsigned i = 0; i < 256; i++)
        madt_override(0, (uint8_t)i, 100 + i, 0);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.isa[15].gsi, 115);

    world_start();
    madt_start();
    madt_lapic(0, 0, 2);
    table_list();
    assert_int_equal(parse(), ERR_MALFORMED);
    expect_log("no enabled CPU");
}

static void test_first_of_a_kind(void **state) {
    (void)state;
    world_small();
    madt_start();
    madt_lapic(0, 77, 1);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.nr_cpus, 1);
    assert_int_equal(out.apic_ids[0], 3);
}

/* ---- FADT and DSDT --------------------------------------------------------------------------- */

static const uint8_t s5_plain[] = {0x08, '_', 'S', '5', '_', 0x12, 0x07, 4, 0x0a, 5, 1, 0, 0};

static void test_fadt_old(void **state) {
    uint64_t dsdt;

    (void)state;
    world_small();
    dsdt = put_dsdt(s5_plain, sizeof(s5_plain));
    put_fadt_v1((uint32_t)dsdt, 0x400); /* claims a reset register it is too short to hold */
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_int_equal(out.pm_timer_port, 0x408);
    assert_int_equal(out.pm1a_port, 0x404);
    assert_int_equal(out.pm1b_port, 0x504);
    assert_int_equal(out.reset_reg.address, 0);
    assert_true(out.has_s5);
    assert_int_equal(out.s5_typ_a, 5);
    assert_int_equal(out.s5_typ_b, 1);
}

static void fadt_new(uint32_t flags, uint64_t x_dsdt, uint8_t timer_space, uint64_t timer) {
    put_fadt_v1(0xdead0000, flags);
    put_gas(1, 8, 0xcf9);
    put_number(6, 1);
    put_zeros(11);
    put_number(x_dsdt, 8);
    put_zeros(24);
    put_gas(1, 32, 0x1804); /* X_PM1a control */
    put_gas(0, 0, 0);       /* X_PM1b control */
    put_zeros(12);
    put_gas(timer_space, 32, timer);
    put_zeros(24);
}

/* A field that the table's end cuts is as if it were not there. */
static void test_fadt_cut_field(void **state) {
    uint64_t dsdt;

    (void)state;
    world_small();
    dsdt = put_dsdt(s5_plain, sizeof(s5_plain));
    put_fadt_v1((uint32_t)dsdt, 0);
    put_zeros(29); /* five bytes of X_DSDT; the next table follows at once */
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_true(out.has_s5);
}

static void test_fadt_new(void **state) {
    uint64_t dsdt;

    (void)state;
    world_small();
    dsdt = put_dsdt(s5_plain, sizeof(s5_plain));
    fadt_new(0x500, dsdt, 1, 0x1808);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_string_equal(stub_log, "");
    assert_int_not_equal(out.reset_reg.address, 0);
    assert_int_equal(out.reset_reg.space, SPACE_IO);
    assert_int_equal(out.reset_reg.address, 0xcf9);
    assert_int_equal(out.reset_value, 6);
    assert_int_equal(out.smi_port, 0xb2);
    assert_int_equal(out.acpi_enable, 0xe1);
    assert_int_equal(out.sleep_control.address, 0); /* of hardware-reduced ACPI only */
    assert_int_equal(out.pm_timer_port, 0x1808);
    assert_int_equal(out.pm1a_port, 0x1804);
    assert_int_equal(out.pm1b_port, 0x504); /* from the old field */
    assert_true(out.has_s5);
}

static void test_fadt_odd_registers(void **state) {
    uint64_t dsdt;

    (void)state;
    for (int i = 0; i < 2; i++) { /* not a port, or not one that exists: the old field counts */
        world_small();
        dsdt = put_dsdt(s5_plain, sizeof(s5_plain));
        fadt_new(0x400, dsdt, i == 0 ? 0 : 1, i == 0 ? 0x1808 : 0x10000);
        table_list();
        assert_int_equal(parse(), ERR_OK);
        assert_int_equal(out.pm_timer_port, 0x408);
    }

    world_small();
    fadt_new(0x400, 0, 0, 0);
    patch(91, 0, 1); /* no timer by its length, a block outside the ports */
    patch(68, 0x12345678, 4);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.pm_timer_port, 0);
    assert_int_equal(out.pm1b_port, 0);
}

static void test_reset_register(void **state) {
    static const struct {
        uint32_t flags;
        uint8_t space;
        uint64_t address;
        bool good;
    } rows[] = {
        {0x400, 1, 0xcf9, true},    {0x400, 0, 0xfed00000, true}, {0x400, 2, 0x44, false},
        {0, 1, 0xcf9, false},       {0x400, 3, 0xcf9, false},     {0x400, 0x7f, 0xcf9, false},
        {0x400, 1, 0x10cf9, false}, {0x400, 0, 0, false},         {0x400, 1, 0xffff, true},
        {0x400, 0, BIT(32), false}, {0x400, 0, UINT32_MAX, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        world_small();
        fadt_new(rows[i].flags, 0, 1, 0x1808);
        patch(116, rows[i].space, 1);
        patch(120, rows[i].address, 8);
        table_list();
        assert_int_equal(parse(), ERR_OK);
        assert_int_equal(out.reset_reg.address, rows[i].good ? rows[i].address : 0);
    }
}

static void test_hw_reduced(void **state) {
    (void)state;
    world_small();
    fadt_new(0x100500, 0, 1, 0x1808);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    expect_log("no sound table DSDT");
    assert_int_not_equal(out.reset_reg.address, 0);
    assert_int_equal(out.pm_timer_port, 0);
    assert_int_equal(out.pm1a_port, 0);
    assert_int_equal(out.smi_port, 0);
    assert_int_equal(out.sleep_control.address, 0); /* the table ends before it */
    assert_false(out.has_s5);

    world_small();
    uint64_t dsdt = put_dsdt(s5_plain, sizeof(s5_plain));
    fadt_new(0x100500, dsdt, 1, 0x1808);
    put_gas(1, 8, 0x604); /* behind X_GPE1_BLK: sleep control, sleep status */
    put_gas(1, 8, 0x605);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.sleep_control.space, SPACE_IO);
    assert_int_equal(out.sleep_control.address, 0x604);
    assert_true(out.has_s5);
    assert_int_equal(out.s5_typ_a, 5);
    assert_int_equal(out.pm1a_port, 0);
}

#define S5 '_', 'S', '5', '_'

static void test_s5(void **state) {
    static const struct {
        uint8_t aml[24], bytes;
        bool found;
        uint8_t a, b;
    } rows[] = {
        {{0x08, S5, 0x12, 6, 4, 0, 0, 0, 0}, 12, true, 0, 0},
        {{0x08, '\\', S5, 0x12, 6, 2, 0x0a, 7, 0x0a, 6}, 13, true, 7, 6},
        {{0x08, S5, 0x12, 0x48, 0, 4, 1, 1, 0, 0, 0}, 14, true, 1, 1},    /* two-byte PkgLength */
        {{0x08, S5, 0x12, 0x87, 0, 0, 2, 1, 0x0a, 2}, 13, true, 1, 2},    /* three */
        {{0x08, S5, 0x12, 0xc8, 0, 0, 0, 2, 1, 0x0a, 3}, 14, true, 1, 3}, /* four */
        {{0x08, S5, 0x12, 6, 1, 0, 0, 0, 0}, 12, false, 0, 0},            /* one element */
        {{0x08, S5, 0x12, 6, 2, 0x0a, 8, 0, 0}, 12, false, 0, 0},         /* four bits */
        {{0x08, S5, 0x12, 6, 2, 0x0b, 1, 0, 0}, 12, false, 0, 0},         /* a word */
        {{0x08, S5, 0x13, 6, 4, 0, 0, 0, 0}, 12, false, 0, 0},            /* no package */
        {{0x14, S5, 0x12, 6, 4, 0, 0, 0, 0}, 12, false, 0, 0},            /* no name */
        {{0x08, S5, 0x12, 0xc8}, 7, false, 0, 0},                         /* cut */
        {{0x08, S5, 0x12}, 6, false, 0, 0},
        {{0x08, S5}, 5, false, 0, 0},
        {{0x08, '\\', '_', 'S', '5'}, 5, false, 0, 0},
        {{0x08, S5, 0x12, 6, 2, 0x0a, 8, 0, 0, 0x08, S5, 0x12, 4, 2, 1, 1}, 22, true, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t dsdt;

        world_small();
        dsdt = put_dsdt(rows[i].aml, rows[i].bytes);
        put_fadt_v1((uint32_t)dsdt, 0);
        table_list();
        assert_int_equal(parse(), ERR_OK);
        assert_true(out.has_s5 == rows[i].found);
        assert_true(!rows[i].found || (out.s5_typ_a == rows[i].a && out.s5_typ_b == rows[i].b));
        assert_true((strstr(stub_log, "no constant \\_S5") != NULL) == !rows[i].found);
    }
}

/* ---- The others; and that a broken one costs only itself --------------------------------------
 */

static void put_hpet(uint8_t space, uint64_t address) {
    table_start("HPET");
    put_number(0x8086a201, 4);
    put_gas(space, 64, address);
    put_zeros(4);
}

static void put_mcfg_entry(uint64_t base, uint16_t segment, uint8_t first, uint8_t last) {
    put_number(base, 8);
    put_number(segment, 2);
    put_number(first, 1);
    put_number(last, 1);
    put_zeros(4);
}

static void test_small_tables(void **state) {
    (void)state;
    world_small();
    put_hpet(0, 0xfed00000);
    table_list();
    table_start("MCFG");
    put_zeros(8);
    put_mcfg_entry(0xe0000000, 0, 0, 255);
    put_mcfg_entry(0, 1, 0, 255);
    put_mcfg_entry(0xfffffffff0000000, 2, 0, 255); /* ends at 2^64, which wraps */
    put_mcfg_entry(0xd0000000, 3, 9, 8);
    put_mcfg_entry(0x2000000000, 4, 16, 31);
    put_mcfg_entry(0x3000000000, 5, 0, 0);
    put_mcfg_entry(0x4000000000, 6, 0, 0);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.hpet.v, 0xfed00000);
    assert_int_equal(out.nr_ecam, 4);
    assert_int_equal(out.ecam[0].base, 0xe0000000);
    assert_int_equal(out.ecam[0].size, 256 << 20);
    assert_int_equal(out.ecam[1].base, 0x2001000000);
    assert_int_equal(out.ecam[1].size, 16 << 20);
    assert_int_equal(out.ecam[3].base, 0x4000000000);
    expect_log("ignored, buses 0 to 255 at 0x0");
    expect_log("ignored, buses 0 to 255 at 0xfffffffff0000000");
    expect_log("ignored, buses 9 to 8 at 0xd0000000");
}

/* More than there is room for: the last range grows over all that follow, in whatever order. */
static void test_many_segments_and_units(void **state) {
    (void)state;
    world_small();
    table_start("MCFG");
    put_zeros(8);
    for (uint16_t i = 0; i < PLATFORM_MAX_RANGES + 2; i++)
        put_mcfg_entry(GIB(64) + (i == 16 ? 0 : i + 1) * GIB(1), i, 0, 255);
    table_list();
    table_start("DMAR");
    put_zeros(12);
    put_number(0x00080003, 4); /* another kind of entry, shorter than ours */
    put_zeros(4);
    for (uint64_t i = 0; i < PLATFORM_MAX_RANGES + 1; i++) {
        put_number(0x00180000, 4);
        put_number(i == 3 ? 0x0200 : 0, 4); /* four pages */
        put_number(i == 4 ? 0 : 0xfed00000 + i * 0x10000, 8);
        put_zeros(8);
    }
    put_number(UINT64_C(0x0010) << 16, 8);
    put_number(UINT64_MAX - 4094, 8); /* ends behind the last address */
    put_number(0x00030003, 8);        /* no length that an entry has */
    put_zeros(8);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    expect_log("DMAR entry at offset 480 has 3 bytes");
    assert_int_equal(out.nr_ecam, PLATFORM_MAX_RANGES);
    assert_int_equal(out.ecam[14].base, GIB(79));
    assert_int_equal(out.ecam[15].base, GIB(64));
    assert_int_equal(range_end(out.ecam[15]), GIB(82) + MIB(256));
    assert_int_equal(out.nr_vtd, PLATFORM_MAX_RANGES);
    assert_int_equal(out.vtd[3].size, 4 * PAGE_SIZE);
    assert_int_equal(out.vtd[15].base, 0xfee00000);
    assert_int_equal(out.vtd[15].size, PAGE_SIZE);
}

/* An I/O APIC that lies where something else is: believed, our driver would write there. */
static void test_ioapic_out_of_place(void **state) {
    static const struct {
        uint32_t at;
        bool good;
    } rows[] = {
        {0xfec01000, true},  {0xfec00040, false}, /* in the first one's registers */
        {0xfec00100, true},                       /* some chipsets have them 256 bytes apart */
        {0xfee00000, false}, {0xfedfffff, false}, /* the local APIC */
        {0x00200000, false}, {0x7fffffc0, false}, /* RAM, and its first byte */
        {0x90000000, false},                      /* ACPI tables */
        {0xa0000000, true},                       /* reserved: where I/O APICs may be listed */
    };
    static const struct memory_range map[] = {{{0x80000000, PAGE_SIZE}, MEMORY_RAM},
                                              {{MIB(1), MIB(2)}, MEMORY_RAM},
                                              {{0x90000000, PAGE_SIZE}, MEMORY_ACPI},
                                              {{0xa0000000, PAGE_SIZE}, MEMORY_RESERVED}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        world_start();
        memcpy(info.memory, map, sizeof(map));
        info.nr_memory = ARRAY_SIZE(map);
        madt_start();
        madt_lapic(0, 0, 1);
        madt_ioapic(0, 0xfec00000, 0);
        madt_ioapic(1, rows[i].at, 24);
        table_list();
        assert_int_equal(parse(), ERR_OK);
        assert_int_equal(out.nr_ioapics, rows[i].good ? 2 : 1);
        assert_int_equal(stub_log[0] == '\0', rows[i].good);
        if (!rows[i].good)
            expect_log("ignored: memory or another device is there");
    }
}

static void test_mcfg_cut(void **state) {
    (void)state;
    world_small();
    table_start("MCFG");
    put_zeros(8);
    put_mcfg_entry(0xe0000000, 0, 0, 255);
    used--;
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.nr_ecam, 0);
}

/* ---- SPCR: a UART for a console ----------------------------------------------------- */

static void put_uart(uint8_t space, uint8_t access, uint64_t address) {
    put_gas(space, 8, address);
    memory[used - 9] = access;
}

static void put_spcr(uint8_t kind, uint8_t space, uint8_t access, uint64_t address) {
    table_start("SPCR");
    put_number(kind, 4);
    put_uart(space, access, address);
    put_zeros(28);
    table_list();
}

static void expect_uart(uint64_t address, uint8_t stride) {
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.uart.address, address);
    assert_int_equal(out.uart.stride, stride);
}

static void test_spcr(void **state) {
    static const struct {
        uint8_t kind, space, access;
        uint64_t address;
        bool taken;
        uint8_t stride;
    } rows[] = {
        {0, SPACE_IO, 1, 0x2f8, true, 0},
        {1, SPACE_IO, 0, 0xfff8, true, 0},
        {1, SPACE_IO, 0, 0xfff9, false, 0},
        {0x12, SPACE_MEMORY, 3, 0xfe032000, true, 4},
        {0, SPACE_MEMORY, 1, 0x400fe032000, true, 1},
        {0, SPACE_MEMORY, 0, 0xfe032008, true, 1},
        {0, SPACE_MEMORY, 1, 0xfe032004, false, 0},
        {0, SPACE_MEMORY, 1, BIT(48), false, 0},
        {0, 2, 1, 0xfe032000, false, 0},
        {3, SPACE_MEMORY, 3, 0xfe032000, false, 0}, /* a PL011 */
        {0, SPACE_MEMORY, 1, 0, false, 0},          /* console redirection is off */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        world_small();
        put_spcr(rows[i].kind, rows[i].space, rows[i].access, rows[i].address);
        expect_uart(rows[i].taken ? rows[i].address : 0, rows[i].stride);
    }
}

static void test_broken_ones_skipped(void **state) {
    (void)state;
    world_start();
    fadt_new(0x500, 0, 1, 0x1808);
    table_list();
    memory[table_at + 60] ^= 1;
    put_hpet(1, 0xfed00000);
    table_list();
    table_start("MCFG");
    put_zeros(7);
    table_list();
    madt_start();
    madt_lapic(0, 1, 1);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.nr_cpus, 1);
    assert_int_equal(out.reset_reg.address, 0);
    assert_int_equal(out.pm_timer_port, 0);
    assert_int_equal(out.hpet.v, 0);
    assert_int_equal(out.nr_ecam, 0);
    expect_log("table FACP at 0x7fe00001");
    expect_log("table MCFG at");
}

static void test_dsdt_missing(void **state) {
    (void)state;
    world_small();
    put_fadt_v1(0x1234, 0);
    table_list();
    assert_int_equal(parse(), ERR_OK);
    assert_int_equal(out.pm_timer_port, 0x408);
    assert_false(out.has_s5);
    expect_log("no sound table DSDT at 0x1234");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_rsdp),
        cmocka_unit_test(test_xsdt_first),
        cmocka_unit_test(test_rsdt_as_fallback),
        cmocka_unit_test(test_table_frames),
        cmocka_unit_test(test_no_madt),
        cmocka_unit_test(test_madt_cpus),
        cmocka_unit_test(test_madt_rest),
        cmocka_unit_test(test_madt_bad_entries),
        cmocka_unit_test(test_madt_limits),
        cmocka_unit_test(test_first_of_a_kind),
        cmocka_unit_test(test_fadt_old),
        cmocka_unit_test(test_fadt_cut_field),
        cmocka_unit_test(test_fadt_new),
        cmocka_unit_test(test_fadt_odd_registers),
        cmocka_unit_test(test_reset_register),
        cmocka_unit_test(test_hw_reduced),
        cmocka_unit_test(test_s5),
        cmocka_unit_test(test_small_tables),
        cmocka_unit_test(test_many_segments_and_units),
        cmocka_unit_test(test_ioapic_out_of_place),
        cmocka_unit_test(test_mcfg_cut),
        cmocka_unit_test(test_spcr),
        cmocka_unit_test(test_broken_ones_skipped),
        cmocka_unit_test(test_dsdt_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
