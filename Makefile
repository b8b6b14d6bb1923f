# One way to run everything: people and CI call the same targets. `make` lists those that people need most;
# docs/development.md has the others.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help demo playground deploy secret doctor test test-all test-build test-slow test-clients test-failures test-playground test-rie test-sam fuzz check \
  format image base events local-services model build-tools lock clean bench bench-image benchmark throughput score \
  evaluate soak load audit socket

PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --quiet --disable-pip-version-check
PIP_INSTALL_LOCKED = $(PIP_INSTALL) --no-deps --require-hashes --requirement
# `sam build` uses the classic builder. So does this, to find what that one cannot build.
BUILD_IMAGE = DOCKER_BUILDKIT=0 docker build --platform linux/$(if $(filter arm64,$(ARCHITECTURE)),arm64,amd64)
SAM = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam
# The architecture of the last deployment, which SAM keeps in its configuration.
ARCHITECTURE ?= $(or $(shell sed -nE 's/.*Architecture=[\\"]*(x86_64|arm64).*/\1/p' samconfig.toml),x86_64)
UV_COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-package torch
BOT = pyproject.toml --extra bot
# What ships, and what shares an environment with the tests, has the versions that are tested.
AS_TESTED = --constraints requirements/test.txt
# Tests that `make test` leaves to `make test-slow`, `make test-clients` and `make test-playground`.
SLOW = tests/package tests/local/test_fuzz.py tests/local/test_socket_mode.py tests/local/test_soak.py::test_a_small_soak \
  tests/local/test_load.py::test_a_small_measurement \
  tests/toxicity_bot/test_turns.py::test_a_burst_above_slacks_limit_gets_all_its_verdicts_once
CLIENTS = tests/clients
PLAYGROUND = tests/playground
# The doctor's calls go where AWS's own settings say, unless REGION names a region.
IN_REGION = $(if $(REGION),AWS_DEFAULT_REGION="$(REGION)")
SOURCE ?= mrm8488/distilroberta-finetuned-tweets-hate-speech

help:
	@awk '/^##@/ { print "\n" substr($$0, 5) } \
	  match($$0, /^[a-z-]+:.*  ## /) { printf "  make %-12s %s\n", substr($$0, 1, index($$0, ":") - 1), substr($$0, RLENGTH + 1) } \
	  END { print "\nFurther targets and their options: docs/development.md" }' $(firstword $(MAKEFILE_LIST))

##@ Try

# TEXT reaches the demo as it was typed: make would otherwise expand the dollar signs in it.
ifdef TEXT
override export TEXT := $(value TEXT)
endif
demo: .venv/local  ## See the bot answer, on this machine alone. TEXT="..." for one message, FORMAT=json for programs.
	@.venv/bin/python -m local.demo

# The bot for a real workspace on this machine, without AWS. FILE= names the file of jobs and verdicts.
socket: .venv/local
	@.venv/bin/python -m local.socket_mode $(if $(FILE),--file "$(FILE)") $(if $(filter yes,$(REDRIVE)),--redrive)

playground: .venv/local  ## Try it in a page on this machine: write, react, see each step. PORT=8765
	@.venv/bin/python -m local.playground $(if $(PORT),--port "$(PORT)")

# The scores of a file's rows, as `toxicity-bot score` does it once the package is installed.
score: .venv/local
	@.venv/bin/python -m toxicity_bot.commands score "$(IN)" --out "$(or $(OUT),-)" \
	  $(if $(COLUMN),--text-column "$(COLUMN)") $(if $(FORMAT),--format "$(FORMAT)")

##@ Deploy

# SAM publishes a new version only for a new image, not for a changed parameter, so each deployment labels its image anew.
deploy: LABEL = --label deployed=$(shell date -u +%Y-%m-%dT%H:%M:%SZ)
deploy: base .venv-sam/sam  ## Build the image and deploy the bot into your AWS account. Asks for what it needs.
	$(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)
	@printf '%s\n' "" "After the stack's name and region, ReplyTo asks who sees a verdict on a message:" \
	  "  thread      Everybody in the channel: its author is judged in public, by a model that is often wrong." \
	  "  reactor     Only the person who reacted. The author does not learn of it." \
	  "  moderators  Only the channel that the next answer, ModeratorsChannel, names: people decide what to do." \
	  "" "docs/configuration.md explains each parameter; Enter keeps its default. These questions need a y:" \
	  "  Receiver has no authentication. Is this okay?   (It checks Slack's signature. Scorer checks API keys, if it is deployed.)" \
	  "  Deploy this changeset?" ""
	$(SAM) deploy --guided

