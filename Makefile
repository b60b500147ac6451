# Everything happens in .venv/, made from hashed requirements by plain venv and pip.
# A second interpreter gets an environment beside it: VENV names the one that is meant.
# Needs Python 3.11 or newer, git and make; the network only until things are installed.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
# Without its bytecode every process would compile the project again, which takes as long as importing it.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONDONTWRITEBYTECODE

REPO ?= .
# Whatever a folder is called: neither make nor the shell evaluates its name.
override REPO := $(value REPO)
export REPO
VENV ?= .venv
BIN := $(VENV)/bin
MADE := $(VENV)/.made
PEERS := $(VENV)/peers
KILLS ?= 1000
INSTALL := -P -m pip install -qq --disable-pip-version-check --no-input --no-warn-script-location
LOCK := --require-hashes --only-binary :all:
PIP := $(BIN)/python $(INSTALL)
LOCKED := $(PIP) $(LOCK)
# The fast tests compute all the time; the others wait much of it, for processes and between tries.
WORKERS := 2
PYTEST = $(BIN)/python -P -m pytest -q -n $(WORKERS) --dist worksteal
# Another interpreter: make PYTHON=python3.13 run
PYTHON ?=
OTHER ?=
# Extras that `make install` adds: make install EXTRAS="llama nats"
EXTRAS ?=

.PHONY: help run models install uninstall wheel llama nats objects otel parquet test lint cores unit crash bench bench-peers docs docs-output picture soak fuzz lock clean

help: ## Show what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

run: $(MADE)/models ## Report on the git repository REPO (default: this one), into build/repo-report/
	@$(BIN)/symphony run examples/repo-report/workflow.yaml --input "path=$$REPO" \
	  --overwrite --output-dir "$$PWD/build/repo-report"

models: $(MADE)/models ## Fetch and verify the embedding model
	@:

install: $(MADE)/models ## Put symphony on your PATH, apart from this checkout; EXTRAS="llama nats" adds extras
	@tools/install.sh install "$(BIN)/python" $(EXTRAS)

uninstall: ## Take away what `make install` made; runs and artifacts stay
	@tools/install.sh uninstall

