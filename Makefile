# fairlead: build, check and measure. `make help` lists the targets.

SHELL       := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= 0.1.0-dev
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
DATE    := $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
EPOCH   := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || echo 0))
PKG     := fairlead.dev/fairlead/internal/cli
LDFLAGS := -s -w -X $(PKG).version=$(VERSION) -X $(PKG).commit=$(COMMIT) -X $(PKG).date=$(DATE)

# Modules beside the main one. test/cluster has the dependencies of a whole
# Kubernetes, so it is vetted and tested, but not linted for its size.
MODULES := . telemetry examples/shop release/image test/cluster

SCREENSHOTS ?= $(CURDIR)/bin/screenshots

# Tools are built once, from the Go module proxy, into the user's cache.
TOOLS         := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fairlead/tools
GOLANGCI      := $(TOOLS)/golangci-lint-v2.15.0
PROMETHEUS    := $(TOOLS)/prometheus-v0.315.0
PROMTOOL      := $(TOOLS)/promtool-v0.315.0
ALERTMANAGER  := $(TOOLS)/alertmanager-v0.34.0
COLLECTOR     := $(TOOLS)/collector-v0.111.0-objects
JAEGER        := $(TOOLS)/jaeger-v1.76.0/jaeger
FLAGGER       := $(TOOLS)/flagger-v1.36.1
OTELCLI       := $(TOOLS)/otel-cli-v0.4.5
GOVULNCHECK   := $(TOOLS)/govulncheck-v1.8.0
HELMFILE      := $(TOOLS)/helmfile-v1.8.0

export CGO_ENABLED := 0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

.PHONY: build
build: ## build bin/fairlead, static
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/fairlead ./cmd/fairlead

.PHONY: shop
shop: ## build bin/shop, the example application, static
	go build -C examples/shop -trimpath -o ../../bin/shop .

# One static binary for each platform, its bill of materials, and checksums of all.
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
.PHONY: release
release: build ## build dist/: binaries for all platforms (PLATFORMS), SBOMs, man pages and completions, SHA256SUMS
	rm -rf dist && mkdir -p dist/fairlead_$(VERSION)_doc/completions
	@for p in $(PLATFORMS); do os=$${p%/*} arch=$${p#*/} suffix=; [ $$os != windows ] || suffix=.exe; \
	out=dist/fairlead_$(VERSION)_$${os}_$$arch$$suffix; echo "$$out"; \
	GOOS=$$os GOARCH=$$arch go build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/fairlead; done
	go run ./release/sbom $$(find dist -maxdepth 1 -type f | sort)
	for s in bash zsh fish powershell; do bin/fairlead completion $$s > dist/fairlead_$(VERSION)_doc/completions/fairlead.$$s; done
	SOURCE_DATE_EPOCH=$(EPOCH) go run ./docs/generate -man dist/fairlead_$(VERSION)_doc/man
	cp LICENSE CHANGELOG.md dist/fairlead_$(VERSION)_doc
	cd dist && tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$(EPOCH) -c fairlead_$(VERSION)_doc | gzip -n > fairlead_$(VERSION)_doc.tar.gz && rm -r fairlead_$(VERSION)_doc
	cd dist && sha256sum * > SHA256SUMS

.PHONY: man
man: ## man pages of all commands, into dist/man
	rm -rf dist/man
	SOURCE_DATE_EPOCH=$(EPOCH) go run ./docs/generate -man dist/man

# No container engine is needed: the image is the static binary and nothing else.
IMAGE      ?= fairlead:$(VERSION)
IMAGE_ARCH ?= $(shell go env GOARCH)
IMAGE_MAKE := go run . -tag $(IMAGE) -created $(EPOCH) -version $(VERSION) -revision $(COMMIT)
.PHONY: image
image: ## dist/image.tar, the image IMAGE for docker load, podman load, ctr or kind (IMAGE_ARCH=arm64)
	@mkdir -p dist
	GOOS=linux GOARCH=$(IMAGE_ARCH) go build -trimpath -ldflags '$(LDFLAGS)' -o dist/fairlead_linux_$(IMAGE_ARCH) ./cmd/fairlead
	cd release/image && $(IMAGE_MAKE) -o ../../dist/image.tar linux/$(IMAGE_ARCH)=../../dist/fairlead_linux_$(IMAGE_ARCH)

.PHONY: image-push
image-push: ## push IMAGE to its registry, for amd64 and arm64, with the credentials of docker login
	@mkdir -p dist
	@for a in amd64 arm64; do GOOS=linux GOARCH=$$a go build -trimpath -ldflags '$(LDFLAGS)' -o dist/fairlead_linux_$$a ./cmd/fairlead; done
	cd release/image && $(IMAGE_MAKE) -push linux/amd64=../../dist/fairlead_linux_amd64 linux/arm64=../../dist/fairlead_linux_arm64

.PHONY: install
install: ## install fairlead into GOBIN
	go install -trimpath -ldflags '$(LDFLAGS)' ./cmd/fairlead

.PHONY: demo
demo: build ## the story of two canaries on this machine, without a cluster, in about two minutes
	bin/fairlead demo $(DEMO_ARGS)

.PHONY: demo-cluster
demo-cluster: build cluster ## the demo with its Helm half, on a real Kubernetes of its own (Linux, root; or KUBECONFIG)
	@[ -n "$${KUBECONFIG:-}" ] || bin/cluster build
	bin/fairlead demo --cluster$${KUBECONFIG:+=kubeconfig} $(DEMO_ARGS)

.PHONY: try
try: build cluster ## deploy a chart through fairlead helm on a real cluster, then break it (KUBECONFIG: on yours)
	bin/cluster run --no-gateway -- examples/helm/try.sh

.PHONY: check
check: format vet build lint test generated vuln e2e ## all that CI runs, cheap steps first

.PHONY: format
format: ## fail on files that gofmt would change
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt -w these files:"; echo "$$out"; exit 1; fi

.PHONY: vet
vet: ## go vet, all modules, all build tags
	@for m in $(MODULES); do echo "vet $$m"; (cd $$m && go vet ./...); done
	go vet -tags 'e2e integration slow' ./...
	cd test/cluster && go vet -tags e2e ./...

.PHONY: lint
lint: $(GOLANGCI) ## golangci-lint, with the direction of imports
	$(GOLANGCI) run ./...
	cd telemetry && $(GOLANGCI) run -c ../.golangci.yml ./...

.PHONY: chromium
chromium: ## install Chromium for the pages' tests, where it is missing and apt-get can
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; } \
	|| echo "chromium: none here, and it cannot be installed: the pages' tests in a browser are SKIPPED"

.PHONY: screenshots
screenshots: chromium build shop cluster $(ALERTMANAGER) ## pictures of every page, of a real run on a real cluster, at three widths in both themes, into SCREENSHOTS
	mkdir -p $(SCREENSHOTS)
	go test -c -tags e2e -o bin/e2e.test ./test/e2e
	cd test/e2e && FAIRLEAD_SCREENSHOTS=$(SCREENSHOTS) ../../bin/cluster run --image fairlead:test=../../bin/fairlead -- ../../bin/e2e.test -test.v -test.timeout 40m -test.run '^TestScreens$$'

