/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/kvm/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "core/acpi_gen.h"
#include "core/guest_layout.h"
#include "core/host.h"

/* core/ sees the guest's memory as the machine's. */
static uint8_t *phys;
static uint64_t phys_bytes;

void *host_phys(hpa_t at, uint64_t bytes) {
    return bytes <= phys_bytes && at.v <= phys_bytes - bytes ? phys + at.v : NULL;
}

void host_write(const char *text, size_t bytes) {
    fwrite(text, 1, bytes, stderr);
}

void host_panic(const char *file, int line, const char *what) {
    kvm_fail("%s:%d: %s", file, line, what);
}

void kvm_fail(const char *format, ...) {
    int error = errno;
    va_list args;

    fprintf(stderr, "kvm client: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
    tcdrain(STDERR_FILENO); /* the machine may be switched off right after */
    exit(1);
}

static const void *map_file(const char *name, uint64_t *bytes) {
    struct stat status;
    const void *data;
    int fd = open(name, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) != 0)
        kvm_fail("%s", name);
    data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        kvm_fail("%s", name);
    close(fd);
    *bytes = (uint64_t)status.st_size;
    return data;
}

static void read_config(struct kvm_guest *guest, const char *name) {
    static struct system_config config;
    struct report report = {name, 0};
    uint64_t bytes;
    const char *text = map_file(name, &bytes);

    if (config_parse(text, bytes, &config, &report) != ERR_OK)
        kvm_fail("%s: not usable", name);
    guest->config = config.partitions[0];
    if (config.nr_partitions != 1 || guest->config.memory_bytes > GUEST_HOLE_BASE || guest->config.identity ||
        guest->config.ports.count + guest->config.mmio.count + guest->config.nr_modules != 0)
        kvm_fail("%s: wanted: one partition of at most 3 GiB, no modules but an initrd, no devices", name);
    for (unsigned core = 0; core < MAX_CPUS; core++)
        if ((guest->config.cpus & BIT(core)) != 0)
            guest->cores[guest->nr_vcpus++] = core;
}

static void add_region(struct kvm_guest *guest, uint64_t at, uint64_t bytes, enum region_kind kind) {
    if (guest_map_add(&guest->map, (struct guest_region){gpa(at), hpa(at), bytes, kind}) != ERR_OK)
        kvm_fail("no region at 0x%lx", at);
}

/* As the hypervisor lays it out, and as a KVM client with a name gets it: aligned and willing to be huge. */
static void make_memory(struct kvm_guest *guest) {
    uint64_t bytes = guest->config.memory_bytes;
    uint8_t *room = mmap(NULL, bytes + PAGE_2M, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED)
        kvm_fail("%lu MiB of memory", bytes >> 20);
    guest->memory = room + (-(uintptr_t)room & (PAGE_2M - 1));
    madvise(guest->memory, bytes, MADV_HUGEPAGE);
    phys = guest->memory;
    phys_bytes = bytes;
    add_region(guest, 0, GUEST_LOW_RAM_BYTES, REGION_RAM);
    add_region(guest, GUEST_TABLES_BASE, GUEST_TABLES_BYTES, REGION_TABLES);
    add_region(guest, GUEST_RAM_BASE, bytes - GUEST_RAM_BASE, REGION_RAM);
}

void kvm_guest_make(struct kvm_guest *guest, const char *name) {
    struct load_request request = {.config = &guest->config, .map = &guest->map};

    read_config(guest, name);
    make_memory(guest);
    request.kernel = (struct load_image){.name = guest->config.kernel, .args = ""};
    request.kernel.data = map_file(guest->config.kernel, &request.kernel.bytes);
    if (guest->config.initrd[0] != '\0') {
        struct load_image *initrd = &request.modules[request.nr_modules++];

        *initrd = (struct load_image){.name = guest->config.initrd, .args = ""};
        initrd->data = map_file(guest->config.initrd, &initrd->bytes);
    }
    if (acpi_gen(&guest->map, guest->nr_vcpus, guest->config.vuart) != ERR_OK ||
        load_guest(&request, &guest->start) != ERR_OK)
        kvm_fail("%s: not loaded", guest->config.kernel);
}
