/* SPDX-License-Identifier: Apache-2.0 */
/* Exits of I/O instructions: what is behind a port is core/trap_map's, this carries it out. */
#include "arch/x86/devices.h"
#include "arch/x86/system.h"
#include "arch/x86/vmx_exit.h"
#include "core/trap_map.h"
#include "core/vrtc.h"

/* "Exit Qualification for I/O Instructions" */
#define QUAL_SIZE   7u
#define QUAL_IN     BIT(3)
#define QUAL_STRING BIT(4)
#define PORT_SHIFT  16

static uint32_t ones(unsigned bytes) {
    return (uint32_t)(BIT(8 * bytes) - 1);
}

/* Our devices are a byte wide: what is asked beyond that reads ones. */
uint32_t port_read(struct vcpu *v, uint16_t port, unsigned bytes) {
    uint32_t above = ones(bytes) & ~0xffu;

    switch (trap_map_in(v->partition->config, port)) {
    case TRAP_UART:
        return above | devices_uart_read(v, port - TRAP_UART_PORT);
    case TRAP_CLOCK_INDEX:
        return above | 0xff; /* write-only, as on a PC */
    case TRAP_CLOCK_DATA:
        return above | vrtc_register(system_time(), v->partition->cmos_index);
    default:
        v->denied_ports++;
        return ones(bytes);
    }
}

void port_write(struct vcpu *v, uint16_t port, uint32_t value) {
    switch (trap_map_in(v->partition->config, port)) {
    case TRAP_UART:
        devices_uart_write(v, port - TRAP_UART_PORT, (uint8_t)value);
        break;
    case TRAP_CLOCK_INDEX:
        v->partition->cmos_index = value & 0x7f; /* bit 7 masks NMIs on a PC; not here */
        break;
    default:
        v->denied_ports++;
        break;
    }
}

enum verdict exit_io(struct vcpu *v, struct guest_regs *regs, struct exit_info *info) {
    const struct partition_config *config = v->partition->config;
    uint16_t port = (uint16_t)(info->qualification >> PORT_SHIFT);
    unsigned bytes = (info->qualification & QUAL_SIZE) + 1;
    uint32_t mask = ones(bytes), value = (uint32_t)regs->rax & mask;
    bool in = (info->qualification & QUAL_IN) != 0, string = (info->qualification & QUAL_STRING) != 0;
    enum trap_target target = in || string ? trap_map_in(config, port) : trap_map_out(config, port, value);

    if (target == TRAP_POWER_OFF)
        return exit_stop(info, STOP_ASKED, NULL);
    if (target == TRAP_RESET)
        return exit_stop(info, STOP_RESET, NULL);
    if (target == TRAP_NONE && config->bad_access == BAD_ACCESS_STOP)
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
