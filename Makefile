# What people and CI call. The work is done by Python under deploy/ and scripts/.
# Debian's own Python where there is one: the servers' user may execute it.
PYTHON := $(shell test -x /usr/bin/python3 && echo /usr/bin/python3 || echo python3)
VENV := .venv/bin
DEPLOY := $(PYTHON) -m deploy
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help up down clean status logs restart host host-remove test test-fast lint format bench openapi requirements

help:  ## Show this
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 16

up:  ## Install what is missing, start everything, run Hello World
	@$(DEPLOY) up

down:  ## Stop everything; leave nothing running or mounted
	@$(DEPLOY) down

clean:  ## `down`, then remove all state
	@$(DEPLOY) clean

status:  ## What runs, and where
	@$(DEPLOY) status

logs:  ## Follow the logs of all processes
	@$(DEPLOY) logs

restart:  ## Restart web, worker, beat and agent with the present code
	@$(DEPLOY) restart

host:  ## Start a further host on this machine: `make host NAME=b`
	@$(DEPLOY) host add $(NAME)

host-remove:  ## End it, with all that it made: `make host-remove NAME=b`
	@$(DEPLOY) host remove $(NAME)

setup-dev:
	@$(DEPLOY) setup-dev

test: setup-dev  ## All tests: server, agent, real sandboxes, whole stack, browser
	@$(VENV)/python scripts/run_tests.py

test-fast: setup-dev  ## The tests that need no sandbox, stack, browser or PostgreSQL
	@$(VENV)/python scripts/run_tests.py --fast

lint: setup-dev  ## Every check CI makes
	@$(VENV)/python scripts/lint.py

format: setup-dev  ## Put code and templates into their one form
	@$(VENV)/ruff check --fix --quiet . ; $(VENV)/ruff format . && $(VENV)/djlint --reformat --quiet templates

bench:  ## Measure a running stack (`make up` first); results in bench/results
	@$(VENV)/python -m bench

openapi: setup-dev  ## Write openapi.yaml from the code
	@$(VENV)/python scripts/openapi.py --write

requirements: setup-dev  ## Pin requirements*.txt anew from requirements*.in
	@$(VENV)/python scripts/pin_requirements.py
