/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot, linked to C0000000H and more, the entry point too: turns paging on, 4 MiB at both addresses, and
 * the last 4 MiB below 4 GiB, where the local APIC is. */
#define OFFSET 0xC0000000

    .section .head, "ax"
    .globl origin_head
    .long   0x1BADB002, 3, -(0x1BADB002 + 3)
origin_head:
    mov     $directory - OFFSET, %edx
    movl    $0x83, (%edx)                       /* present, writable, 4 MiB */
    movl    $0x83, 768 * 4(%edx)
    mov     %cr4, %ecx
    or      $0x10, %ecx                         /* PSE */
    mov     %ecx, %cr4
    mov     %edx, %cr3
    mov     %cr0, %ecx
    or      $0x80000000, %ecx
    mov     %ecx, %cr0
    mov     $origin_entry, %ecx
    jmp     *%ecx

    .bss
    .balign 4096
directory: .skip 4096
