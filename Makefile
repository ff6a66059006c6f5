# Everything is installed in this folder: .venv (tests, local tools) and .local (the embedded AWS and its data).
PYTHON ?= python3
PORT ?= 4566
HOST ?= 127.0.0.1
STATE ?= .local
ROWS ?= 10000
SAMPLE ?= sample.csv
SCHEDULES ?= 2000
STACK ?= contact-imports
RUNTIME ?=
ARCHITECTURE ?=
PARAMETERS ?=
FUZZ_MINUTES ?= 10
ROUNDS ?= 5
ONLY ?=
EXPLAINED ?=

PY := .venv/bin/python
IN_PARALLEL := -n auto --maxprocesses 4
TOOLS := .local/tools
SETUP := .venv/.made $(TOOLS)/sam/.made $(TOOLS)/ministack/.made
AWS_CLI := $(TOOLS)/aws/.made
BUILD_FOR = $(if $(RUNTIME),--runtime $(RUNTIME)) $(if $(ARCHITECTURE),--architecture $(ARCHITECTURE))

.PHONY: help setup demo up down build deploy test test-long chaos soak mutants bench fuzz conformance lint format lock sample key revoke-key verify-deployment imports logs clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 19

setup: $(SETUP) $(AWS_CLI) ## install everything that the other commands need

# The SAM CLI, ministack and the AWS CLI pin different versions of botocore, so each has an environment of its own.
.venv/.made: requirements/dev.txt
	@$(check-python)
	@$(PYTHON) local/set_up.py .venv requirements/dev.txt

$(TOOLS)/%/.made: requirements/%.txt
	@$(check-python)
	@$(PYTHON) local/set_up.py $(TOOLS)/$* requirements/$*.txt

check-python = command -v $(PYTHON) >/dev/null || { \
  echo "There is no $(PYTHON) here. Install Python 3.11 to 3.14, or name one: make PYTHON=/path/to/python3.13 ..." >&2; exit 1; }

# Node.js comes from PyPI, so that everybody has the same version; its packages go into the same environment.
$(TOOLS)/generators/.made: requirements/generators.txt $(wildcard tests/generators/package*.json)
	@$(check-python)
	@$(PYTHON) local/set_up.py $(TOOLS)/generators requirements/generators.txt
	@rm $@
	@cp tests/generators/package.json tests/generators/package-lock.json tests/generators/.npmrc $(TOOLS)/generators
	@cd $(TOOLS)/generators && PATH="$$PWD/bin:$$PATH" npm ci --silent
	@touch $@

demo: $(SETUP) ## start the embedded AWS, deploy, import ROWS rows over HTTP, show the counts, stop
	@$(PY) -m local.demo --rows $(ROWS)

up: $(SETUP) $(AWS_CLI) ## start the embedded AWS, deploy, and keep it running on HOST and PORT, with its data in STATE
	@$(PY) -m local.up up --port $(PORT) --host $(HOST) --state $(STATE)

down: .venv/.made ## stop what `make up` started, and delete all its data
	@$(PY) -m local.up down --state $(STATE)

build: $(SETUP) ## build for AWS Lambda; RUNTIME=python3.13 (default: this Python's), ARCHITECTURE=x86_64 (default: arm64)
	@$(PY) -m local.deploy build $(BUILD_FOR)

deploy: $(SETUP) ## build and deploy as STACK to the account and region of your AWS environment; PARAMETERS="Name=value ..."
	@$(PY) -m local.deploy deploy --stack-name $(STACK) $(BUILD_FOR) $(PARAMETERS)

test: $(SETUP) $(AWS_CLI) ## run the unit, integration, simulation and end-to-end tests
	@$(MAKE) --no-print-directory $(TOOLS)/generators/.made || echo "The client generators could not be installed: their tests are skipped"
	@$(PY) -m pytest -m "not long and not chaos" $(IN_PARALLEL)

test-long: $(SETUP) ## run the tests with 1,000,000 rows and a 1 GB file, which take minutes
	@$(PY) -m pytest -m long -s

