# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The demo's runs lie in a folder of their own, so that it can be repeated.
DEMO := runs/demo
# Tests run in as many processes as there are cores, each with a TensorFlow of its own (up to 2 GB, so no more
# than 8). One that has nothing left takes tests from another, which keeps the tests of a file together (they
# share trained runs) and no core idle. To debug one test:  make test TESTS=tests/test_rundir.py WORKERS=0
WORKERS ?= logical
TESTS ?= tests

.PHONY: demo test lint types check clean

demo: $(VENV)/.installed
	rm -rf $(DEMO)
	$(BIN)/bigmodel train configs/digits_cnn.yaml --run-dir $(DEMO)
	$(BIN)/bigmodel evaluate $(DEMO)
	$(BIN)/bigmodel predict $(DEMO)
	@echo
	@echo "look at  $(DEMO)/learning_curves.png"
	@echo "         $(DEMO)/report.html"
	@echo "         $(DEMO)/predictions/predictions.png"
	@echo "then     . $(BIN)/activate && bigmodel --help"

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal --durations 10 $(TESTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

check: lint types test

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("bigmodel needs Python 3.11 or newer; name one: make demo PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(VENV)/.installed $@
