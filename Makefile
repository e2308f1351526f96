# make run: sign this repository's files.  make test: everything CI checks.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
COVERAGE ?= --cov --cov-report=term
PYTEST_ARGS ?=

.PHONY: run test check unit native native-unit wheel fuzz mutants format bench system clean

run: system $(VENV)/installed
	@$(BIN)/python examples/sign_repository.py

test: check unit

# what does not depend on the Python version
check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: system $(VENV)/installed-dev
	COVERAGE_CORE=ctrace $(BIN)/python -m pytest $(COVERAGE) $(PYTEST_ARGS)

# the native core for this Python, and the tests on it
native: $(VENV)/installed
	$(BIN)/python scripts/build_native.py --strict

# a wheel with the native core for this Python; PAUSABLE_NO_NATIVE=1 makes one without, for all
wheel: $(VENV)/bin/python
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m zipfile -l "$$(ls -t dist/pausable-*.whl | head -1)" | grep -E 'pausable/_native(\.|_reason)'

native-unit: system $(VENV)/installed-dev native
	PAUSABLE_BACKEND=native $(BIN)/python -m pytest $(PYTEST_ARGS)

# random programs against the real libcrypto, for FUZZ_S seconds from seed FUZZ_SEED
FUZZ_S ?= 60
FUZZ_SEED ?= 100000
fuzz: system $(VENV)/installed-dev
	$(BIN)/python tests/scenario/differential.py --seconds $(FUZZ_S) --seed $(FUZZ_SEED)

# break each rule of the C-named API and see which random program notices
mutants: system $(VENV)/installed-dev
	$(BIN)/python tests/scenario/mutants.py

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-bench
	$(BIN)/python bench/core.py
	$(BIN)/python bench/wait_context.py
	$(BIN)/python bench/loops.py
	$(BIN)/python bench/keys.py
	$(BIN)/python bench/teardown.py
	$(BIN)/python bench/engines.py

# the openssl command, a C compiler, OpenSSL's headers and redis: installed where that can be done
system:
	@sh scripts/system-packages

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

clean:
	rm -rf $(VENV) .venv-* .mypy_cache .pytest_cache .ruff_cache .coverage dist build
