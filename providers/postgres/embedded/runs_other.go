//go:build !linux

package embedded

import (
	"os/exec"
	"strconv"
	"strings"
)

// runs tells whether pid is a postgres on dir, by its command line.
func runs(pid int, dir string) bool {
	line, err := exec.Command("/bin/ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(line), " -D "+dir+" ")
}
