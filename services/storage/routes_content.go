package storage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

type uploadedBody struct {
	ID          uuid.UUID `json:"fileId"`
	URL         string    `json:"url" doc:"a path on this host"`
	Filename    string    `json:"filename"`
	ContentType string    `json:"contentType"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"`
}

// upload takes a file in JSON or as a form. With an Idempotency-Key the same request
// again gives the same file.
func (h *Handler) upload(c *gin.Context, caller services.Caller) {
	f, err := h.uploaded(c, caller)
	if err != nil {
		api.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, api.OK(uploadedBody{f.ID, f.URL, f.Filename, f.ContentType, f.Size, f.SHA256}))
}

func (h *Handler) uploaded(c *gin.Context, caller services.Caller) (File, error) {
	in := Upload{Size: -1}
	if key := c.GetHeader("Idempotency-Key"); key != "" {
		in.ID = uploadID(caller, key)
	}
	kind, parameters, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err == nil && kind == "multipart/form-data" {
		part, err := filePart(multipart.NewReader(c.Request.Body, parameters["boundary"]))
		if err != nil {
			return File{}, err
		}
		in.Filename, in.Claimed, in.Content = part.FileName(), part.Header.Get("Content-Type"), &body{part}
		if declared := c.Request.ContentLength; declared > maxForm {
			in.Size = declared - maxForm // at least
		}
	} else if kind != "" && kind != "application/json" {
		return File{}, services.Errorf(services.Unsupported, "An upload is JSON or a form (multipart/form-data), not %s", kind)
	} else if err := fromJSON(c.Request.Body, &in); err != nil {
		return File{}, err
	}
	if err := nameable("body.filename", in.Filename); err != nil {
		return File{}, err
	}
	return h.service.Upload(c.Request.Context(), caller, in)
}

// uploadID is the id of the file that a caller uploads under a key of its own.
func uploadID(caller services.Caller, key string) uuid.UUID {
	return uuid.NewSHA1(caller.Account, []byte("upload/"+caller.Organization.String()+"/"+key))
}

// filePart goes to the form's file; what comes before it is left.
func filePart(form *multipart.Reader) (*multipart.Part, error) {
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return nil, services.Faults(services.Fault{Path: "body.file", Message: "A form with a file as file is required"})
		}
		if err != nil {
			return nil, cut(err)
		}
		if part.FileName() != "" && (part.FormName() == "file" || part.FormName() == "files") {
			return part, nil
		}
	}
}

const requiredWords = "Filename and data are required"

func fromJSON(body io.Reader, in *Upload) error {
	text, err := io.ReadAll(io.LimitReader(body, maxJSON+1))
	if err != nil {
		return cut(err)
	}
	if len(text) > maxJSON {
		return services.Errorf(services.TooLarge, "The body is larger than %d bytes; send larger files as a form", maxJSON)
	}
	var given struct {
		Filename    *string `json:"filename"`
		ContentType string  `json:"contentType"`
		Data        *[]byte `json:"data"`
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &given); err != nil {
			return unreadable(err)
		}
	}
	var faults []services.Fault
	if given.Filename == nil || *given.Filename == "" {
		faults = append(faults, services.Fault{Path: "body.filename", Message: requiredWords})
	}
	if given.Data == nil || len(*given.Data) == 0 {
		faults = append(faults, services.Fault{Path: "body.data", Message: requiredWords})
	}
	if len(faults) > 0 {
		return services.Errorf(services.Invalid, requiredWords).WithDetails(faults)
	}
	in.Filename, in.Claimed, in.Size, in.Content = *given.Filename, given.ContentType, int64(len(*given.Data)), bytes.NewReader(*given.Data)
	return nil
}

// unreadable says what is wrong with a body that is no such JSON.
func unreadable(err error) error {
	var wrong *json.UnmarshalTypeError
	path, message := "body", "malformed JSON: "+err.Error()
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		path, message = "body."+wrong.Field, "must be a text, not a "+wrong.Value
	case errors.As(err, &wrong):
		message = "must be an object"
	case errors.As(err, new(base64.CorruptInputError)):
		path, message = "body.data", "must be base64"
	}
	return services.Faults(services.Fault{Path: path, Message: message})
}

// nameable judges a file's name. It is data, never a path: any text will do.
func nameable(path, name string) error {
	wrong := ""
	switch {
	case name == "":
		wrong = "must not be empty"
	case len(name) > 255:
		wrong = "must have at most 255 bytes"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		wrong = "must be text without control characters"
	}
	if wrong == "" {
		return nil
	}
	return services.Faults(services.Fault{Path: path, Message: wrong})
}

// body is a request's body whose end the client brings about.
type body struct{ io.Reader }

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = cut(err)
	}
	return n, err
}

// cut is an error of the client's: it went away, sent too much or no form.
func cut(err error) error {
	var large *http.MaxBytesError
	var own *services.Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &large):
		return services.Errorf(services.TooLarge, "The body is larger than %d bytes", large.Limit-1)
	}
	return services.Errorf(services.Invalid, "The upload was cut short, or is no form: %v", err)
}

// put takes a file by a signed URL.
func (h *Handler) put(c *gin.Context, _ services.Caller) {
	id, err := api.PathID(c, "fileId")
	if err == nil {
		err = h.service.signer.check(http.MethodPut, id, c.Request.URL.Query(), time.Now())
	}
	var f File
	if err == nil {
		f, err = h.service.Redeem(c.Request.Context(), id, c.GetHeader("Content-Type"), c.Request.ContentLength, &body{c.Request.Body})
	}
	if err != nil {
		api.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, api.OK(uploadedBody{f.ID, f.URL, f.Filename, f.ContentType, f.Size, f.SHA256}))
}

// download hands a content out. Whoever has neither a signature nor the file is told
// as little as the world is.
func (h *Handler) download(c *gin.Context, caller services.Caller) {
	f, err := h.reachable(c, caller)
	if err != nil {
		api.Fail(c, err)
		return
	}
	content, err := h.service.Open(c.Request.Context(), f)
	if err != nil {
		api.Fail(c, err)
		return
	}
	defer content.Close()
	contentType, disposition := served(f)
	header := c.Writer.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Disposition", disposition)
	header.Set("ETag", `"`+f.SHA256+`"`)
	header.Set("Cache-Control", "private, no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin") // frontends show images by their URL
	http.ServeContent(c.Writer, c.Request, "", f.CreatedAt.Time, content)
}

func (h *Handler) reachable(c *gin.Context, caller services.Caller) (File, error) {
	id, err := api.PathID(c, "fileId")
	if err != nil {
		return File{}, err
	}
	query := c.Request.URL.Query()
	if query.Has("signature") {
		if err := h.service.signer.check(c.Request.Method, id, query, time.Now()); err != nil {
			return File{}, err
		}
		f, err := h.service.repository.byID(c.Request.Context(), h.service.repository.pool, id)
		if services.Is(err, services.NotFound) {
			err = errNoFile
		}
		return f, err
	}
	switch {
	case !caller.Known():
		return File{}, services.Errorf(services.Unauthenticated, "Sign in, or use a signed URL").WithCode("AUTHENTICATION_REQUIRED")
	case !caller.Scopes.Allow("storage:read"):
		return File{}, services.Errorf(services.Forbidden, "This API key lacks the scope storage:read")
	case !caller.OrgRole.AtLeast(services.OrgViewer):
		return File{}, errNoFile
	}
	return h.service.Get(c.Request.Context(), caller, id)
}
