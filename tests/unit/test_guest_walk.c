/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/guest_walk.h"
#include "tests/unit/host_stub.h"
#include "tests/unit/unit.h"

#define HPA 0x7000000u /* where the guest's memory lies in the machine */
#define RAM 0x10000u   /* tables at 1000H, 2000H, ...; data page at 8000H, 9000H */
#define P   1u
#define W   2u
#define U   4u
#define PS  0x80u
#define NX  BIT(63)
#define PWU (P | W | U)
#define LONG                                                                                                 \
    ((struct guest_paging){.cr0 = BIT(31) | 1,                                                               \
                           .cr3 = 0x1000,                                                                    \
                           .cr4 = BIT(5),                                                                    \
                           .efer = BIT(8) | BIT(10) | BIT(11),                                               \
                           .phys_bits = 46})

static _Alignas(4096) uint8_t memory[RAM];
static struct guest_map map;
static struct walk_result r;

static int setup(void **state) {
    (void)state;
    memset(memory, 0, sizeof(memory));
    memset(&map, 0, sizeof(map));
    stub_phys_set(HPA, memory, sizeof(memory));
    return guest_map_add(&map, (struct guest_region){gpa(0), hpa(HPA), RAM, REGION_RAM}) != ERR_OK;
}

static void put(unsigned table, unsigned index, uint64_t entry) {
    memcpy(memory + table + 8 * index, &entry, 8);
}

static void put32(unsigned table, unsigned index, uint32_t entry) {
    memcpy(memory + table + 4 * index, &entry, 4);
}

static void expect_at(const struct guest_paging *p, uint64_t linear, uint64_t at) {
    memset(&r, 0xa5, sizeof(r));
    assert_int_equal(guest_walk(&map, p, linear, 0, &r), ERR_OK);
    assert_int_equal(r.at.v, at);
}

static void expect_fault(const struct guest_paging *p, uint64_t linear, unsigned access, unsigned code) {
    memset(&r, 0xa5, sizeof(r));
    assert_int_equal(guest_walk(&map, p, linear, access, &r), ERR_NOT_FOUND);
    assert_int_equal(r.fault_code, code);
}

static void test_no_paging(void **state) {
    struct guest_paging p = {.cr0 = 1, .cr3 = 0x1000, .phys_bits = 36};

    (void)state;
    expect_at(&p, 0x12345678, 0x12345678);
    expect_at(&p, 0xfffffff112345000, 0x12345000);
}

/* 7F8040403123H: entries 255, 1, 2, 3 */
static void test_4_level(void **state) {
    struct guest_paging p = LONG;

    (void)state;
    put(0x1000, 255, 0x2000 | PWU);
    put(0x2000, 1, 0x3000 | PWU);
    put(0x3000, 2, 0x4000 | PWU);
    put(0x4000, 3, 0x800000008000 | PWU);
    expect_fault(&p, 0x7f8040403123, 0, WALK_PRESENT | WALK_RSVD);  /* bit 47 >= MAXPHYADDR */
    put(0x4000, 3, 0x123400008000 | PWU | PS | 0x7ff0000000000e18); /* all ignored bits */
    expect_at(&p, 0x7f8040403123, 0x123400008123);
    p.cr3 |= 0xfff0000000000fff; /* PCID and what is above the address */
    expect_at(&p, 0x7f8040403000, 0x123400008000);
    expect_fault(&p, 0x7f8040404123, 0, 0);
    expect_fault(&p, 0x7f8040200123, 0, 0);
    expect_fault(&p, 0, WALK_WRITE | WALK_USER, WALK_WRITE | WALK_USER);
    put(0x3000, 2, 0x40000000 | PWU | PS); /* 2 MiB */
    expect_at(&p, 0x7f8040403123, 0x40003123);
    put(0x3000, 2, 0x40002000 | PWU | PS);
    expect_fault(&p, 0x7f8040403123, 0, WALK_PRESENT | WALK_RSVD);
    put(0x3000, 2, 0x40001000 | PWU | PS); /* PAT */
    expect_at(&p, 0x7f8040403123, 0x40003123);
    put(0x2000, 1, 0x80000000 | PWU | PS); /* 1 GiB */
    expect_at(&p, 0x7f8040403123, 0x80403123);
    put(0x2000, 1, 0x80200000 | PWU | PS);
    expect_fault(&p, 0x7f8040403123, 0, WALK_PRESENT | WALK_RSVD);
    put(0x1000, 255, 0x2000 | PWU | PS);
    expect_fault(&p, 0x7f8040403123, WALK_FETCH, WALK_PRESENT | WALK_RSVD | WALK_FETCH);
}

