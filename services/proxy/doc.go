// Package proxy makes the calls to tools. A direct call is charged here: its
// price is held before it leaves, settled when it succeeded or may have, and
// released when it failed. A job's steps are charged by their job.
package proxy
