package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memory is what a process has resident, in bytes.
func (p *Process) memory() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Pid()))
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// cpu is the processor time that a process has had.
func (p *Process) cpu() time.Duration { return cpuOf(strconv.Itoa(p.Pid()), false) }

// Used is the processor time that a fleet's processes and its database have had.
func (f *Fleet) Used(t testing.TB) time.Duration {
	t.Helper()
	total := f.Database.cpu(t)
	for _, m := range f.Members {
		total += m.cpu()
	}
	return total
}

// cpu is the processor time that the server and all its processes have had.
func (d *Database) cpu(t testing.TB) (total time.Duration) {
	t.Helper()
	server := strconv.Itoa(d.pid(t))
	total = cpuOf(server, true)
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatalf("fleet: %v", err)
	}
	for _, dir := range all {
		pid := filepath.Base(dir)
		if fields := statOf(pid); len(fields) > 1 && fields[1] == server {
			total += cpuOf(pid, false)
		}
	}
	return total
}

// statOf are the fields of /proc/<pid>/stat behind the program's name, which may hold
// anything: state, parent and so on.
func statOf(pid string) []string {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil
	}
	line := string(text)
	return strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
}

// cpuOf is a process's processor time, with that of its children that have ended.
func cpuOf(pid string, children bool) time.Duration {
	fields := statOf(pid)
	if len(fields) < 15 {
		return 0
	}
	of := fields[11:13]
	if children {
		of = fields[11:15]
	}
	var ticks int64
	for _, field := range of {
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // of USER_HZ, 100 everywhere
}
