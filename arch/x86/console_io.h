/* SPDX-License-Identifier: Apache-2.0 */
/* Between core/console, the UART and the screen: direct while booting and in a panic, through rings and
 * interrupts while guests run. */
#pragma once

#include "core/config.h"
#include "core/platform.h"
#include "core/ring.h"

/* Output goes to this UART, polled, from the first line of the log on; address 0 = nowhere. If there is none,
 * the one before stays: the one in use is returned. `info`: as far as it is known. Boot core, before the
 * memory map is in use. */
struct uart_place console_start(struct uart_place at, const struct boot_info *info);

/* Output goes to the loader's screen too, from the first line on; or no longer. Boot core, before the memory
 * map is in use. */
void console_screen(const struct boot_info *info);
void console_screen_off(void);

/* Keep the log at `place`, two pages, where the next boot finds it after a reset; or no longer, as this one
 * has ended in peace. Boot core, the former before the memory map is in use. */
void console_keep(hpa_t place);
void console_forget(void);

/* Route the UART's interrupt to the boot core as NMI; without one, say so and let the preemption timer serve
 * the console if the config allows. Boot core, while booting. */
void console_route(const struct system_config *config, const struct platform *platform);

/* There are so many cores: gives back the memory for more. Boot core, before the memory map is in use. */
void console_cores(unsigned count);

/* Hand the line to core/console: one speaker a partition and a CPU. Boot core, before the launch. */
void console_launch(const struct system_config *config);

/* Of each partition. */
extern struct ring console_tx[MAX_PARTITIONS], console_rx[MAX_PARTITIONS];

/* The partition may have put something into its ring. Any core. */
void console_output(unsigned partition);

/* The partition's UART has told its guest to wait for room: kick its first core once there is. False if there
 * is already, and then no kick need come. */
bool console_tx_wait(unsigned partition);

/* Move what can be moved, both ways, without waiting. Any core, any context. */
void console_service(void);

/* Preemption-timer value for the next look at the console; 0 = this core needs none. */
uint32_t console_poll_ticks(void);

/* The partition's console no longer takes input. */
void console_partition_stopped(unsigned partition);

/* The other cores have been stopped, one of them perhaps with the console's lock. Log lines go straight to
 * the UART from here on; what is in the rings goes first where the machine ends in peace, and behind the
 * story of a panic, as it may be what is broken. */
void console_flush(void);
void console_panic(void);
void console_rest(void);
