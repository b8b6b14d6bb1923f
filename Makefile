# One way to run everything: what the README tells people to call, and what CI calls.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help demo test test-all check bench model lock clean

PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r
SOURCE ?= mrm8488/distilroberta-finetuned-tweets-hate-speech

help:  ## Show these lines.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/local  ## See the bot answer, on this machine alone. TEXT="..." for one message, FORMAT=json for programs.
	@TEXT="$${TEXT-}" FORMAT="$${FORMAT-}" .venv/bin/python -m local.demo

test: .venv/test  ## The light tests: modules and the whole path, no torch.
	.venv/bin/python -m pytest --ignore=tests/model_build

test-all: test .venv-build/build  ## Those and the tests that need torch.
	.venv-build/bin/python -m pytest tests/model_build

check: .venv/test  ## Lint, formatting and types.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: .venv/local  ## Measure the receiver, the worker and the worker's cold start.
	.venv/bin/python -m local.bench

model: .venv-build/build  ## Build model/ from SOURCE, a hub id or a folder.
	.venv-build/bin/python -m model_build --source "$(SOURCE)" --out model

# The virtual environments. A stamp file in each says which lock file it holds.
.venv/bin/python:
	@./.ci/require-python "$(PYTHON)"
	@"$(PYTHON)" -m venv .venv

.venv/local: requirements/local.txt | .venv/bin/python
	@echo "Installing what running needs into .venv ..."
	@.venv/bin/python $(PIP_INSTALL) $< && touch $@

.venv/test: requirements/test.txt .venv/local
	@echo "Installing what the tests need into .venv ..."
	@.venv/bin/python $(PIP_INSTALL) $< && touch $@

.venv-build/build: requirements/build.txt
	@./.ci/require-python "$(PYTHON)"
	@echo "Installing the build stage into .venv-build (torch is large) ..."
	@"$(PYTHON)" -m venv .venv-build
	@.venv-build/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@.venv-build/bin/python $(PIP_INSTALL) $< && touch $@

lock:  ## Resolve the dependency groups of pyproject.toml anew into requirements/.
	@command -v uv >/dev/null || { echo "uv is missing: python3 -m pip install uv"; exit 1; }
	for group in runtime local test build; do uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-package torch --group "pyproject.toml:$$group" --output-file "requirements/$$group.txt"; done

clean:  ## Remove what the targets above made.
	rm -rf .venv .venv-build .mypy_cache .pytest_cache .ruff_cache build
