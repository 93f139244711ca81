package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"uaol/providers/mail"
	"uaol/services"
)

// Post sends people mail, beside the requests that ask for it: an answer does
// not wait for a mail server, and nobody learns from its time who has an account.
type Post struct {
	mailer *mail.Mailer
	origin string // of the pages that links lead to, without a slash at its end
	log    *zap.Logger
	tasks  chan task
}

// task is what has to be done for one letter, such as looking its receiver up.
type task struct {
	letter string // what it is called in the log
	do     func(ctx context.Context) error
}

const (
	maxWaiting = 1000        // letters; what is more is refused
	postmen    = 4           // letters sent at once
	deliverIn  = time.Minute // for one letter
	windDownIn = 5 * time.Second
)

// NewPost makes a Post; links lead to pages of the origin.
func NewPost(mailer *mail.Mailer, origin string, log *zap.Logger) *Post {
	return &Post{mailer: mailer, origin: origin, log: log, tasks: make(chan task, maxWaiting)}
}

var (
	errNoMail   = services.Errorf(services.Unconfigured, "Mail is not configured here; the operator has to set SMTP_URL").WithCode("MAIL_NOT_CONFIGURED")
	errMuchMail = services.Errorf(services.Unavailable, "Too much mail is waiting; try again later")
)

// Configured reports whether mail can be sent at all.
func (p *Post) Configured() bool { return p.mailer.Configured() }

// later does a task soon; false when too many are waiting.
func (p *Post) later(letter string, do func(ctx context.Context) error) bool {
	select {
	case p.tasks <- task{letter: letter, do: do}:
		return true
	default:
		p.log.Warn("too much mail is waiting, a letter was not taken", zap.String("letter", letter))
		return false
	}
}

// send is later for a letter that is ready.
func (p *Post) send(letter string, message mail.Message) error {
	if !p.later(letter, func(ctx context.Context) error { return p.mailer.Send(ctx, message) }) {
		return errMuchMail
	}
	return nil
}

// Run is a workers.Worker's loop. When its context ends it does what is waiting,
// as far as that can be done at once.
func (p *Post) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(windDownIn, stop) })
	var all sync.WaitGroup
	for range postmen {
		all.Go(func() {
			for {
				select {
				case t := <-p.tasks:
					p.deliver(working, t)
					continue
				default:
				}
				select {
				case t := <-p.tasks:
					p.deliver(working, t)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
	return nil
}

// deliver does one task. What is logged names no address and no link.
func (p *Post) deliver(ctx context.Context, t task) {
	ctx, cancel := context.WithTimeout(ctx, deliverIn)
	defer cancel()
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return t.do(ctx)
	}()
	if err != nil {
		p.log.Warn("a letter was not sent", zap.String("letter", t.letter), zap.NamedError("cause", withoutDetails(err)))
	}
}

// withoutDetails leaves out what a database's error quotes.
func withoutDetails(err error) error {
	var known *services.Error
	if errors.As(err, &known) {
		return errors.New(known.Message)
	}
	return err
}

// link is the address of a page of ours that uses a link's secret.
func (p *Post) link(page, secret string) string {
	return p.origin + "/auth/" + page + "?token=" + secret
}
