/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's ACPI tables, turned into struct platform. Their layout is known to acpi.c alone. */
#pragma once

#include "core/boot_info.h"
#include "core/err.h"
#include "core/platform.h"

/* Read the tables that info->rsdp leads to, through host_phys. What is wrong is logged. Without an RSDP, a
 * root table or a sound MADT with a usable CPU it fails; any other table that is missing, unmapped or broken
 * leaves its fields of *out zero. Of two tables with one signature the first counts. */
must_check enum err acpi_parse(const struct boot_info *info, struct platform *out);
