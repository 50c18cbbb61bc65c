/* SPDX-License-Identifier: Apache-2.0 */
/* Exits of I/O instructions on ports the partition was not given: its virtual UART, the ports that
 * reset a PC, and nothing. */
#include "arch/x86/devices.h"
#include "arch/x86/system.h"
#include "arch/x86/vmx_exit.h"
#include "core/acpi_gen.h"
#include "core/vrtc.h"

/* "Exit Qualification for I/O Instructions" */
#define QUAL_SIZE       7u
#define QUAL_IN         BIT(3)
#define QUAL_STRING     BIT(4)
#define PORT_SHIFT      16

#define PORT_CMOS_INDEX 0x70 /* bit 7 is the NMI mask, which guests do not have */
#define PORT_CMOS_DATA  0x71
#define PORT_RESET      0xcf9 /* reset control register; bit 2 resets */
#define RESET_BIT       4u
#define PORT_KEYBOARD   0x64 /* 8042 command port */
#define KEYBOARD_RESET  0xfe

static bool is_uart(const struct vcpu *v, uint16_t port) {
    return v->partition->config->vuart && port >= VUART_PORT && port < VUART_PORT + 8;
}

static bool is_there(const struct vcpu *v, uint16_t port) {
    return is_uart(v, port) || port == PORT_CMOS_INDEX || port == PORT_CMOS_DATA;
}

static uint32_t ones(unsigned bytes) {
    return (uint32_t)(BIT(8 * bytes) - 1);
}

uint32_t port_read(struct vcpu *v, uint16_t port, unsigned bytes) {
    uint32_t value = ones(bytes);

    if (is_uart(v, port))
        return (value & ~0xffu) | devices_uart_read(v, port - VUART_PORT);
    if (port == PORT_CMOS_DATA)
        return (value & ~0xffu) | vrtc_register(system_time(), v->partition->cmos_index);
    v->denied_ports++;
    return value;
}

void port_write(struct vcpu *v, uint16_t port, uint32_t value) {
    if (is_uart(v, port))
        devices_uart_write(v, port - VUART_PORT, (uint8_t)value);
    else if (port == PORT_CMOS_INDEX)
        v->partition->cmos_index = value & 0x7f;
    else
        v->denied_ports++;
}

static bool resets(uint16_t port, uint32_t value) {
    return (port == PORT_RESET && (value & RESET_BIT) != 0) ||
           (port == PORT_KEYBOARD && (value & 0xff) == KEYBOARD_RESET);
}

enum verdict exit_io(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    uint16_t port = (uint16_t)(info->qualification >> PORT_SHIFT);
    unsigned bytes = (info->qualification & QUAL_SIZE) + 1;
    uint32_t mask = ones(bytes), value = (uint32_t)regs->rax & mask;
    bool in = (info->qualification & QUAL_IN) != 0, string = (info->qualification & QUAL_STRING) != 0;

    if (!in && !string && port == ACPI_SLEEP_PORT && (value & ACPI_SLEEP_ENABLE) != 0)
        return exit_stop(info, STOP_ASKED, NULL);
    if (!in && !string && resets(port, value))
        return exit_stop(info, STOP_RESET, NULL);
    if (v->partition->config->bad_access == BAD_ACCESS_STOP && !is_there(v, port))
        return exit_stop(info, STOP_CRASHED, "access to a port where nothing is (bad_access = stop)");
    if (string)
        return exit_string_io(v, regs, info);
    if (in) {
        value = port_read(v, port, bytes);
        /* A 32-bit result clears the upper half of RAX, smaller ones keep it. */
        regs->rax = bytes == 4 ? value : (regs->rax & ~(uint64_t)mask) | value;
    } else {
        port_write(v, port, value);
    }
    return VERDICT_NEXT;
}
