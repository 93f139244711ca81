// Package mail sends plain text mail through one SMTP server.
package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
	"unicode"

	smtp "github.com/wneessen/go-mail"
)

// within bounds sending one message, from the look-up of the server's name on.
const within = 30 * time.Second

// Message is one mail.
type Message struct {
	To      string // one address, without a name
	Subject string
	Text    string
}

// Mailer sends mail.
type Mailer struct {
	server server
	from   string
	tls    *tls.Config
}

// New makes a Mailer; without SMTP_URL it sends nothing.
func New(cfg Config) (*Mailer, error) {
	if cfg.URL == "" {
		return &Mailer{}, nil
	}
	s, err := readServer(cfg.URL)
	return &Mailer{server: s, from: cfg.From, tls: &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}}, err
}

// Configured reports whether there is a server to send through.
func (m *Mailer) Configured() bool { return m.server.host != "" }

// Send hands a message to the server. Its errors hold no address and nothing
// that the server said in words: that often quotes the address.
func (m *Mailer) Send(ctx context.Context, message Message) error {
	if !m.Configured() {
		return errors.New("no mail server is configured")
	}
	letter, err := m.letter(message)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := m.deliver(ctx, letter); err != nil {
		return fmt.Errorf("the mail server did not take the message: %s", reason(err))
	}
	return nil
}

func (m *Mailer) deliver(ctx context.Context, letter *smtp.Msg) error {
	client, err := m.client(ctx)
	if err != nil {
		return err
	}
	connected, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return err
	}
	if err := client.SendWithSMTPClient(connected, letter); err != nil {
		return err
	}
	_ = client.CloseWithSMTPClient(connected) // the message is theirs by now
	return nil
}

// letter makes the message as it goes over the wire. A line's end in a header
// would begin another header, so there is none.
func (m *Mailer) letter(message Message) (*smtp.Msg, error) {
	address, err := mail.ParseAddress(message.To)
	if err != nil || address.Address != message.To || strings.ContainsFunc(message.To, unicode.IsControl) {
		return nil, errors.New("the message's receiver is not an e-mail address")
	}
	if strings.ContainsFunc(message.Subject, unicode.IsControl) {
		return nil, errors.New("the message's subject is not one line")
	}
	letter := smtp.NewMsg(smtp.WithNoDefaultUserAgent())
	if err := errors.Join(letter.From(m.from), letter.To(message.To)); err != nil {
		return nil, errors.New("the message's sender or receiver cannot be written to")
	}
	_, domain, _ := strings.Cut(letter.GetFrom()[0].Address, "@")
	letter.SetMessageIDWithValue(rand.Text() + "@" + domain)
	letter.SetDate()
	letter.Subject(message.Subject)
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's absence note comes back
	letter.SetBodyString(smtp.TypeTextPlain, message.Text)
	return letter, nil
}

// client is made for each message: the library's changes itself while it signs in.
func (m *Mailer) client(ctx context.Context) (*smtp.Client, error) {
	options := []smtp.Option{
		smtp.WithPort(m.server.port), smtp.WithTimeout(within), smtp.WithTLSConfig(m.tls), smtp.WithDialContextFunc(m.dial(ctx)),
	}
	switch m.server.security {
	case implicit:
		options = append(options, smtp.WithSSL())
	case required:
		options = append(options, smtp.WithTLSPolicy(smtp.TLSMandatory))
	case offered:
		options = append(options, smtp.WithTLSPolicy(smtp.TLSOpportunistic))
	case none:
		options = append(options, smtp.WithTLSPolicy(smtp.NoTLS))
	}
	if m.server.user != "" {
		options = append(options, smtp.WithUsername(m.server.user), smtp.WithPassword(m.server.password),
			// PLAIN and LOGIN refuse to work unencrypted, but for this machine.
			smtp.WithOpportunisticSMTPAuth(smtp.SMTPAuthSCRAMSHA256, smtp.SMTPAuthSCRAMSHA1, smtp.SMTPAuthCramMD5, smtp.SMTPAuthPlain, smtp.SMTPAuthLogin))
	}
	return smtp.NewClient(m.server.host, options...)
}

// dial connects; the connection is closed when whole ends, which the library
// does not see to once it is connected.
func (m *Mailer) dial(whole context.Context) smtp.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(whole, func() { _ = connection.Close() })
		if m.server.security != implicit {
			return connection, nil
		}
		encrypted := tls.Client(connection, m.tls)
		return encrypted, encrypted.HandshakeContext(ctx)
	}
}

// reason says what went wrong in words of ours.
func reason(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var refused *smtp.SendError
	var reply *textproto.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, net.ErrClosed):
		return "it took too long"
	case errors.As(err, &dns):
		return "its name cannot be looked up"
	case errors.As(err, &certificate):
		return "its certificate is not trusted"
	case errors.As(err, &refused):
		return fmt.Sprintf("%s (%d %s)", refused.Reason, refused.ErrorCode(), refused.EnhancedStatusCode())
	case errors.As(err, &reply):
		return fmt.Sprintf("it answered %d", reply.Code)
	case errors.As(err, &op):
		if op.Timeout() {
			return "it took too long"
		}
		return op.Err.Error()
	case strings.Contains(err.Error(), "STARTTLS"):
		return "it does not offer STARTTLS, and SMTP_URL does not say tls=none"
	case strings.Contains(err.Error(), "AUTH"):
		return "it does not take these credentials"
	}
	return "it does not speak SMTP as expected"
}
