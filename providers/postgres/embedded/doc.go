// Package embedded runs the private PostgreSQL of a process that was given no
// database: on a Unix socket, with this machine's binaries or else with a
// downloaded archive of them. It ends when the process ends, even by kill -9.
//
// Server belongs to `serve` and `demo`, one per data directory. Join is for
// commands, which use what runs there or start it for their own duration.
package embedded
