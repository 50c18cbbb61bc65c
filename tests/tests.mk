# SPDX-License-Identifier: Apache-2.0
# The demo's image, the machines it runs on, and every check. Included by the top-level Makefile.

# Parts of one check run side by side, unless the caller already said how many jobs there may be.
JOBS     := $(shell nproc)
PARALLEL  = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS)) --no-print-directory --output-sync=target

# ---- The image -------------------------------------------------------------------------------
$(GUEST)/linux/vmlinuz $(GUEST)/linux/busybox: | $(TO_BUILD) $(TO_FETCH)

DEMO_CONF    := guests/mullion.conf
DEMO_MODULES := vmlinuz=$(GUEST)/linux/vmlinuz initrd.img=$(GUEST)/linux/initrd.img \
                jitter.elf=$(GUEST)/jitter.elf
modules_files = $(foreach module,$(1),$(lastword $(subst =, ,$(module))))

$(BUILD)/mullion.iso $(BUILD)/mullion.img: $(BUILD)/mullion.elf $(BUILD)/probe.elf $(DEMO_CONF) boot/grub.cfg tests/rig/iso.py \
                                           $(call modules_files,$(DEMO_MODULES))
	@echo "  IMG  $@"
	$(Q)$(PYTHON) tests/rig/iso.py -o $@ --kernel $< --config $(DEMO_CONF) $(DEMO_MODULES)

.PHONY: iso
iso: $(BUILD)/mullion.iso ## build/mullion.iso, which GRUB boots from BIOS and UEFI

.PHONY: usb
usb: $(BUILD)/mullion.img ## build/mullion.img for a USB stick, and how to write it; touches no disk
	@echo "$< is ready. To find the stick, and to write the image to it, which erases what is there:"
	@echo "  lsblk -d -o NAME,SIZE,TRAN,MODEL"
	@echo "  sudo dd if=$< of=/dev/sdX bs=4M conv=fsync status=progress    # sdX: the stick's name"

# ---- Run it ----------------------------------------------------------------------------------
$(BUILD)/rig/witness.so: tests/rig/witness.c tests/rig/trace.c tests/rig/cost.c tests/rig/witness.h | $(TO_BUILD)
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)$(CC) -std=gnu11 -O2 -I. $(filter-out -Wframe%,$(WARN)) -shared -fPIC -o $@ $(filter %.c,$^)

.PHONY: run
run: $(BUILD)/mullion.iso $(BUILD)/rig/witness.so | $(TO_RUN) ## the demo in a terminal [EMU=bochs|qemu CPUS=4 MEM=1024 MODEL=]
	@$(PYTHON) tests/rig/run.py --iso $< --emu "$(EMU)" --cpus "$(or $(CPUS),4)" \
	    --memory "$(or $(MEM),1024)" --model "$(MODEL)"

# ---- The config, at the desk -----------------------------------------------------------------
# The archive gives confcheck only what it needs of core/: it is its own host.
$(BUILD)/unit/core.a: $(filter-out %/host_stub.o,$(UNIT_CORE))
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/confcheck: $(BUILD)/unit/tests/confcheck.o $(BUILD)/unit/core.a
	@echo "  LD   $@"
	$(Q)$(CC) $(UNIT_FLAGS) -o $@ $^

# The tables a config leads to: system tests have each of their configs proven.
$(BUILD)/prove: $(BUILD)/unit/tests/prove.o $(UNIT_CORE)
	@echo "  LD   $@"
	$(Q)$(CC) $(UNIT_FLAGS) -o $@ $^

.PHONY: confcheck
confcheck: $(BUILD)/confcheck ## what Mullion would say to a config [CONF=file CPUS= MEM= MODULES=a,b]
	@$< $(or $(CONF),$(DEMO_CONF)) $(if $(CPUS),cpus=$(CPUS)) $(if $(MEM),memory=$(MEM)) \
	    $(if $(MODULES),modules=$(MODULES))

