/* SPDX-License-Identifier: Apache-2.0 */
/* The address map of the hypervisor, shared by C, assembly and linker.ld. Numbers only. */
#pragma once

/* clang-format off */

/* The image: linked here, loaded by GRUB wherever there is room below 4 GiB. The bootstrap tables map
 * one 2 MiB page of it. */
#define IMAGE_VIRT       0xffffffff80000000
#define IMAGE_LINK_PHYS  0x1000000
#define IMAGE_ALIGN      0x200000

/* Windows for what the hypervisor itself needs of the machine's memory: in the image's gigabyte, whose
 * tables all CPUs share. A window holds 2 MiB less than it has, as offsets in 2 MiB are kept. */
#define WINDOW_VIRT      (IMAGE_VIRT + 0x20000000)
#define WINDOW_BYTES     0xa000000 /* three of them fit */

/* Private to each CPU: the same addresses everywhere, other frames behind them. A page that is not
 * named here is not mapped: that is what guards the stacks. */
#define PERCPU_VIRT      0xffffffffc0000000
#define PERCPU_DATA      (PERCPU_VIRT + 0x1000) /* struct percpu */
#define PERCPU_STACK     (PERCPU_VIRT + 0x3000) /* boot and exits */
#define PERCPU_STACK_TOP (PERCPU_VIRT + 0x5000)
#define PERCPU_NMI       (PERCPU_VIRT + 0x6000) /* IST 1 */
#define PERCPU_NMI_TOP   (PERCPU_VIRT + 0x7000)
#define PERCPU_FAULT     (PERCPU_VIRT + 0x8000) /* IST 2: every fault of our own ends here */
#define PERCPU_FAULT_TOP (PERCPU_VIRT + 0x9000)

#define BOOT_STACK_BYTES 0x2000 /* of the boot core, until it has the above */

/* Physical memory that this CPU may touch, at DIRECT_VIRT + hpa. */
#define DIRECT_VIRT      0xffff800000000000
#define DIRECT_SLOT      256 /* its first entry in the top-level table */
#define DIRECT_END       0x7f8000000000 /* so much: all slots but the last */
#define BOOT_MAP_END     0x100000000 /* what the bootstrap tables map of it */

/* Segment selectors of every GDT of ours. */
#define SEL_CODE64       0x08
#define SEL_DATA         0x10
#define SEL_CODE32       0x18
#define SEL_TSS          0x20

/* struct guest_regs, pushed by vmx_exit.S and asserted in vmx_exit.c; struct percpu's field `vcpu` */
#define GUEST_REGS_BYTES 128
#define PERCPU_VCPU      8

/* clang-format on */
