# Every target sets up what it needs: `make demo` and `make test` work on a fresh clone with
# Python 3.11 or newer, make and a shell.

# The distribution's Python is built with profile-guided optimisation, which one built from source
# often is not: a tenth of the CPU. Any other: make PYTHON=/path/to/python3.
PYTHON ?= $(shell /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo /usr/bin/python3 || echo python3)
BIN := .venv/bin
MTA := $(BIN)/mta

.PHONY: faults soak probe kill-bench lock sbom dialects conformance
.PHONY: help install demo run test lint types check bench bench-full eval fuzz fuzz-api clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed ## make .venv with Mailwright and its tools

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mailwright needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $@

demo: install ## send mail end to end through a local receiver and show what happened
	@$(MTA) demo

run: install ## serve with ./mta.toml
	$(MTA) --config mta.toml serve

test: install ## run the tests; names what it skips and why
	$(BIN)/pytest -n auto

lint: install ## check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml mta control_api storage config

types: install ## check types
	$(BIN)/mypy

check: lint types test ## everything that has to be green before a commit

bench: install ## measure messages per second and CPU per 1,000 messages
	$(BIN)/python -m benchmarks.delivery --runs 1
	$(BIN)/python -m benchmarks.drain --runs 1
	$(BIN)/python -m benchmarks.api
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.imports --rows 200000
	$(BIN)/python -m benchmarks.contacts --rows 200000
	$(BIN)/python -m benchmarks.campaigns
	$(BIN)/python -m benchmarks.tracking

bench-full: install ## the same, medians of three, and what long queues, lists, webhooks cost
	$(BIN)/python -m benchmarks.delivery
	$(BIN)/python -m benchmarks.drain
	$(BIN)/python -m benchmarks.api
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.fairness
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.backlog
	$(BIN)/python -m benchmarks.lists
	$(BIN)/python -m benchmarks.contacts
	$(BIN)/python -m benchmarks.imports
	$(BIN)/python -m benchmarks.campaigns --contacts 200000 --kill --pause
	$(BIN)/python -m benchmarks.tracking
	$(BIN)/python -m benchmarks.automations
	$(BIN)/python -m benchmarks.webhooks

eval: install ## score the reading of bounces and replies, also of a corpus (MTA_CORPUS=DIR)
	@$(BIN)/python -m benchmarks.evaluate

dialects: install ## write docs/dialects.md from the tables of the dialects
	$(BIN)/python -m tools.dialects > docs/dialects.md.new
	mv docs/dialects.md.new docs/dialects.md

conformance: install ## count the rows of the five documents that hold
	@$(BIN)/python -m tests.seeds.conformance

fuzz: install ## fuzz every reader of strangers' octets for MINUTES (5) each
	$(BIN)/python -m tests.fuzz.run all $$(( $(or $(MINUTES),5) * 60 ))

fuzz-api: install ## ask a live server everything that the OpenAPI document allows and forbids
	@$(BIN)/python -m tests.support.fuzz_api

faults: install ## survive kills, crashes, power cuts and full disks (some minutes; root for all)
	$(BIN)/pytest -n 2 -m slow tests

MINUTES ?= 10
SEED ?=
soak: install ## faults of every kind at random, MINUTES=n long; SEED=n plays one again
	@$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

kill-bench: install ## kill the engine, and Postfix, 25 times under the same load (root for Postfix)
	@$(BIN)/python -m benchmarks.kills

probe: install ## let nmap, testssl, slowhttptest, swaks and schemathesis attack a local engine
	@$(BIN)/python -m tools.probe

lock: install ## pin what is deployed, with digests: requirements.lock
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --generate-hashes --universal \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url -o requirements.lock

sbom: install ## write the bill of materials of requirements.lock to sbom.json
	$(BIN)/python -m tools.sbom > sbom.json

clean: ## remove what the other targets made
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz
