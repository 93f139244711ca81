package library

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"uaol/services"
)

const (
	// consultWait is how long a question waits for files that are just being read.
	consultWait = 30 * time.Second
	// mostFound is how many passages a question is answered with.
	mostFound = 40
)

// Consult implements Library.
func (s *Service) Consult(ctx context.Context, in ConsultRequest) (Consulted, error) {
	files, err := s.found(ctx, in.Caller, in.Files)
	if err != nil {
		return Consulted{}, err
	}
	waiting, cancel := context.WithTimeout(ctx, consultWait)
	defer cancel()
	documents, err := s.Await(waiting, files)
	if err != nil {
		return Consulted{}, err
	}
	out := Consulted{Files: make([]Standing, len(files)), Passages: []Passage{}}
	sizes := make([]int, len(files))
	for i, d := range documents {
		out.Files[i] = standing(d)
		if sizes[i] = -1; d.Status == Read {
			sizes[i] = d.Bytes
		}
	}
	left := in.Bytes
	var whole, rest []uuid.UUID
	order := bySize(sizes)
	for k, i := range order { // who needs less than its share leaves the rest to the others
		if sizes[i] <= left/(len(order)-k) {
			out.Files[i].Whole = true
			whole, left = append(whole, files[i].Content), left-sizes[i]
		} else {
			rest = append(rest, files[i].Content)
		}
	}
	var passages []stored
	if len(whole) > 0 {
		if passages, err = s.repository.whole(ctx, whole); err != nil {
			return Consulted{}, err
		}
	}
	if len(rest) > 0 {
		best, err := s.search(ctx, scope{in.Caller.Organization, rest}, in.Question, mostFound)
		if err != nil {
			return Consulted{}, err
		}
		for _, p := range best {
			if left -= len(p.Text); left < 0 {
				break
			}
			passages = append(passages, p)
		}
	}
	slices.SortStableFunc(passages, func(a, b stored) int { return key{a.Content, a.Ordinal}.compare(key{b.Content, b.Ordinal}) })
	for _, f := range files {
		for _, p := range passages {
			if p.Content == f.Content {
				out.Passages = append(out.Passages, p.of(f))
			}
		}
	}
	return out, nil
}

// found gives the caller's files of those ids, each once.
func (s *Service) found(ctx context.Context, caller services.Caller, ids []uuid.UUID) ([]File, error) {
	if len(ids) > MostFiles {
		return nil, services.Errorf(services.Invalid, "A question is about at most %d files", MostFiles)
	}
	var files []File
	for _, id := range ids {
		if slices.ContainsFunc(files, func(f File) bool { return f.ID == id }) {
			continue
		}
		f, err := s.files.Find(ctx, caller, id)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// standing is a document as those see it who ask it something.
func standing(d Document) Standing {
	out := Standing{File: d.File, Filename: d.Filename, Status: d.Status, Warnings: d.Warnings}
	switch {
	case d.Status == "":
		out.Status, out.Error = Failed, errNoDocument.Message
	case d.Error != nil:
		out.Error = d.Error.Message
	}
	return out
}

// bySize gives the places of sizes that are known, the smallest first.
func bySize(sizes []int) (places []int) {
	for i, size := range sizes {
		if size >= 0 {
			places = append(places, i)
		}
	}
	slices.SortStableFunc(places, func(a, b int) int { return sizes[a] - sizes[b] })
	return places
}

func (p stored) of(f File) Passage {
	return Passage{File: f.ID, Filename: f.Filename, Ordinal: p.Ordinal, Page: p.Page, Sheet: p.Sheet, Heading: p.Heading, Text: p.Text}
}
