// Package library keeps what files say: it has each content read once, by the
// documents package, divides it into passages, and finds those that answer a question.
package library

import (
	"context"

	"github.com/google/uuid"

	"uaol/services"
)

// Library is what the gateway sees of documents.
type Library interface {
	// Consult gives what files say to a question: all of it when it is little, else the
	// passages that answer best, in the order of reading. A file that is just being read
	// is waited for, for a while. Kinds: NotFound for a file that is not there or not
	// the caller's.
	Consult(ctx context.Context, in ConsultRequest) (Consulted, error)
}

// MostFiles is how many files one question may be about.
const MostFiles = 20

// ConsultRequest is a question to files.
type ConsultRequest struct {
	Caller   services.Caller `json:"caller"`
	Files    []uuid.UUID     `json:"files"`
	Question string          `json:"question"`
	Bytes    int             `json:"bytes"` // the most text that is wanted
}

// Consulted is what files say to a question.
type Consulted struct {
	Files    []Standing `json:"files"`    // in the order of asking
	Passages []Passage  `json:"passages"` // of a file one after the other
}

// Status is how far the reading of a file is.
type Status string

// The statuses.
const (
	Waiting Status = "waiting"
	Reading Status = "reading"
	Read    Status = "read"
	Failed  Status = "failed"
)

// Standing is what is known of a file as a document.
type Standing struct {
	File     uuid.UUID `json:"fileId"`
	Filename string    `json:"filename"`
	Status   Status    `json:"status"`
	Whole    bool      `json:"whole"`              // all that it says is among the passages
	Warnings []string  `json:"warnings,omitempty"` // what is missing of it, for people
	Error    string    `json:"error,omitempty"`    // why it could not be read, for people
}

// Passage is a place in a document and what stands there.
type Passage struct {
	File     uuid.UUID `json:"fileId"`
	Filename string    `json:"filename"`
	Ordinal  int       `json:"ordinal" doc:"its place among the document's passages, from 0"`
	Page     int       `json:"page,omitempty" doc:"from 1, where there are pages"`
	Sheet    string    `json:"sheet,omitempty" doc:"of a table"`
	Heading  []string  `json:"heading,omitempty" doc:"those that it stands under"`
	Text     string    `json:"text"`
}
