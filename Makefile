# `make book` and `make test` are all that a newcomer needs; `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
BOOK_TESTS := $(addprefix tests/site/,test_book.py test_draw_browser.py test_front_page.py test_stored_figures.py)
TESTS := tests
UNIT_TESTS = $(BIN)/pytest $(TESTS) $(BOOK_TESTS:%=--ignore=%) --numprocesses=2 --dist=worksteal

# In a container one is often root, which Jupyter refuses unless it is told.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

RECIPE := --architecture lenet5 --epochs 40 --augment --seed 0

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book test test-offline fast kill-test model measure-model bench measure install lab draw notebooks lint address lock pdf clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

book: .venv/cnnlib ## Build the book: _build/html/index.html (SOLUTIONS=0: without the solutions)
	@# All pages anew, so that none is left over and every warning shows each time. Only the notebooks' outputs are kept.
	@rm -rf _build/html
	$(BIN)/jupyter-book build . --all -W -n --keep-going -q
	@echo "The book is in _build/html/index.html"

test: lint fast stored-outputs book-test ## Check everything: style, library, stored outputs, the built book

test-offline: ## The same without MNIST and without a network, on the digits that come with the book
	@# The live figures, in tests/site, know no data but what the notebooks have stored: they are the same with MNIST.
	env -u CNNLIB_DATA CNNLIB_OFFLINE=1 CNNLIB_CACHE="$$(mktemp -d)" $(MAKE) fast book-test TESTS="tests/cnnlib tests/cnnbook tests/scripts"

.PHONY: book-test stored-outputs
book-test: book
	$(BIN)/pytest $(wildcard $(BOOK_TESTS)) --numprocesses=2 --dist=worksteal

fast: .venv/cnnlib ## Run the unit tests only
	$(UNIT_TESTS)

stored-outputs: export TQDM_DISABLE = 1
stored-outputs: export CNNBOOK_PAGE = 1
stored-outputs: export MPLBACKEND = module://matplotlib_inline.backend_inline
stored-outputs: export OPENBLAS_NUM_THREADS = 1
stored-outputs: .venv/cnnlib
	$(BIN)/pytest --nbval notebooks --nbval-sanitize-with=tests/sanitize.cfg --numprocesses=2 --dist=loadfile

kill-test: .venv/cnnlib ## Kill a training run a hundred times, at random moments, and compare what comes of it
	CNNLIB_KILLS=100 $(BIN)/pytest tests/cnnlib/test_saving.py -k killed

test-all: export CNNLIB_TIMES = 1
test-all: export CNNLIB_ALL_BROWSERS = 1
test-all: browsers student test kill-test fuzz ## Everything, and what takes hours: kills, and damaged files by the hundred thousand

.PHONY: browsers fuzz mutants test-all
browsers: .venv/cnnlib
	@$(BIN)/python -c "import selenium, websocket" 2>/dev/null || $(BIN)/python -m pip install --quiet \
	    --disable-pip-version-check --no-build-isolation --editable ".[browsers]"

fuzz: .venv/cnnlib ## Give each reader 100,000 damaged files, and the library 10,000 generated arguments
	CNNLIB_FUZZ=100000 $(BIN)/pytest tests/cnnlib/test_files.py tests/cnnlib/test_bad_input.py \
	    tests/cnnlib/digits/test_fuzz.py --numprocesses=2

mutants: .venv/cnnlib ## Plant each of a list of faults in the core, one after the other, and list those that no test notices
	$(BIN)/python scripts/mutants.py

model: .venv/cnnlib ## Train the network that comes with the package, as its model card says (needs MNIST)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m cnnlib train $(RECIPE) --output cnnlib/resources/lenet5.npz

measure-model: .venv/cnnlib ## Print how well that network reads MNIST's test images, and pen strokes where CNNLIB_DATA has them
	$(BIN)/python scripts/measure_model.py

.PHONY: beyond measure-beyond
beyond: .venv/cnnlib ## Train the networks of the chapters beyond digits, for some hours, and store them (needs MNIST)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python scripts/beyond.py train

