/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a partition: loaded, running, stopping, stopped, loaded again. */
#include "core/partition.h"

#include "core/acpi_gen.h"
#include "core/host.h"
#include "core/str.h"

uint64_t vcpu_exits(const struct vcpu *v) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < VCPU_EXIT_REASONS; i++)
        sum += v->exits[i];
    return sum;
}

static struct load_image image_of(const struct module *m, const char *args) {
    return (struct load_image){m->name, args, host_phys(m->at, m->bytes), m->bytes};
}

/* What a guest finds that reboots by way of the BIOS, as Linux does where there is no 8042: the reset
 * vector resets. MOV DX, CF9H; MOV AL, 6; OUT DX, AL; HLT; JMP back to the HLT. */
static const uint8_t reset_stub[] = {0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd};

enum err partition_scrub(struct partition *p, unsigned part, unsigned parts) {
    enum err e = ERR_OK;
    for (const struct guest_region *r = p->map.regions; r < p->map.regions + p->map.count && e == ERR_OK;
         r++) {
        uint64_t pages = r->bytes / PAGE_SIZE, from = pages * part / parts, to = pages * (part + 1) / parts;
        if (r->kind != REGION_DEVICE)
            e = guest_map_zero(&p->map, gpa(r->gpa.v + from * PAGE_SIZE), (to - from) * PAGE_SIZE);
    }
    return e;
}

enum err partition_load(struct partition *p) {
    const struct partition_config *config = p->config;
    struct load_request request = {config, &p->map, image_of(p->kernel, ""), .nr_modules = p->nr_modules};
    unsigned first = config->initrd[0] != '\0'; /* of `module =`; an initrd's arguments are GRUB's */
    for (unsigned i = 0; i < p->nr_modules; i++)
        request.modules[i] =
            image_of(p->modules[i], i < first ? p->modules[i]->args : config->modules[i - first].args);
    enum err e = acpi_gen(&p->map, p->nr_vcpus, config->vuart);
    if (e == ERR_OK)
        e = guest_map_write(&p->map, gpa(0xffff0), reset_stub, sizeof(reset_stub));
    return e == ERR_OK ? load_guest(&request, &p->start) : e;
}

bool partition_stop(struct partition *p, enum stop_cause cause) {
    enum partition_state running = PARTITION_RUNNING;
    if (!__atomic_compare_exchange_n(&p->state, &running, PARTITION_STOPPING, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        return false;
    p->cause = cause;
    return true;
}

bool partition_restarts(const struct partition *p) {
    return p->cause != STOP_ASKED && p->cause != STOP_BROKEN && p->config->on_exit == EXIT_RESTART;
}