static void test_canonical(void **state) {
    struct guest_paging p = LONG;

    (void)state;
    put(0x1000, 256, 0x2000 | PWU);
    put(0x2000, 0, 0xc0000000 | PWU | PS);
    expect_at(&p, 0xffff800000000000, 0xc0000000);
    assert_int_equal(guest_walk(&map, &p, 0x0000800000000000, 0, &r), ERR_MALFORMED);
    assert_int_equal(guest_walk(&map, &p, 0xffff7fffffffffff, 0, &r), ERR_MALFORMED);
}

static void test_pae(void **state) {
    struct guest_paging p = LONG;

    (void)state;
    p.efer = BIT(11);
    p.cr3 = 0xdead000; /* not looked at */
    p.pdptes[2] = 0x2000 | P;
    p.pdptes[3] = 0x2000;
    put(0x2000, 1, 0x3000 | PWU);
    put(0x3000, 5, 0x300000008000 | PWU);
    expect_at(&p, 0x80205678, 0x300000008678);
    expect_at(&p, 0xffffffff80205678, 0x300000008678);
    expect_fault(&p, 0xc0205678, 0, 0);
    put(0x3000, 5, 0x8000 | PWU | BIT(52)); /* ignored in 4-level, reserved here */
    expect_fault(&p, 0x80205678, 0, WALK_PRESENT | WALK_RSVD);
    put(0x3000, 5, 0x8000 | PWU | BIT(62));
    expect_fault(&p, 0x80205678, 0, WALK_PRESENT | WALK_RSVD);
    put(0x3000, 5, 0x8000 | P | NX);
    expect_at(&p, 0x80205678, 0x8678);
    expect_fault(&p, 0x80205678, WALK_FETCH, WALK_PRESENT | WALK_FETCH);
    p.efer = 0; /* without NXE the bit is reserved, and a fetch is not told */
    expect_fault(&p, 0x80205678, WALK_FETCH, WALK_PRESENT | WALK_RSVD);
    p.cr4 |= BIT(20);
    expect_fault(&p, 0x80205678, WALK_FETCH, WALK_PRESENT | WALK_RSVD | WALK_FETCH);
    put(0x2000, 1, 0x1200000 | PWU | PS);
    expect_at(&p, 0x80205678, 0x1205678);
}

static void test_32_bit(void **state) {
    struct guest_paging p = {.cr0 = BIT(31) | 1, .cr3 = 0xff00001fff, .phys_bits = 39};

    (void)state;
    put32(0x1000, 0x301, 0x2000 | PWU | PS); /* PS is ignored without CR4.PSE */
    put32(0x2000, 0x3ff, 0xfffff000 | PWU | PS);
    expect_at(&p, 0xc07ff123, 0xfffff123);
    expect_fault(&p, 0xc07fe123, WALK_FETCH, 0);
    p.cr4 = BIT(4);
    put32(0x1000, 0x301, 0x2000 | PWU);
    expect_at(&p, 0xc07ff123, 0xfffff123);
    put32(0x1000, 0x301, 0xaac00000 | 0x7f << 13 | PWU | PS); /* PSE-36: bits 38:32 */
    expect_at(&p, 0xc07ff123, 0x7faafff123);
    expect_at(&p, 0xc0400000, 0x7faac00000);
    put32(0x1000, 0x301, 0xaac00000 | BIT(20) | PWU | PS);
    expect_fault(&p, 0xc07ff123, 0, WALK_PRESENT | WALK_RSVD);
    p.phys_bits = 46; /* never more than 40 */
    expect_at(&p, 0xc0400000, 0x80aac00000);
    put32(0x1000, 0x301, 0xaac00000 | BIT(21) | PWU | PS);
    expect_fault(&p, 0xc07ff123, 0, WALK_PRESENT | WALK_RSVD);
    p.phys_bits = 32;
    put32(0x1000, 0x301, 0xaac00000 | BIT(13) | PWU | PS);
    expect_fault(&p, 0xc07ff123, 0, WALK_PRESENT | WALK_RSVD);
}

/* "Access Rights", as the text has it: by who accesses, then how. */
static bool allowed(const struct guest_paging *p, unsigned upper, unsigned leaf, bool nx, unsigned access) {
    bool user_address = (upper & leaf & U) != 0, writable = (upper & leaf & W) != 0;
    bool wp = (p->cr0 & BIT(16)) != 0, smep = (p->cr4 & BIT(20)) != 0;
    bool smap = (p->cr4 & BIT(21)) != 0, ac = (p->rflags & BIT(18)) != 0;

    if ((access & WALK_USER) == 0) {
        if ((access & WALK_FETCH) != 0)
            return user_address ? !smep && !nx : !nx;
        if (user_address && smap && !ac)
            return false;
        return (access & WALK_WRITE) == 0 || !wp || writable;
    }
    if (!user_address)
        return false;
    if ((access & WALK_FETCH) != 0)
        return !nx;
    return (access & WALK_WRITE) == 0 || writable;
}

