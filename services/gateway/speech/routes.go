package speech

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"
	"github.com/gin-gonic/gin"

	"uaol/providers/api"
	"uaol/services"
)

const (
	mostAudio = 25 << 20  // bytes, as many as OpenAI takes
	maxForm   = 64 << 10  // bytes of a form beside its file
	sniffed   = 3 << 10   // bytes that a type is told by
	perMinute = 20        // of a guest
	maxText   = 128 << 10 // bytes of a request to speak
)

// Handler is the operations.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service} }

// Operations are speech's part of the gateway's API.
func (h *Handler) Operations() []api.Operation {
	return []api.Operation{
		api.Raw(http.MethodPost, "/chat/transcribe", "Turn speech into text: a form with a recording of at most 25 MB as audio", h.transcribe,
			api.Allow(api.Guest), api.MaxBody(mostAudio+maxForm), api.GuestsPerMinute(perMinute)),
		api.Raw(http.MethodPost, "/chat/speech", "Turn text of at most 4,096 characters into speech (MP3), in a voice", h.speak,
			api.Allow(api.Guest), api.MaxBody(maxText), api.GuestsPerMinute(perMinute)),
	}
}

type transcript struct {
	Text      string        `json:"text"`
	Timestamp services.Time `json:"timestamp"`
}

func (h *Handler) transcribe(c *gin.Context, caller services.Caller) {
	text, err := h.transcribed(c, caller)
	if err != nil {
		api.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, api.OK(transcript{text, services.Time{Time: time.Now()}}))
}

func (h *Handler) transcribed(c *gin.Context, caller services.Caller) (string, error) {
	part, err := audioPart(c.GetHeader("Content-Type"), c.Request.Body)
	if err != nil {
		return "", err
	}
	content := bufio.NewReaderSize(part, sniffed)
	kind, err := audioKind(content)
	if err != nil {
		return "", err
	}
	access, err := h.service.Transcription(c.Request.Context(), caller)
	if err != nil {
		return "", err
	}
	file, size, err := spooled(content)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return h.service.Transcribe(c.Request.Context(), caller, access, Audio{Content: file, Size: size, Extension: kind.Extension()})
}

// audioPart goes to the form's recording.
func audioPart(contentType string, body io.Reader) (*multipart.Part, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" || parameters["boundary"] == "" {
		return nil, errNoAudio
	}
	form := multipart.NewReader(body, parameters["boundary"])
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoAudio
		case err != nil:
			return nil, cut(err)
		case part.FileName() == "":
		case part.FormName() != "audio":
			return nil, services.Errorf(services.Invalid, "Unexpected field").WithDetails([]services.Fault{{Path: "body." + part.FormName(), Message: "a recording comes as audio"}})
		default:
			return part, nil
		}
	}
}

const audioRequired = "Audio file is required"

var errNoAudio = services.Errorf(services.Invalid, audioRequired).WithDetails([]services.Fault{{Path: "body.audio", Message: audioRequired}})

// boxes are types that hold speech without saying that they have no pictures.
var boxes = []string{"video/mp4", "video/webm", "video/ogg", "application/ogg"}

// audioKind is what a recording looks like, whatever it is called.
func audioKind(content *bufio.Reader) (*mimetype.MIME, error) {
	head, err := content.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, cut(err)
	}
	if len(head) == 0 {
		return nil, errNoAudio
	}
	found := mimetype.Detect(head)
	for m := found; m != nil && !strings.HasPrefix(m.String(), "image/"); m = m.Parent() {
		if base, _, _ := strings.Cut(m.String(), ";"); strings.HasPrefix(base, "audio/") || slices.Contains(boxes, base) {
			return found, nil
		}
	}
	return nil, services.Errorf(services.Unsupported, "Only audio files are allowed")
}

// spooled puts a recording into a file that has no name any more: it is sent with its
// length, at times more than once, and not kept in memory.
func spooled(content io.Reader) (file *os.File, size int64, err error) {
	file, err = os.CreateTemp("", "uaol-audio-")
	if err != nil {
		return nil, 0, services.Errorf(services.Unavailable, "There is no room for the recording just now").Because(err)
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, 0, err
	}
	size, err = io.Copy(writer{file}, io.LimitReader(content, mostAudio+1))
	var full unwritable
	switch {
	case errors.As(err, &full):
		err = services.Errorf(services.Unavailable, "There is no room for the recording just now").Because(err)
	case err != nil:
		err = cut(err)
	case size > mostAudio:
		err = services.Errorf(services.TooLarge, "The recording is larger than %d bytes", mostAudio)
	}
	if err != nil {
		file.Close()
	}
	return file, size, err
}

// writer tells what it could not write from what could not be read.
type writer struct{ io.Writer }

type unwritable struct{ error }

func (w writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = unwritable{err}
	}
	return n, err
}

// cut is an error of the client's: it went away, sent too much or no form.
func cut(err error) error {
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return services.Errorf(services.TooLarge, "The recording is larger than %d bytes", mostAudio)
	}
	return services.Errorf(services.Invalid, "The upload was cut short, or is no form: %v", err)
}

var voiceForm = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// wanted reads a text to be spoken.
func wanted(body io.Reader) (Spoken, error) {
	var in struct {
		Text  string `json:"text"`
		Voice string `json:"voice"`
	}
	raw, err := io.ReadAll(body)
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return Spoken{}, services.Errorf(services.TooLarge, "The body is larger than %d bytes", large.Limit-1)
	}
	if err != nil {
		return Spoken{}, services.Errorf(services.Invalid, "The body was cut short")
	}
	if len(raw) > 0 {
		err = json.Unmarshal(raw, &in)
	}
	wrong := new(json.UnmarshalTypeError)
	switch n := utf8.RuneCountInString(in.Text); {
	case errors.As(err, &wrong) && wrong.Field == "":
		return Spoken{}, services.Faults(services.Fault{Path: "body", Message: "must be an object"})
	case errors.As(err, &wrong):
		return Spoken{}, services.Faults(services.Fault{Path: "body." + wrong.Field, Message: "must be a text, not a " + wrong.Value})
	case err != nil:
		return Spoken{}, services.Faults(services.Fault{Path: "body", Message: "malformed JSON: " + err.Error()})
	case strings.TrimSpace(in.Text) == "":
		return Spoken{}, services.Errorf(services.Invalid, "Text is required").WithDetails([]services.Fault{{Path: "body.text", Message: "Text is required"}})
	case n > MostSpoken:
		return Spoken{}, services.Faults(services.Fault{Path: "body.text", Message: "must have at most 4096 characters"})
	case !voiceForm.MatchString(in.Voice):
		return Spoken{}, services.Faults(services.Fault{Path: "body.voice", Message: "is no name of a voice"})
	}
	return Spoken{Text: in.Text, Voice: in.Voice}, nil
}

// speak streams speech. A failure half way cuts the answer, so that nobody takes it for
// whole.
func (h *Handler) speak(c *gin.Context, caller services.Caller) {
	in, err := wanted(c.Request.Body)
	begun := false
	if err == nil {
		err = h.service.Speak(c.Request.Context(), caller, in, func() io.Writer {
			begun = true
			c.Header("Content-Type", "audio/mpeg")
			c.Header("Cache-Control", "no-store")
			c.Status(http.StatusOK)
			return flushed{c.Writer}
		})
	}
	switch {
	case err != nil && begun:
		_ = c.Error(err)
		panic(http.ErrAbortHandler)
	case err != nil:
		api.Fail(c, err)
	}
}

// flushed hands on what comes as soon as it comes.
type flushed struct{ gin.ResponseWriter }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	f.Flush()
	return n, err
}
