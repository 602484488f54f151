#!/bin/sh
# Install a wheel or an sdist into a new environment, and run the demo with it: FILE
set -eu

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT

"${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/python" -m pip --disable-pip-version-check --quiet install "$1[sandbox]"
PATH="$environment/bin:$PATH" etcdnaming sandbox -- sh tools/demo.sh >"$environment/demo" || {
    cat "$environment/demo"
    exit 1
}
echo "$1: installed, and the demo runs"
