# Two commands, each with all the set-up that it needs:
#   make run    the whole pipeline as params.yaml says, then a short summary
#   make test   lint, types and the fast tests; what CI runs first (`make check` is the same)
#   make integration   tests that start Label Studio, MLflow, PostgreSQL and a browser
#   make mlflow MLflow's page over the project's own runs, until Ctrl-C
#   make label-studio     Label Studio for those who correct labels, on the pipeline's pictures, until Ctrl-C
#   make bench            how fast recognisers are from file to row, ours and ONNX_DETECTOR= with ONNX_READER=path:alphabet
#   make bench-detector   every detector that ships, and ONNX=path, on the pictures of SOURCE that the last run curated
#   make bench-reader     every reader that ships, Tesseract, RapidOCR and ONNX=path:alphabet, on its plates; SPLIT=test or all
#   make bench-queue      how many labels made wrong on purpose the annotators' queue finds, and what mending them gains
#   make study            compares the settings of STUDY as DVC experiments: table and picture in study/; stopped, it goes on
#   make experiments      the project's DVC experiments, in the few columns that matter
#   make ci-report        what became of the figures since BASE, a revision or another checkout, as Markdown; OUT=file
# and `make setup`, `make rapidocr`, `make format`, `make lock`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
UV := .venv/uv/bin/uv
UV_VERSION := 0.13.9
READY := .venv/ready-$(shell cat requirements.lock pyproject.toml | sha256sum | cut -c1-16)

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
export TF_CPP_MIN_LOG_LEVEL ?= 2
export GX_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export NO_ALBUMENTATIONS_UPDATE := 1

PORT ?= 5000

.PHONY: help run mlflow label-studio label-studio-env bench bench-detector bench-reader bench-queue study experiments ci-report test check integration setup rapidocr debian browser postgresql lint types tests format lock

help:
	@sed -n '1,14s/^# \?//p' Makefile

run: setup
	@dvc repro
	python -m pipeline.serving.summary

# One worker and no job queue: for one person looking at a local database.
mlflow: setup
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri sqlite:///mlflow.db --workers 1 --port $(PORT)

# In an environment of its own: it asks for other versions of much that we need. STUDIO_PORT=8081 takes another port.
STUDIO_PORT ?= 8080
label-studio: setup label-studio-env
	@python -m pipeline.labeling.server .label-studio/env/bin/label-studio --images data --port $(STUDIO_PORT)

label-studio-env: setup
	@[ -x .label-studio/env/bin/label-studio ] && exit 0
	mkdir -p -m 700 .label-studio
	echo "Installing Label Studio into .label-studio/env ..."
	$(UV) venv -q --allow-existing .label-studio/env
	$(UV) pip install -q --python .label-studio/env/bin/python -r requirements-label-studio.lock 2>.venv/uv.log ||
		.venv/uv/bin/pip --python .label-studio/env/bin/python install -q --disable-pip-version-check --no-deps -r requirements-label-studio.lock

SOURCE ?= kaggle
SPLIT ?= test
bench: setup
	@python -m pipeline.benchmarks.speed --source $(SOURCE) --split $(SPLIT) $(addprefix --model ,$(MODEL)) \
		$(addprefix --onnx-detector ,$(ONNX_DETECTOR)) $(addprefix --onnx-reader ,$(ONNX_READER)) \
		$(addprefix --photos ,$(PHOTOS)) --out docs/bench-speed-$(SOURCE).md $(addprefix --readme ,$(README))

bench-detector: setup
	@python -m pipeline.benchmarks.detectors --source $(SOURCE) $(addprefix --model ,$(MODEL)) $(addprefix --onnx ,$(ONNX)) \
		--out docs/bench-detector-$(SOURCE).md $(addprefix --readme ,$(README))

bench-reader: setup
	@python -m pipeline.benchmarks.readers --source $(SOURCE) --split $(SPLIT) $(addprefix --model ,$(MODEL)) \
		$(addprefix --onnx ,$(ONNX)) --out docs/bench-reader-$(SOURCE).md $(addprefix --readme ,$(README))

bench-queue: setup
	@python -m pipeline.benchmarks.label_errors --source $(SOURCE) $(addprefix --model ,$(MODEL)) \
		--out docs/bench-queue-$(SOURCE).md $(addprefix --readme ,$(README))

STUDY ?= study.yaml
study: setup
	@python -m pipeline.studies.study --study $(STUDY) --out $(or $(OUT),study) $(if $(GRID),--grid) $(if $(PLAN),--plan)