# ---- Checks ----------------------------------------------------------------------------------
HEADERS := $(sort $(wildcard core/*.h arch/x86/*.h drivers/*.h boot/*.h))
SOURCES := $(CORE) $(HW) $(AUDIT) $(HEADERS) \
           $(sort $(wildcard guests/*.[ch] guests/*/*.[ch] tests/*.c tests/attack/*.[ch] tests/unit/*.[ch] tests/probe/*.[ch] tests/audit/*.h tests/fuzz/*.c tests/rig/*.[ch] \
             tests/bench/*/*.[ch]))
SCRIPTS := $(sort $(wildcard tests/rig/*.sh guests/*.sh guests/*/*.sh .ci/run))

# What is analyzed: all of the hypervisor that is C, and what proves a config.
ANALYZED := $(CORE) $(HW) $(AUDIT) tests/prove.c tests/confcheck.c

.PHONY: check check-gcc check-clang check-analyzer check-house check-headers check-fuzzers check-format \
        check-cppcheck check-scripts check-rows
check: | $(TO_BUILD) $(TO_TEST) ## both compilers, their analyzers, unit tests, the rules of the house
	+@$(MAKE) $(PARALLEL) check-gcc check-clang check-analyzer guests peers unit check-house check-headers \
	    check-fuzzers check-format check-cppcheck check-scripts check-rows

check-gcc:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/gcc CC=gcc ANALYZE=-fanalyzer all \
	    $(patsubst %,$(BUILD)/gcc/hv/%.o,$(filter-out $(CORE) $(HW),$(ANALYZED))) \
	    > $(BUILD)/check-gcc.log 2>&1 || { cat $(BUILD)/check-gcc.log; false; }
	@echo "gcc: builds without a warning, of -fanalyzer either"

check-clang:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/clang CC=clang DEBUG=1 all > $(BUILD)/check-clang.log 2>&1 || \
	    { cat $(BUILD)/check-clang.log; false; }
	@echo "clang: builds without a warning"

# Each file anew only when it or what it includes has changed. Four times as many nodes found no more.
$(BUILD)/analyzed/%: % Makefile tests/tests.mk | $(TO_TEST)
	@mkdir -p $(@D)
	$(Q)clang $(if $(filter tests/%,$<),$(HOST_FLAGS),$(HV_FLAGS)) --analyze --analyzer-output text -MF $@.d -MT $@ \
	    -Xclang -analyzer-werror -Xclang -analyzer-config -Xclang max-nodes=60000 $<
	@touch $@

$(BUILD)/analyzed/core/acpi_gen.c: $(BUILD)/gen/dsdt_aml.h
$(BUILD)/analyzed/core/screen.c: $(BUILD)/gen/font.h

check-analyzer: $(patsubst %,$(BUILD)/analyzed/%,$(ANALYZED))
	@echo "clang analyzer: nothing found in $(words $^) files"

check-house: $(patsubst %,$(BUILD)/hv/%.o,$(CORE))
	@$(PYTHON) tests/rig/house.py $^

check-headers:
	@set -e; for header in $(HEADERS); do \
	    $(CC) $(filter-out -MMD -MP,$(HV_FLAGS)) -fsyntax-only -include $$header \
	    -x c /dev/null; done
	@echo "headers: each of the $(words $(HEADERS)) compiles alone"

