package embedded

import (
	"os"
	"strconv"
)

// runs tells whether pid is a postgres on dir: postgres works inside its data
// directory, and a path would be spelt in more than one way.
func runs(pid int, dir string) bool {
	at, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/cwd")
	if err != nil {
		return false
	}
	want, err := os.Stat(dir)
	return err == nil && os.SameFile(at, want)
}
