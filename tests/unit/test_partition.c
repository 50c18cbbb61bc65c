/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a partition: loaded afresh each time into scrubbed memory, stopped once, and what comes then.
 */
#include "core/partition.h"
#include "core/acpi_gen.h"
#include "tests/unit/guest_memory.h"

#define IMAGE_HPA (WINDOW_HPA + MIB(40)) /* the modules, behind what the guest has */

static struct module kernel, disk, more;
static struct partition *p;

static void put(uint64_t at, uint64_t value, unsigned bytes) {
    memcpy(window + MIB(40) + at, &value, bytes);
}

/* A multiboot kernel of 64 bytes that says itself where it goes. */
static int set_up(void **state) {
    static union {
        struct partition partition;
        uint8_t room[sizeof(struct partition) + sizeof(struct vcpu)];
    } made;
    const uint32_t header[] = {0x1BADB002, BIT(16),    0u - 0x1BADB002 - BIT(16), MIB(1), MIB(1), 0,
                               0,          MIB(1) + 40};

    (void)state;
    memory_reset();
    memory_add(MIB(1), MIB(7), REGION_RAM);
    config_reset("");
    memset(&made, 0, sizeof(made));
    p = &made.partition;
    p->config = &config;
    p->map = map;
    p->nr_vcpus = 1;
    kernel =
        (struct module){.at = hpa(IMAGE_HPA), .bytes = 64, .name = "kernel", .args = "not for the guest"};
    disk = (struct module){.at = hpa(IMAGE_HPA + 0x1000), .bytes = 4, .name = "disk", .args = "by GRUB"};
    more = (struct module){.at = hpa(IMAGE_HPA + 0x2000), .bytes = 4, .name = "more", .args = "by GRUB"};
    p->kernel = &kernel;
    for (unsigned i = 0; i < ARRAY_SIZE(header); i++)
        put(4 * i, header[i], 4);
    put(0x1000, 0x11111111, 4);
    put(0x2000, 0x22222222, 4);
    return 0;
}

/* Scrubbed by as many cores as may be. */
static void load(void) {
    static unsigned parts;

    parts = parts % MAX_CPUS + 1;
    for (unsigned part = 0; part < parts; part++)
        assert_int_equal(partition_scrub(p, part, parts), ERR_OK);
    if (partition_load(p) != ERR_OK)
        fail_msg("log: %s", stub_log);
}

static const char *module_text(unsigned i) {
    uint64_t modules = memory_value(p->start.rbx + 24, 4);

    return (const char *)memory_at(memory_value(modules + 16 * i + 8, 4), 1);
}

/* An initrd has what GRUB gave it, a `module =` what the config says, be it nothing. */
static void test_modules_in_order_with_their_arguments(void **state) {
    (void)state;
    str_copy(config.initrd, MAX_NAME, "disk", 4);
    str_copy(config.modules[0].args, MAX_MODULE_ARGS, "one", 3);
    config.nr_modules = 2;
    p->modules[0] = &disk;
    p->modules[1] = &more;
    p->modules[2] = &disk;
    p->nr_modules = 3;
    load();
    assert_int_equal(memory_value(p->start.rbx + 20, 4), 3);
    assert_string_equal(module_text(0), "disk by GRUB");
    assert_string_equal(module_text(1), "more one");
    assert_string_equal(module_text(2), "disk");
    config.initrd[0] = '\0';
    p->nr_modules = 2;
    load();
    assert_string_equal(module_text(0), "disk one");
    assert_string_equal(module_text(1), "more");
}

/* Whatever a guest has left behind, in its RAM and in its tables, is gone. */
static void test_loaded_afresh_each_time(void **state) {
    static uint8_t first[MIB(8)];

    (void)state;
    load();
    memcpy(first, window, window_used);
    for (unsigned i = 0; i < MAX_CPUS; i++) {
        memset(window, 0xEE, window_used);
        load();
        assert_memory_equal(window, first, window_used);
    }
    assert_memory_equal(memory_at(ACPI_RSDP, 8), "RSD PTR ", 8);
}

/* MOV DX, CF9H; MOV AL, 6; OUT DX, AL: who jumps to the reset vector resets. */
static void test_reset_vector_resets(void **state) {
    (void)state;
    load();
    assert_memory_equal(memory_at(0xFFFF0, 6), "\xba\xf9\x0c\xb0\x06\xee", 6);
}

static void test_reset_vector_is_the_images(void **state) {
    (void)state;
    memory_add(GIB(4) - KIB(256), KIB(256), REGION_TABLES);
    p->map = map;
    config.has_load = config.load_at_reset = true;
    put(0, 0x1234, 4); /* no multiboot header */
    load();
    assert_memory_equal(memory_at(MIB(1) - 64, 64), window + MIB(40), 64);
}

static void test_a_load_that_fails(void **state) {
    (void)state;
    put(0, 0, 4);
    assert_int_equal(partition_load(p), ERR_UNSUPPORTED);
    p->map.regions[1].kind = REGION_DEVICE;
    assert_int_equal(partition_load(p), ERR_NOT_FOUND);
}

/* Of several vCPUs that stop it, the first has said why. */
static void test_stopped_once(void **state) {
    (void)state;
    p->state = PARTITION_RUNNING;
    assert_true(partition_stop(p, STOP_CRASHED));
    assert_false(partition_stop(p, STOP_ASKED));
    assert_int_equal(p->state, PARTITION_STOPPING);
    assert_int_equal(p->cause, STOP_CRASHED);
}

static void test_what_comes_then(void **state) {
    (void)state;
    for (enum stop_cause cause = STOP_ASKED; cause <= STOP_BROKEN; cause++) {
        p->cause = cause;
        config.on_exit = EXIT_STOP;
        assert_false(partition_restarts(p));
        config.on_exit = EXIT_RESTART;
        assert_int_equal(partition_restarts(p), cause == STOP_RESET || cause == STOP_CRASHED);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_modules_in_order_with_their_arguments, set_up),
        cmocka_unit_test_setup(test_loaded_afresh_each_time, set_up),
        cmocka_unit_test_setup(test_reset_vector_resets, set_up),
        cmocka_unit_test_setup(test_reset_vector_is_the_images, set_up),
        cmocka_unit_test_setup(test_a_load_that_fails, set_up),
        cmocka_unit_test_setup(test_stopped_once, set_up),
        cmocka_unit_test_setup(test_what_comes_then, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
