/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <string.h>

#include "core/vuart.h"
#include "tests/unit/unit.h"

static struct ring tx, rx;
static struct vuart u;

static int setup(void **state) {
    (void)state;
    memset(&tx, 0, sizeof(tx));
    memset(&rx, 0, sizeof(rx));
    memset(&u, 0xa5, sizeof(u));
    vuart_reset(&u, &tx, &rx);
    return 0;
}

static void expect_reg(unsigned reg, unsigned value) {
    assert_int_equal(vuart_read(&u, reg), value);
}

/* What Linux 8250 autoconfig does to find a 16550A, register by register. */
static void test_linux_autoconfig(void **state) {
    (void)state;
    vuart_write(&u, 1, 0);
    expect_reg(1, 0);
    vuart_write(&u, 1, 0xff);
    expect_reg(1, 0x0f);
    vuart_write(&u, 1, 0);
    for (unsigned i = 0; i < 256; i++) { /* scratch */
        vuart_write(&u, 7, (uint8_t)i);
        expect_reg(7, i);
    }
    vuart_write(&u, 4, 0x1a); /* LOOP | OUT2 | RTS */
    assert_int_equal(vuart_read(&u, 6) & 0xf0, 0x90);
    vuart_write(&u, 4, 0);
    vuart_write(&u, 3, 0xbf);
    vuart_write(&u, 2, 0);
    vuart_write(&u, 3, 0);
    vuart_write(&u, 2, 1);
    expect_reg(2, 0xc1);
    vuart_write(&u, 3, 0x80); /* no EFR, no EXCR1, no 64-byte FIFO, no XScale UUE */
    assert_int_not_equal(vuart_read(&u, 2), 0);
    vuart_write(&u, 3, 0xe0);
    assert_int_equal((vuart_read(&u, 2) ^ vuart_read(&u, 4)) & 0x10, 0);
    vuart_write(&u, 3, 0x80);
    vuart_write(&u, 2, 0x21);
    vuart_write(&u, 3, 0);
    assert_int_equal(vuart_read(&u, 2) >> 5, 6);
    vuart_write(&u, 1, 0x40);
    expect_reg(1, 0);
    vuart_write(&u, 2, 0);
    expect_reg(2, 0x01);
}

/* Linux looks for chips that do not raise THRE again when it is enabled again. */
static void test_linux_thre_test(void **state) {
    (void)state;
    expect_reg(5, 0x60);
    vuart_write(&u, 1, 2);
    expect_reg(2, 0x02);
    expect_reg(2, 0x01);
    vuart_write(&u, 1, 2); /* still enabled: no new event */
    expect_reg(2, 0x01);
    vuart_write(&u, 1, 0);
    expect_reg(2, 0x01);
    vuart_write(&u, 1, 2);
    expect_reg(2, 0x02);
}

static void test_divisor(void **state) {
    (void)state;
    vuart_write(&u, 3, 0x83);
    expect_reg(0, 1);
    vuart_write(&u, 0, 0x34);
    vuart_write(&u, 1, 0x12);
    expect_reg(0, 0x34);
    expect_reg(1, 0x12);
    vuart_write(&u, 3, 0x03);
    expect_reg(3, 0x03);
    expect_reg(1, 0);
    assert_int_equal(ring_used(&tx), 0);
}

static void test_receive(void **state) {
    (void)state;
    expect_reg(0, 0);
    ring_put(&rx, 'a');
    ring_put(&rx, 'b');
    expect_reg(5, 0x61);
    expect_reg(2, 0x01);
    assert_false(vuart_irq(&u));
    vuart_write(&u, 1, 1);
    assert_false(vuart_irq(&u)); /* OUT2 is off */
    expect_reg(2, 0x04);
    vuart_write(&u, 4, 0x08);
    assert_true(vuart_irq(&u));
    assert_false(vuart_irq(&u));
    expect_reg(0, 'a');
    assert_false(vuart_irq(&u)); /* stays high */
    expect_reg(0, 'b');
    expect_reg(5, 0x60);
    ring_put(&rx, 'c'); /* before anyone asked: low and high again is an edge */
    assert_true(vuart_irq(&u));
    expect_reg(0, 'c');
    assert_false(vuart_irq(&u));
}

