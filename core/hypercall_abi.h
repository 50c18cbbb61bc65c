/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest can ask of Mullion: VMCALL at CPL 0 (elsewhere #UD) with the number in RAX and arguments in
 * RBX and RCX; the result comes in RAX, nothing else changes. Depends on nothing: guests include it as it is.
 * Numbers keep their meaning for ever; new ones raise the version. CPUID leaf 40000000H tells whether Mullion
 * is there at all ("MullionVMX"). */
#pragma once

#define HYPERCALL_VERSION 0 /* -> 2 */
#define HYPERCALL_EXITS   1 /* -> VM exits of this vCPU since power-on, this one too */
#define HYPERCALL_STOP    2 /* stop this partition for good; does not return */
#define HYPERCALL_RESTART 3 /* stop it and, with on_exit = restart, start it afresh; does not return */
#define HYPERCALL_NAME    4 /* RBX = 0, 1 -> that eight bytes of this partition's name, padded with zeros */
#define HYPERCALL_COUNTER 5 /* RBX = one of the below -> its value since power-on */
#define HYPERCALL_WRITE                                                                                      \
    6 /* RBX = up to eight bytes, first lowest, RCX = how many: to the partition's console.                  \
         -> bytes taken, fewer if there is no room; -19 without a console */
#define HYPERCALL_WAIT                                                                                       \
    7 /* RBX = TSC value: sleep until then, or until an interrupt or NMI comes, or for no                    \
         reason. -> 0 */
#define HYPERCALL_TRACE               8 /* RBX = n, at most 64: log RIP after each of the next n instructions. -> 0 */

#define HYPERCALL_COUNTER_RESTARTS    0     /* of the partition; the others are this vCPU's */
#define HYPERCALL_COUNTER_MSRS        1     /* RDMSR and WRMSR that got #GP */
#define HYPERCALL_COUNTER_PORTS       2     /* accesses to ports with nothing behind them */
#define HYPERCALL_COUNTER_MEMORY      3     /* accesses to memory with nothing behind it */
#define HYPERCALL_COUNTER_EXIT_REASON 0x100 /* + basic exit reason: exits of that kind */

/* Errors are negative, numbered as on Linux. */
#define HYPERCALL_ENODEV (-19)
#define HYPERCALL_EINVAL (-22) /* an argument out of its range */
#define HYPERCALL_ENOSYS (-38) /* no such number */
