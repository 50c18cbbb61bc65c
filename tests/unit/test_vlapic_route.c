/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/vlapic.h"
#include "tests/unit/unit.h"

#define COUNT    64u
#define ALL      UINT64_MAX
#define DEST(n)  ((uint64_t)(n) << 56) /* xAPIC */
#define DEST2(n) ((uint64_t)(n) << 32) /* x2APIC */
#define LOGICAL  0x800u
#define LOWEST   0x100u

enum { FIXED, LOWEST_PRIORITY, NMI = 4 }; /* in an IOAPIC entry */

static struct vlapic lapics[COUNT];
static const struct vlapic *all[COUNT];
static struct ipi ipi;

static int setup(void **state) {
    (void)state;
    for (unsigned n = 0; n < COUNT; n++) {
        vlapic_reset(&lapics[n], n, n == 0, true);
        all[n] = &lapics[n];
    }
    return 0;
}

static int setup_x2(void **state) {
    setup(state);
    for (unsigned n = 0; n < COUNT; n++)
        if (vlapic_write_base(&lapics[n], 0xfee00c00) != VLAPIC_DONE)
            return 1;
    return 0;
}

/* The vCPUs that get vector F1H, sent by vCPU 5. */
static uint64_t sent_to(uint64_t icr) {
    memset(&ipi, 0xa5, sizeof(ipi));
    vlapic_route(all, COUNT, 5, icr | 0xf1, &ipi);
    assert_int_equal(ipi.kind, ipi.targets == 0 ? IPI_NONE : IPI_FIXED);
    assert_int_equal(ipi.vector, 0xf1);
    return ipi.targets;
}

static void set_logical(unsigned n, uint32_t ldr, uint32_t dfr) {
    lapics[n].regs[APIC_LDR] = ldr << 24;
    lapics[n].regs[APIC_DFR] = dfr << 28 | 0x0fffffff;
}

static void test_physical(void **state) {
    (void)state;
    for (unsigned n = 0; n < 255; n++)
        assert_int_equal(sent_to(DEST(n)), n < COUNT ? BIT(n) : 0);
    assert_int_equal(sent_to(DEST(0xff)), ALL);
    lapics[7].mode = VLAPIC_DISABLED;
    assert_int_equal(sent_to(DEST(7)), 0);
    assert_int_equal(sent_to(DEST(0xff)), ALL & ~BIT(7));
}

static void test_physical_x2(void **state) {
    (void)state;
    for (unsigned n = 0; n < 32; n++)
        assert_int_equal(sent_to(DEST2(1) << n), n < 6 ? BIT(1 << n) : 0);
    assert_int_equal(sent_to(DEST2(63)), BIT(63));
    assert_int_equal(sent_to(DEST2(0xff)), 0);
    assert_int_equal(sent_to(DEST2(0xffffffff)), ALL);
    lapics[3].mode = VLAPIC_XAPIC; /* a mixture still works */
    assert_int_equal(sent_to(DEST2(3)), BIT(3));
    assert_int_equal(sent_to(DEST2(0xffffffff)), ALL);
}

static void test_shorthands(void **state) {
    (void)state;
    for (unsigned x2 = 0; x2 < 2; x2++) {
        assert_int_equal(sent_to(0x40000 | DEST(1)), BIT(5));
        assert_int_equal(sent_to(0x80000 | LOGICAL | DEST(1)), ALL);
        assert_int_equal(sent_to(0xc0000), ALL & ~BIT(5));
        setup_x2(NULL);
    }
    vlapic_route(all, 1, 0, 0xc00f1, &ipi);
    assert_int_equal(ipi.kind, IPI_NONE);
    vlapic_route(all, 3, 0, 0xc00f1, &ipi);
    assert_int_equal(ipi.targets, 6);
}

static void test_logical_flat(void **state) {
    (void)state;
    for (unsigned n = 0; n < 8; n++)
        set_logical(n, 1u << n, 0xf);
    for (unsigned mask = 0; mask < 0xff; mask++)
        assert_int_equal(sent_to(LOGICAL | DEST(mask)), mask);
    assert_int_equal(sent_to(LOGICAL | DEST(0xff)), ALL);
}

static void test_logical_cluster(void **state) {
    (void)state;
    for (unsigned n = 0; n < 60; n++)
        set_logical(n, n / 4 << 4 | 1u << n % 4, 0);
    for (unsigned mask = 0; mask < 0xff; mask++) {
        uint64_t expected = mask >> 4 < 15 ? (uint64_t)(mask & 15) << (mask >> 4) * 4 : 0;

        assert_int_equal(sent_to(LOGICAL | DEST(mask)), expected);
    }
    assert_int_equal(sent_to(LOGICAL | DEST(0xff)), ALL);
}

