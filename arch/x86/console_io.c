/* SPDX-License-Identifier: Apache-2.0 */
/* The UART and the screen, and who is at them. */
#include "arch/x86/console_io.h"

#include "arch/x86/cpu.h"
#include "arch/x86/memory.h"
#include "arch/x86/percpu.h"
#include "arch/x86/smp.h"
#include "arch/x86/vmx_cpu.h"
#include "core/console.h"
#include "core/history.h"
#include "core/host.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/partition.h"
#include "core/screen.h"
#include "core/str.h"
#include "core/vmx_ctl.h"
#include "drivers/ioapic.h"
#include "drivers/uart16550.h"

#define VGA_CRTC_INDEX   0x3d4
#define VGA_CURSOR_START 0x0a
#define VGA_CURSOR_OFF   0x20

#define FIFOS_A_GO       4  /* at most per visit: nobody is kept at the console, */
#define INPUT_A_GO       64 /* not by a UART that has gone either, which reads all ones: always ready */
#define RESUME_ROOM      (RING_BYTES / 2)
#define POLL_TICKS       (1u << 22)

enum mode { MODE_DIRECT, MODE_RINGS, MODE_ALONE };

static enum mode mode;
static struct lock lock; /* of the UART, the screen, and of `console` but for its producers */
static bool again;       /* somebody found the lock taken: look once more */
static bool tx_armed;    /* the UART will interrupt when it has room: no need to try before */
static bool has_irq;
static bool tx_waits[MAX_PARTITIONS]; /* its UART tells the guest that there is no room */
static struct console console;
static struct screen screen;
static struct history early, *history = &early;
struct ring console_tx[MAX_PARTITIONS], console_rx[MAX_PARTITIONS];
static struct ring logs[MAX_CPUS] __attribute__((section(".bss.cores")));
static unsigned nr_logs __attribute__((section(".bss.sealed")));

static unsigned first_cpu[MAX_PARTITIONS] __attribute__((section(".bss.sealed")));
static struct uart_place uart __attribute__((section(".bss.sealed")));
static bool poll_input __attribute__((section(".bss.sealed")));

enum { TO_UART = 1, TO_SCREEN = 2 };

static void put(unsigned to, const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if ((to & TO_UART) != 0)
            uart_put((uint8_t)text[i]);
        if ((to & TO_SCREEN) != 0)
            screen_put(&screen, (uint8_t)text[i]);
    }
}

static void write_line(unsigned to, const char *text, size_t bytes) {
    put(to, "mullion| ", 9);
    put(to, text, bytes);
    put(to, "\r\n", 2);
    screen_draw(&screen);
}

static void replay(unsigned to) {
    char line[LOG_LINE_MAX];
    for (uint64_t at = history_tail(history, UINT32_MAX); history_next(history, &at, line);)
        write_line(to, line, str_length(line));
}

/* Can it be a device's memory? RAM would be somebody's. */
static bool is_device(const struct boot_info *info, struct range at) {
    bool ram = false;
    for (unsigned i = 0; i < info->nr_memory; i++)
        ram |= info->memory[i].kind == MEMORY_RAM && range_overlaps(info->memory[i].range, at);
    return !ram && at.size > 0 && range_end(at) <= BIT(vmx_phys_bits(&vmx_caps));
}

struct uart_place console_start(struct uart_place at, const struct boot_info *info) {
    bool moved = at.address != uart.address || at.stride != uart.stride;
    bool there = at.stride == 0 || is_device(info, uart_range(at));
    if (!moved)
        return uart;
    void *memory = at.stride != 0 && there ? memory_window(WINDOW_UART, uart_range(at), PT_RW | PT_UC) : NULL;
    if (!there || !uart_init(at, memory)) {
        log_line("console: no UART at %s 0x%lx", at.stride == 0 ? "port" : "address", at.address);
        return uart;
    }
    uart = at;
    replay(TO_UART);
    return uart;
}

void console_screen(const struct boot_info *info) {
    const struct framebuffer *f = &info->screen;
    struct range at = screen_range(f);
    if (!is_device(info, at)) {
        log_line("screen: none that can be used: kind %u, %ux%u, %u bits, %u bytes a row, at 0x%lx", f->kind,
                 f->width, f->height, f->bits, f->pitch, f->at.v);
        return;
    }
    screen_init(&screen, f, memory_window(WINDOW_SCREEN, at, PT_RW | PT_WC));
    if (screen.text) { /* "CRT Controller" of every VGA: no cursor */
        cpu_out8(VGA_CRTC_INDEX, VGA_CURSOR_START);
        cpu_out8(VGA_CRTC_INDEX + 1, VGA_CURSOR_OFF);
    }
    replay(TO_SCREEN);
    log_line("screen: %ux%u %s at 0x%lx, %u lines of %u characters", f->width, f->height,
             f->kind == FRAMEBUFFER_TEXT ? "characters" : "pixels", f->at.v, screen.rows, screen.columns);
}

void console_screen_off(void) {
    screen.memory = NULL;
    (void)memory_window(WINDOW_SCREEN, (struct range){0, 0}, 0);
}

/* What is in the caches does not survive a reset. */
static void history_flush(void) {
    for (size_t i = 0; i < sizeof(*history) && history != &early; i += 64)
        cpu_clflush((const char *)history + i);
    cpu_mfence();
}

void console_keep(hpa_t place) {
    struct range at = {place.v, sizeof(*history)};
    history = memory_window(WINDOW_HISTORY, at, PT_RW);
    *history = early;
    history->magic = HISTORY_MAGIC;
    history_flush();
}

void console_forget(void) {
    history->magic = 0;
    history_flush();
}