check-fuzzers:
	@clang $(filter-out -MMD -MP,$(HOST_FLAGS)) -fsyntax-only $(wildcard tests/fuzz/*.c)
	@echo "fuzzers: each compiles"

check-format:
	@clang-format --dry-run -Werror $(SOURCES)
	@echo "format: $(words $(SOURCES)) files as .clang-format says"

check-cppcheck:
	@cppcheck --quiet --std=c11 --platform=unix64 --enable=warning,performance,portability \
	    --inline-suppr --suppress=missingIncludeSystem --suppress=comparePointers --error-exitcode=1 -I. $(ANALYZED)
	@echo "cppcheck: nothing found"

check-scripts:
	@shellcheck $(SCRIPTS)
	@echo "shellcheck: nothing found in $(words $(SCRIPTS)) scripts"

check-rows: ## rows of the VMX surface against the tests that name them
	@$(PYTHON) tests/rig/rows.py

.PHONY: record-machines
record-machines: $(BUILD)/probe.elf | $(TO_RUN) ## tests/machines anew, from every machine the emulators can be [MACHINES=name...]
	@$(PYTHON) tests/rig/record.py $(MACHINES)

# ---- Fuzzing ---------------------------------------------------------------------------------
# A fuzzer begins with tests/fuzz/corpus and with what earlier runs left in build/corpus.
FUZZ_SECONDS := 60
FUZZ_RUNS    := $(patsubst $(BUILD)/fuzz/%,run-%,$(FUZZERS))
FUZZ_MERGES  := $(patsubst $(BUILD)/fuzz/%,merge-%,$(FUZZERS))

.PHONY: fuzz fuzz-short fuzz-merge $(FUZZ_RUNS) $(FUZZ_MERGES)
fuzz: ## each fuzzer for a minute [FUZZ_SECONDS=60]
	+@$(MAKE) $(PARALLEL) $(FUZZ_RUNS) FUZZ_SECONDS=$(FUZZ_SECONDS)

fuzz-short:
	+@$(MAKE) $(PARALLEL) $(FUZZ_RUNS) FUZZ_SECONDS=2

fuzz-merge: ## tests/fuzz/corpus anew: the fewest inputs found so far that reach all that was reached
	+@$(MAKE) $(PARALLEL) $(FUZZ_MERGES)

$(FUZZ_RUNS): run-%: $(BUILD)/fuzz/%
	@$(PYTHON) tests/rig/corpus.py unpack tests/fuzz/corpus/$*.txt $(BUILD)/corpus/$*
	@cd $(BUILD)/corpus && ../fuzz/$* $(patsubst %,-dict=$(CURDIR)/%,$(wildcard tests/fuzz/$*.dict)) \
	    -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 -artifact_prefix=$*- $* \
	    > $*.log 2>&1 || { cat $*.log; false; }
	@echo "$*: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(BUILD)/corpus/$*.log) inputs, none broke it"

$(FUZZ_MERGES): merge-%: $(BUILD)/fuzz/%
	@rm -rf $(BUILD)/corpus/fewest/$* && mkdir -p $(BUILD)/corpus/fewest/$*
	@$< -set_cover_merge=1 -use_counters=0 $(BUILD)/corpus/fewest/$* $(BUILD)/corpus/$* > $(BUILD)/corpus/$*.log 2>&1 || \
	    { cat $(BUILD)/corpus/$*.log; false; }
	@$(PYTHON) tests/rig/corpus.py pack $(BUILD)/corpus/fewest/$* tests/fuzz/corpus/$*.txt
	@wc -lc tests/fuzz/corpus/$*.txt

# ---- Coverage --------------------------------------------------------------------------------
COVERED := $(BUILD)/coverage
REPLAYS := $(patsubst $(BUILD)/fuzz/%,replay-%,$(FUZZERS))

.PHONY: coverage replay $(REPLAYS)
coverage: | $(TO_BUILD) $(TO_TEST) ## lines of core/ that unit tests and the fuzzers' corpora reach; 95 % at least
	@mkdir -p $(COVERED)
	@find $(COVERED) -name '*.gcda' -delete
	+@$(MAKE) $(PARALLEL) BUILD=$(COVERED) UNIT_KIND='-O0 --coverage' unit replay > $(BUILD)/coverage.log 2>&1 || \
	    { cat $(BUILD)/coverage.log; false; }
	@$(PYTHON) tests/rig/coverage.py $(COVERED)/unit

replay: $(REPLAYS)

$(BUILD)/unit/fuzz_%: $(BUILD)/unit/tests/fuzz/fuzz_%.o $(BUILD)/unit/tests/fuzz/replay.o $(UNIT_CORE)
	$(Q)$(CC) $(UNIT_FLAGS) -o $@ $^

$(REPLAYS): replay-%: $(BUILD)/unit/%
	@rm -rf $(BUILD)/replay/$*
	@$(PYTHON) tests/rig/corpus.py unpack tests/fuzz/corpus/$*.txt $(BUILD)/replay/$*
	@$< $(BUILD)/replay/$*/*

# ---- System tests ----------------------------------------------------------------------------
.PHONY: system test
system: all debug attack $(BUILD)/mullion.iso $(BUILD)/mullion.img $(BUILD)/rig/witness.so $(BUILD)/confcheck $(BUILD)/prove $(TEST_GUESTS) | $(TO_RUN) $(TO_TEST) ## boot the real image in emulators
	@$(PYTHON) -m pytest -q -p no:cacheprovider -n $(JOBS) --dist loadgroup --durations=10 \
	    $(PYTEST) tests/system

.PHONY: matrix
matrix: all $(BUILD)/rig/witness.so $(TEST_GUESTS) | $(TO_RUN) $(TO_TEST) ## the ways to boot, each tried, as a table
	@$(PYTHON) -m pytest -q -p no:cacheprovider $(PYTEST) tests/system/test_paths.py
	@cat $(BUILD)/system/matrix.txt

.PHONY: campaign
campaign: all $(GUEST)/fuzz.elf $(GUEST)/jitter.elf $(BUILD)/rig/witness.so | $(TO_RUN) ## exits at random: how many, and what each may cost [SEED=1 EXITS=10000000 MODELS=]
	@$(PYTHON) tests/rig/campaign.py $(or $(SEED),1) $(or $(EXITS),10000000) $(MODELS)

test: ## all there is: check, a short fuzz, coverage, the system tests
	+@$(MAKE) --no-print-directory check
	+@$(MAKE) --no-print-directory fuzz-short
	+@$(MAKE) --no-print-directory coverage
	+@$(MAKE) --no-print-directory system

include tests/bench/bench.mk

# ---- Measurements ----------------------------------------------------------------------------
# Parts: rows, what each thing costs a guest, here and elsewhere; ours, the same without the peers; linux,
# Linux's way to /init: its time with and without Mullion, its exits by reason; steady, the same of a Linux
# that is up: idle, busy, at work; scale, cores that exit at the same time; boot, the way to the guests by phase;
# footprint, image and memory of the hypervisor.
BENCH       := rows linux steady scale boot footprint
BENCH_ROWS   = $(PYTHON) tests/bench/rows.py --rows "$(ROWS)"
BENCH_PARTS := bench-ours bench-rows bench-linux bench-steady bench-scale bench-boot bench-footprint

.PHONY: bench bench-record $(BENCH_PARTS)
bench: $(addprefix bench-,$(BENCH)) ## measure; parts: rows ours linux steady scale boot footprint [BENCH="rows linux" ROWS=cpuid-0,rdmsr]

$(BENCH_PARTS) bench-record: all $(GUEST)/bench.elf $(BUILD)/rig/witness.so | $(TO_RUN)

bench-rows: $(PEERS) | $(TO_BENCH)
	@$(BENCH_ROWS) --picture kvm kvm-off native floor floor-asm

bench-ours:
	@$(BENCH_ROWS) recorded

bench-record: ## tests/bench/recorded.txt anew: what a row may not get slower than
	@$(BENCH_ROWS) --record

bench-linux: $(call modules_files,$(DEMO_MODULES))
	@$(PYTHON) tests/bench/linux_boot.py

bench-steady: $(PEERS) $(GUEST)/linux/steady.img
	@$(PYTHON) tests/bench/linux_steady.py

bench-scale: $(GUEST)/scale.elf
	@$(PYTHON) tests/bench/scale.py

bench-boot bench-footprint: bench-%: $(GUEST)/hello.elf
	@$(PYTHON) tests/bench/$*.py

# ---- Figures ---------------------------------------------------------------------------------
.PHONY: figures
figures: $(BUILD)/mullion.elf ## lines, sizes of the image
	@$(PYTHON) tests/rig/house.py --lines
	@size $<
	@stat -c '%n: %s bytes' $<
