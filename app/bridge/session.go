package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
)

// session is the client's, of the older protocols. The server knows nothing of it but what
// its id says, so it outlives servers; where one does not take the id, the bridge begins
// another with what the client began the first.
type session struct {
	hears sync.Once // the stream of what nobody has asked for

	mu     sync.Mutex
	hello  *message // the client's initialize
	level  *message // its latest logging/setLevel
	is     stamp
	renews sync.Mutex // held while another is begun
}

// stamp is what headers say of a session.
type stamp struct{ id, version string }

func (s stamp) set(to http.Header) {
	if s.id != "" {
		to.Set(sessionHeader, s.id)
	}
	if s.version != "" {
		to.Set(versionHeader, s.version)
	}
}

// of is the session of a message; none of one that begins a session or needs none.
func (s *session) of(m *message) stamp {
	if m.params.modern || m.method == initialize {
		return stamp{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.is
}

// begun is told of a session that the client, or the bridge for it, has begun.
func (s *session) begun(m *message, a answer, header http.Header) {
	var said struct {
		Version string `json:"protocolVersion"`
	}
	_ = json.Unmarshal(a.result, &said) // without one none is named
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hello, s.is = m, stamp{header.Get(sessionHeader), said.Version}
}

func (s *session) levelled(m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level = m
}

// lost reports whether a message was refused because of its session.
func (e *refusal) lost(s stamp) bool {
	var envelope struct {
		Success *bool `json:"success"`
		Error   struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	return e.status == http.StatusNotFound && s.id != "" && (json.Unmarshal(e.body, &envelope) != nil || envelope.Success == nil)
}

// renew begins another session in the place of a lost one, once for all who have lost it.
func (r *running) renew(ctx context.Context, way *Way, lost stamp) error {
	s := &r.session
	s.renews.Lock()
	defer s.renews.Unlock()
	s.mu.Lock()
	hello, level, is := s.hello, s.level, s.is
	s.mu.Unlock()
	if is != lost {
		return nil
	}
	if hello == nil {
		return errors.New("the client has begun no session")
	}
	var began bool
	err := r.exchange(ctx, way, hello, &delivery{}, stamp{}, ignore, func(a answer, _ []byte, header http.Header) {
		if began = a.result != nil; began {
			s.begun(hello, a, header)
		}
	})
	if err == nil && !began {
		err = errors.New("the server begins no session")
	}
	if err != nil {
		return err
	}
	r.Say("the server did not know the session any more: began another")
	s.mu.Lock()
	is = s.is
	s.mu.Unlock()
	ready := &message{text: []byte(`{"jsonrpc":"2.0","method":"` + initialized + `"}`), method: initialized}
	if err := r.exchange(ctx, way, ready, &delivery{}, is, nil, nil); err != nil {
		return err
	}
	if level != nil {
		return r.exchange(ctx, way, level, &delivery{}, is, ignore, func(answer, []byte, http.Header) {})
	}
	return nil
}

func ignore(answer, []byte) {}
