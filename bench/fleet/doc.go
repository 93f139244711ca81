// Package fleet runs UAOL as it runs in production: the real program, each service in
// processes of its own and several of each, on a real PostgreSQL, Redis and NATS. It
// puts it under load at a rate that does not wait for answers, does to it what
// happens to fleets (restarts, upgrades, crashes, lost databases, full disks), and
// then compares what clients were told with what the books and the tools say.
//
// Each test prints a table. Without variables it is so short that it only shows that
// it works; the make targets beside the names measure:
//
//   - make rolling: TestRollingRestart, UAOL_FLEET_MINUTES of load, UAOL_FLEET_ROUNDS restarts of each
//   - make upgrade: TestUpgrade, from the commit UAOL_FLEET_FROM to this one and back
//   - make faults: TestFaults, each fault by itself
//   - make endurance: TestEndurance, UAOL_FLEET_MINUTES with a fault every two
//   - make connections: TestConnections, UAOL_FLEET_CONNECTIONS open at once
//   - make costs: TestCosts, what each kind of operation takes
//   - make bench: TestHop and TestFootprint, one process by seven
//
// With UAOL_FLEET_PROFILES TestHop leaves a profile of each process there.
//
// UAOL_BENCH_DIR is where the database keeps its data; it must be a disk.
package fleet