secret: .venv/local  ## Ask for the Slack app's credentials and store them in AWS. STACK=, REGION=; API keys: NEW_KEY=, REVOKE_KEY=.
	@$(IN_REGION) .venv/bin/python -m doctor.secret --stack "$(or $(STACK),slack-toxicity-bot)" \
	  $(if $(NEW_KEY),--new-key "$(NEW_KEY)") $(if $(REVOKE_KEY),--revoke-key "$(REVOKE_KEY)")

doctor: .venv/local  ## Check a deployed bot with real calls: STACK=slack-toxicity-bot [REGION=], or what the environment names.
	@$(IN_REGION) .venv/bin/python -m doctor $(if $(STACK),--stack "$(STACK)") \
	  $(if $(REQUEST_URL),--request-url "$(REQUEST_URL)") $(if $(FORMAT),--format "$(FORMAT)")

##@ Develop

test: .venv/test  ## Run the unit tests and the whole path over real sockets. Needs no torch.
	.venv/bin/python -m pytest --numprocesses=auto --dist=worksteal --ignore=tests/model_build --ignore=tests/rie --ignore=tests/sam \
	  $(foreach test,$(SLOW) $(CLIENTS) $(PLAYGROUND),$(if $(findstring ::,$(test)),--deselect,--ignore)=$(test))

test-all: test test-slow test-clients test-playground test-failures test-rie test-build test-sam  ## Run all tests: also those that need torch, QEMU or a container engine.

# An installation by pip, Ray Data, the fuzzer on a planted bug, Socket Mode, and what takes ten seconds or more.
test-slow: .venv/ray
	.venv/bin/python -m pytest $(SLOW)

# Needs QEMU's user mode emulation (qemu-user-static); CPUS_OPTIONAL=1 skips the test that uses it.
test-build: .venv-build/scale
	.venv-build/bin/python -m pytest tests/model_build

# Clients of the Perspective API against `toxicity-bot serve`. Needs npm; NODE_OPTIONAL=1 skips the client of Node.js.
test-clients: .venv/clients
	.venv/bin/python -m pytest $(CLIENTS)

# The playground in a browser. Needs Debian's chromium, or CHROMIUM=path; SCREENSHOTS=docs takes its pictures anew.
test-playground: .venv/browser
	.venv/bin/python -m pytest $(PLAYGROUND)

test-failures: .venv/test
	.venv/bin/python -m tests.failures

test-rie: .venv/test .venv-sam/sam
	.venv/bin/python -m pytest tests/rie

# Finds or starts a container engine. SAM_OPTIONAL=1 skips these tests where there can be none.
test-sam: .venv/test .venv-sam/sam
	.venv/bin/python -m pytest tests/sam

# Not named SECONDS, which is a variable of bash.
fuzz: .venv/test
	.venv/bin/python -m local.fuzz --seconds $(or $(FUZZ_SECONDS),300)

check: .venv/test  ## Check style, formatting and types: ruff, mypy --strict.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/test  ## Format the code and fix what ruff can fix.
	.venv/bin/ruff check --fix --exit-zero --quiet .
	.venv/bin/ruff format .

image: base  ## Build the container image. ARCHITECTURE=arm64, LAMBDA_BASE=another base image.
	$(BUILD_IMAGE) --file Dockerfile.app --tag slack-toxicity-bot .

base:
	@command -v docker >/dev/null || { echo "Docker is missing: https://docs.docker.com/get-docker/"; exit 1; }
	$(BUILD_IMAGE) $(LABEL) $(if $(LAMBDA_BASE),--build-arg LAMBDA_BASE="$(LAMBDA_BASE)") --file Dockerfile.base --tag slack-toxicity-bot-base .

# Write events/ for `sam local invoke`. The requests in it are signed for five minutes.
events: .venv/local
	.venv/bin/python -m local.situations

# A local Slack and embedded AWS for `sam local`, until Ctrl-C.
local-services: .venv/local
	.venv/bin/python -m local.services

