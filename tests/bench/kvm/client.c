/* SPDX-License-Identifier: Apache-2.0 */
/* client CONFIG: one partition of the hypervisor as a guest of KVM, to compare with. Each vCPU is a thread on
 * the core that the config gives it. The interrupt controllers are KVM's own; here are a 16550 and ports and
 * memory that nobody has, which read all ones. The guest's console is standard input and output.
 *
 * Runs until the guest powers off. A guest that halts for ever sleeps in KVM for ever. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "core/acpi_gen.h"
#include "core/vuart.h"
#include "tests/bench/kvm/guest.h"

#define COM1       0x3F8
#define COM1_GSI   4
#define RESET_PORT 0xCF9
#define CONSOLE_MS 10

struct vcpu {
    int fd;
    unsigned index;
    struct kvm_run *run;
    pthread_t thread;
};

static struct kvm_guest guest;
static int kvm_fd, vm_fd;
static struct vcpu vcpus[MAX_CPUS];
static struct vuart uart;
static struct ring uart_tx, uart_rx;
static pthread_mutex_t uart_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile bool over;

static int kvm_ioctl(int fd, unsigned long request, void *arg, const char *name) {
    int result = ioctl(fd, request, arg);

    if (result < 0)
        kvm_fail("%s", name);
    return result;
}
#define KVM(fd, request, arg) kvm_ioctl(fd, request, arg, #request)
#define KVM_NUMBER(value)     ((void *)(uintptr_t)(value))

/* ---- The console: no vCPU ever waits for it, and only core 0 is woken for it ---- */
static void uart_update_irq(void) {
    if (vuart_irq(&uart)) {
        KVM(vm_fd, KVM_IRQ_LINE, (&(struct kvm_irq_level){.irq = COM1_GSI, .level = 1}));
        KVM(vm_fd, KVM_IRQ_LINE, (&(struct kvm_irq_level){.irq = COM1_GSI, .level = 0}));
    }
}

static uint8_t uart_access(unsigned reg, bool write, uint8_t value) {
    pthread_mutex_lock(&uart_lock);
    if (write)
        vuart_write(&uart, reg, value);
    else
        value = vuart_read(&uart, reg);
    uart_update_irq();
    pthread_mutex_unlock(&uart_lock);
    return value;
}

static void console_input(void) {
    uint8_t bytes[64];
    ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));

    pthread_mutex_lock(&uart_lock);
    for (ssize_t i = 0; i < count; i++)
        (void)ring_put(&uart_rx, bytes[i]);
    uart_update_irq();
    pthread_mutex_unlock(&uart_lock);
}

static void console_output(void) {
    char bytes[RING_BYTES];
    size_t count = 0;

    while (count < sizeof(bytes) && ring_take(&uart_tx, (uint8_t *)&bytes[count]))
        count++;
    if (fwrite(bytes, 1, count, stdout) != count || fflush(stdout) != 0)
        kvm_fail("console");
    pthread_mutex_lock(&uart_lock);
    uart_update_irq();
    pthread_mutex_unlock(&uart_lock);
}

static void console_run(void) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    struct termios mode;
    bool was_over;

    if (tcgetattr(STDIN_FILENO, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(STDIN_FILENO, TCSANOW, &mode);
    }
    do {
        was_over = over;
        if (poll(&in, 1, CONSOLE_MS) == 1 && (in.revents & POLLIN) != 0)
            console_input();
        console_output();
    } while (!was_over);
    tcdrain(STDOUT_FILENO);
}

/* ---- What a vCPU comes out for ---- */
static void port_access(uint16_t port, bool write, uint8_t *data, unsigned bytes) {
    if (port >= COM1 && port < COM1 + 8 && bytes == 1 && guest.config.vuart)
        *data = uart_access(port - COM1, write, *data);
    else if (!write)
        memset(data, 0xFF, bytes);
    else if ((port == ACPI_SLEEP_PORT && (*data & ACPI_SLEEP_ENABLE) != 0) || port == RESET_PORT)
        over = true;
}

static void vcpu_exit(const struct vcpu *v) {
    struct kvm_run *run = v->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        for (uint32_t i = 0; i < run->io.count; i++)
            port_access(run->io.port, run->io.direction == KVM_EXIT_IO_OUT, data + i * run->io.size,
                        run->io.size);
        break;
    case KVM_EXIT_MMIO:
        memset(run->mmio.data, 0xFF, sizeof(run->mmio.data));
        break;
    case KVM_EXIT_SHUTDOWN:
        errno = 0;
        kvm_fail("vCPU %u: triple fault", v->index);
    default:
        errno = 0;
        kvm_fail("vCPU %u: exit reason %u, hardware reason or suberror 0x%lx", v->index, run->exit_reason,
                 (unsigned long)run->hw.hardware_exit_reason);
    }
}

static void *vcpu_run(void *arg) {
    struct vcpu *v = arg;
    cpu_set_t cores;

    CPU_ZERO(&cores);
    CPU_SET(guest.cores[v->index], &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores) != 0)
        kvm_fail("vCPU %u: core %u", v->index, guest.cores[v->index]);
    while (!over)
        if (ioctl(v->fd, KVM_RUN, 0) == 0)
            vcpu_exit(v);
        else if (errno != EINTR && errno != EAGAIN) /* EAGAIN: INIT and SIPI have come */
            kvm_fail("vCPU %u: KVM_RUN", v->index);
    return NULL;
}

/* ---- Making it ---- */
#define CPUID_ENTRIES 128

struct cpuid {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
};

