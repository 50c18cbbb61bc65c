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

# Many tests in one guest.
GUEST_ELFS += $(GUEST)/rows.elf
ROWS       := $(patsubst %,$(GUEST)/obj/%.o,$(wildcard guests/rows/*.c guests/rows/*.S))
$(GUEST)/rows.elf: $(ROWS) $(GUEST_LIB) guests/lib/guest.ld
	@echo "  LD   $@"
	$(Q)gcc -nostdlib -static -no-pie -Wl,-T,guests/lib/guest.ld -Wl,--build-id=none \
	    -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -o $@ $(filter %.o,$^)

# A flat binary: code and data, nothing around it.
$(GUEST)/flat.bin: $(GUEST)/obj/guests/flat.S.o
	@echo "  BIN  $@"
	$(Q)objcopy -O binary -j .text $< $@

.PHONY: guests
guests: $(GUEST_ELFS) $(GUEST)/flat.bin ## the small bare-metal guests