static void check_rights(const struct guest_paging *p, unsigned combination) {
    unsigned upper = combination & 6, leaf = combination >> 2 & 6;
    bool upper_nx = (combination & 0x20) != 0, leaf_nx = (combination & 0x40) != 0;

    put(0x1000, 0, 0x2000 | P | upper | (upper_nx ? NX : 0));
    put(0x2000, 0, P | leaf | PS | (leaf_nx ? NX : 0));
    for (unsigned access = 0; access < 0x20; access++) {
        if ((access & ~0x16u) != 0) /* writing is bit 1, a user bit 2, fetching bit 4 */
            continue;
        if ((access & (WALK_WRITE | WALK_FETCH)) == (WALK_WRITE | WALK_FETCH))
            continue;
        if (allowed(p, upper, leaf, upper_nx || leaf_nx, access))
            assert_int_equal(guest_walk(&map, p, 0, access, &r), ERR_OK);
        else
            expect_fault(p, 0, access, 1 | access);
    }
}

static void test_access_rights(void **state) {
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct guest_paging p = LONG;

        p.cr0 |= (bits & 1) != 0 ? BIT(16) : 0;
        p.cr4 |= ((bits & 2) != 0 ? BIT(20) : 0) | ((bits & 4) != 0 ? BIT(21) : 0);
        p.rflags = (bits & 8) != 0 ? BIT(18) : 0;
        for (unsigned combination = 0; combination < 128; combination++)
            check_rights(&p, combination);
    }
}

static void test_tables_outside(void **state) {
    struct guest_paging p = LONG;

    (void)state;
    put(0x1000, 0, 0x10000 | PWU); /* behind the end of memory */
    assert_int_equal(guest_walk(&map, &p, 0, 0, &r), ERR_RANGE);
    p.cr3 = 0xffffffffff000;
    assert_int_equal(guest_walk(&map, &p, 0, 0, &r), ERR_RANGE);
    p.efer = 0;
    p.cr4 = 0;
    assert_int_equal(guest_walk(&map, &p, 0, 0, &r), ERR_RANGE);
}

static void test_read(void **state) {
    struct guest_paging p = LONG, off = {.cr0 = 1, .phys_bits = 36};
    uint8_t to[16];

    (void)state;
    put(0x1000, 0, 0x2000 | PWU);
    put(0x2000, 0, 0x3000 | PWU);
    put(0x3000, 0, 0x4000 | PWU);
    put(0x4000, 0, 0x9000 | PWU);
    put(0x4000, 1, 0x8000 | PWU | NX);
    put(0x4000, 3, 0x30000 | PWU);
    memcpy(memory + 0x9ff8, "abcdefgh", 8);
    memcpy(memory + 0x8000, "ijklmnop", 8);
    assert_int_equal(guest_walk_read(&map, &p, 0xff8, 0, to, 16), 16);
    assert_memory_equal(to, "abcdefghijklmnop", 16);
    assert_int_equal(guest_walk_read(&map, &p, 0xff8, WALK_FETCH, to, 16), 8);
    assert_int_equal(guest_walk_read(&map, &p, 0x1000, WALK_FETCH, to, 16), 0);
    assert_int_equal(guest_walk_read(&map, &p, 0x1ffc, 0, to, 16), 4); /* entry 2 is absent */
    assert_int_equal(guest_walk_read(&map, &p, 0x3000, 0, to, 16), 0); /* no memory there */
    assert_int_equal(guest_walk_read(&map, &p, 0x7ffffffffff8, 0, to, 16), 0);
    assert_int_equal(guest_walk_read(&map, &off, RAM - 4, 0, to, 16), 4);
    memcpy(memory, "0123", 4); /* outside long mode addresses wrap at 4 GiB */
    assert_int_equal(guest_walk_read(&map, &off, 0x100000000, 0, to, 4), 4);
    assert_memory_equal(to, "0123", 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_paging, setup),      cmocka_unit_test_setup(test_4_level, setup),
        cmocka_unit_test_setup(test_canonical, setup),      cmocka_unit_test_setup(test_pae, setup),
        cmocka_unit_test_setup(test_32_bit, setup),         cmocka_unit_test_setup(test_access_rights, setup),
        cmocka_unit_test_setup(test_tables_outside, setup), cmocka_unit_test_setup(test_read, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
