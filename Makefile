# make help lists what there is.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
GO      ?= go
# Tools have a module of their own, so that they choose no version for the program.
LINT     = $(GO) tool -modfile=tools/go.mod golangci-lint

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the binary, as the container has it: ./uaol
	CGO_ENABLED=0 $(GO) build -trimpath -tags nomsgpack,grpcnotrace -ldflags "-s -w -X uaol/app.Version=$(VERSION)" -o uaol ./cmd/uaol

demo: ## see the main job done, from an empty machine
	$(GO) run ./cmd/uaol demo

test: ## all tests (needs no C compiler)
	$(GO) test ./...

race: ## all tests, looking for data races (needs a C compiler)
	$(GO) test -race ./...

bench: ## benchmarks; BenchmarkStart is the start with data present, BenchmarkMe /auth/me by a bare handler, BenchmarkProxy calls by a ReverseProxy, BenchmarkMCP those through /mcp by a naive gateway, BenchmarkList 500 methods listed, BenchmarkIDs the jobs' ids by others, BenchmarkLedger the ledger by a bare UPDATE; TestHop a look-up through the gateway to another process by one in process and by a bare gin handler, TestFootprint memory and start of one process and of seven
	$(GO) test -run '^$$' -bench . -benchtime 5x ./cmd/uaol ./providers/upstream
	$(GO) test -run '^$$' -bench Me -benchtime 200x ./acceptance
	UAOL_TEST_PEER=1 UAOL_TEST_DURABLE=1 $(GO) test -run '^$$' -bench Proxy -benchtime 15x -timeout 30m ./acceptance
	UAOL_TEST_DURABLE=1 $(GO) test -run '^$$' -bench MCP -benchtime 15x -timeout 30m ./acceptance
	$(GO) test -run '^$$' -bench List -benchtime 200x ./acceptance
	$(GO) test -run '^$$' -bench Authenticate -benchtime 2000x ./services/auth
	UAOL_TEST_DURABLE=1 $(GO) test -run '^$$' -bench IDs -benchtime 1x -timeout 30m ./services/jobs
	UAOL_TEST_OPERATIONS=1000 UAOL_TEST_DURABLE=1 $(GO) test -run '^$$' -bench Ledger -benchtime 1x -timeout 30m ./services/billing
	UAOL_FLEET_TURN=3 UAOL_FLEET_ROUNDS=5 $(FLEET) -run 'TestHop|TestFootprint' ./fleet

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

conformance: ## MCP's official conformance suite, for both eras: UAOL as a server, as a client and as an authorization server (npm); docs/conformance.md
	UAOL_TEST_CONFORMANCE=1 $(GO) test -count=1 -v -timeout 14m ./conformance

acceptance: ## one suite on five kinds of deployment: one process, seven, seven with a database each, two of each with Redis and NATS behind a balancer, and three of these through pgbouncer
	$(GO) test -count=1 -run 'OneProcess|SevenProcesses|ADatabaseEach|TwoOfEach' ./acceptance
	UAOL_TEST_PGBOUNCER=1 $(GO) test -count=1 -run 'OneProcess|SevenProcesses|TwoOfEach' ./acceptance

unreliable: ## the acceptance suite on a database that refuses 5 % of statements and loses 5 % of COMMITs, with six seeds
	for seed in 1 2 3 4 5 6; do UAOL_TEST_UNRELIABLE=1 UAOL_TEST_SEED=$$seed $(GO) test -count=1 -run 'OneProcess|SevenProcesses' ./acceptance || exit 1; done

uploads: ## 100 uploads of 50 MB at once: memory stays under 300 MB, nothing is lost
	UAOL_TEST_UPLOADS=100 $(GO) test -count=1 -v -run UploadsAtOnce -timeout 30m ./cmd/uaol

documents: ## pages of a PDF a second, ours by pdftotext's (poppler-utils)
	$(GO) test -count=1 -v -run BesidePdftotext ./services/storage/documents

retrieval: ## how well passages are found by words, by vectors of a real model (npm's), and by both: hit rate at 5 and MRR
	$(GO) test -count=1 -v -run 'VectorsFind|QuestionsAreAnswered' ./services/storage/retrieval ./services/storage

tool-search: ## how often the search over methods finds what is meant: 180 questions for 1,319 methods of 34 MCP servers from npm, installed once; and tokens beside listing all
	UAOL_TEST_SEARCH=1 $(GO) test -count=1 -v -timeout 20m -run 'SearchFinds|Drawn' ./services/proxy/mcpserver/toolsearch

# The program itself, each service in processes of its own, under load: bench/fleet.
FLEET = UAOL_FLEET_WARM=10 UAOL_FLEET_PROBE=20 $(GO) test -C bench -count=1 -v -timeout 2h

rolling: ## two of each of the seven restarted three times each, five minutes under half of the load that they can take: nothing fails
	UAOL_FLEET_MINUTES=5 UAOL_FLEET_ROUNDS=3 $(FLEET) -run TestRollingRestart ./fleet

