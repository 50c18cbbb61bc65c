# SPDX-License-Identifier: Apache-2.0
# The guests: the Linux recipe and our own small ones. Included by the top-level Makefile.

CACHE := $(BUILD)/cache
GUEST := $(BUILD)/guests

# ---- Linux: an unmodified distribution kernel and a busybox shell --------------------------------
$(GUEST)/linux/vmlinuz: guests/linux/fetch.sh
	$(Q)$< $(CACHE) linux-image-cloud-amd64 './boot/vmlinuz-*' $@

$(GUEST)/linux/busybox: guests/linux/fetch.sh
	$(Q)$< $(CACHE) busybox-static './bin/busybox' $@

$(GUEST)/linux/initrd.img: guests/linux/initrd.sh $(GUEST)/linux/busybox guests/linux/init
	@echo "  INITRD $@"
	$(Q)$^ $@

# One that is measured instead of used.
$(GUEST)/linux/mark: guests/linux/mark.c | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  LD   $@"
	$(Q)gcc -O2 -ffreestanding -fno-pie -fno-stack-protector -fcf-protection=none $(WARN) -nostdlib -static \
	    -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -o $@ $<

$(GUEST)/linux/steady.img: guests/linux/initrd.sh $(GUEST)/linux/busybox guests/linux/steady.sh \
                           guests/linux/load.sh $(GUEST)/linux/mark
	@echo "  INITRD $@"
	$(Q)$(wordlist 1,3,$^) $@ bin/load=guests/linux/load.sh bin/mark=$(GUEST)/linux/mark

# ---- Our own: ELF64 with a multiboot header, linked to 1 MiB ------------------------------------
GUEST_FLAGS := -std=gnu11 -O2 -g -I. -ffreestanding -fno-pie -fno-pic -mgeneral-regs-only -mno-red-zone \
               -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-common \
               -fno-tree-loop-distribute-patterns -MMD -MP $(WARN)
GUEST_LIB   := $(patsubst %,$(GUEST)/obj/%.o,guests/lib/start.S guests/lib/guest.c core/str.c)
GUEST_ELFS  := $(patsubst guests/%.c,$(GUEST)/%.elf,$(wildcard guests/*.c))

$(GUEST)/obj/%.o: % guests/guests.mk | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)gcc $(GUEST_FLAGS) -c $< -o $@

$(GUEST)/%.elf: $(GUEST)/obj/guests/%.c.o $(GUEST_LIB) guests/lib/guest.ld
	@echo "  LD   $@"
	$(Q)gcc -nostdlib -static -no-pie -Wl,-T,guests/lib/guest.ld -Wl,--build-id=none \
	    -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -o $@ $(filter %.o,$^)

# Of several files each: many tests in one guest, the rows of the bench, what makes exits at random, and all that a
# guest can do to others.
GUEST_PARTS = $(patsubst %,$(GUEST)/obj/%.o,$(wildcard guests/$(1)/*.c guests/$(1)/*.S))
PARTED     := rows bench fuzz hostile
GUEST_ELFS += $(PARTED:%=$(GUEST)/%.elf)
$(foreach guest,$(PARTED),$(eval $(GUEST)/$(guest).elf: $(call GUEST_PARTS,$(guest))))
$(PARTED:%=$(GUEST)/%.elf): $(GUEST_LIB) guests/lib/guest.ld
	@echo "  LD   $@"
	$(Q)gcc -nostdlib -static -no-pie -Wl,-T,guests/lib/guest.ld -Wl,--build-id=none \
	    -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -o $@ $(filter %.o,$^)

# A flat binary: code and data, nothing around it.
$(GUEST)/flat.bin: $(GUEST)/obj/guests/flat.S.o
	@echo "  BIN  $@"
	$(Q)objcopy -O binary -j .text $< $@

# ---- One 32-bit guest in every wrapping that a kernel can come in -----------------------------------
ORIGIN_FLAGS := -m32 $(filter-out -mno-red-zone,$(GUEST_FLAGS))
ORIGIN_LIB   := $(GUEST)/obj/origins/entry.o $(GUEST)/obj/origins/origin.o
ORIGINS      := $(patsubst %,$(GUEST)/origin-%,multiboot2.elf pvh.elf elf32.elf virtual.elf addresses.bin linux32 reset)

$(GUEST)/obj/origins/%.o: guests/origins/%.c guests/guests.mk | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)gcc $(ORIGIN_FLAGS) -c $< -o $@

$(GUEST)/obj/origins/%.o: guests/origins/%.S guests/guests.mk | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  AS   $@"
	$(Q)gcc $(ORIGIN_FLAGS) -c $< -o $@

$(GUEST)/obj/origins/%.elf: $(GUEST)/obj/origins/%.o $(ORIGIN_LIB) guests/origins/origin.ld
	@echo "  LD   $@"
	$(Q)ld -m elf_i386 -static --no-warn-rwx-segments -z noexecstack --defsym=PHYS=$(or $(PHYS),0x100000) \
	    --defsym=OFFSET=$(or $(OFFSET),0) -T guests/origins/origin.ld -o $@ $(filter %.o,$^)

$(GUEST)/obj/origins/virtual.elf: OFFSET := 0xC0000000
$(GUEST)/obj/origins/addresses.elf: PHYS := 0x280000

# The multiboot2 and the PVH one as ELF64, the others as linked; two more as bare files.
$(GUEST)/origin-multiboot2.elf $(GUEST)/origin-pvh.elf: OBJCOPY := -O elf64-x86-64
$(GUEST)/origin-addresses.bin: OBJCOPY := -O binary
$(GUEST)/origin-%.elf $(GUEST)/origin-%.bin: $(GUEST)/obj/origins/%.elf
	@mkdir -p $(@D)
	@echo "  COPY $@"
	$(Q)objcopy $(OBJCOPY) $< $@

# Setup sectors, then the kernel proper.
$(GUEST)/origin-linux32: $(GUEST)/obj/origins/linux32.elf
	@mkdir -p $(@D)
	@echo "  COPY $@"
	$(Q)objcopy -O binary -j .setup --set-section-flags .setup=alloc,load $< $@.setup && objcopy -O binary -R .setup $< $@.kernel
	$(Q)cat $@.setup $@.kernel > $@ && rm $@.setup $@.kernel

$(GUEST)/origin-reset: $(GUEST)/obj/origins/reset.o
	@mkdir -p $(@D)
	@echo "  BIN  $@"
	$(Q)objcopy -O binary -j .text $< $@

# Somebody else's: a memory tester, which moves itself, in its 64-bit and its 32-bit form.
$(GUEST)/memtest64: guests/linux/fetch.sh | $(TO_BUILD) $(TO_FETCH)
	$(Q)$< $(CACHE) memtest86+ './boot/memtest86+x64.bin' $@

$(GUEST)/memtest32: guests/linux/fetch.sh | $(TO_BUILD) $(TO_FETCH)
	$(Q)$< $(CACHE) memtest86+ './boot/memtest86+ia32.bin' $@

TEST_GUESTS := $(GUEST_ELFS) $(GUEST)/flat.bin $(ORIGINS) $(GUEST)/memtest64 $(GUEST)/memtest32 \
               $(GUEST)/linux/steady.img

.PHONY: guests
guests: $(TEST_GUESTS) ## the small bare-metal guests
