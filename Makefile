# Everything that is done with this repository, by name. `make help` lists it.
# A target installs what it lacks (scripts/need.sh) or says exactly what to install.

.DEFAULT_GOAL := help
# Where rustup and Debian put programs although a user's PATH may not say so, and what need.sh fetches.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin:$(CURDIR)/target/tools/bin
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
need := scripts/need.sh
scripts := .ci/run $(wildcard scripts/*.sh demo/*.sh tests/cluster/*.sh)

##@ Use it

.PHONY: demo
demo: ## See a sleeping nginx answer its first request (KEEP=1: leave it running)
	@$(need) cargo cc curl nginx
	@KEEP=$(KEEP) demo/run.sh

.PHONY: build
build: ## Build target/release/reveille
	@$(need) cargo cc
	cargo build --release --locked -p reveille-cli

##@ Prove it

.PHONY: test
test: ## Run every test that this machine can run, and say what was skipped
	@$(need) cargo cc curl nginx 'promtool?' 'prometheus?' 'h2load?' 'grpcio?' 'schemathesis?' 'triton?' 'cluster?' 'browser?' 'zsh?' 'fish?'
	@scripts/test.sh

.PHONY: test-unit
test-unit: ## Unit and property tests of every crate
	@$(need) cargo cc
	@scripts/test.sh unit

.PHONY: test-core
test-core: ## Tests of the pure decisions alone: seconds
	@$(need) cargo cc
	@scripts/test.sh core

.PHONY: test-loom
test-loom: ## The gate under every interleaving of the memory model
	@$(need) cargo cc
	@scripts/test.sh loom

.PHONY: test-model
test-model: ## The protocol of sleep and wake in every order of events, within bounds
	@$(need) cargo cc
	@scripts/test.sh model

.PHONY: test-local
test-local: ## End-to-end tests of local mode: real nginx, real clients
	@$(need) cargo cc curl nginx 'promtool?' 'prometheus?' 'h2load?' 'grpcio?' 'schemathesis?' 'triton?' 'zsh?' 'fish?'
	@scripts/test.sh local

.PHONY: test-cluster
test-cluster: ## End-to-end tests in a real Kubernetes (root; builds it once, ten minutes)
	@$(need) cargo cc curl nginx 'cluster?'
	@scripts/test.sh cluster

.PHONY: test-browser
test-browser: ## The dashboard in a real browser
	@$(need) cargo cc 'browser?'
	@scripts/test.sh browser

.PHONY: screenshots
screenshots: ## Take the pictures of the dashboard in docs/images
	@$(need) cargo cc browser
	@mkdir -p docs/images
	@REVEILLE_SCREENSHOTS=$(CURDIR)/docs/images scripts/test.sh browser

.PHONY: cluster
cluster: ## A real Kubernetes in the foreground, to look around in; Ctrl-C ends it
	@$(need) cargo cc curl nginx cluster
	cargo build --locked --quiet -p reveille-tests-cluster
	@setpriv --pdeathsig TERM target/debug/reveille-test-cluster || [ $$? -eq 130 ] # by Ctrl-C

.PHONY: cluster-bin
cluster-bin: ## Build what the test cluster is made of, once for all checkouts
	@$(need) cluster-tools go
	@scripts/cluster-bin.sh

##@ Measure it

.PHONY: bench
bench: ## Beside nginx and HAProxy, and waking, holding, many apps (ONLY=h1, ROUNDS=5, SECONDS_PER_RUN=2)
	@$(need) cargo cc nginx haproxy wrk h2load
	cargo build --release --locked -p reveille-cli -p reveille-bench
	@ONLY=$(ONLY) ROUNDS=$(ROUNDS) SECONDS_PER_RUN=$(SECONDS_PER_RUN) target/release/reveille-bench

##@ Keep it clean

.PHONY: lint
lint: ## Formatting, lints, docs, dependencies (DENY_ADVISORIES=1: their advisories, too)
	@$(need) cargo cc rustfmt clippy cargo-deny
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked
	cargo deny --locked check licenses bans sources
ifeq ($(DENY_ADVISORIES),1)
	cargo deny --locked check advisories
else
	@echo "note: advisories were not checked; their database is not everywhere in reach (make lint DENY_ADVISORIES=1)"
endif
	@if command -v shellcheck >/dev/null; then set -x; shellcheck $(scripts); \
	else echo "note: shell scripts were not checked; shellcheck is missing (apt-get install shellcheck)"; fi

.PHONY: fmt
fmt: ## Format the code
	@$(need) cargo rustfmt
	cargo fmt --all

.PHONY: help
help: ## List these targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
