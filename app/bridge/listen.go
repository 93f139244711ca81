package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"uaol/providers/upstream"
	"uaol/services"
)

// lastAway is the longest pause between attempts to hear a server again that is away: no
// server is started just to be heard.
const lastAway = 5 * time.Second

// hear keeps the stream open on which a session hears what nobody has asked for.
func (r *running) hear() {
	var failed *Way
	again := false
	for pause := firstPause; r.ctx.Err() == nil; pause = min(2*pause, lastAway) {
		way, err := r.ways.of(r.ctx, failed, false)
		if err == nil {
			s := r.session.of(&message{})
			err = r.stream(way, s, func() {
				if again { // what changed meanwhile was not heard
					r.write([]byte(`{"jsonrpc":"2.0","method":"` + toolsChanged + `"}`))
				}
				again, pause = true, firstPause
			})
			failed = way
			var refused *refusal
			if errors.As(err, &refused) {
				switch {
				case refused.lostStream(s) && r.renew(r.ctx, way, s) == nil:
					failed = nil
				case !refused.passing():
					r.Say("the server does not let us hear of changes: %s", err)
					return
				}
			}
		}
		rest(r.ctx, pause)
	}
}

// stream reads the stream until it ends; open is told when it has begun.
func (r *running) stream(way *Way, s stamp, open func()) error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, way.URL, nil)
	if err != nil {
		return err
	}
	request.Header = way.Header.Clone()
	request.Header.Set("Accept", "text/event-stream")
	s.set(request.Header)
	response, err := way.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return refusalOf(response)
	}
	open()
	return upstream.Events(response.Body, func(data []byte) {
		if _, ok := readAnswer(data); ok {
			r.write(data)
		}
	})
}

// lostStream is lost for the stream, which is refused in the words of the REST interface.
func (e *refusal) lostStream(s stamp) bool { return e.status == http.StatusNotFound && s.id != "" }

// passing reports a refusal after which asking again may bring another answer.
func (e *refusal) passing() bool {
	return e.status >= 500 || e.status == http.StatusTooManyRequests || e.status == http.StatusUnauthorized || e.status == http.StatusRequestTimeout
}

// subscribe keeps a subscription of the stateless protocol for as long as the client wants
// it, over as many servers as that takes.
func (r *running) subscribe(p *pending) {
	var failed *Way
	var is subscription
	until := time.Now().Add(Patience)
	for pause := firstPause; ; pause = min(2*pause, lastAway) {
		way, err := r.ways.of(p.ctx, failed, !is.open)
		if err == nil {
			err = r.exchange(p.ctx, way, p.message, p.attempt(), stamp{}, func(said answer, text []byte) {
				if said.method != acknowledged {
					r.write(text)
					return
				}
				pause = firstPause
				if text := is.acknowledged(p, said, text); text != nil {
					r.write(text)
				}
			}, func(a answer, text []byte, _ http.Header) {
				if is.over = a.fault != nil; is.over { // else the server stops, and another one is asked
					r.answer(p, text)
				}
			})
			failed = way
			var refused *refusal
			if errors.As(err, &refused) && (!is.open || !refused.passing()) {
				r.answer(p, refused.answer(p.id))
				return
			}
		}
		if is.over || p.ctx.Err() != nil {
			return
		}
		if err != nil && !is.open && (failed == nil || time.Now().After(until)) {
			r.fail(p, services.Errorf(services.Unavailable, "The server can't be reached: %s", err))
			return
		}
		rest(p.ctx, pause)
	}
}

// subscription is how far one is.
type subscription struct {
	open  bool // the client was told that it is
	tools bool // it hears of changes of the tools
	over  bool
}

// acknowledged gives what the client is told when a server has taken the subscription:
// the server's word the first time, and later that something may have changed meanwhile.
func (s *subscription) acknowledged(p *pending, said answer, text []byte) []byte {
	if !s.open {
		var agreed struct {
			Notifications struct {
				Tools bool `json:"toolsListChanged"`
			} `json:"notifications"`
		}
		_ = json.Unmarshal(said.params, &agreed) // what is not agreed to is not told
		s.open, s.tools = true, agreed.Notifications.Tools
		return text
	}
	if !s.tools {
		return nil
	}
	return []byte(`{"jsonrpc":"2.0","method":"` + toolsChanged + `","params":{"_meta":{"` + metaSubscription + `":` + string(p.id) + `}}}`)
}
