# make demo   assess the example pictures and write report.html
# make test   everything that CI runs: ruff, mypy, pytest
# make clean  remove what these made

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check -q

.PHONY: demo test clean

demo: $(VENV)/.installed
	$(VENV)/bin/snellen assess examples/*.jpg --report report.html

test: $(VENV)/.tested
	VENV=$(VENV) scripts/check

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e .
	touch $@

# torch goes first and alone: the version that the tests were written with, for the CPU where the index has that
# build. It is needed for training only.
$(VENV)/.tested: pyproject.toml | $(VENV)/bin/python
	$(PIP) install torch==2.13.0
	$(PIP) install -e ".[dev,train,parquet,hf,heic,raw]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) report.html build dist .mypy_cache .ruff_cache .pytest_cache
