/* SPDX-License-Identifier: Apache-2.0 */
/* From a multiboot loader to guest_start in 64-bit mode, and the ways back from traps. */

    .section .multiboot, "a"
    .balign 4
    .long 0x1BADB002, 3, -(0x1BADB002 + 3)      /* align modules, tell about memory */

/* Everything of struct guest_state behind the eight registers, to EDI. Changes EAX, ECX, EDX; uses the stack. */
    .macro STORE_STATE seg
    mov     %cr0, %eax
    mov     %eax, \seg:32(%edi)
    mov     %cr2, %eax
    mov     %eax, \seg:36(%edi)
    mov     %cr3, %eax
    mov     %eax, \seg:40(%edi)
    mov     %cr4, %eax
    mov     %eax, \seg:44(%edi)
    mov     %db0, %eax
    mov     %eax, \seg:48(%edi)
    mov     %db1, %eax
    mov     %eax, \seg:52(%edi)
    mov     %db2, %eax
    mov     %eax, \seg:56(%edi)
    mov     %db3, %eax
    mov     %eax, \seg:60(%edi)
    mov     %db6, %eax
    mov     %eax, \seg:64(%edi)
    mov     %db7, %eax
    mov     %eax, \seg:68(%edi)
    mov     $0xC0000080, %ecx
    rdmsr
    mov     %eax, \seg:72(%edi)
    pushfl
    pop     %eax
    mov     %eax, \seg:76(%edi)
    mov     %cs, \seg:80(%edi)
    mov     %ds, \seg:82(%edi)
    mov     %es, \seg:84(%edi)
    mov     %ss, \seg:86(%edi)
    mov     %fs, \seg:88(%edi)
    mov     %gs, \seg:90(%edi)
    sgdtl   \seg:96(%edi)
    mov     \seg:96(%edi), %ax
    mov     %ax, \seg:92(%edi)
    mov     \seg:98(%edi), %eax
    mov     %eax, \seg:96(%edi)
    sidtl   \seg:100(%edi)
    mov     \seg:100(%edi), %ax
    mov     %ax, \seg:94(%edi)
    mov     \seg:102(%edi), %eax
    mov     %eax, \seg:100(%edi)
    .endm

    .macro TO_LONG_MODE
    mov     %cr4, %eax
    or      $0x20, %eax                         /* PAE */
    mov     %eax, %cr4
    mov     $guest_pml4, %eax
    mov     %eax, %cr3
    mov     $0xC0000080, %ecx                   /* IA32_EFER.LME */
    rdmsr
    or      $0x100, %eax
    wrmsr
    mov     %cr0, %eax
    and     $0x9FFFFFFF, %eax                   /* CD, NW off */
    or      $0x80000001, %eax                   /* PG, PE */
    mov     %eax, %cr0
    .endm

    .text
    .code32
    .globl guest_entry
guest_entry:
    mov     %eax, guest_entry_state + 0
    mov     %ecx, guest_entry_state + 4
    mov     %edx, guest_entry_state + 8
    mov     %ebx, guest_entry_state + 12
    mov     %esp, guest_entry_state + 16
    mov     %ebp, guest_entry_state + 20
    mov     %esi, guest_entry_state + 24
    mov     %edi, guest_entry_state + 28
    mov     $guest_stack_top, %esp
    mov     %eax, %ebp                          /* magic; ebx: information */
    mov     $guest_entry_state, %edi
    STORE_STATE %ds
    cli
    cld

    /* Identity-map 4 GiB with 2 MiB pages: four directories in a row are 2048 entries. */
    mov     $directories, %edi
    mov     $0x87, %eax                         /* present, writable, user, large */
1:  mov     %eax, (%edi)
    add     $8, %edi
    add     $0x200000, %eax
    jnc     1b
    lea     directories + 7, %eax
    mov     $pdpt, %edi
    mov     $4, %ecx
2:  mov     %eax, (%edi)
    add     $0x1000, %eax
    add     $8, %edi
    loop    2b
    movl    $pdpt + 7, guest_pml4
    TO_LONG_MODE
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

/* The page where another CPU starts, copied to wherever its SIPI points: real mode, CS is that page. What it
 * finds is left at F00H as struct guest_state; then straight to 64-bit mode. */
    .code16
    .globl guest_ap_page, guest_ap_page_end
guest_ap_page:
    mov     %eax, %cs:0xF00
    mov     %ecx, %cs:0xF04
    mov     %edx, %cs:0xF08
    mov     %ebx, %cs:0xF0C
    mov     %esp, %cs:0xF10
    mov     %ebp, %cs:0xF14
    mov     %esi, %cs:0xF18
    mov     %edi, %cs:0xF1C
    mov     $0xF00, %edi
    mov     $0xF00, %esp                        /* SS is 0: a little below, in page 0 */
    STORE_STATE %cs
    cli
    cld
    TO_LONG_MODE
    lgdtl   %cs:(ap_gdtr - guest_ap_page)
    ljmpl   $0x08, $ap_64
ap_gdtr:
    .word   gdt_end - guest_gdt - 1
    .long   guest_gdt
guest_ap_page_end:

    .code64
ap_64:
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs
    mov     $1, %eax
    cpuid
    shr     $24, %ebx                           /* the APIC id */
    mov     %ebx, %edi
    inc     %ebx
    shl     $13, %ebx
    lea     ap_stacks(%rbx), %rsp
    call    guest_ap_start
    ud2

/* guest_user_raw(struct guest_user_call *): to CPL 3; a return there comes back by INT 81H. */
    .globl guest_user_raw, guest_user_return
guest_user_raw:
    mov     (%rdi), %rax
    mov     8(%rdi), %rdi
    movq    $guest_user_return, guest_user_stack_top - 8
    push    $0x33                               /* SS, RSP, RFLAGS, CS, RIP */
    push    $guest_user_stack_top - 8
    push    $2
    push    $0x3B
    push    %rax
    iretq
guest_user_return:
    int     $0x81

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
    mov     %rsp, %gs:0                         /* struct guest_percpu.catch_rsp */
    mov     %rdi, %rax
    mov     %rsi, %rdi
    call    *%rax
    xor     %eax, %eax
5:  movq    $0, %gs:0
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

    .data
    .globl guest_gdt
    .balign 8
guest_gdt:
    .quad 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF     /* 08: 64-bit code, 10: data */
    .quad 0x00CF9B000000FFFF, 0x00009B000000FFFF        /* 18: 32-bit code, 20: 16-bit code */
    .quad 0x000093000000FFFF                            /* 28: 16-bit data */
    .quad 0x00CFF3000000FFFF, 0x00AFFB000000FFFF        /* 33: user data, 3B: user 64-bit code */
    .quad 0, 0                                          /* 40: TSS */
    .quad 0x00CFFB000000FFFF                            /* 53: user 32-bit code */
gdt_end:
gdtr:
    .word gdt_end - guest_gdt - 1
    .long guest_gdt

    .bss
    .globl guest_pml4, guest_entry_state, guest_stack_top, guest_user_stack_top
    .balign 4096
guest_pml4:     .skip 4096
pdpt:           .skip 4096
directories:    .skip 4 * 4096
                .skip 16384
guest_stack_top:
                .skip 8192
guest_user_stack_top:
ap_stacks:      .skip 8 * 8192                          /* GUEST_MAX_CPUS; APIC id 0 has the one above */
guest_entry_state: .skip 112

    .section .note.GNU-stack, "", @progbits