model: .venv-build/build  ## Build the model directory OUT=model from SOURCE=, a hub id or a folder. REVISION= pins a hub id.
	.venv-build/bin/python -m model_build build --source "$(SOURCE)" --out "$(or $(OUT),model)" \
	  $(if $(REVISION),--revision "$(REVISION)") $(if $(NAME),--name "$(NAME)") $(if $(LICENCE),--licence "$(LICENCE)") \
	  $(if $(WINDOW),--window "$(WINDOW)") $(if $(ABOUT),--about "$(ABOUT)")

build-tools: .venv-build/build  ## Install what training and building models need, and list the commands.
	@.venv-build/bin/python -m model_build --help

# Resolve the dependencies in pyproject.toml anew into requirements/. Needs uv.
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

# Remove what the targets made, but for models.
clean:
	rm -rf .venv .venv-sam .venv-build .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis build

##@ Measure

bench: .venv/local  ## Time the receiver, the worker and the worker's cold start.
	.venv/bin/python -m local.bench

# The image as containers with Lambda's share of a CPU, into docs/image.md.
bench-image: .venv/test .venv-sam/sam
	.venv/bin/python -m tests.sam.image_bench

benchmark: .venv-build/benchmark  ## Time the model beside other runtimes, into docs/benchmark.md. WITHOUT=NAME,.. for fewer.
	.venv-build/bin/python -m model_build benchmark --out "$(or $(OUT),docs)" $(if $(WITHOUT),--without "$(WITHOUT)")

# Messages a second on lines of MESSAGES=FILE, beside what scores such messages elsewhere. LINES=20000
throughput: .venv-build/benchmark
	.venv-build/bin/python -m model_build throughput "$(MESSAGES)" $(if $(LINES),--lines $(LINES)) \
	  $(if $(WITHOUT),--without "$(WITHOUT)")

evaluate: .venv-build/build  ## Compare models on labelled messages: DATA="FILE .." [CHAT=FILE MODELS="mine=FOLDER shipped=model" SPLIT= OUT=].
	.venv-build/bin/python -m model_build evaluate $(or $(MODELS),shipped=model) $(foreach file,$(DATA),--data "$(file)") \
	  $(if $(CHAT),--chat "$(CHAT)") $(if $(SPLIT),--split "$(SPLIT)") $(if $(OUT),--out "$(OUT)")

soak: .venv/local  ## Kill, double, delay: one verdict whatever fails? DELIVERIES=10000 REACTIONS=2000 SEED=7 MINUTES=60
	.venv/bin/python -m local.soak $(if $(SEED),--seed $(SEED)) $(if $(DELIVERIES),--deliveries $(DELIVERIES)) \
	  $(if $(REACTIONS),--reactions $(REACTIONS)) $(if $(MINUTES),--minutes $(MINUTES))

# How many reactions one receiver and one worker hold, or WATCHED=2000 messages in watched channels. JSON=FILE writes the figures.
load: .venv/local
	.venv/bin/python -m local.load $(if $(WATCHED),--watched $(WATCHED)) $(if $(JSON),--json "$(JSON)")

# Known vulnerabilities of the packages in the image and of the build.
audit: .venv/audit
	.venv/bin/python .ci/audit.py

# The virtual environments: .venv runs and tests the bot, .venv-build makes models, .venv-sam has AWS's command line,
# whose pins conflict with ours. An empty file in each says which lock file was installed into it.
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

# DeepSpeed is compiled against the torch that is installed, which an isolated build would not see.
.venv-build/scale: requirements/scale.txt .venv-build/build
	@.venv-build/bin/python $(PIP_INSTALL_LOCKED) $< --no-build-isolation && touch $@

# The package of a runtime named in WITHOUT is not installed either, since some have no wheel for some machines.
.venv-build/benchmark: requirements/benchmark.txt .venv-build/build
	@echo "Installing the other runtimes into .venv-build ..."
	@awk -v without="$(WITHOUT)" '/^[a-z]/ { split($$1, at, "=="); skip = index(without, at[1] "_int8") } !skip' $< \
	  >.venv-build/requirements.txt
	@.venv-build/bin/python $(PIP_INSTALL_LOCKED) .venv-build/requirements.txt && touch $@ \
	  || { echo "One of them cannot be installed here: make benchmark WITHOUT=openvino_int8,ctranslate2_int8"; exit 1; }

.venv-sam/sam: requirements/sam.txt
	@./.ci/require-python "$(PYTHON)"
	@echo "Installing SAM's command line into .venv-sam ..."
	@"$(PYTHON)" -m venv .venv-sam
	@.venv-sam/bin/python $(PIP_INSTALL_LOCKED) $< && touch $@
