# make run      the main job at demonstration size
# make test     the whole test suite, in WORKERS processes of 2 GB each
# make explore  a cell to change by hand, in the browser
# make docs     the documentation as a site, in site/
# All set up what they need: nothing but Python >= 3.11 and make is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: run test explore docs clean

run: $(VENV)/.installed
	$(BIN)/python -m repro.train_paper --preset quick

test: $(VENV)/.installed-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m codespell_lib
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

explore: $(VENV)/.installed-explore
	$(BIN)/python -m repro.explore

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; make PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,damask]"
	touch $@

$(VENV)/.installed-explore: $(VENV)/.installed pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[explore]"
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV)
