//go:build unix

package documents

import (
	"os/exec"
	"syscall"
)

func killAll(command *exec.Cmd) { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
