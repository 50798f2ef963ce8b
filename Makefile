# What people and CI run; `make` lists it. Needs Python 3.11 or later, and the network once, to fill .venv.
#
# pip decides which torch comes: the pin torch==2.13.0 in constraints.txt also fits a build without CUDA
# (2.13.0+cpu), which pip prefers wherever it is offered. The usual build for x86 Linux brings gigabytes of
# CUDA libraries; on a machine without a GPU, name PyTorch's index of CPU builds in PIP_EXTRA_INDEX_URL first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e

.DEFAULT_GOAL := help
.PHONY: help demo test pages check lint types bench clean-demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/base.stamp clean-demo ## set up, then play a whole competition of two stages in .demo
	@$(BIN)/kagkit demo --keep .demo

test: $(VENV)/dev.stamp ## run the tests, two at a time
	@$(BIN)/python -m pytest -n 2 -m "not pages"

pages: $(VENV)/dev.stamp ## type in every command of README and docs, and see that it does what the page says
	@$(BIN)/python -m pytest -n 2 -m pages

check: lint types pages test ## what CI runs: lint, types, pages, tests

lint: $(VENV)/dev.stamp ## check style and formatting
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check

types: $(VENV)/dev.stamp ## check the types
	@$(BIN)/python -m mypy

bench: $(VENV)/bench.stamp ## measure kagkit beside its peers
	@for file in $$(grep -l __main__ benchmarks/*.py); do echo "$$ python $$file"; $(BIN)/python "$$file" || exit 1; done

clean-demo: ## remove what the demo made
	@rm -rf .demo

clean: clean-demo ## remove the environment too
	@rm -rf $(VENV)

# A stamp is younger than the files it stems from once everything is installed: then pip is not asked again.
$(VENV)/base.stamp: pyproject.toml constraints.txt
	@echo "installing kagkit into $(VENV) (once, about a minute)..."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) .
	@touch $@

$(VENV)/%.stamp: $(VENV)/base.stamp
	@echo "installing the $* extra into $(VENV) (once, about a minute)..."
	@$(INSTALL) '.[$*]'
	@touch $@