static void test_fifo_control(void **state) {
    (void)state;
    vuart_write(&u, 1, 1);
    vuart_write(&u, 2, 0x41);
    for (unsigned i = 0; i < 4; i++) {
        ring_put(&rx, 'x');
        expect_reg(2, 0xc4); /* whatever the trigger level: a driver reads until empty */
    }
    vuart_write(&u, 2, 0xc0); /* FIFO off: the rest is not looked at */
    expect_reg(2, 0x04);
    vuart_write(&u, 2, 0x02);
    expect_reg(5, 0x61);
    vuart_write(&u, 2, 0x03); /* clear RX */
    expect_reg(5, 0x60);
    expect_reg(2, 0xc1);
}

static void test_transmit(void **state) {
    uint8_t byte;

    (void)state;
    vuart_write(&u, 4, 8);
    vuart_write(&u, 1, 2);
    assert_true(vuart_irq(&u));
    expect_reg(2, 0x02);
    assert_false(vuart_irq(&u));
    vuart_write(&u, 0, 'h');
    assert_true(vuart_irq(&u));
    vuart_write(&u, 0, 'i'); /* acknowledged by writing alone: again an edge */
    assert_true(vuart_irq(&u));
    assert_true(ring_take(&tx, &byte) && byte == 'h');
    assert_true(ring_take(&tx, &byte) && byte == 'i');
    vuart_write(&u, 1, 0);
    assert_false(vuart_irq(&u));
    vuart_write(&u, 1, 2);
    assert_true(vuart_irq(&u));
}

static void test_back_pressure(void **state) {
    uint8_t byte;
    unsigned sent = 0;

    (void)state;
    vuart_write(&u, 4, 8);
    vuart_write(&u, 1, 2);
    assert_true(vuart_irq(&u));
    while ((vuart_read(&u, 5) & 0x20) != 0) {
        for (unsigned i = 0; i < VUART_FIFO; i++, sent++)
            vuart_write(&u, 0, (uint8_t)sent);
        (void)vuart_irq(&u);
    }
    assert_int_equal(sent, RING_BYTES);
    assert_int_equal(tx.dropped, 0);
    assert_true(u.tx_waiting);
    expect_reg(5, 0);
    expect_reg(2, 0x01);
    vuart_write(&u, 1, 0);
    vuart_write(&u, 1, 2); /* no room, no interrupt */
    expect_reg(2, 0x01);
    for (unsigned i = 0; i < VUART_FIFO; i++) {
        assert_false(vuart_irq(&u));
        assert_true(ring_take(&tx, &byte) && byte == (uint8_t)i);
    }
    assert_true(vuart_irq(&u));
    assert_false(u.tx_waiting);
    expect_reg(5, 0x60);
    expect_reg(2, 0x02);
    for (unsigned i = 0; i < VUART_FIFO; i++) /* a polling driver needs no vuart_irq */
        vuart_write(&u, 0, 0);
    expect_reg(5, 0);
    vuart_write(&u, 0, 0);
    assert_int_equal(tx.dropped, 1);
    for (unsigned i = 0; i < VUART_FIFO; i++)
        assert_true(ring_take(&tx, &byte));
    expect_reg(5, 0x60);
    assert_false(u.tx_waiting);
}

static void test_reset_with_full_ring(void **state) {
    (void)state;
    while (ring_put(&tx, 'x')) {
    }
    vuart_reset(&u, &tx, &rx);
    expect_reg(5, 0);
}

static void test_loopback(void **state) {
    (void)state;
    ring_put(&rx, 'r');
    vuart_write(&u, 1, 1);
    vuart_write(&u, 4, 0x18);
    expect_reg(5, 0x60);
    vuart_write(&u, 0, 0xae);
    expect_reg(5, 0x61);
    expect_reg(2, 0x04);
    assert_false(vuart_irq(&u)); /* OUT2 is off the pin */
    expect_reg(0, 0xae);
    expect_reg(5, 0x60);
    expect_reg(0, 0);
    vuart_write(&u, 0, 'c');
    vuart_write(&u, 2, 0x03); /* clears what is outside too */
    expect_reg(5, 0x60);
    ring_put(&rx, 'r');
    vuart_write(&u, 0, 'z');
    vuart_write(&u, 4, 8);
    assert_true(vuart_irq(&u));
    expect_reg(0, 'r'); /* input waited outside; nothing looped comes out */
    expect_reg(5, 0x60);
    vuart_write(&u, 4, 0x18);
    expect_reg(5, 0x60);
    assert_int_equal(ring_used(&tx), 0);
}