measure-beyond: .venv/cnnlib ## Print the results of those networks: name, mean over the seeds, standard deviation
	$(BIN)/python scripts/beyond.py measure

bench: .venv/cnnlib ## Measure the speed next to PyTorch, which this installs; leave the machine alone meanwhile
	@$(BIN)/python -c "import mpi4py, torch" 2>/dev/null || { \
	    echo "Installing PyTorch and MPI into .venv, which takes some minutes."; $(BIN)/python -m pip install --quiet \
	    --disable-pip-version-check --no-build-isolation --editable ".[bench,cluster]"; }
	$(BIN)/python scripts/bench.py

measure: .venv/cnnlib ## Measure what `import cnnlib` costs, and how long training takes on a busy machine
	$(BIN)/python scripts/measure_import.py
	$(BIN)/python scripts/measure_busy.py

install: .venv/cnnlib ## Install everything into .venv

.PHONY: student test-newest test-oldest
student: .venv/cnnlib ## For a class: the site and the notebooks without solutions, in _build/student
	@# What Sphinx keeps beside the pages holds the solutions: the folder to hand out is another one.
	@rm -rf _build/student _build/student-work
	SOLUTIONS=0 $(BIN)/jupyter-book build . --path-output _build/student-work --all -W -n --keep-going -q
	$(BIN)/python scripts/make_student.py _build/student/notebooks
	@mv _build/student-work/_build/html _build/student/site
	@rm -r _build/student-work
	@echo "The site is in _build/student/site/index.html"

test-newest test-oldest: test-%: ## Run the unit tests with the newest, or the oldest, packages that are allowed (needs uv)
	uv venv --quiet --clear _build/$*
	uv pip install --quiet --python _build/$*/bin/python --editable ".[test,cluster,onnx]" \
	    --resolution $(if $(filter oldest,$*),lowest-direct,highest)
	@# Old packages are warned of what newer ones have given up: that is no fault of ours.
	CNNLIB_OFFLINE=1 _build/$*/bin/python -m pytest tests/cnnlib tests/cnnbook $(if $(filter oldest,$*),-W default)

pdf: book ## Print the whole book: _build/book.pdf (needs Chromium)
	$(BIN)/python scripts/make_pdf.py

.PHONY: my-notebooks
my-notebooks: .venv/cnnlib ## Copy the chapters to my-notebooks/, for you to run and change; what you have changed there stays
	@$(BIN)/python book/_ext/my_notebooks.py

lab: my-notebooks ## Open your copies of the chapters in JupyterLab
	$(BIN)/jupyter lab my-notebooks $(AS_ROOT)

notebooks: .venv/cnnlib ## Execute the notebooks and store their outputs in them (NOTEBOOKS=notebooks/...: only these)
	$(BIN)/python book/_ext/execution.py $(NOTEBOOKS)

draw: my-notebooks ## Open your copy of the chapter with the pad to draw on, in JupyterLab
	$(BIN)/jupyter lab my-notebooks/15-draw.ipynb $(AS_ROOT)

lint: .venv/cnnlib ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

address: .venv/cnnlib ## Say where the repository is: URL=https://github.com/OWNER/NAME; with URL= it has no address
	$(BIN)/python scripts/set_address.py $(URL)

lock: ## Find the newest versions that pyproject.toml allows and pin them in requirements.txt (needs uv)
	uv pip compile --universal --fork-strategy fewest --generate-hashes --no-header --no-emit-index-url \
	    --no-emit-find-links --python-version 3.11 pyproject.toml --extra book --extra cluster --extra test -o requirements.txt

clean: ## Remove what was built, but not .venv
	rm -rf _build .hypothesis .mypy_cache .pytest_cache .ruff_cache cnnlib.egg-info build

# The environment, in two steps: the pinned packages, then cnnlib and cnnbook, from this folder and without a download.

.venv/requirements: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	    f"The book needs Python 3.11 or newer, but $(PYTHON) is {v[0]}.{v[1]}. Try: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "The venv module of $(PYTHON) does not work, see above." >&2; exit 1; }
	@echo "Installing the packages of requirements.txt into .venv, which takes a minute or two."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@touch $@

.venv/cnnlib: .venv/requirements pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
