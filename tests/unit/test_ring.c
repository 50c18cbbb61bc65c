/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "core/ring.h"
#include "tests/unit/unit.h"

static struct ring ring;

static int setup(void **state) {
    (void)state;
    memset(&ring, 0, sizeof(ring));
    return 0;
}

static void test_order_and_limits(void **state) {
    uint8_t byte;

    (void)state;
    assert_false(ring_take(&ring, &byte));
    for (unsigned i = 0; i < RING_BYTES; i++) {
        assert_int_equal(ring_room(&ring), RING_BYTES - i);
        assert_true(ring_put(&ring, (uint8_t)(i * 7)));
    }
    assert_false(ring_put(&ring, 1));
    assert_false(ring_put(&ring, 2));
    assert_int_equal(ring.dropped, 2);
    for (unsigned i = 0; i < RING_BYTES; i++) {
        assert_int_equal(ring_used(&ring), RING_BYTES - i);
        assert_true(ring_take(&ring, &byte));
        assert_int_equal(byte, (uint8_t)(i * 7));
    }
    assert_false(ring_take(&ring, &byte));
}

/* The counters are never reset: everything must hold where they pass 2^32. */
static void test_counters_wrap(void **state) {
    uint8_t byte;

    ring.head = ring.tail = UINT32_MAX - 5;
    test_order_and_limits(state);
    assert_int_equal(ring.tail, RING_BYTES - 6);
    assert_true(ring_put_all(&ring, (const uint8_t *)"abc", 3));
    assert_true(ring_take(&ring, &byte) && byte == 'a');
}

static void test_all_or_nothing(void **state) {
    uint8_t block[RING_BYTES + 1] = {0};

    (void)state;
    assert_false(ring_put_all(&ring, block, RING_BYTES + 1));
    assert_int_equal(ring.dropped, RING_BYTES + 1);
    assert_int_equal(ring_used(&ring), 0);
    assert_true(ring_put_all(&ring, block, RING_BYTES - 2));
    assert_false(ring_put_all(&ring, block, 3));
    assert_int_equal(ring.dropped, RING_BYTES + 4);
    assert_true(ring_put_all(&ring, block, 2));
    assert_true(ring_put_all(&ring, block, 0));
}

static void take(unsigned count) {
    for (uint8_t byte; count > 0; count--)
        assert_true(ring_take(&ring, &byte));
}

/* Told once, and after the bytes that came before. */
static void test_losses(void **state) {
    uint8_t block[RING_BYTES] = {0};

    (void)state;
    ring.head = ring.tail = UINT32_MAX - 5;
    assert_int_equal(ring_lost(&ring), 0);
    assert_true(ring_put_all(&ring, block, 10));
    assert_false(ring_put_all(&ring, block, RING_BYTES));
    take(9);
    assert_int_equal(ring_lost(&ring), 0);
    assert_true(ring_put(&ring, 1));
    ring_refuse(&ring, 3); /* the gap stays where the first was */
    take(1);
    assert_int_equal(ring_lost(&ring), RING_BYTES + 3);
    assert_int_equal(ring_lost(&ring), 0);
    ring_refuse(&ring, 7);
    assert_int_equal(ring_lost(&ring), 0);
    take(1);
    assert_int_equal(ring_lost(&ring), 7);
}

#define STREAM_BYTES 2000000

static void *producer(void *unused) {
    (void)unused;
    for (uint32_t i = 0; i < STREAM_BYTES;) {
        uint8_t block[3] = {(uint8_t)i, (uint8_t)(i + 1), (uint8_t)(i + 2)};
        uint32_t count = i + 3 > STREAM_BYTES ? STREAM_BYTES - i : 1 + i % 3;

        if (ring_room(&ring) < count) {
            sched_yield();
            continue;
        }
        assert_true(ring_put_all(&ring, block, count));
        i += count;
    }
    return NULL;
}

/* Nothing lost, nothing twice, nothing seen before it is there. */
static void test_two_threads(void **state) {
    pthread_t thread;
    uint8_t byte;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, producer, NULL), 0);
    for (uint32_t i = 0; i < STREAM_BYTES;) {
        if (ring_take(&ring, &byte)) {
            assert_int_equal(byte, (uint8_t)i);
            i++;
        } else {
            sched_yield();
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ring.dropped, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order_and_limits, setup),
        cmocka_unit_test_setup(test_counters_wrap, setup),
        cmocka_unit_test_setup(test_all_or_nothing, setup),
        cmocka_unit_test_setup(test_losses, setup),
        cmocka_unit_test_setup(test_two_threads, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
