# The tests, at three depths. Go and git are all that check and build need.
GO ?= go

.PHONY: help build check test test-all fuzz cross bench bench-peers soak clean

help: ## print this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## build ./wsproxy
	$(GO) build -o wsproxy ./cmd/wsproxy

check: ## format, vet, staticcheck and the tests (Go only)
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt -w . mends these"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./...

test: tools ## all behaviour, with the race detector and short fuzzing
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt -w . mends these"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -race ./...
	$(GO) test -run Allocate ./proxy ./record
	$(MAKE) fuzz FUZZTIME=3000x # a count: the end of a time is sometimes reported as a failure

test-all: tools ## as test, with full counts, longer fuzzing and every test twenty times
	WSPROXY_COUNTS=full $(MAKE) test
	$(GO) test -race -count=20 ./proxy ./record ./cmd/...
	$(MAKE) fuzz FUZZTIME=60s

FUZZTIME ?= 10s
fuzz: ## run each fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
	    echo "fuzz $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x $$p || exit 1; \
	  done; done

cross: ## build for Linux, macOS and Windows on amd64 and arm64
	@for os in linux darwin windows; do for arch in amd64 arm64; do \
	  echo "$$os/$$arch"; CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -o /dev/null ./cmd/wsproxy || exit 1; \
	done; done

BENCH ?= -json bench.json
bench: ## measure wsproxy against others, about ten minutes; BENCH='-only W2' chooses
	$(GO) run ./bench $(BENCH)

bench-peers: ## install nginx, haproxy and mitmproxy to compare with (Debian, root)
	@.ci/bench-peers

SOAK ?= 30m
soak: ## load of every kind for SOAK, which must lose nothing and grow nothing
	$(GO) run ./bench soak -for $(SOAK)

.PHONY: tools
tools: # what the tests run beside Go
	@.ci/tools

clean: ## remove what was built
	rm -rf wsproxy .cache
