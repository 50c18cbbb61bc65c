/* SPDX-License-Identifier: Apache-2.0 */
/* From a multiboot loader to guest_start in 64-bit mode, and the ways back from traps. */

    .section .multiboot, "a"
    .balign 4
    .long 0x1BADB002, 3, -(0x1BADB002 + 3)      /* align modules, tell about memory */

    .text
    .code32
    .globl guest_entry
guest_entry:
    cli
    cld
    mov     $stack_top, %esp
    mov     %eax, %ebp                          /* magic; ebx: information */

    /* Identity-map 4 GiB with 2 MiB pages: four directories in a row are 2048 entries. */
    mov     $directories, %edi
    mov     $0x83, %eax                         /* present, writable, large */
1:  mov     %eax, (%edi)
    add     $8, %edi
    add     $0x200000, %eax
    jnc     1b
    lea     directories + 3, %eax
    mov     $pdpt, %edi
    mov     $4, %ecx
2:  mov     %eax, (%edi)
    add     $0x1000, %eax
    add     $8, %edi
    loop    2b
    movl    $pdpt + 3, pml4

    mov     %cr4, %eax
    or      $0x20, %eax                         /* PAE */
    mov     %eax, %cr4
    mov     $pml4, %eax
    mov     %eax, %cr3
    mov     $0xC0000080, %ecx                   /* IA32_EFER.LME */
    rdmsr
    or      $0x100, %eax
    wrmsr
    mov     %cr0, %eax
    or      $0x80000001, %eax                   /* PG, PE */
    mov     %eax, %cr0
    lgdt    gdtr
    ljmp    $0x08, $3f

    .code64
3:  mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs
    mov     %ebp, %edi
    mov     %ebx, %esi
    call    guest_start
4:  cli
    hlt
    jmp     4b

/* ---- Traps: one 16-byte stub a vector, then all registers onto the stack as struct guest_frame. */
    .balign 16
    .globl guest_stubs
guest_stubs:
    vector = 0
    .rept 256
    .balign 16
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
    .else
    push    $0                                  /* where others have an error code */
    .endif
    push    $vector
    jmp     common
    vector = vector + 1
    .endr

common:
    push    %rax
    push    %rdx
    rdtsc                                       /* as early as can be: the jitter guest wants it */
    shl     $32, %rdx
    or      %rdx, %rax
    push    %rcx
    push    %rbx
    push    %rbp
    push    %rsi
    push    %rdi
    push    %r8
    push    %r9
    push    %r10
    push    %r11
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    push    %rax
    mov     %rsp, %rdi
    cld
    call    guest_trap
    add     $8, %rsp
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %r11
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rdi
    pop     %rsi
    pop     %rbp
    pop     %rbx
    pop     %rcx
    pop     %rdx
    pop     %rax
    add     $16, %rsp
    iretq

/* bool guest_catch_raw(void (*code)(void *), void *arg): true if an exception ended the call;
 * guest_trap then continues at guest_catch_landing with the stack as it was here. */
    .globl guest_catch_raw, guest_catch_landing
guest_catch_raw:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    mov     %rsp, guest_catch_rsp
    mov     %rdi, %rax
    mov     %rsi, %rdi
    call    *%rax
    xor     %eax, %eax
5:  movq    $0, guest_catch_rsp
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret
guest_catch_landing:
    mov     $1, %eax
    jmp     5b

    .section .rodata
    .balign 8
gdt:
    .quad 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF     /* 08: 64-bit code, 10: data */
gdtr:
    .word . - gdt - 1
    .long gdt

    .bss
    .globl guest_catch_rsp
    .balign 4096
pml4:           .skip 4096
pdpt:           .skip 4096
directories:    .skip 4 * 4096
                .skip 16384
stack_top:
guest_catch_rsp: .skip 8

    .section .note.GNU-stack, "", @progbits
