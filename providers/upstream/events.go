package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"time"
)

// event is one server-sent event.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
type event struct {
	name  string
	data  []byte
	id    string
	retry time.Duration
}

// eventReader reads events; all of them together may take left bytes.
type eventReader struct {
	lines *bufio.Reader
	left  int64
}

// Events gives the messages of an event stream as they come, until it ends.
func Events(body io.Reader, each func(data []byte)) error {
	events := newEventReader(body, math.MaxInt64)
	for {
		e, err := events.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(e.data) > 0 && (e.name == "" || e.name == "message") {
			each(e.data)
		}
	}
}

func newEventReader(body io.Reader, left int64) *eventReader {
	return &eventReader{lines: bufio.NewReader(body), left: left}
}

// next gives the next event, or io.EOF where the stream ends. An event that
// the end cuts off does not count.
func (r *eventReader) next() (event, error) {
	var e event
	seen := false
	for {
		line, err := r.line()
		if err != nil {
			return event{}, err
		}
		if len(line) == 0 {
			if seen {
				e.data = bytes.TrimSuffix(e.data, []byte("\n"))
				return e, nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.name, seen = string(value), true
		case "data":
			e.data, seen = append(append(e.data, value...), '\n'), true
		case "id":
			e.id, seen = string(value), true
		case "retry":
			if ms, err := strconv.ParseInt(string(value), 10, 32); err == nil && ms >= 0 {
				e.retry, seen = time.Duration(ms)*time.Millisecond, true
			}
		}
	}
}

// line gives a line without its end, which is LF or CRLF.
func (r *eventReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		if r.left -= int64(len(part)); r.left < 0 {
			return nil, errTooLarge
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
	}
}
