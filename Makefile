# SPDX-License-Identifier: Apache-2.0
# Mullion: `make help` lists the targets. Everything built goes to build/, nothing else is written.

BUILD  := build
CC     ?= gcc
ifeq ($(origin CC),default)
CC     := gcc
endif
PYTHON := /usr/bin/python3

# make V=1 shows the commands.
Q := $(if $(V),,@)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

WARN := -Wall -Wextra -Wno-unused-parameter -Wconversion -Wshadow -Wvla -Wframe-larger-than=1024 -Werror \
        -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wpointer-arith

# ---- Debian packages: tests/packages.txt names them, each step installs what it misses ----------
$(BUILD)/packages/%: tests/packages.txt tests/rig/packages.sh
	@tests/rig/packages.sh $< $*
	@mkdir -p $(@D) && touch $@

TO_BUILD := $(BUILD)/packages/build
TO_FETCH := $(BUILD)/packages/fetch
TO_RUN   := $(BUILD)/packages/run
TO_TEST  := $(BUILD)/packages/test
TO_BENCH := $(BUILD)/packages/bench

# ---- The hypervisor --------------------------------------------------------------------------
# core/ compiles three ways from the one list CORE: freestanding into mullion.elf, hosted with
# sanitizers for the unit tests, hosted with libFuzzer.
CORE := $(sort $(wildcard core/*.c))
HW   := $(sort $(wildcard arch/x86/*.c drivers/*.c))

# DEBUG=1 links the audit of the EPTs before the launch, and of the VMCS before every VM entry.
AUDIT := $(wildcard tests/audit/*.c)
AUDIT_WRAPS := vmx_exit vcpu_kicked guest_layout_prove
ASM  := $(sort $(wildcard boot/*.S arch/x86/*.S))

# ATTACK=1 links what goes wrong where a guest asks for it.
ATTACKS := $(wildcard tests/attack/*.c)
ATTACK_WRAPS := exit_vmcall panic_at console_panic memory_has_stack memory_seal_image trap_read_msr vcpu_kicked \
                smp_stop_if_told dump_guest exit_preemption_timer

# What runs while booting, or once something has gone wrong, is built for size: it is half of the code.
ONCE := $(wildcard core/acpi*.c core/config*.c core/load*.c) \
        core/frames.c core/mb2.c core/mtrr.c core/partition.c core/partition_build.c core/vmcs_check.c \
        core/platform.c core/speculation.c core/tsc.c core/vmx_ctl.c arch/x86/dump.c arch/x86/init.c arch/x86/panic.c \
        arch/x86/smp.c arch/x86/system.c arch/x86/vmcs_setup.c \
        arch/x86/vmx_cpu.c drivers/power.c drivers/timer_ref.c

HV_FLAGS  = -std=gnu11 $(if $(filter $(ONCE),$<),-Os,-O2) -g -I. -I$(BUILD) -ffreestanding -fno-pie -fno-pic -mcmodel=kernel -mgeneral-regs-only \
            -mno-red-zone -fno-omit-frame-pointer -fno-stack-protector -fno-strict-aliasing \
            -fno-asynchronous-unwind-tables -fcf-protection=none -fno-common \
            -fno-optimize-sibling-calls -MMD -MP $(WARN) $(ANALYZE)
HV_LD    := -nostdlib -static -Wl,-T,$(BUILD)/linker.ld -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
            -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments \
            $(if $(DEBUG),$(AUDIT_WRAPS:%=-Xlinker --wrap=%)) $(if $(ATTACK),$(ATTACK_WRAPS:%=-Xlinker --wrap=%))

HV_OBJ := $(patsubst %,$(BUILD)/hv/%.o,$(ASM) $(CORE) $(HW) $(if $(DEBUG),$(AUDIT)) $(if $(ATTACK),$(ATTACKS)))

# probe.elf is the hypervisor with some functions wrapped: it looks at the machine and starts nothing.
PROBE_OBJ   := $(patsubst %,$(BUILD)/hv/%.o,$(wildcard tests/probe/*.c))
PROBE_WRAPS := config_parse acpi_parse tsc_khz_choose vmx_same_as_boot vmx_ctl_resolve config_check

.PHONY: all
all: $(BUILD)/mullion.elf $(BUILD)/probe.elf ## build/mullion.elf, the hypervisor, and build/probe.elf, which looks at the machine

.PHONY: debug
debug: ## build/debug/mullion.elf, which checks the VMCS before every VM entry
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/debug DEBUG=1 all

.PHONY: attack
attack: ## build/attack/mullion.elf, which attacks itself when a guest asks for it
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/attack ATTACK=1 $(BUILD)/attack/mullion.elf

# What runs at every exit: the stub enters it with RBP = 0, where a backtrace ends.
$(BUILD)/hv/arch/x86/vmx_exit.c.o $(BUILD)/hv/arch/x86/exit_%.c.o: HV_FLAGS += -fomit-frame-pointer

$(BUILD)/hv/%.c.o: %.c Makefile | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)$(CC) $(HV_FLAGS) -c $< -o $@

$(BUILD)/hv/%.S.o: %.S Makefile | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  AS   $@"
	$(Q)$(CC) $(HV_FLAGS) -D__ASSEMBLY__ -c $< -o $@

$(BUILD)/linker.ld: linker.ld boot/layout.h
	@mkdir -p $(@D)
	$(Q)$(CC) -E -P -x c -I. $< -o $@

# The image carries its own symbol table, so that a panic names functions: linked once with an
# empty table to learn the addresses (the table comes last in .rodata and moves nothing before
# it), once with the real one.
$(BUILD)/symbols-empty.S: tests/rig/symbols.py | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  GEN  $@"
	$(Q)$(PYTHON) $< < /dev/null > $@

$(BUILD)/mullion-nosyms.elf: $(HV_OBJ) $(BUILD)/symbols-empty.S $(BUILD)/linker.ld
	@echo "  LD   $@"
	$(Q)$(CC) $(HV_FLAGS) $(HV_LD) -o $@ $(HV_OBJ) $(BUILD)/symbols-empty.S

$(BUILD)/symbols.S: $(BUILD)/mullion-nosyms.elf tests/rig/symbols.py
	@echo "  GEN  $@"
	$(Q)nm -n $< | $(PYTHON) tests/rig/symbols.py > $@

$(BUILD)/mullion.elf: $(HV_OBJ) $(BUILD)/symbols.S $(BUILD)/linker.ld
	@echo "  LD   $@"
	$(Q)$(CC) $(HV_FLAGS) $(HV_LD) -o $@ $(HV_OBJ) $(BUILD)/symbols.S

$(BUILD)/probe.elf: $(HV_OBJ) $(PROBE_OBJ) $(BUILD)/symbols-empty.S $(BUILD)/linker.ld
	@echo "  LD   $@"
	$(Q)$(CC) $(HV_FLAGS) $(HV_LD) $(PROBE_WRAPS:%=-Xlinker --wrap=%) -o $@ $(HV_OBJ) $(PROBE_OBJ) $(BUILD)/symbols-empty.S

# The guests' DSDT: ASL -> AML -> a C array that core/acpi_gen.c includes.
$(BUILD)/gen/dsdt_aml.h: core/dsdt.asl
	@mkdir -p $(@D)
	@echo "  ASL  $@"
	$(Q)iasl -vs -ve -p $(BUILD)/gen/dsdt $< > $(BUILD)/gen/dsdt.log || { cat $(BUILD)/gen/dsdt.log; false; }
	$(Q){ echo 'static const uint8_t dsdt_aml[] = {'; od -An -v -tx1 $(BUILD)/gen/dsdt.aml | \
	  sed 's/ \(..\)/ 0x\1,/g'; echo '};'; } > $@

$(BUILD)/hv/core/acpi_gen.c.o $(BUILD)/unit/core/acpi_gen.o $(BUILD)/fuzz/core/acpi_gen.o: \
    $(BUILD)/gen/dsdt_aml.h

# The screen's font: GNU Unifont's ASCII, 8x16 pixels, as Debian's GRUB has it.
$(BUILD)/gen/font.h: /usr/share/grub/ascii.h | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  FONT $@"
	$(Q)sed 's/^unsigned char ascii_bitmaps\[\]/static const unsigned char font[128 * 16]/' $< > $@

$(BUILD)/hv/core/screen.c.o $(BUILD)/unit/core/screen.o $(BUILD)/fuzz/core/screen.o: $(BUILD)/gen/font.h

HOST_EXTRA := tests/unit/host_stub.c tests/probe/report.c tests/audit/ept_check.c tests/audit/vmcs_rules.c

# ---- core/ on the host -----------------------------------------------------------------------
HOST_FLAGS := -std=gnu11 -O1 -g -I. -I$(BUILD) -fno-omit-frame-pointer -MMD -MP $(filter-out -Wframe%,$(WARN))
UNIT_KIND  := -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_FLAGS := $(HOST_FLAGS) $(UNIT_KIND)
UNIT_CORE  := $(patsubst %.c,$(BUILD)/unit/%.o,$(CORE) $(HOST_EXTRA))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))

$(BUILD)/unit/%.o: %.c Makefile | $(TO_BUILD) $(TO_TEST)
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)$(CC) $(UNIT_FLAGS) -c $< -o $@

$(BUILD)/unit/test_%: $(BUILD)/unit/tests/unit/test_%.o $(UNIT_CORE)
	@echo "  LD   $@"
	$(Q)$(CC) $(UNIT_FLAGS) -o $@ $^ -lcmocka $(UNIT_LIBS)

$(BUILD)/unit/test_insn: UNIT_LIBS := -lcapstone
$(BUILD)/unit/test_built: UNIT_LIBS := -Wl,--wrap=frames_alloc,--wrap=frames_alloc_pieces

UNIT_RUNS  := $(patsubst $(BUILD)/unit/%,unit-%,$(UNIT_TESTS))
.PHONY: unit $(UNIT_RUNS)
unit: $(UNIT_RUNS) ## host unit tests of core/ under ASan and UBSan

$(UNIT_RUNS): unit-%: $(BUILD)/unit/%
	@$< > $<.log 2>&1 || { cat $<.log; false; }
	@sed -n 's/^.*PASSED.*\] \(.*\)/unit $*: \1 passed/p' $<.log

FUZZ_FLAGS := $(HOST_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_CORE  := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(CORE) $(HOST_EXTRA))
FUZZERS    := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

$(BUILD)/fuzz/%.o: %.c Makefile | $(TO_BUILD) $(TO_TEST)
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)clang $(FUZZ_FLAGS) -c $< -o $@

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/tests/fuzz/fuzz_%.o $(FUZZ_CORE)
	@echo "  LD   $@"
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^

include guests/guests.mk
include tests/tests.mk

.PHONY: clean help
clean: ## remove build/ but keep downloaded packages
	@if [ -d $(BUILD) ]; then find $(BUILD) -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +; fi

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
