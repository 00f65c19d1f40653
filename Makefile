# `make draft` and `make test` do everything, from a fresh clone on; the rest are steps of theirs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FLOWER := .venv-federated
PIP    := $(BIN)/python -m pip --disable-pip-version-check
STUDY  ?= sample
OUTPUT ?= drafts/mni152

# Compiled once, and not again in each of the many processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help app draft federated test test-slow check train figures clean

help:
	@echo "make draft      install, and draft the report of STUDY ($(STUDY)) into OUTPUT ($(OUTPUT))"
	@echo "make app        install, and serve the chat page on this machine alone"
	@echo "make federated  make the environment of Flower in $(FLOWER); see docs/federated.md"
	@echo "make test       install, check and test"
	@echo "make test-slow  run the slow tests"
	@echo "make check      lint, types and import contracts"
	@echo "make train      train the segmenter anew from VOXCITE_DATA; takes hours without a GPU"
	@echo "make figures    print every figure of the segmenter's card, from VOXCITE_DATA; takes long"
	@echo "make clean      remove everything that these commands made"

draft: $(VENV)/installed
	$(BIN)/voxcite draft $(STUDY) -o $(OUTPUT)

app: $(VENV)/installed-app
	$(BIN)/python app.py

federated: $(FLOWER)/installed

test: $(VENV)/installed-dev check
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m slow -n 2 --dist worksteal

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

train: $(VENV)/installed
	$(BIN)/voxcite train segmenter

FIGURES := accuracy coverage heads repeatability followup speed runtimes

figures: $(VENV)/installed-dev
	set -e; for part in $(FIGURES); do echo "# $$part"; $(BIN)/python -m tests.benchmarks.$$part; done

clean:
	rm -rf $(VENV) $(FLOWER) build dist drafts *.egg-info .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find assistant segment prompts tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp stands for a finished step: an interrupted one is done again, a finished one is not.
$(VENV)/created $(FLOWER)/created:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) was not found; install Python 3.11 or newer, or name it: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "voxcite needs Python 3.11 or newer, $(PYTHON) is older; name a newer one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module; install it (Debian, Ubuntu: apt-get install python3-venv) and run make again." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(@D)
	@touch $@

$(VENV)/installed: pyproject.toml $(VENV)/created
	$(PIP) install -e .
	@touch $@

$(VENV)/installed-app: pyproject.toml $(VENV)/installed
	$(PIP) install -e '.[app,exports]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/installed
	$(PIP) install -e '.[dev,exports,app,batch,cpu,dicomweb,ray]'
	@touch $@

# Flower's pins fight gradio's. It gets our sources without what they need to train: that is installed above.
$(FLOWER)/installed: segment/federated/flower/requirements.txt pyproject.toml $(FLOWER)/created
	$(FLOWER)/bin/python -m pip --disable-pip-version-check install -r $<
	$(FLOWER)/bin/python -m pip --disable-pip-version-check install --no-deps -e .
	@touch $@