/* A topology level: `bits` of the APIC id lie below the next one, it has `count` logical processors. */
static void cpuid_add_level(struct cpuid *c, unsigned level, unsigned type, uint32_t bits, uint32_t count,
                            uint32_t apic_id) {
    c->entries[c->head.nent++] = (struct kvm_cpuid_entry2){
        .function = 0x0B,
        .index = level,
        .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        .eax = bits,
        .ebx = count,
        .ecx = type << 8 | level,
        .edx = apic_id,
    };
}

/* All that KVM offers, with this vCPU's place, the deadline timer and the rate of its TSC. */
static void vcpu_set_cpuid(const struct vcpu *v) {
    static struct cpuid all, c;
    uint32_t tsc_khz = (uint32_t)KVM(v->fd, KVM_GET_TSC_KHZ, NULL), bits = 0;

    while (BIT(bits) < guest.nr_vcpus)
        bits++;
    all.head.nent = CPUID_ENTRIES;
    KVM(kvm_fd, KVM_GET_SUPPORTED_CPUID, &all);
    c.head.nent = 0;
    for (struct kvm_cpuid_entry2 *e = all.entries; e < all.entries + all.head.nent; e++) {
        if (e->function == 0 && e->eax < 0x15)
            e->eax = 0x15;
        if (e->function == 1) {
            e->ebx = (e->ebx & 0xFFFF) | guest.nr_vcpus << 16 | v->index << 24;
            e->ecx |= (uint32_t)(BIT(21) | BIT(24) | BIT(31)); /* x2APIC, TSC deadline, hypervisor */
        }
        if (e->function != 0x0B && e->function != 0x15 && c.head.nent < CPUID_ENTRIES - 4)
            c.entries[c.head.nent++] = *e;
    }
    cpuid_add_level(&c, 0, 1, 0, 1, v->index);
    cpuid_add_level(&c, 1, 2, bits, guest.nr_vcpus, v->index);
    cpuid_add_level(&c, 2, 0, 0, 0, v->index);
    c.entries[c.head.nent++] =
        (struct kvm_cpuid_entry2){.function = 0x15, .eax = 1, .ebx = 1, .ecx = tsc_khz * 1000};
    KVM(v->fd, KVM_SET_CPUID2, &c);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type) {
    return (struct kvm_segment){
        .limit = UINT32_MAX, .selector = selector, .type = type, .present = 1, .s = 1, .db = 1, .g = 1};
}

static void vcpu_set_start(const struct vcpu *v, const struct guest_start *start) {
    struct kvm_regs regs = {
        .rip = start->rip, .rax = start->rax, .rbx = start->rbx, .rsi = start->rsi, .rflags = 2};
    struct kvm_sregs sregs;

    if (start->mode != START_PROTECTED)
        kvm_fail("a kernel that starts in real mode");
    KVM(v->fd, KVM_GET_SREGS, &sregs);
    sregs.cs = flat_segment(start->cs, 11);
    sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = flat_segment(start->ds, 3);
    sregs.gdt.base = start->gdt_base;
    sregs.gdt.limit = start->gdt_limit;
    sregs.cr0 = 0x31; /* NE, ET, PE */
    sregs.cr3 = sregs.cr4 = sregs.efer = 0;
    KVM(v->fd, KVM_SET_SREGS, &sregs);
    KVM(v->fd, KVM_SET_REGS, &regs);
}

static void vm_add_memory(uint32_t slot, uint64_t from, uint64_t to) {
    struct kvm_userspace_memory_region region = {.slot = slot,
                                                 .guest_phys_addr = from,
                                                 .memory_size = to - from,
                                                 .userspace_addr = (uintptr_t)guest.memory + from};

    KVM(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

/* The UART is at a pin of the IOAPIC only: the 8259s that KVM adds, nobody's in this machine, hear nothing.
 */
static void vm_route_uart(void) {
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entry;
    } routing = {.head.nr = 1,
                 .entry = {.gsi = COM1_GSI,
                           .type = KVM_IRQ_ROUTING_IRQCHIP,
                           .u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = COM1_GSI}}};

    KVM(vm_fd, KVM_SET_GSI_ROUTING, &routing);
}

static void vm_make(void) {
    kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm_fd < 0)
        kvm_fail("/dev/kvm");
    vm_fd = KVM(kvm_fd, KVM_CREATE_VM, NULL);
    KVM(vm_fd, KVM_SET_TSS_ADDR, KVM_NUMBER(0xFFFBD000));
    KVM(vm_fd, KVM_CREATE_IRQCHIP, NULL);
    vm_route_uart();
    vm_add_memory(0, 0, KIB(640));
    vm_add_memory(1, KIB(768), guest.config.memory_bytes);
    vuart_reset(&uart, &uart_tx, &uart_rx);
    for (unsigned i = 0; i < guest.nr_vcpus; i++) {
        struct vcpu *v = &vcpus[i];

        v->index = i;
        v->fd = KVM(vm_fd, KVM_CREATE_VCPU, KVM_NUMBER(i));
        v->run = mmap(NULL, (size_t)KVM(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL), PROT_READ | PROT_WRITE,
                      MAP_SHARED, v->fd, 0);
        if (v->run == MAP_FAILED)
            kvm_fail("vCPU %u: mmap", i);
        vcpu_set_cpuid(v);
    }
    vcpu_set_start(&vcpus[0], &guest.start);
}

int main(int argc, char **argv) {
    cpu_set_t own;

    if (argc != 2)
        kvm_fail("usage: client CONFIG");
    kvm_guest_make(&guest, argv[1]);
    vm_make();
    CPU_ZERO(&own);
    CPU_SET(0, &own);
    sched_setaffinity(0, sizeof(own), &own);
    for (unsigned i = 0; i < guest.nr_vcpus; i++)
        if (pthread_create(&vcpus[i].thread, NULL, vcpu_run, &vcpus[i]) != 0)
            kvm_fail("vCPU %u: no thread", i);
    console_run();
    return 0;
}
