# make run: sign this repository's files.  make test: everything CI checks.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
COVERAGE ?= --cov --cov-report=term
# that run tests at once; each takes whole files, so that servers and clusters are started once
PROCESSES ?= 2
# one that dies ends the run: pytest-xdist may wait for ever when it replaces it
DISTRIBUTED = -n $(PROCESSES) --dist loadfile --max-worker-restart 0
PYTEST_ARGS ?=

.PHONY: run test check unit other-unit wheel-test native native-unit native-debug native-asan native-ubsan wheel fuzz mutants format docs bench system clean

run: $(VENV)/installed
	@sh scripts/system-packages openssl
	@$(BIN)/python examples/sign_repository.py

# what depends on the kind of stack that jobs run on
BACKEND_TESTS = $(addprefix tests/,core native hazards openssl scenario loops diagnostics testing)

test: check other-unit unit

# what does not depend on the Python version
check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# on the default backend; with bytecode, whatever the environment says: tests start hundreds of interpreters
unit: system $(VENV)/installed-dev native
	PYTHONDONTWRITEBYTECODE= COVERAGE_CORE=ctrace $(BIN)/python -m pytest $(DISTRIBUTED) $(COVERAGE) $(PYTEST_ARGS)

# what depends on the backend, on the one that is not the default; where there is no native core, it says why
other-unit: system $(VENV)/installed-dev native
	@$(BIN)/python scripts/build_native.py --check || exit 0; \
	other=$$(PAUSABLE_BACKEND= $(BIN)/python -c 'import pausable; print("greenlet" if pausable.backend().name == "native" else "native")') && \
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --backend=$$other $(DISTRIBUTED) $(PYTEST_ARGS) $(BACKEND_TESTS)

# the tests against the built wheel, where there is no src/; on BACKENDS, one after another, or the default
wheel-test: system
	BACKENDS="$(BACKENDS)" sh scripts/test-wheel $(PYTHON) $(DISTRIBUTED) $(PYTEST_ARGS)

# the native core for this Python, in src/pausable
native: $(VENV)/installed
	$(BIN)/python scripts/build_native.py --strict

# dist/: the sdist, the wheel with the native core for this Python, and the one for everywhere else;
# each is installed, and the native tests are run on the first
wheel:
	sh scripts/test-wheel --native dist $(PYTHON) $(PYTEST_ARGS)

# the tests on the native core; where there is none, it says why
native-unit: system $(VENV)/installed-dev native
	@$(BIN)/python scripts/build_native.py --check || exit 0; \
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --backend=native $(DISTRIBUTED) $(PYTEST_ARGS)

# other builds of the native core (scripts/test-native), tested in build/; the first best with
# PYTHON=python3-dbg VENV=.venv-dbg
native-debug native-asan native-ubsan: $(VENV)/installed-core
	sh scripts/test-native $(@:native-%=%) $(BIN)/python $(PYTEST_ARGS)

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

# the documentation site: build/site/index.html. A warning is an error.
docs: $(VENV)/installed-docs
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "the site needs Python 3.11 or later: make docs PYTHON=python3.12 VENV=.venv-docs")'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo 'Read build/site/index.html; to search it: python3 -m http.server -d build/site'

# every number in the docs, ours next to all peers: bench/results/*.json, pictures, results.md
bench: system $(VENV)/installed-bench
	$(BIN)/python bench/run_all.py

# the openssl command, a C compiler, OpenSSL's headers and redis: installed where that can be done
system:
	@sh scripts/system-packages

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed, and this is %d.%d: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/installed-core: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --group core-tests 'greenlet>=3.1'
	@touch $@

$(VENV)/installed-docs: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

clean:
	rm -rf $(VENV) .venv-* .mypy_cache .pytest_cache .ruff_cache .coverage dist build
