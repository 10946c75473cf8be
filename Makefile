# The book and its package. `make help` lists what there is; Python 3.11+, git and make are all it needs.

VENV ?= .venv
BIN  := $(VENV)/bin
NB   ?= $(sort $(wildcard notebooks/*.ipynb))
HTML := _build/html
LIGHTHOUSE := 12.8.2

# No progress bars in tests and pages; the locked packages and no others.
export TQDM_DISABLE := 1
export PYTHONNOUSERSITE := 1
export JUPYTER_PREFER_ENV_PATH := 1

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help book html serve lab test lint unit peers soak nbval browse browser lighthouse notebooks exercises editions pdf bench lock clean

help: ## this list
	@sed -nE 's/^([a-z]+):.*## /  make \1\t/p' Makefile | expand -t 18

$(VENV)/.ready: requirements.lock pyproject.toml tools/setup.sh
	@tools/setup.sh $(VENV)
	@touch $@

book: html ## build the book, warnings as errors, and open it
	@$(BIN)/python tools/show.py $(HTML)/index.html

# After a failure Sphinx would not warn again about a page it has read: let it read all again.
html: $(VENV)/.ready
	@$(BIN)/jupyter-book build -q -W -n --keep-going . || { rm -rf _build/.doctrees; exit 1; }

serve: html ## serve the built book on this machine
	@$(BIN)/python tools/serve.py $(HTML)

lab: $(VENV)/.ready ## JupyterLab on the notebooks
	@$(BIN)/jupyter lab notebooks

test: lint unit nbval browse ## everything: style, types, package, notebooks, pages in a browser

lint: $(VENV)/.ready ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One after another: some of these tests look at every process and shared block of the machine.
unit: $(VENV)/.ready ## the package: unit tests, laws, doctests; the form of the notebooks
	$(BIN)/pytest -q --ignore=tests/book

# Heavy libraries that are not in the lock file: an environment of their own.
.venv-peers/.ready: tests/peers/requirements.txt pyproject.toml
	$(or $(PYTHON),python3) -m venv .venv-peers
	.venv-peers/bin/pip install -q -r tests/peers/requirements.txt
	.venv-peers/bin/pip install -q --no-deps -e .
	@touch $@

peers: .venv-peers/.ready ## fedcore against PyTorch, Flower and Opacus, once a week
	FLWR_TELEMETRY_ENABLED=0 .venv-peers/bin/pytest -q tests/peers

soak: $(VENV)/.ready ## a thousand runs in a row; nothing may grow
	SOAK=1000 $(BIN)/pytest -q -s tests/hazards/test_soak.py

nbval: $(VENV)/.ready ## the notebooks, run again: every printed number compared
	$(if $(NB),$(BIN)/pytest -q -n 2 --dist loadfile --nbval --nbval-current-env \
	  --nbval-cell-timeout 300 $(NB))

browse: html browser ## the built pages, in a real browser
	$(BIN)/pytest -q -n 2 --dist worksteal tests/book

browser: $(VENV)/.ready
	@$(BIN)/python tools/browser.py

.lighthouse/.ready: Makefile
	PUPPETEER_SKIP_DOWNLOAD=1 npm install --silent --no-audit --no-fund --no-save --no-package-lock \
	  --ignore-scripts --prefix .lighthouse lighthouse@$(LIGHTHOUSE)
	@touch $@

# Times are no tests: they depend on the machine, so this runs once a week and by hand.
lighthouse: html browser .lighthouse/.ready ## scores and reaction times of the pages (PAGES=...; needs Node)
	$(BIN)/python tools/lighthouse.py $(PAGES)
	$(BIN)/python tools/reaction.py $(PAGES)

notebooks: $(VENV)/.ready ## execute and strip the notebooks (NB=path for some)
	$(if $(NB),$(BIN)/python tools/notebooks.py $(NB))

exercises: $(VENV)/.ready ## the student and the instructor version of the classroom exercises
	@$(BIN)/python tools/exercises.py

editions: pdf ## the PDF, into the built book
	@mkdir -p $(HTML)/editions && cp _build/book.pdf $(HTML)/editions/

pdf: $(VENV)/.ready browser ## the whole book as _build/book.pdf
	$(BIN)/jupyter-book build -q -W -n --keep-going --builder singlehtml .
	$(BIN)/python tools/print_pdf.py _build/singlehtml/book/intro.html _build/book.pdf

bench: $(VENV)/.ready ## fedcore against its peers, in environments of their own (ARGS=--quick)
	$(BIN)/python benchmarks/bench.py --install $(ARGS)

lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --upgrade --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --extra dev pyproject.toml -o requirements.lock

clean: ## remove what was built; keep the environment
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
