# Each target installs the packages that it needs into .venv; a second run installs nothing.

PYTHON ?= $(or $(firstword $(foreach name,python3.11 python3.12 python3.13,$(if $(shell command -v $(name)),$(name)))),python3)
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# The name of this file contains a hash of both lists of packages: if one changes, the next make installs again.
READY := $(VENV)/ready-$(shell cat requirements.lock pyproject.toml | sha256sum | cut -c1-16)
FORTRAN = $(shell git ls-files '*.f90' '*.F90')
C = $(shell git ls-files '*.c' '*.h')

.PHONY: help demo test test-mpi fuzz torture check bench results notebooks docs fresh-install format lock system
help:
	@echo "make demo           run both pipelines on the data in data/: train, evaluate, build the library, replay, solve a PDE"
	@echo "make test           run every test (WORKERS=2 processes)"
	@echo "make test-mpi       run the tests on MPI ranks; make test skips them without mpif90"
	@echo "make fuzz           fuzz the readers of weights files and namelists for SECONDS=600"
	@echo "make torture        kill commands at random moments and damage files at random (SECONDS=600, SEED=7)"
	@echo "make check          check formatting, lint, types, import directions, words, Fortran and C style"
	@echo "make bench          run the benchmarks"
	@echo "make results        run the benchmarks (ONLY='native modes' for some) and write docs/results.md and the README's numbers"
	@echo "make notebooks      compare the two forms of every notebook, and run those that make docs has not run"
	@echo "make docs           build the documentation site into docs-output/html/, with executed notebooks"
	@echo "make fresh-install  test a clone installed by pip alone, without a compiler (PYTHON=python3.13)"
	@echo "make format         format the sources for make check"
	@echo "make lock           resolve the versions in requirements.lock again"

system:
	@PYTHON="$(PYTHON)" sh .ci/system

$(READY): | system
	@echo "installing into $(VENV) (once for each change of requirements.lock or pyproject.toml)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/ready-* && touch $@

demo: $(READY) | system
	@$(BIN)/sciml demo

test: $(READY) | system
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

# libFuzzer is part of clang; without clang the files are damaged at random.
SECONDS ?= 600
fuzz: $(READY) | system
	@command -v $${CLANG:-clang} >/dev/null 2>&1 || { echo "installing by apt: clang" && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends clang libclang-rt-dev \
		>/dev/null; } || echo "clang is not available: the files are damaged at random"
	@$(BIN)/python -m tests.coupling.fuzzing --seconds $(SECONDS)

# The number of cases is a function of SECONDS, so that a seed and an index name a case on any machine.
SEED ?= 7
torture: $(READY) | system
	@$(BIN)/python -m tests.torture --seconds $(SECONDS) --seed $(SEED)

# The package does not use MPI; only the stand-in host of the tests runs on MPI ranks.
MPI_COMPILES = printf 'use mpi\nend\n' | mpif90 -x f95 -fsyntax-only - >/dev/null 2>&1
test-mpi: $(READY) | system
	@$(MPI_COMPILES) || { echo "installing by apt: mpich" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends mpich libmpich-dev >/dev/null; } || true
	@$(MPI_COMPILES) || { echo "error: mpif90 does not compile. Install it as root: apt-get install mpich libmpich-dev" >&2; exit 1; }
	@$(BIN)/python -m pytest -m mpi tests/coupling

check: $(READY) | system
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python .ci/words.py
	@$(BIN)/python -m sciml.coupling.generated_sources --check
	@$(if $(FORTRAN),$(BIN)/fortitude check $(FORTRAN),echo "no Fortran files")
	@$(if $(C),$(BIN)/clang-format --dry-run -Werror $(C),echo "no C files")
	@echo "check: all passed"

format: $(READY)
	@$(BIN)/ruff check --fix --exit-zero .
	@$(BIN)/ruff format .
	@$(BIN)/jupytext --quiet --update --to ipynb notebooks/*.py
	@$(if $(C),$(BIN)/clang-format -i $(C))

bench: $(READY) | system
	@set -e; for file in bench/*.py; do echo "== $$file"; $(BIN)/python $$file; done

results: $(READY) | system
	@$(BIN)/python .ci/results.py $(ONLY)

notebooks: $(READY) | system
	@$(BIN)/python -m pytest -q tests/qa/test_notebooks.py
	@$(BIN)/python .ci/notebook_cache.py $(WORKERS)

# The outputs of the notebooks are reused from .jupyter_cache until the package changes.
docs: $(READY) | system
	@rm -rf docs-output
	@OMP_NUM_THREADS=1 $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs $(WORKERS) --doctree-dir docs-output/doctrees \
		docs docs-output/html
	@echo "docs: docs-output/html/index.html"

fresh-install:
	@PYTHON="$(PYTHON)" sh .ci/fresh-install

lock: | system
	@rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/pip install --quiet "torch==$$(sed -n 's/^torch==//p' requirements.lock)" -e '.[dev]'
	@{ sed -n '/^#/p' requirements.lock; $(VENV)-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements.lock.tmp
	@mv requirements.lock.tmp requirements.lock && rm -rf $(VENV)-lock
