package mail

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"uaol/providers/mail/mailtest"
)

const sender = "UAOL <no-reply@example.com>"

func mailer(t testing.TB, url string) *Mailer {
	t.Helper()
	cfg := Config{URL: url, From: sender}
	require.NoError(t, cfg.Check())
	m, err := New(cfg)
	require.NoError(t, err)
	return m
}

// certificate is one for 127.0.0.1, and who trusts it.
func certificate(t testing.TB) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

var letter = Message{To: "ada@example.com", Subject: "Grüße", Text: "One line.\n\nhttps://app.example.com/auth/x?token=lnk_" + strings.Repeat("A", 34) + "\n.\nThe end"}

func TestMailArrivesAsItWasWritten(t *testing.T) {
	t.Parallel()
	server := mailtest.New(t, mailtest.Options{})
	m := mailer(t, server.URL())
	require.True(t, m.Configured())
	require.NoError(t, m.Send(t.Context(), letter))
	got := server.Next(t)
	require.Equal(t, "no-reply@example.com", got.From)
	require.Equal(t, "ada@example.com", got.To)
	require.False(t, got.TLS)
	sent := mailtest.Read(t, got)
	require.Equal(t, "Grüße", sent.Subject)
	require.Equal(t, letter.Text, sent.Text, "every character of it, also a line with a dot alone")
	require.Equal(t, `"UAOL" <no-reply@example.com>`, sent.Header.Get("From"))
	require.Equal(t, "<ada@example.com>", sent.Header.Get("To"))
	require.Equal(t, "auto-generated", sent.Header.Get("Auto-Submitted"))
	require.Regexp(t, `^<[A-Z2-7]+@example\.com>$`, sent.Header.Get("Message-ID"), "it tells no name of this machine")
	require.Empty(t, sent.Header.Get("X-Mailer")+sent.Header.Get("User-Agent"))
}

func TestMailIsEncryptedAndSignedIn(t *testing.T) {
	t.Parallel()
	identity, trusted := certificate(t)
	for name, test := range map[string]struct {
		options mailtest.Options
		url     string // with PORT
		tls     bool
		fails   string
	}{
		"STARTTLS":                            {options: mailtest.Options{TLS: identity}, url: "smtp://127.0.0.1:PORT?tls=required", tls: true},
		"STARTTLS that is offered":            {options: mailtest.Options{TLS: identity}, url: "smtp://127.0.0.1:PORT?tls=starttls", tls: true},
		"STARTTLS that is not offered":        {url: "smtp://127.0.0.1:PORT?tls=starttls"},
		"none although it is offered":         {options: mailtest.Options{TLS: identity}, url: "smtp://127.0.0.1:PORT?tls=none"},
		"required and not offered":            {url: "smtp://127.0.0.1:PORT?tls=required", fails: "it does not offer STARTTLS"},
		"TLS from the first byte":             {options: mailtest.Options{TLS: identity, Implicit: true}, url: "smtps://127.0.0.1:PORT", tls: true},
		"a password over STARTTLS":            {options: mailtest.Options{TLS: identity, User: "uaol", Password: "p@ss word"}, url: "smtp://uaol:p%40ss%20word@127.0.0.1:PORT?tls=required", tls: true},
		"a password over TLS":                 {options: mailtest.Options{TLS: identity, Implicit: true, User: "uaol", Password: "secret-of-it"}, url: "smtps://uaol:secret-of-it@127.0.0.1:PORT", tls: true},
		"a password within this machine":      {options: mailtest.Options{User: "uaol", Password: "secret-of-it"}, url: "smtp://uaol:secret-of-it@127.0.0.1:PORT"},
		"a wrong password":                    {options: mailtest.Options{User: "uaol", Password: "secret-of-it"}, url: "smtp://uaol:wrong-one@127.0.0.1:PORT", fails: "it answered 535"},
		"a password that nobody asks for":     {url: "smtp://uaol:secret-of-it@127.0.0.1:PORT", fails: "it does not take these credentials"},
		"no password where one is asked for":  {options: mailtest.Options{User: "uaol", Password: "secret-of-it"}, url: "smtp://127.0.0.1:PORT", fails: "MAIL FROM"},
		"implicit TLS spoken to a plain port": {url: "smtps://127.0.0.1:PORT", fails: "the mail server did not take the message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mailtest.New(t, test.options)
			m := mailer(t, strings.ReplaceAll(test.url, "PORT", server.Port))
			m.tls.RootCAs = trusted
			err := m.Send(t.Context(), letter)
			if test.fails != "" {
				require.ErrorContains(t, err, test.fails)
				server.None(t)
				for _, secret := range []string{"ada", "lnk_", "secret-of-it", "wrong-one"} {
					require.NotContains(t, err.Error(), secret)
				}
				return
			}
			require.NoError(t, err)
			got := server.Next(t)
			require.Equal(t, test.tls, got.TLS)
			require.Equal(t, test.options.User, got.User)
		})
	}
}

