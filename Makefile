# People and CI run the same targets. `make` lists the most useful ones; docs/development.md lists all of them.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help demo playground deploy secret doctor test test-all test-build test-slow test-clients test-failures test-playground test-rie test-sam fuzz check \
  format image base events local-services model build-tools lock clean bench bench-image benchmark throughput score \
  evaluate soak load audit socket

PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --quiet --disable-pip-version-check
PIP_INSTALL_LOCKED = $(PIP_INSTALL) --no-deps --require-hashes --requirement
# Use Docker's classic builder, as `sam build` does, so that `make image` fails on what `sam build` cannot build.
BUILD_IMAGE = DOCKER_BUILDKIT=0 docker build --platform linux/$(if $(filter arm64,$(ARCHITECTURE)),arm64,amd64)
SAM = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam
# The architecture of the last deployment, from SAM's configuration file.
ARCHITECTURE ?= $(or $(shell sed -nE 's/.*Architecture=[\\"]*(x86_64|arm64).*/\1/p' samconfig.toml),x86_64)
UV_COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-package torch
BOT = pyproject.toml --extra bot
# Pins the versions that the tests use, for packages that ship or share an environment with the tests.
AS_TESTED = --constraints requirements/test.txt
# Tests that `make test` leaves to `make test-slow`, `make test-clients` and `make test-playground`.
SLOW = tests/package tests/local/test_fuzz.py tests/local/test_socket_mode.py tests/local/test_soak.py::test_a_small_soak \
  tests/local/test_load.py::test_a_small_load_measurement \
  tests/toxicity_bot/test_turns.py::test_a_burst_above_slacks_rate_limit_gets_each_verdict_once
CLIENTS = tests/clients
PLAYGROUND = tests/playground
# AWS calls use REGION if it is set, otherwise the region from the AWS configuration.
IN_REGION = $(if $(REGION),AWS_DEFAULT_REGION="$(REGION)")
SOURCE ?= mrm8488/distilroberta-finetuned-tweets-hate-speech

help:
	@awk '/^##@/ { print "\n" substr($$0, 5) } \
	  match($$0, /^[a-z-]+:.*  ## /) { printf "  make %-12s %s\n", substr($$0, 1, index($$0, ":") - 1), substr($$0, RLENGTH + 1) } \
	  END { print "\nAll targets and options: docs/development.md" }' $(firstword $(MAKEFILE_LIST))

##@ Try

# Pass TEXT to the demo unexpanded. Otherwise make would expand the dollar signs in it.
ifdef TEXT
override export TEXT := $(value TEXT)
endif
demo: .venv/local  ## Run a demo of the bot on this machine. TEXT="..." judges one message, FORMAT=json ends with a JSON object.
	@.venv/bin/python -m local.demo

# Run the bot for a real workspace on this machine, without AWS. FILE= names the file that stores jobs and verdicts.
socket: .venv/local
	@.venv/bin/python -m local.socket_mode $(if $(FILE),--file "$(FILE)") $(if $(filter yes,$(REDRIVE)),--redrive)

playground: .venv/local  ## Try the bot in the browser: write messages, react, follow each step. PORT=8765
	@.venv/bin/python -m local.playground $(if $(PORT),--port "$(PORT)")

# Score the rows of a file, as the installed package's `toxicity-bot score` does.
score: .venv/local
	@.venv/bin/python -m toxicity_bot.commands score "$(IN)" --out "$(or $(OUT),-)" \
	  $(if $(COLUMN),--text-column "$(COLUMN)") $(if $(FORMAT),--format "$(FORMAT)")

##@ Deploy

# SAM publishes a new version only if the image changes, not if a parameter does, so each deployment gives the image a new label.
deploy: LABEL = --label deployed=$(shell date -u +%Y-%m-%dT%H:%M:%SZ)
deploy: base .venv-sam/sam  ## Build the image and deploy the bot to your AWS account. Asks for the settings.
	$(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)
	@printf '%s\n' "" "After the stack's name and region, you are asked for ReplyTo, which decides who sees a verdict:" \
	  "  thread      Everyone in the channel. The author is judged in public, by a model that is often wrong." \
	  "  reactor     Only the person who reacted. The author is not told." \
	  "  moderators  Only the members of the next parameter's channel, ModeratorsChannel. They decide what to do." \
	  "" "docs/configuration.md explains each parameter. Press Enter to keep a default. Answer y to these questions:" \
	  "  Receiver has no authentication. Is this okay?   (It checks Slack's signature.)" \
	  "  Scorer has no authentication. Is this okay?     (It checks API keys. SAM asks even if it is not deployed.)" \
	  "  Deploy this changeset?" ""
	$(SAM) deploy --guided

secret: .venv/local  ## Ask for the Slack app's credentials and store them in AWS. STACK=, REGION=. API keys: NEW_KEY=, REVOKE_KEY=.
	@$(IN_REGION) .venv/bin/python -m doctor.secret --stack "$(or $(STACK),slack-toxicity-bot)" \
	  $(if $(NEW_KEY),--new-key "$(NEW_KEY)") $(if $(REVOKE_KEY),--revoke-key "$(REVOKE_KEY)")

