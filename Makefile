# make demo   set up everything, build, and explain a pair of the shipped photographs
# make test   run the tests in two processes; PYTEST="-m 'not slow'" leaves out those that take long
# make lint   ruff and mypy
# make docs   the documentation, in docs/_build/html; warnings are errors
# make wheel  sdist and wheel in dist/
# make fuzz      the fuzz targets, SECONDS=20 each (fuzz/run); TARGETS="image model" for some; SANITIZE=1: see there
# make sanitize  the tests with AddressSanitizer and UndefinedBehaviorSanitizer (tools/sanitize.sh)
# make tsan      the pool of threads with ThreadSanitizer
# make test-all  the tests on every CPython, NumPy and compiler that can be had here (tools/test_all.sh)
# make lowest    the tests of what uses other packages, with the lowest versions declared (tools/lowest.sh)
# make clean  remove what was built; make distclean: the virtual environment too
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

.PHONY: demo test lint docs fuzz sanitize tsan test-all lowest wheel clean distclean

demo: $(VENV)/.built
	@mkdir -p build
	@$(BIN)/xcos explain examples/obama_portrait_2012.jpg examples/obama_congress_2009.jpg -o build/demo.png

test: $(VENV)/.built $(VENV)/.test
	$(BIN)/python -m pytest -q -n 2 --dist worksteal $(PYTEST)

lint: $(VENV)/.built $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.built $(VENV)/.test
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@touch docs/_build/built # tests/test_docs.py builds them anew after a change

wheel: $(VENV)/.built $(VENV)/.test
	$(BIN)/python -m build --no-isolation

fuzz: $(VENV)/.built $(VENV)/.test
	PYTHON=$(BIN)/python fuzz/run $(or $(SECONDS),20) $(TARGETS)

sanitize: $(VENV)/.built $(VENV)/.test
	PYTHON=$(abspath $(BIN)/python) sh tools/sanitize.sh address

tsan: $(VENV)/.built
	PYTHON=$(abspath $(BIN)/python) sh tools/sanitize.sh thread

test-all:
	sh tools/test_all.sh

lowest:
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

clean:
	rm -rf build dist docs/_build *.egg-info xcos/_libs xcos/_core*.so
	rm -f $(VENV)/.built

distclean: clean
	rm -rf $(VENV)
