# Four modules: "." is what users get, console what operators run, and the other two
# keep what only tests and samples need out of both. go.work joins them; tools/ holds
# what looks at the code.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

MODULES  := . integration examples console
TIMEOUT  ?= 20m
# Tests of a package at a time: most wait, for processes that start and leases that end.
PARALLEL ?= 8
# Packages at a time: the end-to-end tests take as long as half of the others.
ATATIME  ?= 3
# What has benchmarks only, and is large: make lint looks at it.
MEASURING = /integration/benchmark/(builtin|failback|floor|metrics|ours|zookeeper)$$
FUZZTIME ?= 20s
BENCH    ?= .
QUICK    ?=
RUN      ?=
CHAOS_DURATION ?= 5m

# in-modules runs $(1) in each module that has Go files, on its own go.mod.
in-modules = for module in $(MODULES) deploy; do \
	if find $$module -name '*.go' -print -quit | grep -q .; then \
		(cd $$module && export GOWORK=off && echo "==> $$module: $(strip $(1))" && $(1)); \
	fi; done

# The patterns of all modules that have Go files, for the workspace.
PACKAGES = $$(for module in $(MODULES); do \
	if find $$module -name '*.go' -print -quit | grep -q .; then echo ./$$module/...; fi; done)

GOLANGCI = go tool -modfile=$(CURDIR)/tools/go.mod golangci-lint
GOVULNCHECK = go tool -modfile=$(CURDIR)/tools/go.mod govulncheck

.PHONY: test
test: test-alone etcd ## all tests with the race detector
	go test -race -p $(ATATIME) -parallel $(PARALLEL) -timeout $(TIMEOUT) $$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' $(PACKAGES) | grep -vE '$(MEASURING)')
	cd deploy && GOWORK=off go test ./...

.PHONY: build
build: etcd ## compile what the tests are made of
	go build -race $$(go list -deps -test -f '{{if and (or .GoFiles .CgoFiles) (not .ForTest) (ne .Name "main")}}{{.ImportPath}}{{end}}' $(PACKAGES))

.PHONY: test-alone
test-alone: ## the root module as users get it, without the workspace; test has it with the race detector
	GOWORK=off go build ./...
	GOWORK=off go vet ./...
	GOWORK=off go test -cover -timeout $(TIMEOUT) ./...

.PHONY: etcd
etcd: ## build the etcd server, etcdctl and etcdutl, which the tests run, unless they are cached
	cd integration && GOWORK=off go tool -n go.etcd.io/etcd/server/v3
	cd integration && GOWORK=off go tool -n go.etcd.io/etcd/etcdctl/v3
	cd integration && GOWORK=off go tool -n go.etcd.io/etcd/etcdutl/v3

.PHONY: check
check: fmt-check lint ## what is quick: format, linters, the tests that need no etcd
	GOWORK=off go test -timeout $(TIMEOUT) ./...

.PHONY: systems
systems: ## look at all modules as Windows and macOS build them
	@for system in windows darwin; do export GOOS=$$system CGO_ENABLED=0; \
		$(call in-modules,echo "    for $$GOOS" && go vet ./...); done

.PHONY: api
api: ## compare what is exported with the last release
	@.ci/api

.PHONY: lint
lint: actions ## golangci-lint in all modules, and the workflows
	@$(call in-modules,$(GOLANGCI) run ./...)

.PHONY: actions
actions: ## actionlint on .github/workflows, with shellcheck where it is installed
	GOWORK=off go tool -modfile=$(CURDIR)/tools/actionlint/go.mod actionlint

.PHONY: vulncheck
vulncheck: ## known vulnerabilities in what users get; skips where the database cannot be reached
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	if GOWORK=off $(GOVULNCHECK) ./... >"$$log" 2>&1; then cat "$$log"; \
	elif grep -q '^govulncheck: fetching vulnerabilities: ' "$$log"; then \
		echo "SKIPPED: the database of vulnerabilities at vuln.go.dev cannot be reached, nothing was checked:"; tail -n 1 "$$log"; \
	else cat "$$log"; exit 1; fi

.PHONY: fmt
fmt: ## format all files
	gofmt -w .

.PHONY: fmt-check
fmt-check: ## fail when a file is not formatted
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted:"; echo "$$files"; exit 1; fi

.PHONY: tidy
tidy: ## go mod tidy in all modules
	@for module in $(MODULES) deploy tools tools/actionlint tools/apidiff; do (cd $$module && GOWORK=off go mod tidy); done

