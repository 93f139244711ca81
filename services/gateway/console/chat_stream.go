package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"uaol/providers/api"
	"uaol/services"
)

// sayStreamed sends a message and passes on what comes in answer, as events for the page's
// script: begun, tool, done and error have parts of the page, whose elements take the
// place of those with their ids; delta has a text, as JSON.
func sayStreamed(v *visit) error {
	in, err := sayingOf(v.r.PostForm)
	if err != nil {
		return err
	}
	answer, err := v.streamed(in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	out := api.NewStream(v.w, v.r)
	defer out.Close()
	ctx, cancel := context.WithCancel(v.r.Context())
	defer cancel()
	go out.Beat(ctx)
	s := speech{v: v, in: in, out: out}
	err = eachEvent(answer.Body, s.take)
	if err == nil && !s.ended {
		err = errLost
	}
	if err != nil && v.r.Context().Err() == nil {
		_ = s.failed(err) // whoever left does not mind
	}
	return nil
}

var errLost = unavailable(errors.New("the answer has no end"))

// speech is one answer while it comes.
type speech struct {
	v            *visit
	in           saying
	out          *api.Stream
	conversation string
	ended        bool
}

func (s *speech) take(kind string, data []byte) error {
	switch kind {
	case "begun":
		var begun struct {
			Conversation string `json:"conversationId"`
			Turn         string `json:"turnId"`
		}
		if err := decode(data, &begun); err != nil {
			return err
		}
		s.conversation = begun.Conversation
		return s.begun(begun.Turn)
	case "delta":
		var delta struct {
			Text string `json:"text"`
		}
		if err := decode(data, &delta); err != nil {
			return err
		}
		text, err := json.Marshal(delta.Text)
		if err != nil {
			return err
		}
		return s.send("delta", text)
	case "tool":
		var use toolUse
		if err := decode(data, &use); err != nil {
			return err
		}
		return s.show("tool", "call", use)
	case "done":
		s.ended = true
		var said chatReply
		if err := decode(data, &said); err != nil {
			return err
		}
		if said.Conversation == "" {
			return s.failed(errNoModel)
		}
		s.conversation = said.Conversation
		return s.done()
	case "error":
		s.ended = true
		return s.failed(eventError(data))
	}
	return nil // of a later version
}

// begun shows what was said, above an answer that is still empty.
func (s *speech) begun(id string) error {
	t := turn{ID: id, Text: s.in.Message, Decided: s.in.Confirm, At: time.Now(), Last: true, Pending: true, Live: true}
	for _, file := range s.in.Files {
		t.Files = append(t.Files, attachment{ID: file})
	}
	turns := []turn{t}
	if err := s.v.nameFiles(turns); err != nil {
		return err
	}
	return s.show("begun", "begun", chatData{conversation: conversation{ID: s.conversation}, Turns: turns})
}

// done shows the answer as it is kept, and what it changes elsewhere on the page.
func (s *speech) done() error {
	data, err := s.kept()
	if err != nil {
		return err
	}
	return s.show("done", "done", data)
}

// kept is what a conversation's last two turns are by now, of which the first one may no
// longer wait for anything.
func (s *speech) kept() (chatData, error) {
	data := chatData{conversation: conversation{ID: s.conversation}, Set: settingsOf(s.v.r.PostForm)}
	err := together(
		func() error { return s.v.readChat(&data) },
		func() (err error) { data.Conversations, data.More, err = s.v.conversations(s.conversation); return err },
		s.v.recount)
	data.Turns = data.Turns[max(len(data.Turns)-2, 0):]
	return data, err
}

// failed tells what went wrong, and what there is of the answer.
func (s *speech) failed(err error) error {
	s.ended = true
	data := chatData{}
	if s.conversation != "" {
		if kept, keptErr := s.kept(); keptErr == nil {
			data = kept
		}
	}
	said := problemOf(err)
	data.Problem = &said
	return s.show("error", "done", data)
}

// show sends a part of the page.
func (s *speech) show(kind, block string, data any) error {
	text, err := s.v.block(block, view{Template: "chat", Data: data})
	if err != nil {
		return err
	}
	return s.send(kind, text)
}

func (s *speech) send(kind string, text []byte) error {
	return s.out.Write(append([]byte("event: "+kind+"\n"), event(text)...))
}

// eachEvent reads server-sent events, of which each line of data is JSON of its own.
func eachEvent(from io.Reader, take func(kind string, data []byte) error) error {
	lines := bufio.NewReader(io.LimitReader(from, maxAnswer))
	kind, data := "", []byte(nil)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unavailable(err)
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case len(line) == 0:
			if data != nil {
				if err := take(kind, data); err != nil {
					return err
				}
			}
			kind, data = "", nil
		case name == "event":
			kind = value
		case name == "data":
			data = append(data, value...)
		}
	}
}

// eventError reads an error that came as an event, without a status: its kind is that of
// its code, if the code is a kind's own.
func eventError(data []byte) error {
	err := api.ReadError(http.StatusBadRequest, data)
	for _, kind := range []services.Kind{
		services.Unauthenticated, services.Insufficient, services.Forbidden, services.NotFound, services.Conflict, services.Limited,
		services.Upstream, services.Unavailable, services.Timeout, services.Unconfigured, services.Internal,
	} {
		if said, ok := services.AsError(err); ok && said.Code == api.CodeOf(services.Errorf(kind, "")) {
			return services.Errorf(kind, "%s", said.Message).WithDetails(said.Details)
		}
	}
	return err
}
