package storage

import (
	"errors"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"uaol/services"
)

// clientsFault fails where bad input is taken for anything else than that.
func clientsFault(t *testing.T, err error) {
	var own *services.Error
	if !errors.As(err, &own) || !slices.Contains([]services.Kind{services.Invalid, services.TooLarge, services.Unsupported}, own.Kind) {
		t.Fatalf("not the client's fault: %v", err)
	}
	if faults, ok := own.Details.([]services.Fault); ok {
		for _, f := range faults {
			if f.Path == "" || f.Message == "" {
				t.Fatalf("a fault without a path: %+v", faults)
			}
		}
	}
}

// FuzzForm: whatever comes as a form is read to its end, refused with the client's
// fault, or cut off; files come in their order, at most ten, with names that are text.
func FuzzForm(f *testing.F) {
	const kind = "multipart/form-data; boundary=b"
	f.Add(kind, "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.txt\"\r\n\r\nhi\r\n--b--\r\n")
	f.Add(kind, "--b\r\nContent-Disposition: form-data; name=\"other\"; filename=\"a\"\r\n\r\n\r\n--b--")
	f.Add(kind, strings.Repeat("--b\r\nContent-Disposition: form-data; name=files; filename=x\r\n\r\n\r\n", 12)+"--b--")
	f.Add(kind, "--b\r\n\r\n")
	f.Add("multipart/form-data", "----")
	f.Add("application/json", "{}")
	f.Fuzz(func(t *testing.T, kind, text string) {
		n := 0
		err := eachDocument(kind, strings.NewReader(text), func(place int, part *multipart.Part) error {
			if place != n || place >= mostDocuments {
				t.Fatalf("file %d comes as number %d", n, place)
			}
			n++
			if nameable("x", part.FileName()) != nil {
				t.Fatalf("the name %q is taken", part.FileName())
			}
			incoming := newReceived(&body{part}, 100)
			if _, err := incoming.sniff(Upload{Filename: part.FileName(), Documents: true}); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, incoming)
			return err
		})
		if err != nil {
			clientsFault(t, err)
		} else if n == 0 {
			t.Fatal("a form without files is taken")
		}
		part, err := filePart(multipart.NewReader(strings.NewReader(text), "b"))
		if err != nil {
			clientsFault(t, err)
		} else if part.FileName() == "" {
			t.Fatal("a part without a name is taken for a file")
		}
	})
}

// FuzzJSONUpload: an upload in JSON is a file with a name and a content, or the client's
// fault.
func FuzzJSONUpload(f *testing.F) {
	for _, body := range []string{``, `{}`, `{"filename":"a","data":"aGk="}`, `{"filename":1}`, `{"filename":"a","data":"!"}`, `[`, `null`, `{"filename":"a","data":null}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var in Upload
		if err := fromJSON(strings.NewReader(body), &in); err != nil {
			clientsFault(t, err)
		} else if in.Filename == "" || in.Size < 1 {
			t.Fatalf("%q is taken: %+v", body, in)
		}
	})
}