.PHONY: tidy-check
tidy-check: ## fail when a go.mod or go.sum is not tidy
	@for module in $(MODULES) deploy tools tools/actionlint tools/apidiff; do (cd $$module && GOWORK=off go mod tidy -diff); done

.PHONY: bench
bench: etcd ## measure this registry beside others and write docs/benchmarks.md; QUICK=1 only sees that it works, in build/
	cd integration && GOWORK=off BENCH_QUICK=$(QUICK) go run ./benchmark/page -out $(if $(QUICK),$(CURDIR)/build,../docs) -run '$(value RUN)'

.PHONY: bench-go
bench-go: etcd ## all other benchmarks; BENCH=regexp picks some
	go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m $$(go list $(PACKAGES) | grep -v /integration/benchmark/)

.PHONY: bench-compare
bench-compare: etcd ## two commits by benchstat: BASE=commit HEAD=commit; BENCH=regexp picks some, COUNT=n times each
	integration/benchmark/compare '$(or $(BASE),main)' '$(or $(HEAD),HEAD)'

.PHONY: bench-metrics
bench-metrics: etcd ## what dubbo-go's metrics cost, switched on and off in one run
	cd integration && go test -run '^$$' -bench 'BenchmarkMetrics$$' -benchtime 3x -timeout 20m ./benchmark/metrics/

.PHONY: chaos
chaos: etcd ## random faults for CHAOS_DURATION; CHAOS_SEED=n repeats decisions
	cd integration && CHAOS_DURATION=$(CHAOS_DURATION) go test -race -count=1 -timeout 120m -v -run 'TestChaos$$' ./failback/

.PHONY: app-chaos
app-chaos: etcd ## likewise, whole applications as processes of their own
	cd integration && CHAOS_DURATION=$(CHAOS_DURATION) go test -race -count=1 -timeout 120m -v -run 'TestApplicationChaos$$' ./e2e/

.PHONY: e2e-race
e2e-race: etcd ## the end-to-end tests, the applications with the race detector as well
	cd integration && E2E_RACE=1 go test -race -count=1 -parallel 3 -timeout 60m ./e2e/

.PHONY: scaling
scaling: etcd ## what one etcd cluster serves, into docs/scaling.md; takes the whole machine for ten minutes (QUICK=1: one, and no page)
	cd integration && SCALING=1 SCALING_DOC=$(if $(QUICK),,$(CURDIR)/docs/scaling.md) go test -count=1 -timeout 30m -v -run 'TestScaling$$' ./benchmark/scaling/

.PHONY: matrix
matrix: etcd ## other versions of etcd and dubbo-go, into docs/versions.md; MATRIX="-etcd 3.5 -dubbo none" picks
	cd integration && GOWORK=off go run ./internal/matrix $(MATRIX)

.PHONY: interop
interop: etcd ## beside Dubbo for Java on one etcd, all versions; needs a JDK and Maven
	cd integration && go test -race -tags interop -count=1 -parallel 3 -timeout 60m -v ./interop/

.PHONY: interop-quick
interop-quick: etcd ## the calls and the keys only, with the newest version
	cd integration && INTEROP_JAVA=3.3.6 go test -race -tags interop -count=1 -parallel 3 -timeout $(TIMEOUT) -v \
		-run '^(TestGoAndJavaCallEachOther|TestJavaAndGoFindEachOtherAndWriteTheSameKeys)$$' ./interop/

.PHONY: interop-admin
interop-admin: etcd ## beside dubbo-admin and pixiu, of checkouts: DUBBO_ADMIN=dir PIXIU=dir; docs/compatibility.md says which
	cd integration && DUBBO_ADMIN=$(abspath $(DUBBO_ADMIN)) PIXIU=$(abspath $(PIXIU)) go test -tags interop -count=1 -parallel 2 -timeout 60m -v \
		-run 'DubboAdmin|Pixiu' ./interop/

.PHONY: axe
axe: etcd ## axe-core looks at the console; needs Chromium and npm, which fetches it
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cd $$dir && npm pack --silent axe-core@4 >/dev/null && tar xzf axe-core-*.tgz && \
	cd $(CURDIR)/console && CONSOLE_AXE=$$dir/package/axe.min.js go test -count=1 -v -run 'TestAxe' .

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	@{ grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . || true; } | sed 's/func //' | { failed=; while IFS=: read -r file target; do \
		echo "==> $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "./$$(dirname $$file)" </dev/null || failed+=" $$target"; \
	done; if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi; }

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12
