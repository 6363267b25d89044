# make demo   facts in Chinese sentences -> tokenizer -> token shards -> a small T5 that fills in facts, for transformers
# make test   lint, types, tests
# make test-gpu-mirror   the tests with what the GPU machine has: Python 3.12, torch 2.11 (no GPU needed; 8 GB of disk)
# make docs   the site, in build/docs: pages of docs/, the configuration reference, the Python reference
# All make .venv (test-gpu-mirror: .venv-gpu) and install what is missing; nothing but Python 3.11+ has to be there.

SHELL := /bin/bash
PYTHON ?= python3
PYTHON312 ?= python3.12
BIN := .venv/bin
MIRROR := .venv-gpu
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS ?= 1
TEST_WORKERS ?= 2

.PHONY: demo test test-gpu-mirror docs lint format clean

demo: $(READY)
	launch/demo.sh

test: lint
	python -m pytest -n $(TEST_WORKERS) --dist worksteal --durations 30

test-gpu-mirror: export PATH := $(CURDIR)/$(MIRROR)/bin:$(PATH)
test-gpu-mirror: $(MIRROR)/.ready
	python -m pytest -n $(TEST_WORKERS) --dist worksteal --durations 30

# mkdocs-material tells of its successor, and of mkdocs 2, at every start.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

format: $(READY)
	ruff check --fix .
	ruff format .

# Installed again when the list of dependencies changes.
$(READY): pyproject.toml setup.py | $(BIN)/pip
	$(BIN)/python -c 'import torch; assert tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 11)' 2>/dev/null \
		|| $(BIN)/python -m pip install -q torch==2.13.0
	$(BIN)/python -m pip install -q -e '.[test]'
	touch $@

$(MIRROR)/.ready: pyproject.toml setup.py tests/gpu-machine.txt | $(MIRROR)/bin/pip
	$(MIRROR)/bin/python -m pip install -q -c tests/gpu-machine.txt -e '.[test]'
	touch $@

.venv/.docs: $(READY)
	$(BIN)/python -m pip install -q -e '.[docs]'
	touch $@

# Debian and Ubuntu ship Python without ensurepip until python3-venv is installed.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Taixue needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
		     then apt-get update -qq && apt-get install -qq -y python3-venv; \
		     else echo "Python's venv is missing. Run: sudo apt-get install python3-venv" >&2; exit 1; fi; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip

$(MIRROR)/bin/pip:
	@$(PYTHON312) -c 'import sys, ensurepip, venv; assert sys.version_info[:2] == (3, 12)' 2>/dev/null \
		|| { echo "The GPU machine has Python 3.12, and $(PYTHON312) is not one that can make environments." \
		     "Try: make test-gpu-mirror PYTHON312=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON312) -m venv $(MIRROR)
	$(MIRROR)/bin/python -m pip install -q --upgrade pip

clean:
	rm -rf build dist runs/demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*/*' -prune -exec rm -rf {} +
