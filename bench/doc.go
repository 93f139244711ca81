// Package bench holds the job engine against others, on one PostgreSQL in one
// run: River (a queue), DBOS and Restate (durable workflows). It is a module of
// its own, so that what it compares with chooses no version for the program.
//
// Each test prints a table. Without variables it is so small that it only shows
// that it works; `make bench-jobs` measures:
//
//   - UAOL_BENCH_JOBS: jobs of TestThroughput, each round of each side
//   - UAOL_BENCH_CALLS: jobs of TestThroughputOfCalls, whose step is a call over HTTP
//   - UAOL_BENCH_TOOL_TAKES: how long the tool takes for a call, such as 20ms
//   - UAOL_BENCH_ROUNDS: how often the sides take turns; medians are printed
//   - UAOL_BENCH_RUNS: workflows of TestLatency
//   - UAOL_BENCH_BACKLOG: jobs of TestProcesses, for each number of processes
//   - UAOL_BENCH_QUEUED, UAOL_BENCH_FINISHED: what is there in TestCrowd, of whose
//     queue a tenth is worked off
//   - UAOL_BENCH_ONLY=uaol leaves the others out, for -cpuprofile
//   - UAOL_BENCH_STATEMENTS=1 prints what PostgreSQL was busy with, each time
//   - UAOL_BENCH_RESTATE=1 takes Restate's server from npm (80 MB)
//   - UAOL_BENCH_DIR: where PostgreSQL and Restate keep their data; it must be a
//     disk, which temporary directories are not everywhere
//
// PostgreSQL is as durable as in production: fsync and synchronous_commit are on,
// and what they write to is printed.
package bench
