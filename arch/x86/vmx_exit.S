/* SPDX-License-Identifier: Apache-2.0 */
/* The way out of a guest and back in. The guest's registers go straight onto the top of this CPU's
 * stack, where they are struct guest_regs; none of their values stays in a register of ours. */
#include "boot/layout.h"

#define KICKED this_cpu
#define VCPU   this_cpu + PERCPU_VCPU

/* Enter the guest with the registers on the stack top; never returns. An NMI that arrives inside
 * the window is not lost: its handler sends the CPU back to the start (trap.c), which the pops
 * allow, because they leave the values where they are and the handler has a stack of its own. */
    .macro enter_by instruction, name
    .globl \name, \name\()_window, \name\()_window_end
\name\()_window:
    cmpb $0, KICKED
    jne 1f
    .irp register, rax, rcx, rdx, rbx, rbp /* the slot of RSP */, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    pop %\register
    .endr
    \instruction
\name\()_window_end:
    mov $(PERCPU_STACK_TOP - GUEST_REGS_BYTES), %rsp /* the registers are still there */
    xor %ebp, %ebp
    call vmx_entry_failed
1:  movb $0, KICKED
    xor %ebp, %ebp
    call vcpu_kicked
\name:
    mov $(PERCPU_STACK_TOP - GUEST_REGS_BYTES), %rsp
    jmp \name\()_window
    .endm

    .text
    .globl vmx_exit_entry

/* HOST_RIP; HOST_RSP is PERCPU_STACK_TOP. */
vmx_exit_entry:
    .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp
    push %\register
    .endr
    push $0 /* RSP is in the VMCS */
    .irp register, rbx, rdx, rcx, rax
    push %\register
    .endr
    .irp register, eax, ecx, edx, ebx, esi, ebp, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
    xor %\register, %\register
    .endr
    mov VCPU, %rdi
    call vmx_exit
    enter_by vmresume, vmx_resume

/* The first entry after VMCLEAR. */
    enter_by vmlaunch, vmx_launch
    .section .note.GNU-stack, "", @progbits
