//go:build unix && !linux

package documents

import (
	"os/exec"
	"syscall"
)

// child puts a command into a group of its own. A reading process ends with its input.
func child(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// resident is not known here; processes watch themselves.
func resident(int) (int64, bool) { return 0, false }