func TestAServerThatNobodyTrustsGetsNothing(t *testing.T) {
	t.Parallel()
	identity, _ := certificate(t)
	for _, options := range []mailtest.Options{{TLS: identity}, {TLS: identity, Implicit: true}} {
		server := mailtest.New(t, options)
		url := server.URL() + "?tls=required"
		if options.Implicit {
			url = "smtps://127.0.0.1:" + server.Port
		}
		require.ErrorContains(t, mailer(t, url).Send(t.Context(), letter), "its certificate is not trusted")
		server.None(t)
	}
}

func TestWhatTheServerSaysStaysThere(t *testing.T) {
	t.Parallel()
	server := mailtest.New(t, mailtest.Options{})
	server.Refuse(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<ada@example.com>: unknown here"})
	err := mailer(t, server.URL()).Send(t.Context(), letter)
	require.ErrorContains(t, err, "550 5.1.1")
	require.NotContains(t, err.Error(), "ada")
	server.None(t)
}

func TestSendingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err = mailer(t, "smtp://"+listener.Addr().String()).Send(ctx, letter)
	require.ErrorContains(t, err, "it took too long")
	require.Less(t, time.Since(begun), within/2)

	require.NoError(t, listener.Close())
	err = mailer(t, "smtp://"+listener.Addr().String()).Send(t.Context(), letter)
	require.ErrorContains(t, err, "refused")
}

func TestNobodyWritesHeaders(t *testing.T) {
	t.Parallel()
	server := mailtest.New(t, mailtest.Options{})
	m := mailer(t, server.URL())
	for _, bad := range []Message{
		{To: "ada@example.com\r\nBcc: eve@example.com", Subject: "x"},
		{To: "ada@example.com, eve@example.com", Subject: "x"},
		{To: "Ada <ada@example.com>", Subject: "x"},
		{To: "ada@example.com", Subject: "x\r\nBcc: eve@example.com"},
		{To: "ada@example.com", Subject: "x\nBcc: eve@example.com"},
		{To: "", Subject: "x"},
	} {
		err := m.Send(t.Context(), bad)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "eve")
	}
	server.None(t)
}

func TestWithoutAServerNothingIsSent(t *testing.T) {
	t.Parallel()
	cfg := Config{}
	require.NoError(t, cfg.Check())
	m, err := New(cfg)
	require.NoError(t, err)
	require.False(t, m.Configured())
	require.ErrorContains(t, m.Send(t.Context(), letter), "no mail server is configured")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]server{
		"smtp://mail.example.com":                            {host: "mail.example.com", port: 587, security: required},
		"smtp://mail.example.com:25?tls=none":                {host: "mail.example.com", port: 25, security: none},
		"smtp://mail.example.com?tls=starttls":               {host: "mail.example.com", port: 587, security: offered},
		"smtp://localhost:1025":                              {host: "localhost", port: 1025, security: none},
		"smtp://[::1]:1025?tls=required":                     {host: "::1", port: 1025, security: required},
		"smtps://a%40b:c%2Fd@mail.example.com/":              {host: "mail.example.com", port: 465, security: implicit, user: "a@b", password: "c/d"},
		"smtp://user:password@127.0.0.1:25":                  {host: "127.0.0.1", port: 25, security: none, user: "user", password: "password"},
		"smtp://user:password@mail.example.com?tls=required": {host: "mail.example.com", port: 587, security: required, user: "user", password: "password"},
	} {
		cfg := Config{URL: url, From: sender}
		require.NoError(t, cfg.Check(), url)
		got, err := readServer(url)
		require.NoError(t, err)
		require.Equal(t, want, got, url)
	}
	for url, want := range map[string]string{
		"mail.example.com":                               "SMTP_URL",
		"http://mail.example.com":                        "begins with smtp://",
		"smtp://":                                        "SMTP_URL",
		"smtp://mail.example.com:0":                      "a port",
		"smtp://mail.example.com:99999":                  "a port",
		"smtp://mail.example.com/path":                   "SMTP_URL",
		"smtp://mail.example.com?tls=maybe":              "tls=required",
		"smtp://mail.example.com?starttls=1":             "no option",
		"smtps://mail.example.com?tls=none":              "no option",
		"smtp://user:hidden@mail.example.com?tls=none":   "everybody on the way",
		"smtp://user:hid%zzden@mail.example.com":         "escaped",
		"smtp://user:hidden@mail.example.com:25?tls=bad": "tls=required",
	} {
		cfg := Config{URL: url, From: sender}
		err := cfg.Check()
		require.ErrorContains(t, err, want, url)
		require.NotContains(t, err.Error(), "hid", url)
	}
	for _, from := range []string{"", "nobody", "a@b.c\r\nBcc: x@y.z"} {
		cfg := Config{URL: "smtp://mail.example.com", From: from}
		require.ErrorContains(t, cfg.Check(), "SMTP_FROM")
	}
}
