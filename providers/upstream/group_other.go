//go:build !unix

package upstream

import "os/exec"

func ownGroup(*exec.Cmd) {}

func askGroup(*exec.Cmd) {}

func killGroup(command *exec.Cmd) { _ = command.Process.Kill() }
