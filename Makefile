# Two commands: `make study` and `make test`. `make help` lists the rest.

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
# An environment made here, or your own: make BIN=$CONDA_PREFIX/bin study
BIN ?= .venv/bin
STUDY := $(BIN)/python -m petl_core study --cores $(CORES)
SECTION ?= study
DATASET ?= rsitmd

.DEFAULT_GOAL := help
.PHONY: help install study section plan figures results paper redraw unlock test lint format bench lab clean clean-runs

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

# Your own environment has its packages from environment.yml, and is left as it is.
install: $(if $(filter .venv/bin,$(BIN)),.venv/installed)  ## make .venv with the pinned packages

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
		{ echo "Python 3.11 or 3.12 is needed; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[test]'
	touch $@

study: install  ## train and draw the default study: figures in figures/study/
	@$(STUDY) study

section: install  ## any section of study.yaml, your own included: make section SECTION=cmer
	@$(STUDY) $(SECTION)

plan: install  ## what is left of a section, and the minutes it takes: make plan SECTION=full
	@$(STUDY) $(SECTION) --plan

results: install  ## add a section's finished runs to the archive: make results SECTION=cmer
	@$(BIN)/python -m petl_core results $(SECTION)

figures: install  ## draw every archived section again, without training, with PDF and LaTeX
	@set -e; for table in figures/results/*.parquet; do \
		FIGURE_FORMATS=pdf,tex $(STUDY) $$(basename $$table .parquet) --no-training --redraw; done

paper: install  ## make the published tables: make paper DATASET=rsitmd (or rsicd, ucm); OPTIONS=--dry-run only checks
	@$(BIN)/python -m petl_core paper $(DATASET) --cores $(CORES) $(if $(BACKBONE),--backbone '$(BACKBONE)') \
		$(if $(PRETRAINED),--pretrained '$(PRETRAINED)') $(if $(DATA_ROOT),--data-root '$(DATA_ROOT)') $(OPTIONS)

redraw: install  ## draw a section again from its finished and archived runs: make redraw SECTION=study
	@$(STUDY) $(SECTION) --no-training --redraw

unlock: install  ## after a power cut or kill -9: let the next command start where the last one stopped
	@$(STUDY) $(SECTION) --unlock

test: lint  ## run every check and test, the notebooks included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(CORES)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile -p no:cacheprovider --nbval-lax --nbval-current-env --nbval-cell-timeout=600 notebooks

lint: install  ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

format: install  ## put code and notebooks into the common format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## show where the time of a study goes
	$(BIN)/python benchmarks/study_time.py

lab: install  ## open JupyterLab on a start page; OPTIONS='--ip 0.0.0.0 --no-browser' goes to Jupyter
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/README.md \
		--LabApp.app_settings_dir=.jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) $(OPTIONS)

clean:  ## remove what is quickly remade: Snakemake's state, caches of tools, figures/study
	rm -rf .snakemake .mypy_cache .pytest_cache .ruff_cache .hypothesis figures/study

# The drawn data sets by name (petl_core/data/default_data.py): your own may have similar names.
DRAWN := scenes scenes-tiny scenes-natural scenes-natural-tiny

clean-runs: clean  ## remove runs/, too: EVERY FINISHED RUN (hours of training), search indexes, caches; and drawn data
	rm -rf runs $(DRAWN:%=data/%_precomp)
