/* SPDX-License-Identifier: Apache-2.0 */
/* The way out of a guest and back in. The guest's registers go straight onto the top of this CPU's
 * stack, where they are struct guest_regs; none of their values stays in a register of ours. */
#include "boot/layout.h"

#define KICKED   this_cpu
#define LAUNCHED this_cpu + 1

    .text
    .globl vmx_exit_entry, vmx_enter, vmx_enter_window, vmx_enter_window_end

/* HOST_RIP; HOST_RSP is PERCPU_STACK_TOP. */
vmx_exit_entry:
    push %r15
    push %r14
    push %r13
    push %r12
    push %r11
    push %r10
    push %r9
    push %r8
    push %rdi
    push %rsi
    push %rbp
    push $0 /* RSP is in the VMCS */
    push %rbx
    push %rdx
    push %rcx
    push %rax
    mov %rsp, %rdi
    xor %eax, %eax
    xor %ecx, %ecx
    xor %edx, %edx
    xor %ebx, %ebx
    xor %esi, %esi
    xor %ebp, %ebp
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
    call vmx_exit

/* Enter the guest with the registers on the stack top; never returns. An NMI that arrives inside
 * the window is not lost: its handler sends the CPU back to vmx_enter (trap.c), which the pops
 * allow, because they leave the values where they are and the handler has a stack of its own. */
vmx_enter:
    mov $(PERCPU_STACK_TOP - GUEST_REGS_BYTES), %rsp
vmx_enter_window:
    cmpb $0, KICKED
    jne 2f
    cmpb $0, LAUNCHED /* the flags live through the pops */
    pop %rax
    pop %rcx
    pop %rdx
    pop %rbx
    pop %rbp /* the slot of RSP */
    pop %rbp
    pop %rsi
    pop %rdi
    pop %r8
    pop %r9
    pop %r10
    pop %r11
    pop %r12
    pop %r13
    pop %r14
    pop %r15
    je 1f
    vmresume
    jmp 3f
1:  movb $1, LAUNCHED
    vmlaunch
vmx_enter_window_end:
3:  mov $PERCPU_STACK_TOP, %rsp
    call vmx_entry_failed

2:  movb $0, KICKED
    xor %ebp, %ebp
    call vcpu_kicked
    jmp vmx_enter
    .section .note.GNU-stack, "", @progbits
