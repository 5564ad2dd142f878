# Two commands: `make study` and `make test`. `make help` lists the rest.

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --rerun-triggers mtime params --rerun-incomplete --keep-going --show-failed-logs --quiet host
# Threads that spin while they wait would slow down runs that share a machine.
export OMP_WAIT_POLICY ?= PASSIVE
SECTION ?= study

.DEFAULT_GOAL := help
.PHONY: help install study ablations full plan section redraw tables unlock test lint lab clean

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

install: .venv/installed  ## make .venv with the pinned packages

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
		{ echo "Python 3.11 or 3.12 is needed; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[test]'
	touch $@

study: install  ## run the default study: data, backbone, runs, then tables and figures in figures/
	$(SNAKEMAKE)

ablations: install  ## run every comparison and ablation at five seeds (two hours on two cores)
	$(SNAKEMAKE) --config section=ablations

full: install  ## run everything at five seeds, methods at several learning rates (seven hours on two cores)
	$(SNAKEMAKE) --config section=full
	$(SNAKEMAKE) --config section=ablations

plan: install  ## show what is left of a section and its minutes; as in: make plan SECTION=full
	@$(SNAKEMAKE) --dry-run --config section=$(SECTION) | awk '/^Job stats/ {shown++} shown == 1; /^total/ {shown++}'

section: install  ## run a section of your own in study.yaml: make section SECTION=mine
	$(SNAKEMAKE) --config section=$(SECTION)

redraw: install  ## draw a section's tables and figures again, after a change of the code: make redraw SECTION=study
	$(SNAKEMAKE) --config section=$(SECTION) --forcerun notebook report

tables: install  ## draw a section from the runs that are there, naming the others: make tables SECTION=full
	$(SNAKEMAKE) --config section=$(SECTION) train=False

unlock: install  ## after a power cut or kill -9: let the next command start where the last one stopped
	@$(SNAKEMAKE) --unlock

test: export OMP_NUM_THREADS = 1  # the models of the tests are too small to share
test: install  ## run every test, the notebooks among them
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -p no:cacheprovider --nbval-lax --nbval-current-env --nbval-cell-timeout=600 notebooks

lint: install  ## check the style
	$(BIN)/ruff check .

lab: install  ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir notebooks

clean:  ## remove runs and drawn data; real data sets and .venv stay
	rm -rf runs data/scenes*_precomp .snakemake figures/report.html figures/*/report.html
