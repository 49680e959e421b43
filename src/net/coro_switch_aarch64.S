/* The switch of coro_switch.h for the procedure call standard of aarch64 (AAPCS64).
 *
 * A saved context, from its pointer upwards (176 bytes):
 *    0 x19 x20 x21 x22 x23 x24 x25 x26 x27 x28   80 x29 x30   96 d8 ... d15   160 fpcr
 *
 * Return addresses signed by the compiler stay valid: each is checked on the stack, and at the
 * stack pointer, where it was signed. `hint #34` is "bti c". */
#if defined(__aarch64__) && defined(__LP64__) && !defined(CARAFE_CORO_UCONTEXT)

    .text

/* Leaves fpcr in x9. */
    .macro SAVE_CONTEXT
    sub sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp x19, x20, [sp, #0]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    stp x21, x22, [sp, #16]
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    stp x23, x24, [sp, #32]
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    stp x25, x26, [sp, #48]
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    stp x27, x28, [sp, #64]
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    stp x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp d8, d9, [sp, #96]
    .cfi_rel_offset b8, 96
    .cfi_rel_offset b9, 104
    stp d10, d11, [sp, #112]
    .cfi_rel_offset b10, 112
    .cfi_rel_offset b11, 120
    stp d12, d13, [sp, #128]
    .cfi_rel_offset b12, 128
    .cfi_rel_offset b13, 136
    stp d14, d15, [sp, #144]
    .cfi_rel_offset b14, 144
    .cfi_rel_offset b15, 152
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x10, sp
    str x10, [x0]
    .endm

/* void coro_switch(void **save [x0], void *to [x1])
 * Both stacks have the same layout here, so the unwind rules stay true across the switch. */
    .globl coro_switch
    .hidden coro_switch
    .type coro_switch, %function
    .balign 16
coro_switch:
    .cfi_startproc
    hint #34
    SAVE_CONTEXT
    mov sp, x1
    /* Writing fpcr drains the pipeline on many cores, and it hardly ever differs. */
    ldr x10, [sp, #160]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x10
1:
    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x29, x30, [sp, #80]
    ldp x27, x28, [sp, #64]
    ldp x25, x26, [sp, #48]
    ldp x23, x24, [sp, #32]
    ldp x21, x22, [sp, #16]
    ldp x19, x20, [sp, #0]
    add sp, sp, #176
    .cfi_def_cfa sp, 0
    .irp reg, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30
    .cfi_restore \reg
    .endr
    .irp reg, b8, b9, b10, b11, b12, b13, b14, b15
    .cfi_restore \reg
    .endr
    ret
    .cfi_endproc
    .size coro_switch, . - coro_switch

/* void coro_start(void **save [x0], void *stack [x1], size_t size [x2],
 *                 coro_entry *entry [x3], void *arg [x4])
 * The new context takes over the floating point control state, as a call would. Backtraces end
 * here: the return address is undefined, and a zero frame record stops those that follow x29. */
    .globl coro_start
    .hidden coro_start
    .type coro_start, %function
    .balign 16
coro_start:
    .cfi_startproc
    hint #34
    SAVE_CONTEXT
    add x1, x1, x2
    mov sp, x1
    .cfi_def_cfa sp, 0
    .cfi_undefined x30
    .irp reg, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29
    .cfi_undefined \reg
    .endr
    mov x29, xzr
    mov x30, xzr
    mov x0, x4
    blr x3
    brk #1
    .cfi_endproc
    .size coro_start, . - coro_start

/* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI and PAC. */
    .section .note.gnu.property, "a", %note
    .balign 8
    .long 4
    .long 16
    .long 5
    .asciz "GNU"
    .long 0xc0000000
    .long 4
    .long 3
    .long 0

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
