# make help lists what there is.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
GO      ?= go
# Tools have a module of their own, so that they choose no version for the program.
LINT     = $(GO) tool -modfile=tools/go.mod golangci-lint

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the binary, as the container has it: ./uaol
	CGO_ENABLED=0 $(GO) build -trimpath -tags nomsgpack -ldflags "-s -w -X uaol/app.Version=$(VERSION)" -o uaol ./cmd/uaol

demo: ## see the main job done, from an empty machine
	$(GO) run ./cmd/uaol demo

test: ## all tests (needs no C compiler)
	$(GO) test ./...

race: ## all tests, looking for data races (needs a C compiler)
	$(GO) test -race ./...

bench: ## benchmarks; BenchmarkStart is the start with data present, BenchmarkMe /auth/me by a bare handler, BenchmarkProxy calls by a ReverseProxy, BenchmarkIDs the jobs' ids by others, BenchmarkLedger the ledger by a bare UPDATE
	$(GO) test -run '^$$' -bench . -benchtime 5x ./cmd/uaol ./providers/upstream
	$(GO) test -run '^$$' -bench Me -benchtime 200x ./acceptance
	UAOL_TEST_PEER=1 UAOL_TEST_DURABLE=1 $(GO) test -run '^$$' -bench Proxy -benchtime 30x -timeout 30m ./acceptance
	$(GO) test -run '^$$' -bench Authenticate -benchtime 2000x ./services/auth
	UAOL_TEST_DURABLE=1 $(GO) test -run '^$$' -bench IDs -benchtime 1x -timeout 30m ./services/jobs
	UAOL_TEST_OPERATIONS=1000 UAOL_TEST_DURABLE=1 $(GO) test -run '^$$' -bench Ledger -benchtime 1x -timeout 30m ./services/billing

bench-jobs: ## the job engine by River, DBOS and Restate on one PostgreSQL, 30 minutes; bench/doc.go tells the variables that shrink it
	UAOL_BENCH_JOBS=$(or $(UAOL_BENCH_JOBS),100000) UAOL_BENCH_CALLS=$(or $(UAOL_BENCH_CALLS),20000) \
	UAOL_BENCH_ROUNDS=$(or $(UAOL_BENCH_ROUNDS),3) UAOL_BENCH_RUNS=$(or $(UAOL_BENCH_RUNS),300) \
	UAOL_BENCH_BACKLOG=$(or $(UAOL_BENCH_BACKLOG),100000) UAOL_BENCH_QUEUED=$(or $(UAOL_BENCH_QUEUED),100000) \
	UAOL_BENCH_FINISHED=$(or $(UAOL_BENCH_FINISHED),1000000) UAOL_BENCH_RESTATE=$(or $(UAOL_BENCH_RESTATE),1) \
	$(GO) test -C bench -count=1 -v -timeout 3h .

revocation: ## two processes on one database: how long what was taken away still opens something, 200 trials each
	UAOL_TEST_TRIALS=200 $(GO) test -count=1 -v -run RevocationReaches ./acceptance

decisions: ## the same for what admins decide about tools: an approval withdrawn, a price changed
	UAOL_TEST_TRIALS=200 $(GO) test -count=1 -v -run DecisionsReach ./acceptance

kills: ## the program is killed 20 times while clients make priced calls; then the books are looked at
	UAOL_TEST_KILLS=20 $(GO) test -count=1 -v -run KillsDuringCalls ./cmd/uaol

prove: ## uaol prove with three seeds and a random one: 2,000 workflows, 60 kills, two restarts of the database each
	for seed in 1 2 3 $$(od -An -N3 -tu4 /dev/urandom); do $(GO) run ./cmd/uaol prove --seed $$seed || exit 1; done

ledger: ## 64 callers make 5,000 operations each on one account and on a thousand, exact to the credit
	UAOL_TEST_OPERATIONS=5000 $(GO) test -count=1 -v -run ExactUnderLoad -timeout 30m ./services/billing

import-load: ## 25,000 servers of an MCP registry imported, and the time it takes (less than two minutes)
	UAOL_TEST_IMPORTS=25000 $(GO) test -count=1 -v -run RegistryIsImported ./services/registry

lint: ## formatting, go vet here and for macOS, golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go'))" || \
		{ echo "gofmt -w these:"; gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go'); exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(LINT) run

contract: ## the API contract, played against a whole server
	$(GO) test ./contract/... -count=1

compose: ## check deploy/compose.yaml
	$(GO) test -C tools ./...

fuzz: ## every fuzz target for FUZZTIME each
	.ci/fuzz $(or $(FUZZTIME),10s)

container: ## build the image and run it for real (needs root; no registry, no engine)
	deploy/container-test.sh

ci: ## all that a change must pass
	bash .ci/run

.PHONY: help build demo test race bench bench-jobs revocation decisions kills prove ledger import-load lint contract compose fuzz container ci