wheel: $(MADE)/project ## Build the wheel into dist/
	@$(BIN)/python -P -m pip wheel -qq --disable-pip-version-check --no-deps --no-build-isolation --no-index \
	  --wheel-dir dist .
	@ls dist/*.whl

llama: $(MADE)/llama ## Add the extra llama to .venv: chat models from GGUF files
	@:

nats: $(MADE)/nats ## Add the extra nats to .venv: one bus between machines
	@:

objects: $(MADE)/objects ## Add the extra objects to .venv: artifacts in S3 and the like
	@:

otel: $(MADE)/otel ## Add the extra otel to .venv: traces of runs
	@:

parquet: $(MADE)/parquet ## Add the extra parquet to .venv: data sets of artifacts in Parquet
	@:

test other: WORKERS := 3

# The models come from the network while mypy computes.
test: $(MADE)/dev ## All that must hold: style, types, layers, every test (what CI runs)
	@$(MAKE) --no-print-directory -j 2 lint $(MADE)/models $(MADE)/smollm2
	@$(PYTEST) tests

test-other: ## Most tests on the newest other CPython found here, or OTHER=/path/to/python3
	@other="$(OTHER)"; [ -n "$$other" ] || other=$$(tools/other-python.sh "$(BIN)/python"); \
	if [ -z "$$other" ]; then echo "skipped: no second CPython from 3.11 on was found; name one with OTHER=/path/to/python3"; \
	else minor=$$("$$other" -c 'import sys; print("%d.%d" % sys.version_info[:2])') && \
	  $(MAKE) --no-print-directory VENV=.venv-$$minor PYTHON="$$other" other; fi

# On CPython 3.13.0 this one lost its connection once after its server was killed, and closing failed in
# asyncio's own writelines. It runs in `make test`.
NOT_OTHER := --deselect \
  tests/contracts/test_nats.py::test_events_stored_many_at_once_keep_their_order_when_the_server_is_killed
.PHONY: test-other other
other: lint $(MADE)/models $(MADE)/smollm2
	@$(BIN)/python --version
	@$(PYTEST) $(NOT_OTHER) tests/unit tests/contracts tests/simulation

lint: $(MADE)/dev ## Style, types and import contracts
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo 2>&1 > $(MADE)/imports.txt || { cat $(MADE)/imports.txt; exit 1; }

cores: $(MADE)/dev ## Only the fast tests that neither await nor have a folder
	@SYMPHONY_HYPOTHESIS=quick $(PYTEST) -m "not slow and not shell" tests/unit

unit: $(MADE)/dev ## The fast tests only
	@SYMPHONY_HYPOTHESIS=quick $(PYTEST) -m "not slow" tests/unit

crash: $(MADE)/dev $(MADE)/models ## Kill real runs KILLS times (default 1000) and compare the outcome
	@SYMPHONY_CRASH_KILLS=$(KILLS) $(BIN)/python -P -m pytest -q -p no:xdist tests/e2e -k crash

bench: $(MADE)/dev $(MADE)/models ## Measure against the budgets; writes benchmarks/RESULTS.md
	@$(BIN)/python -P benchmarks/run.py

bench-peers: $(MADE)/project $(MADE)/peers ## The same work on Hamilton, LangGraph and DBOS, in turn with ours
	@$(BIN)/python -P benchmarks/peers/everyday.py $(PEERS)/bin/python
	@$(BIN)/python -P benchmarks/peers/run.py $(PEERS)/bin/python

docs: $(MADE)/dev ## Build the documentation into site/
	@$(BIN)/python tools/generate_reference.py
	@$(BIN)/zensical build --clean

docs-output: $(MADE)/dev ## Write what the commands of the pages print into the pages
	@SYMPHONY_DOCS_OUTPUT=write $(PYTEST) tests/repository/test_docs.py -k commands_print

# The picture in README and docs: a run of the report on this repository, in a home of its own.
picture: $(MADE)/models ## Draw docs/images/run.svg from a real run
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && export SYMPHONY_HOME="$$home" && \
	run=$$($(BIN)/symphony run examples/repo-report/workflow.yaml --input path=. --quiet --json \
	  | $(BIN)/python -c 'import json, sys; print(json.load(sys.stdin)["run_id"])') && \
	$(BIN)/symphony graph --run "$$run" --output docs/images/run.svg

soak: $(MADE)/dev ## Ten minutes of 20,000 messages a second over the bus, each checked
	@SYMPHONY_SOAK_S=600 $(BIN)/python -P -m pytest -q -p no:xdist -s tests/e2e/test_bus_soak.py

fuzz: $(MADE)/dev ## The property tests and fuzzers with many more examples
	@SYMPHONY_HYPOTHESIS=fuzz $(PYTEST) tests -m "hypothesis or not slow"
	@SYMPHONY_SIMULATION_SEEDS=1000 $(PYTEST) tests/simulation/test_engine.py

# The lock of an extra holds what it needs beyond the runtime, in the versions that dev.txt takes, too.
LOCK_UP := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header --no-annotate --output-file
lock: ## Rewrite requirements/*.txt (for maintainers; needs uv)
	@set -e; $(LOCK_UP) requirements/runtime.txt pyproject.toml; \
	known=$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements/runtime.txt); \
	for name in llama nats objects otel parquet; do \
	  $(LOCK_UP) requirements/$$name.txt --extra $$name -c requirements/runtime.txt $$known pyproject.toml; \
	done; \
	for name in build dev peers; do $(LOCK_UP) requirements/$$name.txt requirements/$$name.in; done

clean: ## Remove .venv and everything else that was made
	@rm -rf .venv .venv-* site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests examples benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- the environment: one stamp a step, so that a second `make` costs nothing ---------------

# An environment knows its own place: one that was moved, copied, left half-made or has lost its
# interpreter is made anew. This is looked at before make looks at the stamps.
$(shell [ ! -d $(VENV) ] || { [ "$$(cat $(MADE)/place 2>/dev/null)" = "$(CURDIR)" ] && $(BIN)/python -c pass; } 2>/dev/null || rm -rf $(VENV))

$(MADE)/venv:
	@found=""; \
	for python in "$(PYTHON)" python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  [ -n "$$python" ] || continue; \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	  [ "$$python" != "$(PYTHON)" ] || { echo "error: PYTHON=$$python is not Python 3.11 or newer" >&2; exit 1; }; \
	done; \
	[ -n "$$found" ] || { echo "error: no Python 3.11 or newer found; install one, or say make PYTHON=/path/to/python3" >&2; exit 1; }; \
	echo "Setting up $(VENV), once ($$("$$found" --version)) ..." >&2; \
	"$$found" -m venv $(VENV) || { echo "error: $$found cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }; \
	mkdir -p $(MADE) && printf '%s\n' "$(CURDIR)" > $(MADE)/place && touch $@

$(MADE)/runtime: requirements/runtime.txt requirements/build.txt $(MADE)/venv
	@$(LOCKED) -r requirements/build.txt -r requirements/runtime.txt
	@touch $@

# The distribution was once called symphony: its files would stay beside those of the new one.
$(MADE)/project: pyproject.toml $(MADE)/runtime
	@$(BIN)/python -P -m pip uninstall -qq -y --disable-pip-version-check symphony
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@echo "Set up. To type symphony in this shell: . $(BIN)/activate; in every shell: make install" >&2
	@touch $@

$(MADE)/llama $(MADE)/nats $(MADE)/objects $(MADE)/otel $(MADE)/parquet: $(MADE)/%: requirements/%.txt $(MADE)/project
	@$(LOCKED) -r $<
	@touch $@

$(MADE)/models: src/symphony/kit/instruments/files.py $(MADE)/project
	@$(BIN)/python -P -m symphony.kit.instruments.fetch
	@touch $@

$(MADE)/smollm2: src/symphony/kit/instruments/files.py $(MADE)/dev
	@$(BIN)/python -P -m symphony.kit.instruments.fetch --model smollm2
	@touch $@

$(MADE)/dev: requirements/dev.txt $(MADE)/project
	@echo "Installing what the tests need, once ..." >&2
	@$(LOCKED) -r requirements/dev.txt
	@touch $@

$(MADE)/peers: requirements/peers.txt $(MADE)/venv
	@echo "Installing the engines to measure against, once ..." >&2
	@$(BIN)/python -m venv --clear $(PEERS)
	@$(PEERS)/bin/python $(INSTALL) $(LOCK) -r requirements/peers.txt
	@touch $@
