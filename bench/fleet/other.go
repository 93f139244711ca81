package fleet

import (
	"context"
	"path/filepath"
	"time"
)

// Other is a program that is not UAOL's, beside which UAOL is measured.
type Other struct {
	Name    string
	Program string
	Args    []string
	Env     []string
	Dir     string // its own, which it is started in
	Ready   string // as of a Process: host:port, or a URL
}

// Start runs it, as a group of processes of its own, and waits until it serves. What it
// prints is in the file output.log of its directory.
func (o Other) Start(ctx context.Context) (*Process, error) {
	p := &Process{
		Name: o.Name, program: o.Program, args: o.Args, env: o.Env, dir: o.Dir, group: true,
		log: filepath.Join(o.Dir, "output.log"), ready: o.Ready,
	}
	return p, p.Start(ctx)
}

// Used is the processor time that it has had, without that of processes it has started.
func (p *Process) Used() time.Duration { return p.cpu() }
