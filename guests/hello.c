/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest guest: says where it runs, then asks to be stopped. */
#include "guests/lib/guest.h"

#include "core/str.h"

void guest_main(void) {
    struct cpuid hypervisor = cpuid(0x40000000, 0);
    char signature[13] = "";

    memcpy(signature, &hypervisor.ebx, 12);
    guest_print("hello: up, command line \"%s\"\n", guest_cmdline());
    if ((cpuid(1, 0).ecx & BIT(31)) != 0)
        guest_print("hello: hypervisor \"%s\"\n", signature);
    else
        guest_print("hello: no hypervisor\n");
    guest_print("hello: local APIC id %u, TSC %lu kHz\n", cpuid(1, 0).ebx >> 24, guest_tsc_hz() / 1000);
    guest_print("hello: done\n");
}
