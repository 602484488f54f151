# Everything that is done with a clone of this repository. Needed: Python 3.10 or newer, make, and
# a package index. `make help` lists the targets.
#
# PYTHON=python3.12 takes another Python, for a new .venv.

PYTHON ?= python3
PYTEST_ARGS ?=
MUTANTS_ARGS ?=
# Tests wait more than they work. Each worker has etcds of its own; WORKERS= is one after another.
WORKERS ?= -n 4 --dist worksteal

VENV := .venv
BIN := $(VENV)/bin
# The compiler of our messages: what protoc 25 writes runs on every protobuf from 3.20.3 on.
GENERATOR := .venv-generate
GRPCIO_TOOLS := grpcio-tools==1.62.3

# What was tried against which etcd, by the runs of the tests.
TRIED := build/tried.tsv

BENCHMARKS := clients list_json bulk_add start_up idle many_registrations frozen_etcd \
	resolver_call channel_changes bridge watch_latency watch_flood growth at_rest

PIP := -m pip --disable-pip-version-check --quiet install

.PHONY: help demo test test-all matrix mutants lint types docs dist bench generate pictures

.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/installed-sandbox  ## show the commands at work, on a temporary etcd
	PATH="$(CURDIR)/$(BIN):$$PATH" etcdnaming sandbox -- sh tools/demo.sh

test: $(VENV)/installed-test $(VENV)/installed-examples  ## run all but the slow tests; PYTEST_ARGS="-k sandbox" for some
	$(BIN)/pytest $(WORKERS) $(PYTEST_ARGS)

test-all: $(VENV)/installed-test $(VENV)/installed-examples  ## run every test, on every etcd (needs Go, Java and Node)
	rm -f $(TRIED)
	$(BIN)/pytest -m "" --tried=$(TRIED) $(PYTEST_ARGS)
	$(MAKE) matrix

# The tests that an etcd release could break, on the others, or on ETCDS="3.6 3.7"; then README.md
# says so.
matrix: $(VENV)/installed-test  ## run what etcd could break on all its releases (needs Go)
	set -e; for name in $(or $(ETCDS),$$($(BIN)/python tools/servers.py)); do \
		etcd=$$($(BIN)/python tools/servers.py $$name); \
		ETCDNAMING_TEST_ETCD=$$etcd $(BIN)/pytest -m "server and not long" --tried=$(TRIED) $(PYTEST_ARGS); \
	done
	$(BIN)/python tools/tried.py $(TRIED)

mutants: $(VENV)/installed-test $(VENV)/installed-examples $(VENV)/installed-mutants  ## list changes of the core that no test notices
	$(BIN)/python tools/mutants.py $(MUTANTS_ARGS)

lint: $(VENV)/installed-lint  ## check the style of code, scripts and manifests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck .ci/run .ci/twice examples/*.sh tools/*.sh
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/kubernetes-validate --strict --quiet examples/kubernetes/*.yaml examples/xds/*.yaml

# mypy for all there is; pyright, which needs node, for what users see: the types of public names,
# and programs as users write them.
types: $(VENV)/installed-lint $(VENV)/installed-test $(VENV)/installed-examples $(VENV)/installed-docs  ## check the types (pyright needs node)
	$(BIN)/mypy
	$(BIN)/mypy conftest.py  # apart from tests/conftest.py, which has the same name
	$(BIN)/python tools/type_completeness.py
	$(BIN)/pyright --pythonpath $(BIN)/python examples/service tests/typed_program.py

# The pages are looked at in a browser, which has to be there: chromium.
docs: $(VENV)/installed-docs $(VENV)/installed-test  ## write the web pages and try them: build/docs/index.html
	$(BIN)/python tools/site.py
	$(BIN)/mkdocs --quiet build --strict --config-file build/mkdocs.yml
	$(BIN)/pytest -m docs

# Both are installed into a new environment each, and run the demo there.
dist: $(VENV)/installed-dist  ## build sdist and wheel, check, install and try them: dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	set -e; for file in dist/*.whl dist/*.tar.gz; do sh tools/try_distribution.sh "$$file"; done

# A missed target (exit code 3) shows in the table. A benchmark that fails leaves old rows there, so
# its name is shown at the end.
bench: $(VENV)/installed-bench $(VENV)/installed-test  ## measure speed beside others, for half an hour (needs Go, jq)
	@failed=; for each in $(BENCHMARKS); do \
		$(BIN)/python benchmarks/$$each.py || [ $$? -eq 3 ] || failed="$$failed $$each"; \
	done; \
	$(BIN)/python benchmarks/plot.py; \
	$(BIN)/python benchmarks/in_readme.py; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

generate: $(GENERATOR)/installed $(VENV)/installed-test  ## write what is generated: messages, man pages, completions
	$(GENERATOR)/bin/python tools/messages.py
	$(BIN)/python tools/man.py
	$(BIN)/python tools/completions.py
	$(BIN)/python benchmarks/in_readme.py

pictures: $(VENV)/installed-test  ## draw the pictures of README.md
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