static void test_logical_x2(void **state) {
    (void)state;
    for (unsigned n = 0; n < COUNT; n++)
        assert_int_equal(sent_to(LOGICAL | DEST2(n / 16 << 16 | 1u << n % 16)), BIT(n));
    assert_int_equal(sent_to(LOGICAL | DEST2(0x2a5c3)), UINT64_C(0xa5c3) << 32);
    assert_int_equal(sent_to(LOGICAL | DEST2(0x4ffff)), 0);
    assert_int_equal(sent_to(LOGICAL | DEST2(0xffffffff)), ALL);
}

static void test_lowest_priority(void **state) {
    (void)state;
    assert_int_equal(sent_to(LOWEST | 0xc0000), BIT(0));
    lapics[9].regs[APIC_SVR] = 0x1ff;
    lapics[12].regs[APIC_SVR] = 0x1ff;
    assert_int_equal(sent_to(LOWEST | 0xc0000), BIT(9));
    assert_int_equal(sent_to(LOWEST | DEST(40)), BIT(40));
    lapics[9].mode = VLAPIC_DISABLED;
    assert_int_equal(sent_to(LOWEST | DEST(0xff)), BIT(12));
}

static void test_kinds(void **state) {
    static const struct {
        uint64_t icr;
        int kind; /* -1: refused */
    } rows[] = {
        {0x00010, IPI_FIXED}, {0x0000f, -1},       {0x00000, -1},        {0x0010f, -1},
        {0x00200, -1},        {0x00300, -1},       {0x00700, -1},        {0x00400, IPI_NMI},
        {0x04500, IPI_INIT},  {0x0c500, IPI_INIT}, {0x00500, IPI_INIT},  {0x08500, IPI_NONE},
        {0x00608, IPI_SIPI},  {0xc0608, IPI_SIPI}, {0xc0400, IPI_NMI},   {0xc4500, IPI_INIT},
        {0x40400, -1},        {0x80400, -1},       {0x44500, -1},        {0x84500, -1},
        {0x40608, -1},        {0x80608, -1},       {0x40020, IPI_FIXED}, {0x80020, IPI_FIXED},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t icr = rows[i].icr | DEST(2);
        bool sent = rows[i].kind > IPI_NONE;

        vlapic_route(all, COUNT, 5, icr, &ipi);
        assert_int_equal(ipi.kind, sent ? rows[i].kind : IPI_NONE);
        assert_int_equal(ipi.vector, icr & 0xff);
        assert_int_equal(ipi.targets != 0, sent);
    }
}

static uint64_t message_to(uint8_t destination, bool logical, unsigned mode) {
    uint64_t entry = DEST(destination) | (logical ? LOGICAL : 0) | mode << 8 | 0xa034;

    vlapic_route_message(all, COUNT, entry, &ipi); /* level and active low mean nothing here */
    assert_int_equal(ipi.kind, ipi.targets == 0 ? IPI_NONE : mode == NMI ? IPI_NMI : IPI_FIXED);
    assert_int_equal(ipi.vector, 0x34);
    return ipi.targets;
}

static void test_messages(void **state) {
    (void)state;
    assert_int_equal(message_to(3, false, FIXED), BIT(3));
    assert_int_equal(message_to(70, false, FIXED), 0);
    assert_int_equal(message_to(0xff, false, NMI), ALL);
    set_logical(1, 2, 0xf);
    set_logical(2, 4, 0xf);
    lapics[2].regs[APIC_SVR] = 0x1ff;
    assert_int_equal(message_to(6, true, FIXED), BIT(1) | BIT(2));
    assert_int_equal(message_to(6, true, LOWEST_PRIORITY), BIT(2));
    setup_x2(NULL); /* eight bits reach only cluster 0, and broadcast is still FFH */
    assert_int_equal(message_to(0x11, true, FIXED), BIT(0) | BIT(4));
    assert_int_equal(message_to(0xff, true, FIXED), ALL);
    assert_int_equal(message_to(3, false, FIXED), BIT(3));
}

/* An entry may ask for INIT, as on a PC, but not for what only an ICR can send, or nobody. */
static void V101_kinds_of_messages(void **state) {
    static const int kinds[] = {IPI_FIXED, IPI_FIXED, IPI_NONE, IPI_NONE,
                                IPI_NMI,   IPI_INIT,  IPI_NONE, IPI_NONE};

    (void)state;
    for (unsigned mode = 0; mode < 8; mode++) {
        vlapic_route_message(all, COUNT, DEST(9) | mode << 8 | 0x31, &ipi);
        assert_int_equal(ipi.kind, kinds[mode]);
        assert_int_equal(ipi.targets, kinds[mode] == IPI_NONE ? 0 : BIT(9));
    }
    vlapic_route_message(all, COUNT, DEST(9) | 0x0f, &ipi);
    assert_int_equal(ipi.kind, IPI_NONE);
    vlapic_route_message(all, COUNT, DEST(9) | 0x10f, &ipi);
    assert_int_equal(ipi.kind, IPI_NONE);
}