# Columns of `dvc exp show`, as regular expressions: these figures always, these params where they differ.
FIGURES := end_to_end\.exact|detection\.ap50|detection_fast\.ap50|ocr\.network\.labelled\.exact|version
PARAMS := sources|augment\..*(share|rendered)|train_[a-z]+\.(backbone|head|decoder|weights|epochs|learning_rate)
experiments: setup
	@dvc exp show --only-changed $(if $(MD),--md) \
		--keep '^(Experiment|Created|$(FIGURES))$$' --drop '^(?!(Experiment|Created|State|$(FIGURES)|$(PARAMS))$$)'

BASE ?= main
ci-report: setup
	@python -m pipeline.studies.change --base $(BASE) $(addprefix --out ,$(OUT))

test check: lint types tests

lint: setup
	@ruff check .
	ruff format --check .

types: setup
	@mypy

tests: setup
	@pytest

# Tests that start real servers and a real browser.
integration: setup label-studio-env browser
	@$(MAKE) -s postgresql || echo "Without PostgreSQL its tests are skipped" >&2
	pytest -m integration

format: setup
	@ruff check --fix .
	ruff format .

setup: debian $(READY)

# What pip cannot give: Tesseract, and on a bare Debian the part of Python that makes environments; for tests a browser and
# PostgreSQL.
define apt-install
	[ $${#missing[@]} -gt 0 ] || exit 0
	sudo=()
	[ "$$(id -u)" = 0 ] || sudo=(sudo -n)
	if ! command -v apt-get >/dev/null || ! "$${sudo[@]}" true 2>/dev/null; then
		echo "Missing on this machine: $${missing[*]}. Install with the command below, then run make again:" >&2
		echo "    sudo apt-get install $${missing[*]}" >&2
		exit 1
	fi
	"$${sudo[@]}" apt-get update -qq || true
	"$${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$${missing[@]}" >/dev/null
endef

debian:
	@missing=()
	command -v tesseract >/dev/null || missing+=(tesseract-ocr)
	[ -x $(UV) ] || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
	$(apt-install)

browser:
	@missing=()
	command -v chromium >/dev/null || missing+=(chromium)
	$(apt-install)

postgresql:
	@missing=()
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
	$(apt-install)

# One environment, exactly requirements.lock. uv takes the first Python on PATH that pyproject.toml allows, or fetches
# one; where it cannot reach the package index as configured for pip, pip itself does it, more slowly.
$(READY): | debian
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; PYTHON=... names another one")'
	[ -x $(UV) ] || { $(PYTHON) -m venv .venv/uv; .venv/uv/bin/pip install -q --disable-pip-version-check uv==$(UV_VERSION); }
	[ -x .venv/bin/python ] || $(UV) venv -q --allow-existing .venv
	echo "Installing requirements.lock into .venv (a minute or two) ..."
	$(UV) pip sync -q requirements.lock 2>.venv/uv.log ||
		.venv/uv/bin/pip --python .venv/bin/python install -q --disable-pip-version-check --no-deps -r requirements.lock
	$(UV) pip install -q --no-deps --no-build-isolation -e .
	rm -f .venv/ready-*
	touch $@

# RapidOCR, for `--reader rapidocr`: without its dependencies, as it asks for opencv-python, which overwrites the folder cv2
# of our opencv-python-headless. What else it needs that requirements.lock lacks is listed here. `make setup` takes it away
# again whenever the lock file or pyproject.toml changes.
RAPIDOCR := rapidocr-onnxruntime==1.4.4 pyclipper==1.4.0 shapely==2.1.2
rapidocr: setup
	@$(UV) pip install -q --no-deps $(RAPIDOCR) 2>.venv/uv.log ||
		.venv/uv/bin/pip --python .venv/bin/python install -q --disable-pip-version-check --no-deps $(RAPIDOCR)
	python -c 'import cv2, rapidocr_onnxruntime'

# New versions of everything that pyproject.toml allows: `rm requirements.lock` first; else only what it needs changes.
lock:
	@export UV_CUSTOM_COMPILE_COMMAND="make lock"
	$(UV) pip compile -q pyproject.toml --extra dev --extra teams --python-version 3.11 -o requirements.lock
	echo label-studio==1.23.2 | $(UV) pip compile -q - --python-version 3.11 -o requirements-label-studio.lock
