# Every target sets up what it needs: python3, python3-venv, python3-dev, gcc and make are enough.
# Variables: PYTHON (python3), ARGS (passed to pytest), BLESS=1 (rewrite golden files), CI=1 (C warnings are errors),
# FUZZ_SECONDS (60), CODEC and CODEC_ARGS (make demo), WRT_JOBS (parallel compiles).
PYTHON ?= python3
VENV   ?= .venv
FUZZ_SECONDS ?= 60
ARGS   ?=
CODEC  ?= zstd
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# exit code 5 of pytest: nothing collected, which a room without tests yet may be
PYTEST := $(BIN)/python -m pytest -q
OR_EMPTY := || [ $$? -eq 5 ]

.PHONY: help build lib debug asan ubsan test test-c test-spec test-golden fuzz bisect-jit lint format types bench bench-smoke demo docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo          run a real component (CODEC=zstd, zlib, bit-round, pco, or a path)"
	@echo "make build         a virtual environment in $(VENV) with wasmrt built in place"
	@echo "make test          all Python tests (ARGS='-k name')      make test-c      C unit tests under ASan and UBSan"
	@echo "make test-spec     tests/spec                             make test-golden golden disassembly (BLESS=1 rewrites)"
	@echo "make asan|ubsan    Python tests on a sanitized library    make debug       the same on a library with checks on"
	@echo "make fuzz          fuzzers for FUZZ_SECONDS=$(FUZZ_SECONDS), TARGET=text, module, component, artifact or jit"
	@echo "make lint types format"
	@echo "make bisect-jit    the function that is compiled wrongly: ARGS='FILE.wast' or ARGS='FILE.wasm --invoke NAME --arg 1 ...'"
	@echo "make bench         benchmarks beside wasmtime, written to bench/results    make bench-smoke  the quick part"
	@echo "make docs clean"

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wasmrt needs Python 3.11 or later: set PYTHON=python3.x")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) tools/native_build.py --check-host
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV): packages are installed and wasmrt is compiled, which takes about 3 minutes on two cores"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test,bench,dev]' \
	  || { echo "installing wasmrt or its dependencies failed (see above); without a network, point PIP_FIND_LINKS at a folder of wheels"; exit 1; }
	@touch $@

# cheap when nothing changed: every other target goes through it
build: $(STAMP)
	@$(BIN)/python setup.py -q build_ext --inplace

lib: ; @$(PYTHON) tools/native_build.py

debug asan ubsan: build
	@$(BIN)/python tools/native_build.py --variant $@
	@$(BIN)/python tools/run_variant.py $@ -- -m pytest -q -p no:cacheprovider $(ARGS) $(OR_EMPTY)

test: build
	@$(PYTEST) $(ARGS)

test-c: $(STAMP)
	@$(BIN)/python tools/native_build.py --variant asan --tests $(TESTS)

test-spec: build
	@$(PYTEST) tests/spec $(ARGS) $(OR_EMPTY)

test-golden: build
	@BLESS=$(BLESS) $(PYTEST) tests/golden $(ARGS) $(OR_EMPTY)

# what TARGET picks; without one, all of them
FUZZ_text      := tests/fuzz/test_text.py
FUZZ_module    := tests/fuzz/test_module_bytes.py
FUZZ_component := tests/fuzz/test_component_bytes.py tests/fuzz/test_hostile.py --deselect tests/fuzz/test_hostile.py::test_damaged_artifacts
FUZZ_artifact  := tests/fuzz/test_hostile.py::test_damaged_artifacts tests/fuzz/test_hostile.py::test_arrays_that_are_used_unverified tests/fuzz/test_forged.py
FUZZ_jit       := tests/fuzz/test_programs.py
fuzz: build
	@$(if $(TARGET),$(if $(FUZZ_$(TARGET)),,echo "no fuzzer $(TARGET): text, module, component, artifact or jit"; exit 1))
	@WASMRT_FUZZ_SECONDS=$(FUZZ_SECONDS) $(PYTEST) $(if $(TARGET),$(FUZZ_$(TARGET)),tests/fuzz) $(ARGS) $(OR_EMPTY)

bisect-jit: build
	@$(BIN)/python -m tools.bisect_jit $(ARGS)

lint: $(STAMP)
	@$(BIN)/python tools/gen_tables.py --check
	@$(BIN)/ruff check .
	@find wasmrt -name '*.pyx' -o -name '*.pxd' | PATH="$(CURDIR)/$(BIN):$$PATH" xargs -r $(BIN)/cython-lint

format: $(STAMP)
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .
	@find csrc include tests/c -name '*.c' -o -name '*.h' | xargs -r $(BIN)/clang-format -i

types: build
	@$(BIN)/mypy

bench: build
	@$(BIN)/python -m bench.report $(ARGS)

bench-smoke: build
	@$(PYTEST) bench -m smoke --benchmark-disable $(ARGS) $(OR_EMPTY)

demo: build
	@$(BIN)/python examples/demo_codec.py $(CODEC) $(CODEC_ARGS)

docs: build
	@$(BIN)/python tools/build_docs.py

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks wasmrt/spec/_gen
	find wasmrt -name '*.so' -delete; find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
