/* SPDX-License-Identifier: Apache-2.0 */
/* A flat binary in real mode, for `load = ADDRESS`: runs wherever it is put below 1 MiB, since CS
 * and DS are the address it was loaded at and everything counts from there. */
    .code16
    .globl _start
_start:
    mov     $message - _start, %si
1:  mov     $0x3FD, %dx
2:  in      %dx, %al
    test    $0x20, %al              /* room for a byte? */
    jz      2b
    lodsb
    test    %al, %al
    jz      3f
    mov     $0x3F8, %dx
    out     %al, %dx
    jmp     1b
3:  cli
    hlt
    jmp     3b

message:
    .asciz  "flat: hello from real mode\r\n"
