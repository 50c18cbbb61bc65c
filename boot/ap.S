/* SPDX-License-Identifier: Apache-2.0 */
/* An application processor's way from SIPI (real mode, CS = page) to cpu_main on its own stack. The
 * part up to ap_end is copied below 1 MiB; smp.c adds the page's address to the words in ap_fix_*.
 * All APs may run it at the same time: it writes no memory. */
#include "boot/layout.h"

#define AT(sym) ((sym) - ap_start)

    .section .rodata.ap, "a"
    .balign 16
    .globl ap_start, ap_end, ap_fix_gdt, ap_fix_jump32, ap_fix_jump64, ap_cr3
    .code16
ap_start:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    movzwl %ax, %ebp
    shl $4, %ebp
    lgdtl AT(ap_gdtr)
    mov %cr0, %eax
    and $~0x60000000, %eax /* INIT leaves CD and NW set: caches on */
    or $1, %eax
    mov %eax, %cr0
    ljmpl *AT(ap_fix_jump32)

    .code32
ap32:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %ss
    mov $0x20, %eax /* CR4.PAE */
    mov %eax, %cr4
    mov AT(ap_cr3)(%ebp), %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx /* IA32_EFER: LME, NXE */
    rdmsr
    or $0x900, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80010000, %eax /* PG, WP */
    mov %eax, %cr0
    ljmpl *AT(ap_fix_jump64)(%ebp)

    .code64
ap64:
    movabs $ap_high, %rax
    jmp *%rax

    .balign 8
ap_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* SEL_CODE64 */
    .quad 0x00cf93000000ffff /* SEL_DATA */
    .quad 0x00cf9b000000ffff /* SEL_CODE32 */
ap_gdtr:
    .short . - ap_gdt - 1
ap_fix_gdt:
    .long AT(ap_gdt)
ap_fix_jump32:
    .long AT(ap32)
    .short SEL_CODE32
ap_fix_jump64:
    .long AT(ap64)
    .short SEL_CODE64
ap_cr3:
    .long 0
ap_end:

    .text
    .code64
/* Which of smp_entries is this? Its APIC id says; then its tables and its stack are known. */
ap_high:
    lgdt boot_gdtr
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    cpuid
    cmp $0xb, %eax
    jb 1f
    mov $0xb, %eax
    xor %ecx, %ecx
    cpuid
    test %ebx, %ebx
    jnz 2f
1:  mov $1, %eax
    cpuid
    mov %ebx, %edx
    shr $24, %edx
2:  xor %ecx, %ecx
3:  cmp smp_entry_count(%rip), %ecx
    jae 5f
    mov %ecx, %eax
    shl $4, %eax
    cmp %edx, smp_entries(%rax)
    je 4f
    inc %ecx
    jmp 3b
4:  mov smp_entries + 8(%rax), %rdi
    jmp cpu_enter
5:  cli
    hlt
    jmp 5b
    .section .note.GNU-stack, "", @progbits
