# Everything that is done with a clone of this repository. Needed: Python 3.10 or newer, make, and
# a package index.
#
#   make demo       see it work, on a throwaway etcd
#   make test       the tests; PYTEST_ARGS="-k sandbox" for some, -m long for the slow ones
#   make test-all   every test, Go's included
#   make lint types the style and the types
#   make bench      how fast we are, beside others: benchmarks/results.md (needs Go and jq)
#   make generate   write what is generated
#
# PYTHON=python3.12 takes another Python, for a new .venv.

PYTHON ?= python3
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# The compiler of our messages: what protoc 25 writes runs on every protobuf from 3.20.3 on.
GENERATOR := .venv-generate
GRPCIO_TOOLS := grpcio-tools==1.62.3

BENCHMARKS := clients list_json bulk_add start_up idle many_registrations \
	watch_latency watch_flood growth at_rest

PIP := -m pip --disable-pip-version-check --quiet install

.PHONY: demo test test-all lint types bench generate

demo: $(VENV)/installed-sandbox
	PATH="$(CURDIR)/$(BIN):$$PATH" etcdnaming sandbox -- sh tools/demo.sh

test: $(VENV)/installed-test
	$(BIN)/pytest $(PYTEST_ARGS)

test-all: $(VENV)/installed-test
	$(BIN)/pytest -m "" $(PYTEST_ARGS)

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-lint $(VENV)/installed-test
	$(BIN)/mypy

# A benchmark that breaks its promise shows in the table; it stops nobody.
bench: $(VENV)/installed-bench
	@for each in $(BENCHMARKS); do $(BIN)/python benchmarks/$$each.py || true; done
	$(BIN)/python benchmarks/plot.py

generate: $(GENERATOR)/installed $(VENV)/installed-test
	$(GENERATOR)/bin/python tools/messages.py
	$(BIN)/python tools/man.py
	$(BIN)/python tools/completions.py

# One stamp for each extra of pyproject.toml, renewed when that file changes.
$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP) --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or newer is \
	needed, this is %s: make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(GENERATOR)/installed: Makefile
	$(PYTHON) -m venv --clear $(GENERATOR)
	$(GENERATOR)/bin/python $(PIP) '$(GRPCIO_TOOLS)' 'setuptools<81'
	@touch $@
