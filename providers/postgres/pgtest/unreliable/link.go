package unreliable

import (
	"bufio"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The messages that matter here, by their first byte.
const (
	query         = 'Q' // a statement of the simple protocol
	parse         = 'P'
	execute       = 'E'
	flush         = 'H'
	syncs         = 'S' // the end of a statement of the extended protocol
	terminate     = 'X'
	readyForQuery = 'Z' // the server's answer to query and to syncs
)

// What becomes of the server's answer to a statement.
const (
	pass    = iota
	instead // of it, 40001 is told
	silence // nobody is there to be told
)

// link is one client's connection.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	rand           *rand.Rand
	answers        chan int // of statements that were passed on, in their order

	mu     sync.Mutex
	status byte // the server's last word: idle, in a transaction, in a failed one
}

func newLink(p *Proxy, client, server net.Conn, r *rand.Rand) *link {
	return &link{proxy: p, client: client, server: server, rand: r, answers: make(chan int, 1<<16), status: 'I'}
}

// run ends when either side does.
func (l *link) run() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.down()
		_ = l.client.Close()
	}()
	if !l.up() {
		_ = l.server.Close()
	}
	<-ended
}

// up carries what the client says, statement by statement; true when the server's
// answer to the last one has still to be waited for.
func (l *link) up() (waits bool) {
	in := bufio.NewReader(l.client)
	if !l.startup(in) {
		return false
	}
	var said []byte // since the last statement's end
	executes, parses, flushed := false, "", false
	for {
		kind, message, err := read(in)
		if err != nil {
			return false
		}
		said = append(said, message...)
		switch kind {
		case parse:
			parses = parsed(message)
		case execute:
			executes = true
		case flush:
			flushed = true
		case query:
			parses = strings.Trim(string(message[5:len(message)-1]), " ;\n\t")
			executes = parses != "" && !strings.HasPrefix(parses, "--")
		}
		ends := kind == query || kind == syncs
		if !ends && kind != flush && kind != terminate && kind != 'd' && kind != 'c' && kind != 'f' && kind != 'p' {
			continue // it is not decided yet what becomes of it
		}
		if ends {
			var fault int
			var gone bool
			if said, fault, gone = l.decide(said, parses, executes && !flushed); gone {
				return fault == silence
			}
			l.answers <- fault
			executes, parses, flushed = false, "", false
		}
		if _, err := l.server.Write(said); err != nil {
			return false
		}
		said = said[:0]
	}
}

// decide says what the server is told in the place of a statement. When the
// connection is gone, that has been said already.
func (l *link) decide(said []byte, sql string, executes bool) (told []byte, fault int, gone bool) {
	sql = strings.ToLower(strings.Trim(sql, " ;\n\t"))
	word, _, _ := strings.Cut(sql, " ")
	chance := l.rand.Float64()
	switch {
	case word == "commit", strings.HasSuffix(sql, "; commit"):
		l.proxy.commits.Add(1)
		switch {
		case chance < l.proxy.faults.Cut:
			l.proxy.cut.Add(1)
			if l.rand.IntN(2) == 0 {
				return nil, pass, true
			}
			l.answers <- silence
			_ = l.client.Close()
			_, _ = l.server.Write(said)
			return nil, silence, true
		case l.in('T') && chance < l.proxy.faults.Cut+l.proxy.faults.Refused:
			l.proxy.refused.Add(1)
			return encode(&pgproto3.Query{String: "rollback"}), instead, false
		}
	case !executes, word == "begin", word == "rollback":
	case l.in('E'): // it is refused anyway
	default:
		l.proxy.statements.Add(1)
		if chance < l.proxy.faults.Refused {
			l.proxy.refused.Add(1)
			return encode(&pgproto3.Query{String: refusing}), pass, false
		}
	}
	return said, pass, false
}

// refusing fails as a statement does that conflicts with another transaction, with
// all that follows from that on the server.
const refusing = `DO $$ BEGIN RAISE EXCEPTION 'restart transaction: made unreliable' USING ERRCODE = '40001'; END $$`

// down carries what the server says.
func (l *link) down() {
	in := bufio.NewReader(l.server)
	out := bufio.NewWriter(l.client)
	started, fault, known := false, pass, false
	for {
		kind, message, err := read(in)
		if err != nil {
			return
		}
		if started && !known {
			select {
			case fault = <-l.answers:
				known = true
			default: // a notice that nobody asked for
			}
		}
		if kind == readyForQuery {
			l.note(message[5])
			if known && fault == instead {
				message = append(encode(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "40001",
					Message: "restart transaction: made unreliable"}), message...)
			}
			if fault == silence {
				return
			}
			if _, err := out.Write(message); err != nil || out.Flush() != nil {
				return
			}
			started, fault, known = true, pass, false
			continue
		}
		if known && fault != pass {
			continue
		}
		if _, err := out.Write(message); err != nil {
			return
		}
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

func (l *link) note(status byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = status
}

func (l *link) in(status byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status == status
}

// startup passes the first message on, which has no kind; encryption is declined.
func (l *link) startup(in *bufio.Reader) bool {
	for {
		message, err := body(in, nil)
		if err != nil {
			return false
		}
		if len(message) >= 8 {
			switch binary.BigEndian.Uint32(message[4:]) {
			case 80877103, 80877104: // SSLRequest, GSSENCRequest
				if _, err := l.client.Write([]byte("N")); err != nil {
					return false
				}
				continue
			}
		}
		_, err = l.server.Write(message)
		return err == nil
	}
}

// read gives a whole message and its kind.
func read(in *bufio.Reader) (kind byte, message []byte, err error) {
	if kind, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	message, err = body(in, []byte{kind})
	return kind, message, err
}

// longest is what PostgreSQL takes of a message, in bytes.
const longest = 1 << 30

func body(in *bufio.Reader, message []byte) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(length[:]))
	if n < 4 || n > longest {
		return nil, io.ErrUnexpectedEOF
	}
	message = append(message, length[:]...)
	from := len(message)
	message = append(message, make([]byte, n-4)...)
	_, err := io.ReadFull(in, message[from:])
	return message, err
}

// parsed is the text of a statement that is prepared.
func parsed(message []byte) string {
	_, rest, _ := strings.Cut(string(message[5:]), "\x00") // its name
	sql, _, _ := strings.Cut(rest, "\x00")
	return sql
}

func encode(m pgproto3.Message) []byte { return must(m.Encode(nil)) }

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err) // of messages of ours, whose lengths are known
	}
	return b
}
