# Everything a developer types. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Node 24 and the tools of package-lock.json come before whatever the machine has.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH):/usr/sbin:/sbin

.PHONY: help setup demo test test-cluster bench bench-cluster bench-pods bench-istiod check types lint gen golden keep-chart gen-check dead-code lock lock-check build clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## bring Node 24, npm packages, Envoy, iptables; does nothing the second time
	@scripts/setup.sh

demo: setup ## run the sample application as a mesh on this machine and measure it
	@scripts/demo.sh

test: setup ## run every test with coverage, or TEST="FILE ..." alone; skips are listed with reasons
	@scripts/test.sh $(TEST)

test-cluster: setup ## install the chart on a real one-node Kubernetes (or KUBECONFIG=… IMAGE_LOADER=…) and try it
	@test/cluster/test-cluster.sh

bench: build ## measure the control plane against its targets (BENCH="--proxies 300" adds a case)
	@node bench/bench.ts $(BENCH)

bench-cluster: build ## measure it in front of a real API server and 50 real Envoys
	@node bench/cluster.ts

bench-istiod: build ## measure istiod and Trysail in one sitting; builds istiod from its Go module, once
	@bench/istiod/build.sh
	@node bench/istiod/compare.ts

bench-pods: setup ## measure on a real node how much later a pod starts for its sidecar
	@test/cluster/on-cluster.sh node bench/pod-start.ts

check: setup types lint gen-check dead-code lock-check ## everything that needs no running: types, style, drift, dead code
	@echo "check: all is well"

types: setup
	tsc

lint: setup
	biome check --error-on-warnings
	@# Apart, since it reads the whole project, for which nobody who checks one file should wait.
	biome lint --error-on-warnings --only=suspicious/noImportCycles

gen: setup ## write src/gen anew from proto/, and the chart's CRDs from src/mesh
	@scripts/generate.sh

golden: setup ## rewrite the expected outputs in test/golden; review the difference
	UPDATE_GOLDEN=1 node --test test/golden/golden.test.ts

keep-chart: setup ## keep the chart of a release (REV=TAG), for the tests to upgrade from
	@scripts/keep-chart.sh $(REV)

gen-check: setup
	@scripts/generate.sh --check

dead-code: setup
	knip

lock: ## write package-lock.json anew behind a change of package.json
	npm install --package-lock-only --loglevel=error
	@node scripts/lock.ts

lock-check: setup
	@node scripts/lock.ts --check

build: setup ## compile to dist, as published
	rm -rf dist
	tsc -p tsconfig.build.json
	chmod +x dist/cli/trysail.js

clean: ## remove everything that git ignores except .cache
	rm -rf node_modules dist coverage
