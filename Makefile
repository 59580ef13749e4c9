# make demo | test | check | bench: each installs what it needs into .venv first; a second run installs nothing.

PYTHON ?= $(or $(firstword $(foreach name,python3.11 python3.12 python3.13,$(if $(shell command -v $(name)),$(name)))),python3)
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# The stamp carries the hash of all that decides what is installed: change either file and the next make installs.
READY := $(VENV)/ready-$(shell cat requirements.lock pyproject.toml | sha256sum | cut -c1-16)
FORTRAN = $(shell git ls-files '*.f90' '*.F90')
C = $(shell git ls-files '*.c' '*.h')

.PHONY: help demo test test-mpi fuzz check bench results notebooks docs stranger format lock system
help:
	@echo "make demo    both pipelines on the data in data/: train, evaluate, build the library, replay in Fortran, solve a PDE"
	@echo "make test    every test"
	@echo "make test-mpi  the tests on MPI ranks, which make test skips where there is no mpif90"
	@echo "make fuzz    the fuzz targets for SECONDS=600: readers of weights files and namelists"
	@echo "make check   formatting, lint, types, import directions, Fortran and C style"
	@echo "make bench   the benchmarks"
	@echo "make results run the benchmarks (ONLY='native modes' some) and write docs/results.md and the README's key numbers"
	@echo "make notebooks  run every notebook; their two forms must agree"
	@echo "make docs    build the documentation site into docs-output/html/, with executed notebooks"
	@echo "make stranger  a fresh clone and environment, pip install alone, without a compiler (PYTHON=python3.13)"
	@echo "make format  rewrite the sources as make check wants them"
	@echo "make lock    resolve the versions in requirements.lock anew"

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

# libFuzzer comes with clang; without it files are damaged at random.
SECONDS ?= 600
fuzz: $(READY) | system
	@command -v $${CLANG:-clang} >/dev/null 2>&1 || { echo "installing by apt: clang" && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends clang libclang-rt-dev \
		>/dev/null; } || echo "no clang: going on without"
	@$(BIN)/python -m tests.coupling.fuzzing --seconds $(SECONDS)

# MPI is no part of the package: only the stand-in host runs on ranks.
MPI_COMPILES = printf 'use mpi\nend\n' | mpif90 -x f95 -fsyntax-only - >/dev/null 2>&1
test-mpi: $(READY) | system
	@$(MPI_COMPILES) || { echo "installing by apt: mpich" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends mpich libmpich-dev >/dev/null; } || true
	@$(MPI_COMPILES) || { echo "error: no mpif90 that compiles. As root: apt-get install mpich libmpich-dev" >&2; exit 1; }
	@$(BIN)/python -m pytest -m mpi tests/coupling

check: $(READY) | system
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(if $(FORTRAN),$(BIN)/fortitude check $(FORTRAN),echo "no Fortran yet")
	@$(if $(C),$(BIN)/clang-format --dry-run -Werror $(C),echo "no C yet")
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
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --nbmake --nbmake-timeout=300 -n $(WORKERS) notebooks

# The outputs of the notebooks stay in .jupyter_cache until the package changes.
docs: $(READY) | system
	@rm -rf docs-output
	@OMP_NUM_THREADS=1 $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs $(WORKERS) --doctree-dir docs-output/doctrees \
		docs docs-output/html
	@echo "docs: docs-output/html/index.html"

stranger:
	@PYTHON="$(PYTHON)" sh .ci/stranger

lock: | system
	@rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/pip install --quiet "torch==$$(sed -n 's/^torch==//p' requirements.lock)" -e '.[dev]'
	@{ sed -n '/^#/p' requirements.lock; $(VENV)-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements.lock.tmp
	@mv requirements.lock.tmp requirements.lock && rm -rf $(VENV)-lock
