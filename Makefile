# One way to run everything: what the README tells people to call, and what CI calls.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help demo test test-all test-rie test-sam test-failures soak fuzz test-fuzz load audit test-cpus events local-services check bench bench-image benchmark cpus rewrites train evaluate image base deploy secret doctor model lock clean

PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --quiet --disable-pip-version-check --no-deps --require-hashes -r
# `sam build` uses the classic builder: what it cannot build must not pass here.
BUILD_IMAGE = DOCKER_BUILDKIT=0 docker build --platform linux/$(if $(filter arm64,$(ARCHITECTURE)),arm64,amd64)
SAM = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam
# The processor of the last deployment, which SAM keeps in its configuration.
ARCHITECTURE ?= $(or $(shell sed -nE 's/.*Architecture=[\\"]*(x86_64|arm64).*/\1/p' samconfig.toml),x86_64)
SOURCE ?= mrm8488/distilroberta-finetuned-tweets-hate-speech

help:  ## Show these lines.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# As it was given: make would expand what it takes for variables in it.
ifdef TEXT
override export TEXT := $(value TEXT)
endif
demo: .venv/local  ## See the bot answer, on this machine alone. TEXT="..." for one message, FORMAT=json for programs.
	@.venv/bin/python -m local.demo

test: .venv/test  ## The light tests: modules and the whole path, no torch.
	.venv/bin/python -m pytest --ignore=tests/model_build --ignore=tests/rie --ignore=tests/sam --ignore=tests/failures --ignore=tests/fuzz

test-all: test .venv-build/scale  ## Those and the tests that need torch or QEMU (CPUS_OPTIONAL=1 where that cannot be installed).
	.venv-build/bin/python -m pytest tests/model_build

test-rie: .venv/test .venv-sam/sam  ## Both functions under AWS's runtime emulator, without a container engine.
	.venv/bin/python -m pytest tests/rie

test-sam: .venv/test .venv-sam/sam  ## The image, sam build and sam local, in an engine that is found or started (SAM_OPTIONAL=1 where none can be).
	.venv/bin/python -m pytest tests/sam

test-failures: .venv/test  ## Every failure that the bot meets, on the real path, as a table.
	.venv/bin/python -m tests.failures

soak: .venv/local  ## Exactly one verdict, whatever fails. DELIVERIES=10000 REACTIONS=2000 SEED=7 MINUTES=60 for more.
	.venv/bin/python -m local.soak $(if $(SEED),--seed $(SEED)) $(if $(DELIVERIES),--deliveries $(DELIVERIES)) \
	  $(if $(REACTIONS),--reactions $(REACTIONS)) $(if $(MINUTES),--minutes $(MINUTES))

# Not SECONDS, which is bash's own.
fuzz: .venv/fuzz  ## Requests that a fuzzer makes up, for FUZZ_SECONDS (300): does any make the receiver raise?
	.venv/bin/python -m local.fuzz --seconds $(or $(FUZZ_SECONDS),300)

test-fuzz: .venv/fuzz  ## The fuzzer finds a planted bug.
	.venv/bin/python -m pytest tests/fuzz

load: .venv/local  ## Rising rates, and ten times what a worker holds: what is acknowledged, what is lost. JSON=FILE.
	.venv/bin/python -m local.load $(if $(JSON),--json "$(JSON)")

audit: .venv-audit/audit  ## Known vulnerabilities of the packages in the image; fails for those being exploited.
	.venv-audit/bin/python -m local.audit

test-cpus: .venv-build/build  ## Of those, the ones on an emulated CPU; CPUS_OPTIONAL=1 where QEMU cannot be installed.
	.venv-build/bin/python -m pytest tests/model_build/test_cpus.py tests/model_build/test_cpus_emulated.py

check: .venv/test  ## Lint, formatting and types.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: .venv/local  ## Measure the receiver, the worker and the worker's cold start.
	.venv/bin/python -m local.bench

bench-image: .venv/test .venv-sam/sam  ## Measure the image, as containers with Lambda's share of a CPU, into docs/.
	.venv/bin/python -m local.image_bench

benchmark: .venv-benchmark/benchmark  ## Measure the model beside every other runtime, into docs/. WITHOUT=NAME,.. for fewer.
	.venv-benchmark/bin/python -m model_build.benchmark $(if $(WITHOUT),--without "$(WITHOUT)") $(ARGUMENTS)

cpus: .venv-build/build  ## Same scores on other CPUs? CPU=haswell,arm64; MESSAGES=FILE NUMBER=500 to record in docs/.
	.venv-build/bin/python -m model_build.cpus --cpu "$(or $(CPU),haswell)" \
	  $(if $(MESSAGES),--messages "$(MESSAGES)" --number "$(or $(NUMBER),500)" --record docs)

rewrites: .venv-build/build  ## Measure each choice of the build, into docs/. SOURCE=FOLDER, QUALITY=FILE of labelled texts.
	.venv-build/bin/python -m model_build.search --source "$(SOURCE)" $(if $(QUALITY),--quality "$(QUALITY)")

events: .venv/local  ## Write events/ for sam local invoke; the requests in it are signed now.
	.venv/bin/python -m local.events

local-services: .venv/local  ## A local Slack and embedded AWS for sam local, until Ctrl-C.
	.venv/bin/python -m local.services

image: base  ## Build both layers of the container image. ARCHITECTURE=arm64, LAMBDA_BASE=another base image.
	$(BUILD_IMAGE) --file Dockerfile.app --tag slack-toxicity-bot .

