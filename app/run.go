package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"

	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/services"
)

// stopTimeout is for all of a stop: requests drain (UAOL_DRAIN_TIMEOUT, 15 s),
// then workers hand back, then the pool and the embedded database close. A
// container's grace period must be longer.
const stopTimeout = 25 * time.Second

// Serve runs the given services until a signal or a failure ends them. listening is told
// where, once they can be reached; its context ends when they are told to stop.
func Serve(ctx context.Context, env *config.Environment, set []services.Name, listening func(ctx context.Context, at net.Addr)) error {
	// Waiting for parts of the start is bounded by each of them; all together
	// may take as long as a first download.
	var server *httpserver.Server
	process := fx.New(Options(env, set...), fx.Populate(&server), fx.StartTimeout(time.Hour), fx.StopTimeout(stopTimeout))
	if err := process.Err(); err != nil {
		return Explain(err)
	}
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := process.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while starting
		}
		return Explain(err)
	}
	listening(ctx, server.Addr())
	failed := false
	select {
	case <-ctx.Done():
	case signal := <-process.Wait():
		failed = signal.ExitCode != 0
	}
	cancel() // a second signal ends the process at once
	stop, done := context.WithTimeout(context.Background(), stopTimeout)
	defer done()
	if err := process.Stop(stop); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	if failed {
		return errors.New("stopped because a part of the process failed; the log says which")
	}
	return nil
}

// ParseSet reads services' names as people write them.
func ParseSet(names []string) ([]services.Name, error) {
	var set []services.Name
	for _, raw := range names {
		name := services.Name(strings.ToLower(raw))
		known := false
		for _, s := range Services() {
			known = known || s == name
		}
		if !known {
			return nil, fmt.Errorf("there is no service %q; the services are %s", raw, join(Services()))
		}
		set = append(set, name)
	}
	return set, nil
}

func join(names []services.Name) string {
	var texts []string
	for _, n := range names {
		texts = append(texts, string(n))
	}
	return strings.Join(texts, ", ")
}

// Explain finds what an operator has to know in a container's error: the
// cause, on one line.
func Explain(err error) error {
	var fault *config.Fault
	if errors.As(err, &fault) {
		return fault
	}
	if root := dig.RootCause(err); root != nil {
		err = root
	}
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