static void test_loopback_with_full_ring(void **state) {
    (void)state;
    while (ring_put(&tx, 'x')) {
    }
    vuart_reset(&u, &tx, &rx);
    vuart_write(&u, 4, 0x18);
    expect_reg(5, 0x60);
    vuart_write(&u, 0, 'z');
    expect_reg(0, 'z');
    vuart_write(&u, 4, 0x08);
    vuart_write(&u, 1, 2);
    expect_reg(5, 0);
    expect_reg(2, 0x01);
}

static void test_modem(void **state) {
    (void)state;
    expect_reg(6, 0xb0);
    for (unsigned out = 0; out < 16; out++) {
        vuart_write(&u, 4, (uint8_t)(0xf0 | out));
        expect_reg(4, 0x10 | out);
        expect_reg(6, (out & 2) << 3 | (out & 1) << 5 | (out & 4) << 4 | (out & 8) << 4);
    }
    vuart_write(&u, 1, 0x0c);
    vuart_write(&u, 4, 0x08);
    expect_reg(6, 0xb0);
    assert_false(vuart_irq(&u));
    expect_reg(2, 0x01);
    vuart_write(&u, 6, 0);
    vuart_write(&u, 5, 0);
    expect_reg(6, 0xb0);
    expect_reg(5, 0x60);
}

/* A guest that sleeps until the interrupt, and a consumer on another CPU: no byte and no edge may
 * be lost. A hang here is the defect. */
enum { BYTES = 300000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t edge = PTHREAD_COND_INITIALIZER;
static bool edge_pending;

static void irq_poll(void) {
    if (vuart_irq(&u)) {
        edge_pending = true;
        pthread_cond_signal(&edge);
    }
}

static void *guest(void *arg) {
    unsigned sent = 0;

    (void)arg;
    pthread_mutex_lock(&lock);
    vuart_write(&u, 4, 8);
    vuart_write(&u, 1, 2);
    irq_poll();
    while (sent < BYTES) {
        while (!edge_pending)
            pthread_cond_wait(&edge, &lock);
        edge_pending = false;
        while (vuart_read(&u, 2) == 0x02) {
            for (unsigned i = 0; i < VUART_FIFO; i++, sent++) {
                vuart_write(&u, 0, (uint8_t)sent);
                irq_poll();
            }
        }
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void test_two_cpus(void **state) {
    pthread_t thread;
    unsigned got = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, guest, NULL), 0);
    while (got < BYTES) {
        uint8_t byte;

        if (ring_take(&tx, &byte)) {
            assert_int_equal(byte, (uint8_t)got);
            got++;
        }
        if (got % 64 == 0) {
            pthread_mutex_lock(&lock);
            irq_poll();
            pthread_mutex_unlock(&lock);
        }
    }
    pthread_join(thread, NULL);
    assert_int_equal(tx.dropped, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_linux_autoconfig, setup),
        cmocka_unit_test_setup(test_linux_thre_test, setup),
        cmocka_unit_test_setup(test_divisor, setup),
        cmocka_unit_test_setup(test_receive, setup),
        cmocka_unit_test_setup(test_fifo_control, setup),
        cmocka_unit_test_setup(test_transmit, setup),
        cmocka_unit_test_setup(test_back_pressure, setup),
        cmocka_unit_test_setup(test_reset_with_full_ring, setup),
        cmocka_unit_test_setup(test_loopback, setup),
        cmocka_unit_test_setup(test_loopback_with_full_ring, setup),
        cmocka_unit_test_setup(test_modem, setup),
        cmocka_unit_test_setup(test_two_cpus, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