chaos: $(SETUP) $(TOOLS)/microburst/.made ## crash, repeat and reorder everything, with SCHEDULES random schedules, and print a table
	@EVERY_FAULT=1 SCHEDULES=$(SCHEDULES) $(PY) -m pytest -q $(IN_PARALLEL) tests/simulation tests/integration/test_concurrent_imports.py tests/e2e/test_kills.py tests/e2e/test_proxy.py

soak: $(SETUP) ## run random files under random schedules until one fails or you stop it
	@while SCHEDULES=10000 $(PY) -m pytest -q tests/simulation/test_schedules.py; do :; done

mutants: $(SETUP) ## take guards of exactness away, one at a time, and see whether a test fails; ONLY=text for some of them
	@PYTHONPATH=layers/contact_imports $(PY) -m tests.mutants $(if $(ONLY),--only "$(ONLY)") $(if $(FAST),--fast) $(if $(EXPLAINED),--explained)

bench: $(SETUP) $(TOOLS)/bench/.made ## measure speed and cost, and compare with other tools; writes bench/results.md and .svg
	@$(PY) -m bench --rounds $(ROUNDS)

fuzz: $(SETUP) ## run the fuzz tests of requests and files for FUZZ_MINUTES
	@end=$$(($$(date +%s) + 60 * $(FUZZ_MINUTES))); while [ $$(date +%s) -lt $$end ]; do \
	  FUZZ_EXAMPLES=5000 $(PY) -m pytest -q -p no:cacheprovider tests/unit/test_fuzz.py tests/unit/test_quoting.py || exit 1; done

conformance: .venv/.made ## write the table of docs/files.md anew, from tests/conformance.py
	@PYTHONPATH=layers/contact_imports $(PY) -m tests.conformance

lint: $(SETUP) $(TOOLS)/checkov/.made ## run ruff, mypy, cfn-lint (by sam validate) and checkov
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(TOOLS)/sam/bin/sam validate --lint
	@$(TOOLS)/checkov/bin/checkov --config-file .checkov.yaml

format: .venv/.made ## format the code with ruff
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

sample: .venv/.made ## write a contact file of ROWS rows to SAMPLE
	@$(PY) -m local.sample --rows $(ROWS) --out $(SAMPLE)

key: .venv/.made ## make an API key for PROJECT on STACK; shown once
	@$(if $(PROJECT),,$(error Name the project: make key PROJECT=acme))
	@$(PY) -m local.api_key --stack-name $(STACK) create --project $(PROJECT)

revoke-key: .venv/.made ## revoke KEY, a key or its id, on STACK
	@$(if $(KEY),,$(error Name the key or its id: make revoke-key KEY=ci_0123456789ab_...))
	@$(PY) -m local.api_key --stack-name $(STACK) revoke $(KEY)

verify-deployment: $(SETUP) ## show that STACK works: small imports, refusals and settings, under a cent; removes its traces
	@$(PY) -m local.verification --stack-name $(STACK)

imports: .venv/.made ## watch the open imports of STACK: how far, how old
	@$(PY) -m local.imports --stack-name $(STACK)

logs: .venv/.made ## print and follow the logs of STACK's functions; IMPORT=id for one import's
	@$(PY) -m local.logs --stack-name $(STACK) $(if $(IMPORT),--import-id $(IMPORT))

lock: ## update the locked versions (needs uv)
	uv pip compile -q -U --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url requirements/layer.in -o layers/contact_imports/requirements.txt
	for name in aws bench dev generators microburst ministack sam; do uv pip compile -q -U --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url -c layers/contact_imports/requirements.txt requirements/$$name.in -o requirements/$$name.txt; done
	uv pip compile -q -U --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url requirements/checkov.in -o requirements/checkov.txt
	cd tests/generators && PATH="$(CURDIR)/$(TOOLS)/generators/bin:$$PATH" npm install --package-lock-only --silent

clean: ## remove everything that was installed or built
	rm -rf .venv .local .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis
