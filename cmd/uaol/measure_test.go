package main

import (
	"strconv"
	"strings"
)

func pid(p *program) string { return strconv.Itoa(p.Process.Pid) }

// residentMB reads VmRSS out of /proc/<pid>/status.
func residentMB(status string) float64 {
	_, rest, _ := strings.Cut(status, "VmRSS:")
	kB, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kB / 1024
}