void host_write(const char *text, size_t bytes) {
    enum mode now = mode;
    history_add(history, text, bytes);
    history_flush();
    if (now == MODE_RINGS) {
        console_log(&console, this_cpu.index, text, bytes);
        console_service();
        return;
    }
    if (now == MODE_DIRECT)
        lock_take(&lock);
    write_line(TO_UART | TO_SCREEN, text, bytes - 1);
    if (now == MODE_DIRECT)
        lock_release(&lock);
}

void console_route(const struct system_config *config, const struct platform *platform) {
    struct irq_route route;
    for (unsigned i = 0; i < platform->nr_ioapics; i++) {
        volatile void *page = host_phys(platform->ioapics[i].at, PAGE_SIZE);
        if (page != NULL)
            ioapic_mask_all(page);
    }
    if (uart.address == 0)
        return;
    if (uart.stride == 0 && platform_uart_route(platform, (uint16_t)uart.address, &route)) {
        volatile void *page = host_phys(platform->ioapics[route.ioapic].at, PAGE_SIZE);
        has_irq = page != NULL && ioapic_route_nmi(page, route.pin, this_cpu.apic_id, route.active_low);
    }
    poll_input = !has_irq && config->poll_input;
    if (!has_irq) {
        log_line("console: no interrupt pin known for 0x%lx; input is %s", uart.address,
                 poll_input ? "polled" : "read when core 0 exits");
    }
}

void console_cores(unsigned count) {
    nr_logs = count;
    memory_image_trim(&logs[count]);
}

void console_launch(const struct system_config *config) {
    console_init(&console);
    for (unsigned i = 0; i < config->nr_partitions; i++) {
        const struct partition_config *p = &config->partitions[i];
        first_cpu[i] = (unsigned)__builtin_ctzll(p->cpus);
        if (p->vuart)
            console_add(&console, i, p->name, &console_tx[i], &console_rx[i]);
    }
    for (unsigned cpu = 0; cpu < nr_logs; cpu++)
        console_add(&console, CONSOLE_LOG(cpu), "mullion", &logs[cpu], NULL);
    mode = MODE_RINGS;
    console_service();
}

static void kick_partitions(uint32_t mask) {
    for (; mask != 0; mask &= mask - 1) {
        unsigned cpu = first_cpu[__builtin_ctz(mask)];
        if (cpu == this_cpu.index)
            this_cpu.kicked = 1;
        else
            smp_kick(cpu);
    }
}

bool console_tx_wait(unsigned partition) {
    __atomic_store_n(&tx_waits[partition], true, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* flag before room here, room before flag below */
    return ring_room(&console_tx[partition]) < RESUME_ROOM;
}

/* Partitions that wait for room in their ring and have it now. */
static uint32_t resumed(void) {
    uint32_t mask = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < MAX_PARTITIONS; i++) {
        if (__atomic_load_n(&tx_waits[i], __ATOMIC_RELAXED) && ring_room(&console_tx[i]) >= RESUME_ROOM) {
            __atomic_store_n(&tx_waits[i], false, __ATOMIC_RELAXED);
            mask |= (uint32_t)BIT(i);
        }
    }
    return mask;
}

/* True: there may be more than the UART has room for. */
static bool send(void) {
    for (unsigned go = 0; go < FIFOS_A_GO; go++) {
        unsigned room = uart_tx_room();
        if (room == 0)
            return true;
        for (uint8_t byte; room > 0; room--) {
            if (!console_next(&console, &byte))
                return false;
            uart_send(byte);
            screen_put(&screen, byte);
        }
    }
    return true;
}

/* With the lock held. */
static void move(void) {
    uint32_t notify = 0;
    uint8_t byte;
    __atomic_store_n(&tx_armed, false, __ATOMIC_SEQ_CST); /* whoever speaks after our look comes here too */
    for (unsigned go = 0; go < INPUT_A_GO && uart_get(&byte); go++)
        notify |= console_input(&console, byte);
    bool more = send();
    screen_draw(&screen);
    if (has_irq) {
        uart_irq_arm(more);
        __atomic_store_n(&tx_armed, more, __ATOMIC_RELEASE);
    }
    kick_partitions(notify | resumed());
}

void console_service(void) {
    if (mode != MODE_RINGS)
        return;
    __atomic_store_n(&again, true, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&again, __ATOMIC_SEQ_CST) && lock_try(&lock)) {
        __atomic_store_n(&again, false, __ATOMIC_SEQ_CST);
        move();
        lock_release(&lock);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* who finds it taken has set `again` before our look */
    }
}

void console_output(unsigned partition) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* our byte before `tx_armed`; in move() the other way round */
    if (!__atomic_load_n(&tx_armed, __ATOMIC_ACQUIRE) && ring_used(&console_tx[partition]) > 0)
        console_service();
}

uint32_t console_poll_ticks(void) {
    return this_cpu.index == 0 && poll_input && vmx_can_set(&vmx_caps, VMX_PIN, PIN_PREEMPTION_TIMER)
               ? POLL_TICKS >> vmx_preemption_shift(&vmx_caps)
               : 0;
}

void console_partition_stopped(unsigned partition) {
    console_stop(&console, partition);
    console_service();
}

/* Whoever was stopped may have been in move(), which leaves all counts within their bounds. */
void console_rest(void) {
    uint8_t byte;
    mode = MODE_ALONE; /* before the look: this core may get the UART's NMI */
    while (console_next(&console, &byte))
        put(TO_UART | TO_SCREEN, (const char *)&byte, 1);
    screen_draw(&screen);
}

void console_flush(void) {
    console_rest();
    uart_drain();
    console_forget();
}

void console_panic(void) {
    mode = MODE_ALONE;
    put(TO_UART | TO_SCREEN, "\r\n", 2);
}