.PHONY: test
test: chromium $(PROMETHEUS) $(PROMTOOL) $(ALERTMANAGER) $(COLLECTOR) $(JAEGER) ## unit and integration tests with the race detector
	@# The race detector needs cgo. Packages that fail run once more (those that passed are cached), and that is said.
	@race() { CGO_ENABLED=1 go test -race -timeout 30m "$$@" || { echo "test: FAILED: once more what failed"; CGO_ENABLED=1 go test -race -timeout 30m "$$@"; }; }; \
	for m in $(MODULES); do echo "test $$m"; (cd $$m && race ./...); done; \
	race -tags integration -run Integration $$(git grep -l 'go:build integration' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|')

.PHONY: test-slow
test-slow: $(PROMETHEUS) ## canaries of the example application judged live, in real time (six minutes; not part of check)
	go test -tags slow -run Slow -timeout 30m -v ./internal/cli

.PHONY: test-fast
test-fast: ## unit tests without the race detector, while working
	go test ./...

.PHONY: crash
crash: build ## kill the server under load, count acknowledged against found
	go run ./bench/crash -server bin/fairlead -kills 50

.PHONY: bench-metrics
bench-metrics: build $(PROMETHEUS) ## metrics beside Prometheus: ingest, memory, latency
	for n in 10000 100000; do go run ./bench/metrics -server bin/fairlead -prometheus $(PROMETHEUS) -series $$n; done
	go run ./bench/metrics -server bin/fairlead -idle

.PHONY: bench-start
bench-start: build ## start of the server with 10 GB on disk, and after a kill (12 GB of disk, two minutes)
	go run ./bench/start -server bin/fairlead

.PHONY: promtool
promtool: $(PROMTOOL) ## build promtool into the cache, for the tests

# Prometheus' module has replace directives, so it is built in a copy of itself.
$(PROMETHEUS) $(PROMTOOL):
	mkdir -p $(TOOLS)
	src=$$(mktemp -d) && trap 'rm -rf "$$src"' EXIT && \
	cp -r "$$(go list -m -f '{{.Dir}}' github.com/prometheus/prometheus)/." "$$src" && chmod -R u+w "$$src" && \
	cd "$$src" && GOFLAGS=-mod=mod GOWORK=off go build -o $@ ./cmd/$(firstword $(subst -, ,$(notdir $@)))

.PHONY: alertmanager
alertmanager: $(ALERTMANAGER) ## build an Alertmanager without its pages into the cache, for the tests

# What its pages are built from needs npm; an empty page takes their place.
$(ALERTMANAGER):
	mkdir -p $(TOOLS)
	src=$$(mktemp -d) && trap 'rm -rf "$$src"' EXIT && \
	cp -r "$$(go mod download -json github.com/prometheus/alertmanager@v0.34.0 | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/." "$$src" && chmod -R u+w "$$src" && \
	mkdir -p "$$src/ui/app/dist" && touch "$$src/ui/app/dist/index.html" && \
	cd "$$src" && GOFLAGS=-mod=mod GOWORK=off go build -o $@ ./cmd/alertmanager

.PHONY: collector
collector: $(COLLECTOR) ## build an OpenTelemetry Collector into the cache, for the tests

$(COLLECTOR):
	mkdir -p $(TOOLS)
	cd test/collector && go build -o $@ .

$(JAEGER):
	@mkdir -p $(@D)
	cd test/jaeger && go build -o $@ github.com/jaegertracing/jaeger/cmd/jaeger

$(FLAGGER):
	mkdir -p $(TOOLS)
	cd test/flagger && go build -trimpath -o $@ github.com/fluxcd/flagger/cmd/flagger

.PHONY: bench-flagger
bench-flagger: build cluster $(FLAGGER) ## what 100 canaries cost that stand still, beside Flagger (BENCH_ARGS='-beside 300')
	go build -trimpath -o bin/bench-controller ./bench/controller
	bin/cluster run --no-gateway -- bin/bench-controller -fairlead bin/fairlead \
	  -gateway-crds "$$(cd test/cluster && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard" \
	  -flagger $(FLAGGER) -flagger-crd "$$(cd test/flagger && go list -m -f '{{.Dir}}' github.com/fluxcd/flagger)/artifacts/flagger/crd.yaml" $(BENCH_ARGS)

.PHONY: bench
bench: build cluster $(JAEGER) bench-metrics bench-start crash ## measure, beside the peers where they can be built (docs/benchmarks.md)
	go run ./bench/canary
	GOMAXPROCS=1 go run ./bench/judge
	for load in pods collector512; do go run ./bench/spans -load $$load -jaeger $(JAEGER); done
	go run ./bench/pages
	go build -o bin/bench-helm ./bench/helm && cd test/e2e && ../../bin/cluster run --audit -- ../../bin/bench-helm

# Minutes with PEERS_ARGS empty, an hour with -full.
.PHONY: bench-peers
bench-peers: build cluster $(PROMETHEUS) $(JAEGER) $(COLLECTOR) $(OTELCLI) ## fairlead beside its peers, in one run, as Markdown (PEERS_ARGS='-full -only wrapper')
	@bin/cluster build >&2
	@for b in agent canary controller helm metrics peers spans; do go build -trimpath -o bin/bench-$$b ./bench/$$b; done
	@bin/bench-peers -prometheus $(PROMETHEUS) -jaeger $(JAEGER) -collector $(COLLECTOR) -otel-cli $(OTELCLI) \
	  -gateway-crds "$$(cd test/cluster && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard" $(PEERS_ARGS)

# Of its versions only this one is served, and its module's list is not: so it is built in a copy of itself.
$(OTELCLI):
	mkdir -p $(TOOLS)
	src=$$(mktemp -d) && trap 'rm -rf "$$src"' EXIT && \
	cp -r "$$(go mod download -json github.com/equinix-labs/otel-cli@v0.4.5 | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/." "$$src" && chmod -R u+w "$$src" && \
	cd "$$src" && GOFLAGS=-mod=mod GOWORK=off go build -trimpath -o $@ .

.PHONY: vuln
vuln: $(GOVULNCHECK) ## govulncheck, where its database can be reached
	@if curl -sfm 10 -o /dev/null https://vuln.go.dev/index/db.json; then $(GOVULNCHECK) ./...; \
	else echo "govulncheck: SKIPPED, its database cannot be reached from here"; fi

.PHONY: generated
generated: ## fail when generated files are out of date
	go generate ./...
	@git diff --exit-code --stat || { echo "generated files changed: commit them"; exit 1; }

# The end-to-end tests fail when the manifests are not what the chart renders.
.PHONY: manifests
manifests: ## render deploy/manifests from the chart, with the helm in the PATH
	mkdir -p deploy/manifests
	helm template fairlead charts/fairlead --kube-version 1.31.0 --namespace fairlead --set auth.existingSecret=fairlead-token > deploy/manifests/fairlead.yaml

.PHONY: cluster
cluster: ## build bin/cluster, the program of the test bed (docs/testing.md)
	cd test/cluster && go build -o ../../bin/cluster ./cmd/cluster

.PHONY: cluster-build
cluster-build: cluster ## build what a cluster runs, into the user's cache
	bin/cluster build

.PHONY: cluster-up
cluster-up: cluster ## start a cluster that stays
	bin/cluster up

.PHONY: cluster-down
cluster-down: cluster ## end it
	bin/cluster down

# Tests are compiled outside and run inside, where there is no other network.
# Exit status 77: no cluster can be started here, which cluster has said.
.PHONY: e2e
e2e: build shop cluster $(ALERTMANAGER) $(COLLECTOR) bin/servicemonitors.yaml ## end-to-end tests on a real cluster: its own, or KUBECONFIG's
	go test -c -tags e2e -o bin/e2e.test ./test/e2e
	test/e2e/run.sh $(E2E_ARGS)

# The Prometheus operator's definition of a ServiceMonitor, which the chart's is checked against.
bin/servicemonitors.yaml:
	@mkdir -p $(@D)
	cp "$$(go mod download -json github.com/prometheus-operator/prometheus-operator@v0.85.0 | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" $@
	chmod u+w $@

.PHONY: e2e-helmfile
e2e-helmfile: build cluster $(HELMFILE) ## the real helmfile with fairlead in Helm's place, on a real cluster (not part of check: building helmfile takes minutes)
	go test -c -tags e2e -o bin/e2e.test ./test/e2e
	cd test/e2e && FAIRLEAD_TEST_HELMFILE=$(HELMFILE) ../../bin/cluster run --no-gateway -- ../../bin/e2e.test -test.v -test.run '^TestHelmfile$$'

# A program of its own with replace directives, so it is built in a copy of itself.
$(HELMFILE):
	mkdir -p $(TOOLS)
	src=$$(mktemp -d) && trap 'rm -rf "$$src"' EXIT && \
	cp -r "$$(go mod download -json github.com/helmfile/helmfile@v1.8.0 | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/." "$$src" && chmod -R u+w "$$src" && \
	cd "$$src" && GOFLAGS=-mod=mod GOWORK=off go build -trimpath -ldflags '-s -w' -o $@ .

.PHONY: cluster-test
cluster-test: ## the test bed's own tests on real clusters: leaks, faults, traffic
	cd test/cluster && CLUSTER_TEST_ROUNDS=$(CLUSTER_TEST_ROUNDS) go test -tags e2e -count=1 -timeout 30m -v ./cmd/cluster

$(GOLANGCI):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv $(TOOLS)/golangci-lint $@

$(GOVULNCHECK):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@v1.8.0
	mv $(TOOLS)/govulncheck $@

.PHONY: clean
clean: ## remove what make made in the checkout
	rm -rf bin dist
