// Package mailtest is an SMTP server for tests, which keeps what it is given.
package mailtest

import (
	"crypto/tls"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Letter is a message as it arrived.
type Letter struct {
	From, To string // of the envelope
	User     string // who signed in; "" for nobody
	TLS      bool
	Data     string // the headers and the text, as they came over the wire
}

// Server is an SMTP server at 127.0.0.1.
type Server struct {
	Port string

	options Options
	server  *smtp.Server
	letters chan Letter

	mu      sync.Mutex
	refusal error
}

// Options say what a Server wants; the zero Options are an open one without TLS.
type Options struct {
	TLS            *tls.Config // it offers STARTTLS
	Implicit       bool        // it begins with TLS
	User, Password string      // it wants them
}

// New starts a Server, which stops when the test ends.
func New(t testing.TB, options Options) *Server {
	t.Helper()
	s := &Server{options: options, letters: make(chan Letter, 100)}
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c}, nil
	}))
	s.server.Domain, s.server.AllowInsecureAuth, s.server.EnableSMTPUTF8 = "localhost", true, true
	if !options.Implicit {
		s.server.TLSConfig = options.TLS
	}
	s.server.ErrorLog = silent{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Port = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if options.Implicit {
		listener = tls.NewListener(listener, options.TLS)
	}
	go func() { _ = s.server.Serve(listener) }()
	t.Cleanup(func() { _ = s.server.Close() })
	return s
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// URL is what SMTP_URL would hold.
func (s *Server) URL() string { return "smtp://127.0.0.1:" + s.Port }

// Refuse lets the server answer every message so; nil ends that.
func (s *Server) Refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = err
}

// Next waits for the next letter.
func (s *Server) Next(t testing.TB) Letter {
	t.Helper()
	select {
	case letter := <-s.letters:
		return letter
	case <-time.After(10 * time.Second):
		t.Fatal("no mail came")
		return Letter{}
	}
}

// None makes sure that nothing has come that was not looked at.
func (s *Server) None(t testing.TB) {
	t.Helper()
	select {
	case letter := <-s.letters:
		t.Fatalf("mail came: %s", letter.Data)
	default:
	}
}

// Sent is a letter as its reader sees it.
type Sent struct {
	Header  mail.Header
	Subject string
	Text    string
}

// Read decodes a letter.
func Read(t testing.TB, letter Letter) Sent {
	t.Helper()
	message, err := mail.ReadMessage(strings.NewReader(letter.Data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(message.Body))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return Sent{Header: message.Header, Subject: subject, Text: strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))}
}

type session struct {
	server *Server
	conn   *smtp.Conn
	letter Letter
}

func (s *session) AuthMechanisms() []string {
	if s.server.options.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.options.User || password != s.server.options.Password {
			return smtp.ErrAuthFailed
		}
		s.letter.User = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.options.User != "" && s.letter.User == "" {
		return smtp.ErrAuthRequired
	}
	_, s.letter.TLS = s.conn.TLSConnectionState()
	s.letter.From = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.letter.To = to
	return s.server.refusal
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.letter.Data = string(text)
	s.server.letters <- s.letter
	return nil
}

func (s *session) Reset() { s.letter = Letter{User: s.letter.User} }

func (s *session) Logout() error { return nil }
