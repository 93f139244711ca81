package child

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// watch waits for a line (the child has ended, nothing to do) or for the end
// of its input (this process has died).
const watch = `read -r _ && exit 0; kill -"$2" "$1"`

// watchdog stands in for the parent-death signal where the kernel has none: a
// shell holds the other end of a pipe and signals pid when this process dies.
func watchdog(pid int, last syscall.Signal) (release func(), err error) {
	cmd := exec.Command("/bin/sh", "-c", watch, "sh", strconv.Itoa(pid), strconv.Itoa(int(last)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watchdog for process %d: %w", pid, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("watchdog for process %d: %w", pid, err)
	}
	return func() {
		_, _ = io.WriteString(pipe, "\n")
		_ = cmd.Wait()
	}, nil
}
