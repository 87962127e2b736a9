# GoChat: everyday commands. `make help` lists them.
CARGO ?= cargo
SERVICE ?=
.DEFAULT_GOAL := help

## run: build and run all of GoChat in one process (data in ./gochat-data)
run:
	$(CARGO) run --release -p gochat

## test: every test, on real servers (started when they aren't up, and stopped again)
test:
	deploy/infra/infra run $(CARGO) test --workspace --all-features

## test-embedded: the quick tests, which need no server
test-embedded:
	$(CARGO) test --workspace

## test-service SERVICE=x: the tests of one crate, e.g. SERVICE=im-logic
test-service:
	@test -n "$(SERVICE)" || { echo "usage: make test-service SERVICE=im-gateway|im-logic|im-repo|im-task|gochat|gochat-core|..."; exit 2; }
	$(CARGO) test -p $(SERVICE) --all-features

## test-coverage: tests with a coverage report in coverage.html (installs cargo-llvm-cov when missing)
test-coverage:
	@$(CARGO) llvm-cov --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-llvm-cov
	rustup component add llvm-tools
	$(CARGO) llvm-cov --workspace --all-features --html
	cp target/llvm-cov/html/index.html coverage.html

## check: the reliability checker: 20 clients under load, SIGKILLs, then an audit (KILLS=, SEED=)
KILLS ?= 20
SEED ?= 1
check:
	$(CARGO) run --release -p gochat -- check --spawn --kills $(KILLS) --seed $(SEED)

## infra-up: Kafka, MySQL, Redis and etcd on loopback, data in ./.infra (see deploy/infra)
infra-up:
	@deploy/infra/infra up

## infra-down: stop them, keep their data
infra-down:
	@deploy/infra/infra down

## infra-status: which of them answer
infra-status:
	@deploy/infra/infra status

## fmt: format the code
fmt:
	$(CARGO) fmt --all

## lint: formatting and clippy, warnings denied
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

## doc: API docs, warnings denied
doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --all-features

## audit: licences, advisories and duplicate versions (needs cargo-deny)
audit:
	$(CARGO) deny check

## build: release build of everything
build:
	$(CARGO) build --release --workspace

## build-service SERVICE=x: release build of one crate
build-service:
	@test -n "$(SERVICE)" || { echo "usage: make build-service SERVICE=gochat"; exit 2; }
	$(CARGO) build --release -p $(SERVICE)

## proto: check that the protos compile and that no change breaks the wire
proto:
	$(CARGO) test -p gochat-proto

## tidy: refresh the lock file and look for unused entries
tidy:
	$(CARGO) update --workspace
	$(CARGO) check --workspace --all-targets --all-features

## install-tools: what a bare Debian machine needs beside Rust
install-tools:
	./.ci/install-tools

## all: fmt, lint and test
all: fmt lint test

## clean: remove build output
clean:
	$(CARGO) clean
	rm -f coverage.html

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

.PHONY: run test test-embedded infra-up infra-down infra-status test-service test-coverage check fmt lint doc audit build build-service proto tidy install-tools all clean help