upgrade: ## the same from the commit before the newest migration (or UAOL_FLEET_FROM) to this one, and back
	$(FLEET) -run TestUpgrade ./fleet

faults: ## one fault after the other under load: what each costs, and that nothing is lost or charged twice
	UAOL_FLEET_AROUND=10 $(FLEET) -run TestFaults ./fleet

endurance: ## 30 minutes of load on two of each with a fault every two minutes
	UAOL_FLEET_MINUTES=$(or $(UAOL_FLEET_MINUTES),30) $(FLEET) -run TestEndurance ./fleet

connections: ## 10,000 open connections to one process: memory of each, and how long those wait that ask something
	UAOL_FLEET_CONNECTIONS=10000 UAOL_FLEET_MINUTES=1 $(FLEET) -run TestConnections ./fleet

pages: ## the console in a real browser: journeys, barriers (axe-core), hostile texts; what they look like in page-pictures (UAOL_TEST_PICTURES). Needs Chromium and npm, and fails without
	CI=true UAOL_TEST_PICTURES=$${UAOL_TEST_PICTURES:-$(CURDIR)/page-pictures} $(GO) test -count=1 -timeout 20m ./acceptance/pages

pictures: ## the pictures in README, of a UAOL that is used: docs/pictures. Needs Chromium, and fails without
	CI=true UAOL_README_PICTURES=$(CURDIR)/docs/pictures $(GO) test -count=1 -run TestPictures ./acceptance/pages

console: ## the console's pages with 100,000 jobs, and 500 of them live at once: time, bytes, memory
	UAOL_FLEET_JOBS=100000 UAOL_FLEET_PAGES=500 $(FLEET) -run TestConsole ./fleet

replicas: ## MCP clients of both eras at two replicas, each of which is killed: no session is lost
	$(FLEET) -run TestMCPReplicas ./fleet

costs: ## processors, write-ahead log and bytes that each kind of operation takes (docs/scale.md)
	UAOL_FLEET_MINUTES=0.5 $(FLEET) -run TestCosts ./fleet

compare: ## MCP's conformance suite and calls of a tool through UAOL, other gateways that can be had here, and a naive one: a table, and all that was measured in compare-results (UAOL_COMPARE_RESULTS); a quarter of an hour, and up to forty minutes more once to get them
	UAOL_COMPARE_PEERS=1 UAOL_COMPARE_SUITE=1 UAOL_COMPARE_TURN=$(or $(UAOL_COMPARE_TURN),2) UAOL_COMPARE_ROUNDS=$(or $(UAOL_COMPARE_ROUNDS),10) \
	UAOL_COMPARE_RESULTS=$(or $(UAOL_COMPARE_RESULTS),$(CURDIR)/compare-results) $(GO) test -C bench -count=1 -v -timeout 3h ./compare

import-load: ## 25,000 servers of an MCP registry imported, and the time it takes (less than two minutes)
	UAOL_TEST_IMPORTS=25000 $(GO) test -count=1 -v -run RegistryIsImported ./services/registry

statements: ## every statement that the product runs in the tests of its services and in the acceptance suite, by the rules for CockroachDB
	file=$$(mktemp) && trap 'rm -f "$$file"' EXIT && \
	UAOL_TEST_STATEMENTS=$$file $(GO) test -count=1 -p 2 -timeout 20m ./services/... ./acceptance && \
	UAOL_TEST_STATEMENTS_OF=$$file $(GO) test -count=1 -v -run StatementsThatRan ./migrations

lint: ## formatting, go vet here and for macOS, golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go'))" || \
		{ echo "gofmt -w these:"; gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go'); exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(LINT) run

contract: ## the API contract, played against a whole server
	$(GO) test ./contract/... -count=1

compose: ## check deploy/compose.yaml, deploy/kubernetes and the making of releases
	$(GO) test -C tools ./...

fuzz: ## every fuzz target for FUZZTIME each
	.ci/fuzz $(or $(FUZZTIME),10s)

container: ## build the image and run it for real (needs root; no registry, no engine)
	deploy/container-test.sh

release: ## what is published: static binaries for Linux and macOS, checksums, SBOMs, notices of third parties, in dist/
	$(GO) run -C tools ./release $(if $(PLATFORMS),-platforms $(PLATFORMS))

release-check: ## the same twice, under different circumstances, and bit by bit compared
	$(GO) run -C tools ./release -check $(if $(PLATFORMS),-platforms $(PLATFORMS))

release-alone: ## dist's binary for this machine, alone in an empty directory, runs the demo
	tools/release/alone.sh dist/uaol_*_$$($(GO) env GOOS)_$$($(GO) env GOARCH)

reads: ## at a release: write down which columns it reads, so that no later migration drops one too soon
	$(GO) test -count=1 -run WhatIsReadIsThere ./migrations -update

ci: ## all that a change must pass
	bash .ci/run

.PHONY: pages pictures console conformance compare rolling replicas upgrade faults endurance connections costs acceptance statements help build demo test race bench bench-jobs revocation decisions kills prove ledger unreliable uploads documents retrieval tool-search import-load lint contract compose fuzz container release release-check release-alone reads ci
