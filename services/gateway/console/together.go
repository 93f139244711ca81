package console

import (
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"uaol/services"
)

// together does several things at once, and gives the first error.
func together(things ...func() error) error {
	var group errgroup.Group
	for _, thing := range things {
		group.Go(func() error { return safely(thing) })
	}
	return group.Wait()
}

// apart does a thing in a goroutine of its own, whose stack is then another's: who waits
// for long keeps a small one.
func apart(thing func() error) error {
	done := make(chan error, 1)
	go func() { done <- safely(thing) }()
	return <-done
}

// safely makes an error of a panic, which outside the request's own goroutine would end
// the process.
func safely(thing func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = services.Errorf(services.Internal, "This page can't be shown").Because(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return thing()
}
