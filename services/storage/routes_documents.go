package storage

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
	"uaol/services/storage/library"
)

const (
	mostDocuments = 10       // in one request
	mostDocument  = 50 << 20 // of each, in bytes
	// readWithin is how long an upload waits for its documents to be read; they are read
	// all the same, and GET /documents/{fileId} tells when.
	readWithin = time.Minute
	// mostShown of a document's text comes with the answer, in bytes; the rest is at
	// GET /documents/{fileId}/text.
	mostShown = 1 << 20
)

// documentBody is an uploaded document in the contract's words.
type documentBody struct {
	ID       uuid.UUID    `json:"fileId"`
	Filename string       `json:"filename"`
	Size     int64        `json:"size"`
	Type     string       `json:"type"`
	URL      string       `json:"url"`
	Text     *string      `json:"extractedText,omitempty"`
	Short    bool         `json:"textTruncated,omitempty"`
	Metadata metadataBody `json:"metadata"`
}

type metadataBody struct {
	Type     string         `json:"type"` // document, data or image
	Pages    int            `json:"pages,omitempty"`
	Rows     int            `json:"rowCount,omitempty"`
	Columns  int            `json:"columnCount,omitempty"`
	Status   library.Status `json:"status,omitempty"` // where it is not read yet, or can't be
	Warnings []string       `json:"warnings,omitempty"`
	Error    *library.Fault `json:"error,omitempty"`
}

type documentsBody struct {
	Files   []documentBody `json:"files"`
	Summary struct {
		Total     int   `json:"total"`
		WithText  int   `json:"withText"`
		TotalSize int64 `json:"totalSize"`
	} `json:"summary"`
}

// documents takes files to talk about: all of them or, when one can't be taken, none.
func (h *Handler) documents(c *gin.Context, caller services.Caller) {
	ctx := c.Request.Context()
	files, err := h.received(c, caller)
	if err != nil {
		h.takeBack(ctx, caller, files)
		api.Fail(c, err)
		return
	}
	waiting, cancel := context.WithTimeout(ctx, patience(c.GetHeader("Prefer")))
	defer cancel()
	read := make([]library.File, len(files))
	for i, f := range files {
		read[i] = asDocument(f)
	}
	known, err := h.library.Await(waiting, read)
	if err != nil {
		api.Fail(c, err)
		return
	}
	var body documentsBody
	for i, f := range files {
		shown, err := h.shown(ctx, f, known[i])
		if err != nil {
			api.Fail(c, err)
			return
		}
		body.Files = append(body.Files, shown)
		body.Summary.Total++
		body.Summary.TotalSize += f.Size
		if shown.Text != nil && *shown.Text != "" {
			body.Summary.WithText++
		}
	}
	c.JSON(http.StatusOK, struct {
		api.Data[documentsBody]
		Timestamp services.Time `json:"timestamp"`
	}{api.OK(body), services.Time{Time: time.Now()}})
}

// patience is how long a client wants to wait until its documents are read: as it prefers
// (RFC 7240, such as wait=0), or for as long as we wait for anybody.
func patience(preferred string) time.Duration {
	for preference := range strings.SplitSeq(preferred, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		seconds, err := strconv.ParseUint(value, 10, 32)
		if strings.EqualFold(name, "wait") && err == nil {
			return min(time.Duration(seconds)*time.Second, readWithin)
		}
	}
	return readWithin
}

func (h *Handler) shown(ctx context.Context, f File, d library.Document) (documentBody, error) {
	base, _, _ := mime.ParseMediaType(f.ContentType)
	body := documentBody{ID: f.ID, Filename: f.Filename, Size: f.Size, Type: base, URL: f.URL}
	body.Metadata = metadataBody{Type: "document", Pages: d.Pages, Rows: d.Rows, Columns: d.Columns, Warnings: d.Warnings, Error: d.Error}
	switch {
	case slices.Contains(pictures, base):
		body.Metadata.Type = "image"
	case strings.Contains(base, "json"), strings.HasSuffix(base, "xml"):
		body.Metadata.Type = "data"
	}
	if d.Status != library.Read {
		body.Metadata.Status = d.Status
		return body, nil
	}
	text, short, err := h.library.TextOf(ctx, f.Content, mostShown)
	if err == nil && (text != "" || body.Metadata.Type != "image") {
		body.Text, body.Short = &text, short
	}
	return body, err
}

// received stores a form's files. Those that were stored before one could not be come
// with the error.
func (h *Handler) received(c *gin.Context, caller services.Caller) (files []File, err error) {
	err = eachDocument(c.GetHeader("Content-Type"), c.Request.Body, func(place int, part *multipart.Part) error {
		f, err := h.receive(c, caller, part, place)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

// eachDocument hands out the files of a form, one after the other.
func eachDocument(contentType string, content io.Reader, take func(place int, part *multipart.Part) error) error {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		return errNoDocuments
	}
	form := multipart.NewReader(content, parameters["boundary"])
	for n := 0; ; {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case errors.Is(err, io.EOF):
			return errNoDocuments
		case err != nil:
			return cut(err)
		case part.FileName() == "":
			continue
		case part.FormName() != "files":
			return services.Errorf(services.Invalid, "Unexpected field").WithDetails([]services.Fault{{Path: "body." + part.FormName(), Message: "files come as files"}})
		case n == mostDocuments:
			return services.Faults(services.Fault{Path: "body.files", Message: "must be at most " + strconv.Itoa(mostDocuments) + " files"})
		}
		if err := nameable("body.files["+strconv.Itoa(n)+"].filename", part.FileName()); err != nil {
			return err
		}
		if err := take(n, part); err != nil {
			return err
		}
		n++
	}
}

var errNoDocuments = services.Errorf(services.Invalid, "At least one file is required").WithDetails([]services.Fault{{Path: "body.files", Message: "At least one file is required"}})

func (h *Handler) receive(c *gin.Context, caller services.Caller, part *multipart.Part, place int) (File, error) {
	in := Upload{Filename: part.FileName(), Claimed: part.Header.Get("Content-Type"), Size: -1, Content: &body{part}, Most: mostDocument, Documents: true}
	if key := c.GetHeader("Idempotency-Key"); key != "" {
		in.ID = uploadID(caller, key+"/"+strconv.Itoa(place))
	}
	return h.service.Upload(c.Request.Context(), caller, in)
}

// takeBack removes what an upload has stored that did not come to its end.
func (h *Handler) takeBack(ctx context.Context, caller services.Caller, files []File) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, f := range files {
		if f.Repeated { // it is an earlier upload's
			continue
		}
		if err := h.service.Delete(ctx, caller, f.ID); err != nil {
			h.service.log.Warn("a file of an upload that failed could not be removed")
		}
	}
}
