# Everything sets itself up: `make test` in a fresh clone is enough.
# `make PYTHON=python3.13 setup` uses another interpreter, `make UPGRADE=--upgrade lock` moves the pins.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LIBRARIES := $(VENV)/.libraries
FUZZER := $(VENV)/.fuzzer
SERVICES := $(VENV)/.services
PYTEST := $(BIN)/python -m pytest

# Many tests wait for processes, so that three at a time keep two cores busy.
WORKERS ?= 3

# How many stories `make sim` tells, and from which seed on.
SEEDS ?= 2000
FIRST ?= 0
# How long `make fuzz` gives each target, and which targets: all of them if none is named.
SECONDS ?= 60
TARGETS ?=

# How often `make crashes` kills, and what draws the moments: a number that it prints if none is given.
ROUNDS ?= 300
SEED ?=

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" $(UPGRADE)
RUNTIME := pyproject.toml --all-extras

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup check audit test test-python test-browser screenshots services sim mutants load fuzz crashes nat bench bench-server demo demo-headless lock format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv: the locked libraries and this checkout (the others do it too)

check: $(READY) ## Lint, formatting, types, who may import whom, and known faults of libraries
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -q tests/architecture/test_layers.py
	$(MAKE) --no-print-directory audit

audit: $(READY) ## Ask whether a fault is known in a library that the locks pin
	@$(BIN)/python -m tests.architecture.audit

test: $(READY) services ## Every test but those in a browser; installs Redis, nginx, coturn for some, where it may
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not browser"

test-python: $(READY) ## The tests that need nothing but Python
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not services and not browser"

test-browser: $(READY) ## Family notes in Chromium, which this installs where it may
	@.ci/ensure-browser
	$(PYTEST) tests/browser

screenshots: $(READY) ## Take the pictures in docs/screenshots anew, in Chromium
	@.ci/ensure-browser
	$(BIN)/python -m tests.browser.screenshots

services: $(READY)
	@test $(SERVICES) -nt .ci/ensure-services || { .ci/ensure-services && touch $(SERVICES); } || true

sim: $(READY) ## Tell random stories in a simulated world, on all cores (SEEDS=2000 FIRST=0)
	$(BIN)/python -m tests.proving --seeds $(SEEDS) --first $(FIRST)

mutants: $(READY) ## Break the code in many ways, and see that the stories notice
	$(BIN)/python -m tests.proving.mutants

load: $(READY) ## Many devices, groups and records at once, and peers that take too much
	$(BIN)/python -m tests.proving.load

fuzz: $(FUZZER) ## Look for inputs that break something (SECONDS=60 each, TARGETS="link kit")
	$(BIN)/python -m tests.fuzz.campaign --seconds $(SECONDS) $(TARGETS)

crashes: $(READY) ## Kill two devices again and again while they write and sync (ROUNDS=300, SEED=7)
	$(BIN)/python -m tests.crashes.campaign --rounds $(ROUNDS) --seed "$(SEED)"

nat: $(READY) services ## Which pairs of NATs connect directly, which by TURN: all pairs, as a table
	$(BIN)/python -m tests.nat

bench: $(READY) ## Measure what the performance claims rest on
	$(BIN)/python -m benchmarks

bench-server: $(READY) ## Measure the signaling server beside PeerJS's and y-webrtc's
	$(BIN)/python -m benchmarks server --rivals

demo: $(READY) ## Family notes for two people, in two windows, until Ctrl-C
	@$(BIN)/python -m family_notes.demo

demo-headless: $(READY) ## Watch devices meet and come level, in the terminal
	$(BIN)/peerstack demo

format: $(READY) ## Lay out the code and fix what can be fixed without thought
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(LIBRARIES) ## Work out requirements*.lock again from pyproject.toml
	$(COMPILE) $(RUNTIME) --output-file requirements.lock
	$(COMPILE) $(RUNTIME) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) --group image --constraint requirements.lock --output-file requirements-image.lock
	$(COMPILE) --group fuzz --output-file requirements-fuzz.lock

clean: ## Remove everything that make, the tests and the tools made
	rm -rf $(VENV) build dist .browser .fuzz .hypothesis .proving .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A changed lock makes the environment anew, so nothing stays in it that the lock does not name.
$(LIBRARIES): requirements-dev.lock
	@PYTHON="$(PYTHON)" .ci/ensure-python
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Where there is no build of it, its lock installs nothing, and `make fuzz` says so.
$(FUZZER): $(READY) requirements-fuzz.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes --only-binary :all: -r requirements-fuzz.lock
	@touch $@

$(READY): $(LIBRARIES) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	@touch $@
