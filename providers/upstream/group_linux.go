package upstream

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a command into a group of its own, and lets the kernel kill it
// when we die, however that happens.
func ownGroup(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