doctor: .venv/local  ## Check a deployed bot with real calls. STACK=slack-toxicity-bot [REGION=], or settings from the environment.
	@$(IN_REGION) .venv/bin/python -m doctor $(if $(STACK),--stack "$(STACK)") \
	  $(if $(REQUEST_URL),--request-url "$(REQUEST_URL)") $(if $(FORMAT),--format "$(FORMAT)")

##@ Develop

test: .venv/test  ## Run unit tests and end-to-end tests over real sockets. Needs no torch.
	.venv/bin/python -m pytest --numprocesses=auto --dist=worksteal --ignore=tests/model_build --ignore=tests/rie --ignore=tests/sam \
	  $(foreach test,$(SLOW) $(CLIENTS) $(PLAYGROUND),$(if $(findstring ::,$(test)),--deselect,--ignore)=$(test))

test-all: test test-slow test-clients test-playground test-failures test-rie test-build test-sam  ## Run all tests, including those that need torch, QEMU or a container engine.

# Tests of pip install, Ray Data, the fuzzer with a planted bug, Socket Mode, and all tests that take ten seconds or more.
test-slow: .venv/ray
	.venv/bin/python -m pytest $(SLOW)

# Needs QEMU's user-mode emulation (qemu-user-static). CPUS_OPTIONAL=1 skips the test that uses it.
test-build: .venv-build/scale
	.venv-build/bin/python -m pytest tests/model_build

# Run Perspective API clients against `toxicity-bot serve`. Needs npm. NODE_OPTIONAL=1 skips the Node.js client.
test-clients: .venv/clients
	.venv/bin/python -m pytest $(CLIENTS)

# Test the playground in a browser. Needs Debian's chromium, or CHROMIUM=path. SCREENSHOTS=docs retakes the screenshots in docs/.
test-playground: .venv/browser
	.venv/bin/python -m pytest $(PLAYGROUND)

test-failures: .venv/test
	.venv/bin/python -m tests.failures

test-rie: .venv/test .venv-sam/sam
	.venv/bin/python -m pytest tests/rie

# Finds or starts a container engine. SAM_OPTIONAL=1 skips the tests if that is impossible.
test-sam: .venv/test .venv-sam/sam
	.venv/bin/python -m pytest tests/sam

# The variable is not named SECONDS because bash has a variable of that name.
fuzz: .venv/test
	.venv/bin/python -m local.fuzz --seconds $(or $(FUZZ_SECONDS),300)

check: .venv/test  ## Check style, formatting and types with ruff and mypy --strict.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/test  ## Format the code and apply ruff's fixes.
	.venv/bin/ruff check --fix --exit-zero --quiet .
	.venv/bin/ruff format .

image: base  ## Build the container image. ARCHITECTURE=arm64, LAMBDA_BASE=base image.
	$(BUILD_IMAGE) --file Dockerfile.app --tag slack-toxicity-bot .

base:
	@command -v docker >/dev/null || { echo "Docker is missing: https://docs.docker.com/get-docker/"; exit 1; }
	$(BUILD_IMAGE) $(LABEL) $(if $(LAMBDA_BASE),--build-arg LAMBDA_BASE="$(LAMBDA_BASE)") --file Dockerfile.base --tag slack-toxicity-bot-base .

# Write events/ for `sam local invoke`. The signatures of its requests are valid for five minutes.
events: .venv/local
	.venv/bin/python -m local.situations

# Run a local Slack and embedded AWS for `sam local` until Ctrl-C.
local-services: .venv/local
	.venv/bin/python -m local.services

model: .venv-build/build  ## Build the model directory OUT=model from SOURCE=, a folder or a hub ID. REVISION= pins the hub ID's commit.
	.venv-build/bin/python -m model_build build --source "$(SOURCE)" --out "$(or $(OUT),model)" \
	  $(if $(REVISION),--revision "$(REVISION)") $(if $(NAME),--name "$(NAME)") $(if $(LICENCE),--licence "$(LICENCE)") \
	  $(if $(WINDOW),--window "$(WINDOW)") $(if $(ABOUT),--about "$(ABOUT)")

build-tools: .venv-build/build  ## Install the dependencies for training and building models, and list the commands.
	@.venv-build/bin/python -m model_build --help

# Resolve the dependencies in pyproject.toml and write requirements/. Needs uv.
lock:
	@command -v uv >/dev/null || { echo "uv is missing: python3 -m pip install uv"; exit 1; }
	$(UV_COMPILE) $(BOT) --group test --output-file requirements/test.txt
	$(UV_COMPILE) $(BOT) $(AS_TESTED) --output-file requirements/runtime.txt
	$(UV_COMPILE) $(BOT) $(AS_TESTED) --group local --output-file requirements/local.txt
	for group in emulator audit clients browser ray; do \
	  $(UV_COMPILE) $(AS_TESTED) --group $$group --output-file requirements/$$group.txt || exit 1; done
	for group in build scale benchmark; do \
	  $(UV_COMPILE) $(BOT) --group $$group --output-file requirements/$$group.txt || exit 1; done
	$(UV_COMPILE) --group sam --output-file requirements/sam.txt

