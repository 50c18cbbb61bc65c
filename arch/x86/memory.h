/* SPDX-License-Identifier: Apache-2.0 */
/* What the hypervisor itself can see: everything while it boots, and after the seal, on each CPU, only the
 * image, that CPU's own pages and its own partition. */
#pragma once

#include "core/boot_info.h"
#include "core/host_map.h"

/* Physical address of something in the image, and the frames the image fills. */
hpa_t memory_image_phys(const void *symbol);
struct range memory_image_range(void);

/* Nothing of the image behind `end` will be used: those frames are no longer its. Boot CPU, before anyone
 * asks for the above. */
void memory_image_trim(const void *end);

/* May these bytes be those of a stack of ours, on this CPU? */
bool memory_has_stack(uint64_t at, uint64_t bytes);

/* See this physical memory on all CPUs, before and after the seal. Write-combining is uncached as long as the
 * bootstrap tables are in use. A second call for the same window moves it; size 0 closes it.
 * Boot CPU, before memory_init. */
enum memory_window { WINDOW_SCREEN, WINDOW_HISTORY, WINDOW_UART, WINDOW_COUNT };
void *memory_window(enum memory_window window, struct range physical, unsigned attributes);

/* Build the tables of the boot, instead of the bootstrap tables, which map the first 4 GiB: the image W^X,
 * all RAM and the interrupt controllers' registers at DIRECT_VIRT. Boot CPU; not in use before it enters
 * memory_cpu_cr3(0). */
must_check enum err memory_init(struct frames *frames, const struct boot_info *info,
                                const struct platform *platform);

/* Frames and tables of one CPU, its struct percpu filled with index and APIC id; and the CR3 with which it
 * starts. Boot CPU. */
must_check enum err memory_cpu_build(unsigned cpu, uint32_t apic_id);
uint64_t memory_cpu_cr3(unsigned cpu);

/* What the tables hold, to be added to. Boot CPU, before the seal. */
extern struct host_map memory_map;

/* What was built while booting becomes read-only. Boot CPU, when all CPUs are past using it; after which each
 * goes over to its sealed_cr3. */
void memory_seal_image(void);

/* See all that could be seen before the seal, on this CPU: the last that runs, to end the machine. */
void memory_unseal(void);

/* Index of the CPU this runs on; 0 = the boot core, on the bootstrap tables too. Any context. */
unsigned memory_this_cpu(void);
