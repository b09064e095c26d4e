# make demo     trains the denoiser and draws its picture into runs/denoise; run again, it goes on
#               where it was stopped (to train anew, remove runs/denoise)
# make tutorials  opens the notebooks in JupyterLab
# make docs     builds the documentation site in docs/_build/html;  make links  asks whether the
#               pages elsewhere that it links to are still there, which needs the network
# make test     the quick tests;  make test-slow  the others
# make lint     ruff;  make spelling  codespell;  make types  mypy, and what the type stubs say
# make pages    writes what is generated: the type stubs, docs/reference.md, the gallery, tables and
#               plots of docs/performance.md, the drawings of the CUDA kernels, and the outputs
#               of notebooks that have changed
# make benchmarks  times the library beside others, half an hour, and writes docs/performance.md
# Each makes .venv on first use and again when pyproject.toml changes.

PYTHON ?= python3
TORCH ?= torch==2.13.0
PYTEST_WORKERS ?= auto

VENV := .venv
TORCH_VENV := .venv-torch
BENCH_VENV := .venv-bench
DOCS_VENV := .venv-docs
PY := $(VENV)/bin/python
DEMO := runs/denoise
WARN := PYTHONWARNDEFAULTENCODING=1

.PHONY: demo tutorials test test-slow notebooks parity lint spelling types pages docs links benchmarks clean

demo: $(VENV)/.stamp
	$(PY) -m tinydeconv train denoise --out $(DEMO) $(if $(wildcard $(DEMO)/checkpoint.safetensors),--resume)

tutorials: $(VENV)/.stamp
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" jupyter lab $(JUPYTER) tutorials/00_start.ipynb

test: $(VENV)/.stamp
	$(WARN) $(PY) -m pytest -n $(PYTEST_WORKERS)

test-slow: $(VENV)/.stamp
	$(WARN) $(PY) -m pytest -m slow -n $(PYTEST_WORKERS)

notebooks: $(VENV)/.stamp
	$(WARN) TINYDECONV_FAST=1 $(PY) -m pytest --nbmake --nbmake-timeout=120 tutorials

parity: $(TORCH_VENV)/.stamp
	$(WARN) $(TORCH_VENV)/bin/python -m pytest -m 'slow or not slow' tests/parity

lint: $(VENV)/.stamp
	$(PY) -m ruff check

spelling: $(VENV)/.stamp
	$(VENV)/bin/codespell

types: $(VENV)/.stamp
	$(PY) -m mypy
	$(WARN) $(PY) -m pytest -m 'slow or not slow' tests/test_typing.py

pages: $(VENV)/.stamp
	$(PY) tools/stubs.py
	$(PY) tools/reference.py
	$(PY) -m benchmarks report
	$(PY) tools/gallery.py
	$(PY) tools/draw_kernels.py
	$(PY) tools/notebooks.py

SPHINX = $(DOCS_VENV)/bin/python -m sphinx -c docs -d docs/_build/doctrees

docs: $(DOCS_VENV)/.stamp
	rm -rf docs/_build
	$(SPHINX) --quiet --fail-on-warning --keep-going . docs/_build/html
	@echo 'The first page is docs/_build/html/index.html'

links: $(DOCS_VENV)/.stamp
	$(SPHINX) --builder linkcheck . docs/_build/links

BENCH := $(BENCH_VENV)/bin/python -m benchmarks
RECORDS := docs/performance

benchmarks: $(BENCH_VENV)/.stamp
	$(BENCH) kernels --against torch dezero mygrad --json $(RECORDS)/kernels.json
	$(BENCH) steps --json $(RECORDS)/steps.json
	$(BENCH) engine --against torch dezero mygrad --json $(RECORDS)/engine.json
	$(BENCH) memory --json $(RECORDS)/memory.json
	$(BENCH) scaling --rounds 3 --json $(RECORDS)/scaling.json
	$(BENCH) report

$(VENV)/.stamp: REQUIREMENTS := -e ".[test,lint,tutorials]"
$(TORCH_VENV)/.stamp: REQUIREMENTS := -e ".[images]" pytest $(TORCH)
$(DOCS_VENV)/.stamp: REQUIREMENTS := -e ".[docs]"
$(BENCH_VENV)/.stamp: REQUIREMENTS := -e ".[bench]" $(TORCH)

%/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'tinydeconv needs Python 3.11 or newer: make PYTHON=python3.11'; exit 1; }
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet $(REQUIREMENTS)
	@touch $@

# Back to a fresh checkout; runs/ holds trained weights and stays.
clean:
	rm -rf $(VENV) $(TORCH_VENV) $(BENCH_VENV) $(DOCS_VENV) build dist docs/_build .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
