# SPDX-License-Identifier: Apache-2.0
# What Mullion is measured against. Included by tests/tests.mk.

# ---- KVM: Debian's kernel and modules, a small client made from core/, busybox -----------------------
PEER := $(BUILD)/bench/peer
PEERS = $(PEER)/kvm.img $(GUEST)/linux/vmlinuz $(BUILD)/bench/floor.elf

.PHONY: peers
peers: $(PEER)/kvm/client $(BUILD)/bench/floor.elf ## the programs of ours that the bench compares with

PEER_FLAGS   := $(subst -O1,-O2,$(HOST_FLAGS))
PEER_CLIENT  := $(patsubst %.c,$(PEER)/%.o,$(CORE) $(wildcard tests/bench/kvm/*.c))
PEER_MODULES := $(patsubst %,$(PEER)/kvm/%.ko,irqbypass kvm kvm-intel)

$(PEER)/%.o: %.c Makefile tests/bench/bench.mk | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)$(CC) $(PEER_FLAGS) -c $< -o $@

$(PEER)/core/acpi_gen.o: $(BUILD)/gen/dsdt_aml.h
$(PEER)/core/screen.o: $(BUILD)/gen/font.h

$(PEER)/kvm/client: $(PEER_CLIENT)
	@mkdir -p $(@D)
	@echo "  LD   $@"
	$(Q)$(CC) $(PEER_FLAGS) -static -o $@ $^ && strip $@

# Stripped of the signature, too: Debian's kernel takes them without, and to check it would take a third of the
# run.
$(PEER)/kvm/%.ko: guests/linux/fetch.sh | $(TO_BUILD) $(TO_FETCH)
	$(Q)$< $(CACHE) linux-image-cloud-amd64 '*/$*.ko' $@
	$(Q)strip --strip-debug $@

$(PEER)/kvm.img: guests/linux/initrd.sh $(GUEST)/linux/busybox tests/bench/kvm/init $(PEER)/kvm/client $(PEER_MODULES)
	@echo "  INITRD $@"
	$(Q)$(wordlist 1,3,$^) $@ $(foreach file,$(wordlist 4,9,$^),kvm/$(notdir $(file))=$(file))

# ---- The floor: a hypervisor that is one handler, and its guest ----------------------------------------
FLOOR := $(patsubst %,$(GUEST)/obj/tests/bench/floor/%.o,floor.c floor.S)

$(BUILD)/bench/floor.elf: $(FLOOR) $(GUEST_LIB) guests/lib/guest.ld
	@mkdir -p $(@D)
	@echo "  LD   $@"
	$(Q)gcc -nostdlib -static -no-pie -Wl,-T,guests/lib/guest.ld -Wl,--build-id=none \
	    -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -o $@ $(filter %.o,$^)
