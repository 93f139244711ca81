package fleet

import "syscall"

// dieWithParent lets the kernel end a process when we do, however that happens.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
