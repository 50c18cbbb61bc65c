/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's own ACPI tables: a legacy-free PC (hardware-reduced) with its vCPUs, one IOAPIC and, if it
 * has one, the virtual UART. Writes guest memory of kind REGION_TABLES only, keeps no state. */
#pragma once

#include "core/guest_map.h"

/* The sleep control register; the status register, which reads all ones, is the next port. S5 is the
 * only state there is, so SLP_EN means power-off. */
#define ACPI_SLEEP_PORT   0x600
#define ACPI_SLEEP_ENABLE 0x20u

/* Where the tables begin, as guests search from here to 1 MiB; they may have all of that. */
#define ACPI_RSDP UINT64_C(0xE0000)

/* Local APIC ids are 0 .. nr_vcpus - 1, nr_vcpus <= MAX_CPUS. ERR_NOT_FOUND, logged: the map has no memory
 * there. It is all zeros. */
must_check enum err acpi_gen(const struct guest_map *map, unsigned nr_vcpus, bool vuart);
