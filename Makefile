# Everything that is done with a clone of this repository. Needed: Python 3.10 or newer, make, and
# a package index.
#
#   make demo       see it work, on a throwaway etcd
#   make test       the tests; PYTEST_ARGS="-k sandbox" for some, -m long for the slow ones
#   make test-all   every test, Go's included; those marked "server" on every etcd (needs Go)
#   make lint types the style and the types
#   make docs       the reference of the library, as web pages in build/docs
#   make bench      how fast we are, beside others: benchmarks/results.md (needs Go and jq)
#   make generate   write what is generated
#   make pictures   draw those of README.md anew
#
# PYTHON=python3.12 takes another Python, for a new .venv.

PYTHON ?= python3
PYTEST_ARGS ?=
# Tests wait more than they work. Each worker has etcds of its own; WORKERS= is one after another.
WORKERS ?= -n 4 --dist worksteal

VENV := .venv
BIN := $(VENV)/bin
# The compiler of our messages: what protoc 25 writes runs on every protobuf from 3.20.3 on.
GENERATOR := .venv-generate
GRPCIO_TOOLS := grpcio-tools==1.62.3

# What was tried against which etcd, by the runs of the tests.
TRIED := build/tried.tsv

BENCHMARKS := clients list_json bulk_add start_up idle many_registrations resolver_call \
	channel_changes watch_latency watch_flood growth at_rest

PIP := -m pip --disable-pip-version-check --quiet install

.PHONY: demo test test-all matrix lint types docs bench generate pictures

demo: $(VENV)/installed-sandbox
	PATH="$(CURDIR)/$(BIN):$$PATH" etcdnaming sandbox -- sh tools/demo.sh

test: $(VENV)/installed-test $(VENV)/installed-examples
	$(BIN)/pytest $(WORKERS) $(PYTEST_ARGS)

test-all: $(VENV)/installed-test $(VENV)/installed-examples
	rm -f $(TRIED)
	$(BIN)/pytest -m "" --tried=$(TRIED) $(PYTEST_ARGS)
	$(MAKE) matrix

# The tests that an etcd release could break, on the others; then README.md says so.
matrix: $(VENV)/installed-test
	set -e; for name in $$($(BIN)/python tools/servers.py); do \
		etcd=$$($(BIN)/python tools/servers.py $$name); \
		ETCDNAMING_TEST_ETCD=$$etcd $(BIN)/pytest -m "server and not long" --tried=$(TRIED) $(PYTEST_ARGS); \
	done
	$(BIN)/python tools/tried.py $(TRIED)

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck .ci/run .ci/twice examples/*.sh tools/*.sh
	$(BIN)/kubernetes-validate --strict --quiet examples/kubernetes/*.yaml examples/xds/*.yaml

# mypy for all there is; pyright, which needs node, for what users see: the types of public names,
# and programs as users write them.
types: $(VENV)/installed-lint $(VENV)/installed-test $(VENV)/installed-examples
	$(BIN)/mypy
	$(BIN)/python tools/type_completeness.py
	$(BIN)/pyright --pythonpath $(BIN)/python examples/service tests/typed_program.py

# The reference of the library, from its docstrings: build/docs/etcdnaming.html
docs: $(VENV)/installed-docs $(VENV)/installed-test
	$(BIN)/python tools/reference.py

# A benchmark that breaks its promise shows in the table; it stops nothing.
bench: $(VENV)/installed-bench
	@for each in $(BENCHMARKS); do $(BIN)/python benchmarks/$$each.py || true; done
	$(BIN)/python benchmarks/plot.py
	$(BIN)/python benchmarks/in_readme.py

generate: $(GENERATOR)/installed $(VENV)/installed-test
	$(GENERATOR)/bin/python tools/messages.py
	$(BIN)/python tools/man.py
	$(BIN)/python tools/completions.py
	$(BIN)/python benchmarks/in_readme.py

pictures: $(VENV)/installed-test
	$(BIN)/python tools/pictures.py

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
