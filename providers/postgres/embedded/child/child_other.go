//go:build !linux

package child

import "syscall"

func attributes(as *User, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: as.credential()}
}

func guard(pid int, last syscall.Signal) (release func(), err error) {
	return watchdog(pid, last)
}
