# `make help` lists the targets: it prints the comments that follow them with ##.
#
# What is needed is installed on the way: Debian packages by apt, where they are missing, and PyPI
# packages into .venv. Stamp files make a rerun quick.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# With ccache on the machine, what is compiled once is not compiled again: by the tests, for a wheel, in another clone.
ifneq ($(shell command -v ccache),)
export CC := ccache $(filter-out ccache,$(CC))
export CCACHE_NOHASHDIR := 1
endif

# In an environment made for it, the build needs no isolated one: a rebuild takes seconds.
BUILD_REQUIRES := "setuptools>=77" "numpy>=2.0" "scipy-openblas32>=0.3.30" wheel
SOURCES := setup.py pyproject.toml $(shell find csrc -name '*.[ch]' -o -name '*.def')

# What finds most mistakes in a minute: the core's numbers, the package's doors, and the rules of the house.
QUICK := $(addprefix tests/test_,head.py layers.py image.py model.py model_file.py results.py explainers.py house.py layout.py)

# Three processes for two cores, since some tests sleep; more threads would wait for each other, and tests of threads
# ask for theirs.
ONE_THREAD := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 XCOS_NUM_THREADS=1

.PHONY: help demo check test lint docs fuzz sanitize tsan test-all lowest wheel clean distclean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'

demo: $(VENV)/.built ## set up everything, build, and explain a pair of the shipped photographs
	@mkdir -p build
	@$(BIN)/xcos explain examples/obama_portrait_2012.jpg examples/obama_congress_2009.jpg -o build/demo.png

check: $(VENV)/.built $(VENV)/.test ## the tests that find most mistakes, in about a minute
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 3 -m "not slow" $(QUICK)

test: $(VENV)/.built $(VENV)/.test ## all tests in three processes; PYTEST="-m 'not slow'" leaves out those that take long
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 3 --dist worksteal $(PYTEST)

lint: $(VENV)/.built $(VENV)/.test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.built $(VENV)/.test ## the documentation, in docs/_build/html; warnings are errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@touch docs/_build/built # tests/test_docs.py builds them anew after a change

wheel: $(VENV)/.built $(VENV)/.test ## sdist and wheel in dist/
	$(BIN)/python -m build --no-isolation

fuzz: $(VENV)/.built $(VENV)/.test ## the fuzz targets, SECONDS=20 each; TARGETS="image model" for some; SANITIZE=1: see fuzz/run
	PYTHON=$(BIN)/python fuzz/run $(or $(SECONDS),20) $(TARGETS)

sanitize: $(VENV)/.built $(VENV)/.test ## the tests with AddressSanitizer and UndefinedBehaviorSanitizer
	PYTHON=$(abspath $(BIN)/python) sh tools/sanitize.sh address

tsan: $(VENV)/.built ## the pool of threads with ThreadSanitizer
	PYTHON=$(abspath $(BIN)/python) sh tools/sanitize.sh thread

test-all: ## the tests on every CPython, NumPy and compiler that can be had here
	sh tools/test_all.sh

lowest: ## the tests of what uses other packages, with the lowest versions declared
	sh tools/lowest.sh

$(VENV)/.venv:
	sh tools/bootstrap.sh "$(PYTHON)" "$(VENV)"
	$(PIP) $(BUILD_REQUIRES)
	@touch $@

$(VENV)/.built: $(VENV)/.venv $(SOURCES)
	$(PIP) --no-build-isolation --editable '.[plot]'
	@touch $@

$(VENV)/.test: $(VENV)/.venv requirements-test.txt
	$(PIP) --requirement requirements-test.txt
	@touch $@

clean: ## remove what was built
	rm -rf build dist docs/_build *.egg-info xcos/_libs xcos/_core*.so
	rm -f $(VENV)/.built

distclean: clean ## the virtual environment too
	rm -rf $(VENV)
