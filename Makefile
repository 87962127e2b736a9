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

## infra-up: Kafka, MySQL, Redis and etcd on loopback, in containers or from packages (GOCHAT_INFRA=compose|packages)
infra-up:
	@deploy/infra/infra up

## infra-down: stop them, keep their data
infra-down:
	@deploy/infra/infra down

## infra-status: which of them answer
infra-status:
	@deploy/infra/infra status

## infra-wipe: stop them and delete their data
infra-wipe:
	@deploy/infra/infra wipe

## app-up: the four services on these servers, N of each (GATEWAYS= of the gateway), as processes of this machine
N ?= 1
GATEWAYS ?=
app-up:
	@deploy/infra/apps up $(N) $(GATEWAYS)

## app-down: stop them
app-down:
	@deploy/infra/apps down

## app-status: which of them are ready
app-status:
	@deploy/infra/apps status

# Containers: `make infra-up GOCHAT_INFRA=compose` first, secrets in deploy/compose/.env (see .env.example there).
COMPOSE = docker compose --project-directory deploy/compose -f deploy/compose/infrastructure.yml

## docker-build: images of the four services
docker-build:
	$(COMPOSE) -f deploy/compose/applications.yml --profile apps build

## compose-app-up: the four services in containers
compose-app-up:
	$(COMPOSE) -f deploy/compose/applications.yml --profile apps up -d --build --wait

## compose-app-down: stop them
compose-app-down:
	$(COMPOSE) -f deploy/compose/applications.yml stop im-gateway im-task im-logic im-repo

## monitoring-up: Prometheus, Grafana, Loki, Promtail, Jaeger and node_exporter in containers
monitoring-up:
	$(COMPOSE) -f deploy/compose/monitoring.yml --profile monitoring up -d --wait

## monitoring-down: stop them
monitoring-down:
	$(COMPOSE) -f deploy/compose/monitoring.yml stop prometheus grafana loki promtail jaeger node-exporter

## deploy-check: compose files, manifests, alert rules, dashboards and scripts, as far as they can be checked here
deploy-check:
	@deploy/check/check

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

## audit: licences, sources, advisories, banned and unused dependencies (installs cargo-deny and cargo-machete when missing)
audit:
	@./.ci/supply

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

.PHONY: run test test-embedded infra-up infra-down infra-status infra-wipe app-up app-down app-status docker-build compose-app-up compose-app-down monitoring-up monitoring-down deploy-check test-service test-coverage check fmt lint doc audit build build-service proto tidy install-tools all clean help
