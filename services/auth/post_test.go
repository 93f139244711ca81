package auth

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"uaol/providers/mail"
	"uaol/providers/mail/mailtest"
	"uaol/services"
	"uaol/services/auth/oidc"
)

// writeWith sets mail up, and what users do about their own accounts.
func (b *bench) writeWith(t testing.TB, cfg mail.Config, custodies ...services.Custody) *Post {
	t.Helper()
	mailer, err := mail.New(cfg)
	require.NoError(t, err)
	post := NewPost(mailer, "https://app.example.com", zap.NewNop())
	profiles := NewProfiles(b.service, b.repository, b.bus, post)
	b.profiles = NewProfileHandler(profiles, NewExports(profiles, b.repository, custodies))
	return post
}

// deliver runs a Post until the test ends.
func deliver(t testing.TB, post *Post) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = post.Run(ctx) })
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return stop
}

// mailing is a bench whose mail goes to a server of the test's.
func mailing(t testing.TB) (*bench, *mailtest.Server) {
	t.Helper()
	b, server := setup(t), mailtest.New(t, mailtest.Options{})
	deliver(t, b.writeWith(t, mail.Config{URL: server.URL(), From: "no-reply@example.com"}))
	b.signInWith(t, oidc.Config{Frontend: "http://localhost:8080"}) // mounts the routes
	return b, server
}

var secretForm = regexp.MustCompile(`https://app\.example\.com/auth/(confirm-email|reset-password)\?token=(lnk_[A-Za-z2-7]{34})\n`)

// next reads the next letter: to whom, what about, and the secret of its link.
func next(t testing.TB, server *mailtest.Server) (to, subject, secret string) {
	t.Helper()
	letter := server.Next(t)
	sent := mailtest.Read(t, letter)
	if m := secretForm.FindStringSubmatch(sent.Text); m != nil {
		secret = m[2]
	}
	return letter.To, sent.Subject, secret
}

// TestPostLogsNoSecrets when a letter can't be sent, whatever the reason.
func TestPostLogsNoSecrets(t *testing.T) {
	t.Parallel()
	b, server := setup(t), mailtest.New(t, mailtest.Options{})
	server.Refuse(errors.New("550 <ada@example.com> is unknown"))
	post := b.writeWith(t, mail.Config{URL: server.URL(), From: "no-reply@example.com"})
	core, logs := observer.New(zap.DebugLevel)
	post.log = zap.New(core)
	require.NoError(t, post.send("a letter", post.resetLetter("ada@example.com", newSecret())))
	require.True(t, post.later("panics", func(context.Context) error { panic("oh") }))
	require.True(t, post.later("the database is away", func(context.Context) error {
		return services.Errorf(services.Unavailable, "The database cannot be reached").Because(errors.New("ada@example.com"))
	}))
	stop := deliver(t, post)
	stop() // it does what waits before it ends

	var said strings.Builder
	for _, entry := range logs.All() {
		line, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(entry.Entry, entry.Context)
		require.NoError(t, err)
		said.WriteString(line.String())
	}
	require.Equal(t, 3, logs.Len(), said.String())
	require.Contains(t, said.String(), "a letter")
	for _, secret := range []string{"ada", "example.com", "lnk_"} {
		require.NotContains(t, said.String(), secret)
	}
}

// TestTooMuchMailIsRefused instead of being kept without end.
func TestTooMuchMailIsRefused(t *testing.T) {
	t.Parallel()
	post := setup(t).writeWith(t, mail.Config{})
	nothing := func(context.Context) error { return nil }
	for range maxWaiting {
		require.True(t, post.later("x", nothing))
	}
	require.False(t, post.later("x", nothing))
	require.True(t, services.Is(post.send("x", mail.Message{}), services.Unavailable))
}

// TestPostEndsInTime although a letter hangs.
func TestPostEndsInTime(t *testing.T) {
	t.Parallel()
	post := setup(t).writeWith(t, mail.Config{})
	begun := make(chan struct{})
	post.later("hangs", func(ctx context.Context) error { close(begun); <-ctx.Done(); return ctx.Err() })
	stop := deliver(t, post)
	<-begun
	before := time.Now()
	stop()
	require.Less(t, time.Since(before), 2*windDownIn)
}
