// Package tlsfiles gives TLS configurations whose certificates are read from
// files, and read again when those change.
package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Files are the paths of PEM files. Cert is a certificate with those that lead
// to its authority, Key its private key. CA holds the authorities that the other
// side's certificate has to come from; "" asks clients for none, and believes of
// servers what the system believes.
type Files struct{ Cert, Key, CA string }

// pace is how often, at most, files are looked at: at the first handshake after
// that. Connections that are open go on with what they began with.
const pace = time.Second

// Pair is what the files hold now.
type Pair struct {
	files Files
	log   *zap.Logger
	every time.Duration

	lock   sync.Mutex
	looked time.Time
	seen   [3]os.FileInfo
	told   string // the fault that was logged last
	now    loaded
}

type loaded struct{ server, client *tls.Config }

// Open reads the files. What can't be used in them later is logged, and what was
// read before goes on being used until they are mended.
func Open(files Files, log *zap.Logger) (*Pair, error) {
	p := &Pair{files: files, log: log, every: pace, looked: time.Now()}
	var err error
	if p.seen, err = p.stat(); err != nil {
		return nil, err
	}
	p.now, err = files.load()
	return p, err
}

// ServerConfig is for a listener: each handshake uses what the files hold by then.
// Clients that show a certificate must have it from CA; who may come without one
// is for others to say, by r.TLS.VerifiedChains.
func (p *Pair) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return p.current().server, nil
		},
	}
}

// ClientConfig is for the connection that is dialled next; ask again for each.
func (p *Pair) ClientConfig() *tls.Config { return p.current().client.Clone() }

func (p *Pair) current() loaded {
	p.lock.Lock()
	defer p.lock.Unlock()
	if time.Since(p.looked) < p.every {
		return p.now
	}
	p.looked = time.Now()
	if err := p.reload(); err != nil {
		if err.Error() != p.told { // not at each handshake again
			p.told = err.Error()
			p.log.Error("new certificates can't be used; the old ones go on being used", zap.Error(err))
		}
	}
	return p.now
}

// reload reads the files if any has changed. Certificate and key change one
// after the other: until both fit, this fails and is tried again.
func (p *Pair) reload() error {
	seen, err := p.stat() // before reading, so that a change meanwhile is seen later
	if err != nil || !changed(p.seen, seen) {
		return err
	}
	now, err := p.files.load()
	if err != nil {
		return err
	}
	p.seen, p.now, p.told = seen, now, ""
	p.log.Info("certificates were read again", zap.String("file", p.files.Cert), zap.Time("until", now.server.Certificates[0].Leaf.NotAfter))
	return nil
}

func (p *Pair) stat() (seen [3]os.FileInfo, err error) {
	for i, name := range []string{p.files.Cert, p.files.Key, p.files.CA} {
		if name == "" {
			continue
		}
		if seen[i], err = os.Stat(name); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// changed looks at the file itself too: one that was put in another's place may be older.
func changed(before, now [3]os.FileInfo) bool {
	for i := range now {
		if now[i] != nil && (!os.SameFile(before[i], now[i]) || !before[i].ModTime().Equal(now[i].ModTime()) || before[i].Size() != now[i].Size()) {
			return true
		}
	}
	return false
}

func (f Files) load() (loaded, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return loaded{}, fmt.Errorf("%s with %s: %w", f.Cert, f.Key, err)
	}
	server := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{cert}}
	client := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}
	if f.CA != "" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return loaded{}, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return loaded{}, fmt.Errorf("%s holds no certificate", f.CA)
		}
		server.ClientCAs, server.ClientAuth, client.RootCAs = pool, tls.VerifyClientCertIfGiven, pool
	}
	return loaded{server: server, client: client}, nil
}
