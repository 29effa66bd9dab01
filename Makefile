# make demo     assess the example pictures and write report.html
# make check    ruff, mypy --strict and tests/unit: no torch, no weights, under a minute
# make test     everything that CI runs: the same, then the tests of models, training, evaluation and applications
# make proofs   hours: fresh installations, lower bounds, mutants, toy training; outputs go to docs/results/proofs
# make clean    remove what these made

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check -q

.PHONY: demo check test proofs clean

demo: $(VENV)/.installed
	$(VENV)/bin/snellen assess examples/*.jpg --report report.html

check: $(VENV)/.checked
	VENV=$(VENV) scripts/check unit

test: $(VENV)/.tested
	VENV=$(VENV) scripts/check all

proofs: $(VENV)/.tested
	VENV=$(VENV) scripts/proofs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.checked: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e ".[dev,data,heic,raw,openai,video,restore,restore-learned,reference,serve]"
	touch $@ $(VENV)/.installed

# torch goes first and alone, so that an index with builds for the CPU can give one
$(VENV)/.tested: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e ".[dev,data,heic,raw,openai,video,restore,restore-learned,reference,serve,hf,train,lora,trl]"
	touch $@ $(VENV)/.checked $(VENV)/.installed

clean:
	rm -rf $(VENV) report.html build dist .mypy_cache .ruff_cache .pytest_cache