# Remove everything that the targets created, except models.
clean:
	rm -rf .venv .venv-sam .venv-build .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis build

##@ Measure

bench: .venv/local  ## Measure the latency of the receiver, the worker and the worker's cold start.
	.venv/bin/python -m local.bench

# Measure containers of the image with Lambda's CPU share. Writes docs/image.md.
bench-image: .venv/test .venv-sam/sam
	.venv/bin/python -m tests.sam.image_bench

benchmark: .venv-build/benchmark  ## Compare the model's speed with other runtimes. Writes docs/benchmark.md. WITHOUT=NAME,.. skips runtimes.
	.venv-build/bin/python -m model_build benchmark --out "$(or $(OUT),docs)" $(if $(WITHOUT),--without "$(WITHOUT)")

# Compare the throughput on the lines of MESSAGES=FILE with other scorers. LINES=20000
throughput: .venv-build/benchmark
	.venv-build/bin/python -m model_build throughput "$(MESSAGES)" $(if $(LINES),--lines $(LINES)) \
	  $(if $(WITHOUT),--without "$(WITHOUT)")

evaluate: .venv-build/build  ## Compare models on labelled messages: DATA="FILE .." [CHAT=FILE MODELS="mine=FOLDER shipped=model" SPLIT= OUT=].
	.venv-build/bin/python -m model_build evaluate $(or $(MODELS),shipped=model) $(foreach file,$(DATA),--data "$(file)") \
	  $(if $(CHAT),--chat "$(CHAT)") $(if $(SPLIT),--split "$(SPLIT)") $(if $(OUT),--out "$(OUT)")

soak: .venv/local  ## Check for exactly one verdict per message under random faults. DELIVERIES=10000 REACTIONS=2000 SEED=7 MINUTES=60
	.venv/bin/python -m local.soak $(if $(SEED),--seed $(SEED)) $(if $(DELIVERIES),--deliveries $(DELIVERIES)) \
	  $(if $(REACTIONS),--reactions $(REACTIONS)) $(if $(MINUTES),--minutes $(MINUTES))

# Measure how many reactions one receiver and one worker can handle, or with WATCHED=2000, how many messages in watched
# channels. JSON=FILE writes the figures.
load: .venv/local
	.venv/bin/python -m local.load $(if $(WATCHED),--watched $(WATCHED)) $(if $(JSON),--json "$(JSON)")

# List known vulnerabilities of the packages in the image and in the build environment.
audit: .venv/audit
	.venv/bin/python .ci/audit.py

# The virtual environments: .venv runs and tests the bot, .venv-build trains and builds models, and .venv-sam has the SAM
# CLI, whose pins conflict with ours. Empty files such as .venv/test mark which lock files were installed.
.venv/bin/python:
	@./.ci/require-python "$(PYTHON)"
	@"$(PYTHON)" -m venv .venv

.venv/local: requirements/local.txt | .venv/bin/python
	@echo "Installing what the bot needs into .venv ..."
	@.venv/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@

.venv/test: requirements/test.txt .venv/local
	@echo "Installing what the tests need into .venv ..."
	@.venv/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@

.venv/clients: requirements/clients.txt .venv/test
	@.venv/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@

.venv/browser: requirements/browser.txt .venv/test
	@.venv/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@

.venv/ray: requirements/ray.txt .venv/test
	@.venv/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@

.venv/audit: requirements/audit.txt .venv/test
	@.venv/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@

.venv-build/build: requirements/build.txt
	@./.ci/require-python "$(PYTHON)"
	@echo "Installing what building models needs into .venv-build (torch is large) ..."
	@"$(PYTHON)" -m venv .venv-build
	@.venv-build/bin/python $(PIP_INSTALL) torch==2.13.0
	@.venv-build/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@

# Without build isolation, because DeepSpeed is compiled against the installed torch.
.venv-build/scale: requirements/scale.txt .venv-build/build
	@.venv-build/bin/python $(PIP_INSTALL_LOCKED) $< --no-build-isolation && touch $@

# Runtimes named in WITHOUT are not installed either, because some have no wheel for some machines.
.venv-build/benchmark: requirements/benchmark.txt .venv-build/build
	@echo "Installing the other runtimes into .venv-build ..."
	@awk -v without="$(WITHOUT)" '/^[a-z]/ { split($$1, at, "=="); skip = index(without, at[1] "_int8") } !skip' $< \
	  >.venv-build/requirements.txt
	@.venv-build/bin/python $(PIP_INSTALL_LOCKED) .venv-build/requirements.txt && touch $@ \
	  || { echo "A runtime cannot be installed here. Leave it out: make benchmark WITHOUT=openvino_int8,ctranslate2_int8"; exit 1; }

.venv-sam/sam: requirements/sam.txt
	@./.ci/require-python "$(PYTHON)"
	@echo "Installing the SAM CLI into .venv-sam ..."
	@"$(PYTHON)" -m venv .venv-sam
	@.venv-sam/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@
