package speech

import (
	"bytes"
	"io"
	"mime/multipart"
)

// form is a recording as a provider takes it. The recording itself is read when it is
// sent, as often as it is.
type form struct {
	head, tail []byte
	audio      Audio
	kind       string // with the boundary
	length     int64
}

func newForm(model string, audio Audio) form {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	// Writing to memory does not fail.
	_ = w.WriteField("model", model)
	_ = w.WriteField("response_format", "json")
	_, _ = w.CreateFormFile("file", "audio"+audio.Extension)
	head := bytes.Clone(b.Bytes())
	_ = w.Close()
	tail := bytes.Clone(b.Bytes()[len(head):])
	return form{head, tail, audio, w.FormDataContentType(), int64(len(head)) + audio.Size + int64(len(tail))}
}

func (f form) body() (io.Reader, error) {
	return io.MultiReader(bytes.NewReader(f.head), io.NewSectionReader(f.audio.Content, 0, f.audio.Size), bytes.NewReader(f.tail)), nil
}
