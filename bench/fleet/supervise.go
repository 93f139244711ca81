package fleet

import (
	"os/exec"
	"runtime"
)

// supervise runs a command to its end, on one thread: what ends a process with its
// parent is tied to the thread that started it.
func supervise(cmd *exec.Cmd, started chan<- error, ended func(error)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		ended(cmd.Wait())
	}
}
