package fleet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Raw sends one request over and over on connections that stay open, and reads no more
// of the answers than where they end: it takes as little as it can of the processors
// that it shares with who is measured.
type Raw struct {
	Address string
	Request []byte
	Expect  int // the answers' status
}

// NewRaw is a GET with an API key.
func NewRaw(address, path, key string) Raw {
	head := "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if key != "" {
		head += "X-API-Key: " + key + "\r\n"
	}
	return Raw{Address: address, Request: []byte(head + "\r\n"), Expect: 200}
}

// Measured is what Run has seen.
type Measured struct {
	Number        int
	Took          time.Duration
	P50, P95, P99 time.Duration
}

// Rate is in requests a second.
func (m Measured) Rate() float64 { return float64(m.Number) / m.Took.Seconds() }

// Run sends requests on so many connections for so long.
func (r Raw) Run(connections int, long time.Duration) (Measured, error) {
	var group sync.WaitGroup
	times, faults := make([][]time.Duration, connections), make([]error, connections)
	begun := time.Now()
	for i := range connections {
		group.Go(func() { times[i], faults[i] = r.one(begun.Add(long)) })
	}
	group.Wait()
	all := slices.Concat(times...)
	m := Measured{Number: len(all), Took: time.Since(begun)}
	if err := errors.Join(faults...); err != nil {
		return m, fmt.Errorf("%d were answered in %s: %w", len(all), m.Took, err)
	}
	if len(all) == 0 {
		return m, errors.New("nothing was answered")
	}
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[min(int(share*float64(len(all))), len(all)-1)] }
	m.P50, m.P95, m.P99 = at(0.5), at(0.95), at(0.99)
	return m, nil
}

func (r Raw) one(until time.Time) (took []time.Duration, err error) {
	conn, err := net.Dial("tcp", r.Address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		begun := time.Now()
		if begun.After(until) {
			return took, nil
		}
		if _, err := conn.Write(r.Request); err != nil {
			return took, err
		}
		if err := r.answer(in); err != nil {
			return took, err
		}
		took = append(took, time.Since(begun))
	}
}

func (r Raw) answer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[9:12]) != strconv.Itoa(r.Expect) {
		return fmt.Errorf("%s answers %s", r.Address, bytes.TrimSpace(line))
	}
	length := -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		case bytes.EqualFold(name, []byte("Connection")):
			return fmt.Errorf("%s answers with Connection: %s", r.Address, value)
		}
	}
	if length < 0 {
		return fmt.Errorf("%s answers without a length", r.Address)
	}
	_, err = io.CopyN(io.Discard, in, int64(length))
	return err
}
