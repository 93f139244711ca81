package console

import (
	"io"
	"mime"
	"net/http"

	"uaol/services"
)

// asksFor are a browser's words about which part of a content it wants, and isOf the
// API's about what it gives.
var (
	asksFor = []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"}
	isOf    = []string{"Content-Type", "Content-Length", "Content-Range", "Content-Disposition", "Accept-Ranges", "Etag", "Last-Modified"}
)

// passOn answers with what the API answers to a GET of path, while that comes. Of its
// headers only those go along that say what it is, after change has looked at them.
func (v *visit) passOn(path string, change func(http.Header)) (view, error) {
	asked := http.Header{}
	for _, name := range asksFor {
		if value := v.r.Header.Get(name); value != "" {
			asked.Set(name, value)
		}
	}
	answer, err := v.request(v.ctx, http.MethodGet, path, nil, asked)
	if err != nil {
		return view{}, unavailable(err)
	}
	if answer.StatusCode >= http.StatusBadRequest && answer.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		_, err := read(answer)
		return view{}, err
	}
	defer answer.Body.Close()
	header := v.w.Header()
	for _, name := range isOf {
		if value := answer.Header.Get(name); value != "" {
			header.Set(name, value)
		}
	}
	if change != nil {
		change(header)
	}
	v.w.WriteHeader(answer.StatusCode)
	if v.r.Method == http.MethodHead {
		return view{}, errAnswered
	}
	if _, err := io.Copy(v.w, answer.Body); err != nil {
		panic(http.ErrAbortHandler) // or a part would look like the whole
	}
	return view{}, errAnswered
}

// filePolicy is for contents that strangers may have made: they can reach nothing of the
// console's, and only its own pages may show them.
const filePolicy = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"

// showable are the types that browsers show without running anything of them.
var showable = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "application/pdf": true, "text/plain": true,
}

// asFile makes headers say that a content is to be shown, if it is of a type that can be,
// or else to be kept as a file, of which nobody says what it is.
func asFile(header http.Header, show bool) {
	contentType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	how := "inline"
	if err != nil || !show || !showable[contentType] {
		how = "attachment"
		header.Set("Content-Type", "application/octet-stream")
	}
	_, parameters, _ := mime.ParseMediaType(header.Get("Content-Disposition"))
	disposition := mime.FormatMediaType(how, map[string]string{"filename": parameters["filename"]})
	if parameters["filename"] == "" || disposition == "" {
		disposition = how
	}
	header.Set("Content-Disposition", disposition)
	header.Set("Content-Security-Policy", filePolicy)
	header.Set("X-Frame-Options", "SAMEORIGIN")
	header.Set("Cache-Control", "private, no-cache")
}

// gone reports whether somebody may not see something, or it is not there: then a page
// does without it.
func gone(err error) bool { return isKind(err, services.NotFound, services.Forbidden) }