base:
	@command -v docker >/dev/null || { echo "Docker is missing: https://docs.docker.com/get-docker/"; exit 1; }
	$(BUILD_IMAGE) $(LABEL) $(if $(LAMBDA_BASE),--build-arg LAMBDA_BASE="$(LAMBDA_BASE)") --file Dockerfile.base --tag slack-toxicity-bot-base .

# SAM publishes a version for another image, not for another parameter: each deployment is an image of its own.
deploy: LABEL = --label deployed=$(shell date -u +%Y-%m-%dT%H:%M:%SZ)
deploy: base .venv-sam/sam  ## Build the image and put the bot into the AWS account; asks for what it needs.
	$(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)
	@printf '%s\n' "" "template.yaml says what each parameter is; Enter takes its default. Two questions want a y:" \
	  "  Receiver has no authentication. Is this okay?   Slack's signature is its authentication." \
	  "  Deploy this changeset?" ""
	$(SAM) deploy --guided

secret: .venv/local  ## Ask for the Slack app's credentials and put them into the stack's secret. STACK=, REGION=
	@.venv/bin/python -m doctor.hand_over --stack "$(or $(STACK),slack-toxicity-bot)" $(if $(REGION),--region "$(REGION)")

doctor: .venv/local  ## Examine an installation with real calls: STACK=slack-toxicity-bot [REGION=], or what the environment names.
	@.venv/bin/python -m doctor $(if $(STACK),--stack "$(STACK)") $(if $(REGION),--region "$(REGION)") \
	  $(if $(REQUEST_URL),--request-url "$(REQUEST_URL)") $(if $(FORMAT),--format "$(FORMAT)")

model: .venv-build/build  ## Build OUT (model/) from SOURCE, a hub id or a folder; REVISION, NAME, LICENCE, WINDOW, ABOUT.
	.venv-build/bin/python -m model_build --source "$(SOURCE)" --out "$(or $(OUT),model)" \
	  $(if $(REVISION),--revision "$(REVISION)") $(if $(NAME),--name "$(NAME)") $(if $(LICENCE),--licence "$(LICENCE)") \
	  $(if $(WINDOW),--window "$(WINDOW)") $(if $(ABOUT),--about "$(ABOUT)")

train: .venv-build/train  ## Train a checkpoint: ARGUMENTS="--data my.jsonl --base FOLDER --out checkpoint"; see docs/training.md.
	.venv-build/bin/python -m model_build.train $(or $(ARGUMENTS),--help)

evaluate: .venv-build/train  ## Compare models: ARGUMENTS="report --models ours=model --data my.jsonl", or calibrate one.
	.venv-build/bin/python -m model_build.evaluate $(or $(ARGUMENTS),--help)

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
	@.venv-build/bin/python -m pip install --quiet --quiet --disable-pip-version-check torch==2.13.0
	@.venv-build/bin/python $(PIP_INSTALL) $< && touch $@

.venv-build/train: requirements/train.txt .venv-build/build
	@.venv-build/bin/python $(PIP_INSTALL) $< && touch $@

# DeepSpeed has no wheels, and its set-up looks at the torch that is there.
.venv-build/scale: requirements/scale.txt .venv-build/train
	@.venv-build/bin/python $(PIP_INSTALL) $< --no-build-isolation && touch $@

.venv/fuzz: requirements/fuzz.txt .venv/test
	@.venv/bin/python $(PIP_INSTALL) $< && touch $@

.venv-audit/audit: requirements/audit.txt
	@./.ci/require-python "$(PYTHON)"
	@"$(PYTHON)" -m venv .venv-audit
	@.venv-audit/bin/python $(PIP_INSTALL) $< && touch $@

.venv-sam/sam: requirements/sam.txt
	@./.ci/require-python "$(PYTHON)"
	@echo "Installing SAM's command line into .venv-sam ..."
	@"$(PYTHON)" -m venv .venv-sam
	@.venv-sam/bin/python $(PIP_INSTALL) $< && touch $@

# A peer that is left out by WITHOUT need not be installable: its package is left out as well.
.venv-benchmark/benchmark: requirements/benchmark.txt
	@./.ci/require-python "$(PYTHON)"
	@echo "Installing the other runtimes into .venv-benchmark (some are large) ..."
	@"$(PYTHON)" -m venv .venv-benchmark
	@.venv-benchmark/bin/python -m pip install --quiet --quiet --disable-pip-version-check torch==2.13.0
	@awk -v without="$(WITHOUT)" '/^[a-z]/ { split($$1, at, "=="); skip = index(without, at[1] "_int8") } !skip' $< \
	  >.venv-benchmark/requirements.txt
	@.venv-benchmark/bin/python $(PIP_INSTALL) .venv-benchmark/requirements.txt && touch $@ \
	  || { echo "One of them cannot be installed here: make benchmark WITHOUT=openvino_int8,ctranslate2_int8"; exit 1; }

lock:  ## Resolve the dependency groups of pyproject.toml anew into requirements/.
	@command -v uv >/dev/null || { echo "uv is missing: python3 -m pip install uv"; exit 1; }
	for group in runtime local test emulator sam audit fuzz build train scale benchmark; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-package torch \
	    --group "pyproject.toml:$$group" --output-file "requirements/$$group.txt"; done

clean:  ## Remove what the targets above made.
	rm -rf .venv .venv-sam .venv-audit .aws-sam .venv-build .venv-benchmark .mypy_cache .pytest_cache .ruff_cache build
