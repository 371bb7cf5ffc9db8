# Every target does its own set-up. `make` alone lists them. Works with GNU make 3.81 and later.
SHELL := /bin/sh
# The folder of this file, also where it has spaces in it (so none of make's own functions on lists of names).
HERE := $(shell cd "$$(dirname "$$(echo '$(MAKEFILE_LIST)' | sed 's/^ *//')")" && pwd)
# Prepares .venv, then becomes the command after it: a signal to make reaches that command and nothing is left behind.
RUN := @cd '$(HERE)' && exec sh scripts/setup.sh run
DEV := @cd '$(HERE)' && exec sh scripts/setup.sh dev
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench lock clean

help: ## this list
	@awk -F ': *## *' '/^[a-z]+: *## / { printf "make %-8s %s\n", $$1, $$2 }' '$(HERE)/Makefile'

setup: ## prepare .venv alone (PYTHON=python3.12 chooses the Python)
	$(RUN)

demo: ## start Trunkline with a sample organization and two agents; Ctrl-C ends it
	$(RUN) $(BIN)/trunkline demo

test: ## run the tests (ARGS="tests/unit -k errors" chooses some)
	$(DEV) $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS) $(ARGS)

check: ## lint, format, types, import contracts, SQL of the schema revisions
	$(DEV) $(BIN)/ruff check
	$(DEV) $(BIN)/ruff format --check
	$(DEV) $(BIN)/basedpyright
	$(DEV) $(BIN)/lint-imports
	$(DEV) $(BIN)/python scripts/squawk.py

bench: ## measure what a turn, row-level security and an analysis cost (takes minutes; needs a quiet machine)
	$(DEV) $(BIN)/python -m benchmarks.turns
	$(DEV) $(BIN)/python -m benchmarks.policies
	$(DEV) $(BIN)/python -m benchmarks.readiness

lock: ## write requirements/*.txt anew (ARGS=--upgrade takes the newest versions)
	@cd '$(HERE)' && exec sh scripts/lock.sh $(ARGS)

clean: ## remove .venv and caches; no data of yours
	@cd '$(HERE)' && echo "Removing .venv and caches. Databases and other data stay." && \
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis && \
	find . -type d -name __pycache__ -prune -exec rm -rf {} +