static uint32_t post(uint32_t pending, int kind, uint8_t vector) {
    struct ipi one = {.vector = vector, .targets = 1};

    one.kind = kind;
    return vlapic_post(pending, &one);
}

static void V101_V105_order_of_init_sipi_and_nmi(void **state) {
    uint32_t p = post(0, IPI_SIPI, 0x9a);

    (void)state;
    assert_int_equal(p, VCPU_PENDING_SIPI | 0x9a << VCPU_SIPI_SHIFT);
    assert_int_equal(post(p, IPI_SIPI, 0x11), p); /* the first one starts it, the second finds it running */
    p = post(p, IPI_NMI, 0);
    assert_int_equal(p, VCPU_PENDING_NMI | VCPU_PENDING_SIPI | 0x9a << VCPU_SIPI_SHIFT);
    p = post(p, IPI_INIT, 0); /* what came before INIT is lost to it */
    assert_int_equal(p, VCPU_PENDING_INIT);
    p = post(p, IPI_SIPI, 0); /* vector 0 is a page as any other */
    assert_int_equal(p, VCPU_PENDING_INIT | VCPU_PENDING_SIPI);
    assert_int_equal(post(p, IPI_SIPI, 0xff), p);
    assert_int_equal(post(p, IPI_NONE, 0xff), p);
    assert_int_equal(post(p, IPI_FIXED, 0xff), p);
    assert_int_equal(post(p, IPI_NMI, 0xff), p | VCPU_PENDING_NMI);
}

/* The short way does what the long one does, or nothing. */
static bool is_plain(unsigned count, uint64_t icr) {
    struct vlapic before = lapics[5], *self = &lapics[5];
    struct vlapic_effect effect;
    uint64_t targets = 0xa5;
    bool plain = vlapic_plain_ipi(self, all, count, icr, &targets);
    struct vlapic after = *self;

    *self = before;
    if (!plain) {
        assert_memory_equal(&after, &before, sizeof(before));
        return false;
    }
    assert_int_equal(vlapic_write(self, VLAPIC_X2APIC, APIC_ICR, icr, &effect), VLAPIC_IPI);
    assert_memory_equal(&after, self, sizeof(after));
    vlapic_route(all, count, 5, effect.value, &ipi);
    assert_int_equal(ipi.kind, targets == 0 ? IPI_NONE : IPI_FIXED);
    assert_int_equal(ipi.targets, targets);
    assert_int_equal(ipi.vector, (uint8_t)icr);
    return true;
}

static void X10_plain_ipi_is_as_routed(void **state) {
    static const unsigned counts[] = {6, 16, 17, 63, 64};
    uint64_t random = 1, plain = 0;

    (void)state;
    for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
        for (unsigned i = 0; i < 40000; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            uint64_t low = random >> 33, id = (random >> 20 & 0x3f) | (random >> 27 & 1) << (random >> 58);

            low &= (i & 1) != 0 ? 0x48ff : 0xfffff;
            plain += is_plain(counts[c], id << 32 | low);
        }
    }
    assert_true(plain > 50000);
    assert_true(is_plain(64, DEST2(63) | 0x4031));
    assert_true(is_plain(64, DEST2(0x3ffff) | LOGICAL | 0x31));
    assert_false(is_plain(64, DEST2(64) | 0x31));
    assert_false(is_plain(64, DEST2(0xffffffff) | 0x31));
    assert_false(is_plain(64, DEST2(0xffffffff) | LOGICAL | 0x31));
    assert_false(is_plain(64, DEST2(1) | 0xf));
    assert_false(is_plain(64, DEST2(1) | 0x80031));
    assert_false(is_plain(64, DEST2(1) | 0x431));
    lapics[7].mode = VLAPIC_XAPIC;
    assert_false(is_plain(64, DEST2(7) | 0x31));
    assert_true(is_plain(64, DEST2(6) | 0x31));
    lapics[7].mode = VLAPIC_X2APIC;
    lapics[5].mode = VLAPIC_XAPIC;
    assert_false(is_plain(64, DEST2(6) | 0x31));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_physical, setup),
        cmocka_unit_test_setup(test_physical_x2, setup_x2),
        cmocka_unit_test_setup(test_shorthands, setup),
        cmocka_unit_test_setup(test_logical_flat, setup),
        cmocka_unit_test_setup(test_logical_cluster, setup),
        cmocka_unit_test_setup(test_logical_x2, setup_x2),
        cmocka_unit_test_setup(X10_plain_ipi_is_as_routed, setup_x2),
        cmocka_unit_test_setup(test_lowest_priority, setup),
        cmocka_unit_test_setup(test_kinds, setup),
        cmocka_unit_test_setup(test_messages, setup),
        cmocka_unit_test_setup(V101_kinds_of_messages, setup),
        cmocka_unit_test(V101_V105_order_of_init_sipi_and_nmi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
