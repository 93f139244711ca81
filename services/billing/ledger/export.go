package ledger

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"hash"
	"io"

	"uaol/services/billing/chain"
)

// An export is a file of JSON lines. Each is an object with one member, whose
// name says what it is. The first says that it is an export, the last how much it
// has; between them the books stand as Source gives them.
const (
	exportFormat  = "uaol ledger"
	exportVersion = 1
)

type exportHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Beginning
}

// exportEnd tells whether all lines before it are there as they were written.
type exportEnd struct {
	Organizations int64       `json:"organizations"`
	Ranges        int64       `json:"ranges"`
	Spenders      int64       `json:"spenders"`
	Entries       int64       `json:"entries"`
	Holds         int64       `json:"holds"`
	Seals         int64       `json:"seals"`
	SHA256        chain.Bytes `json:"sha256"` // of all bytes before this line
}

type exportLine struct {
	Header       *exportHeader `json:"export,omitempty"`
	Organization *Organization `json:"organization,omitempty"`
	Range        *Range        `json:"range,omitempty"`
	Spender      *Spender      `json:"spender,omitempty"`
	Entry        *chain.Entry  `json:"entry,omitempty"`
	Hold         *Hold         `json:"hold,omitempty"`
	Seal         *chain.Seal   `json:"seal,omitempty"`
	End          *exportEnd    `json:"end,omitempty"`
}

// Export writes books as a file that Verify reads.
func Export(ctx context.Context, source Source, to io.Writer) error {
	buffered := bufio.NewWriterSize(to, 1<<16)
	e := &exporter{to: buffered, sum: sha256.New()}
	if err := source.Read(ctx, e); err != nil {
		return err
	}
	e.end.SHA256 = e.sum.Sum(nil)
	if err := e.line(exportLine{End: &e.end}); err != nil {
		return err
	}
	return buffered.Flush()
}

type exporter struct {
	to  io.Writer
	sum hash.Hash
	end exportEnd
}

func (e *exporter) line(l exportLine) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	e.sum.Write(text)
	_, err = e.to.Write(text)
	return err
}

// Begin implements Reader.
func (e *exporter) Begin(b Beginning) error {
	b.At = b.At.UTC()
	return e.line(exportLine{Header: &exportHeader{Format: exportFormat, Version: exportVersion, Beginning: b}})
}

// Organization implements Reader.
func (e *exporter) Organization(o Organization) error {
	e.end.Organizations++
	return e.line(exportLine{Organization: &o})
}

// Range implements Reader.
func (e *exporter) Range(r Range) error {
	e.end.Ranges++
	return e.line(exportLine{Range: &r})
}

// Spender implements Reader.
func (e *exporter) Spender(s Spender) error {
	e.end.Spenders++
	return e.line(exportLine{Spender: &s})
}

// Entry implements Reader.
func (e *exporter) Entry(entry chain.Entry) error {
	e.end.Entries++
	return e.line(exportLine{Entry: &entry})
}

// Hold implements Reader.
func (e *exporter) Hold(h Hold) error {
	e.end.Holds++
	return e.line(exportLine{Hold: &h})
}

// Seal implements Reader.
func (e *exporter) Seal(s chain.Seal) error {
	e.end.Seals++
	return e.line(exportLine{Seal: &s})
}
