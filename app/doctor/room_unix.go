//go:build unix

package doctor

import "golang.org/x/sys/unix"

// roomAt is how many bytes may still be written in a directory.
func roomAt(dir string) (uint64, error) {
	var about unix.Statfs_t
	err := unix.Statfs(dir, &about)
	return about.Bavail * uint64(about.Bsize), err
}
