package console

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"

	"uaol/providers/api"
	"uaol/services"
)

// uploadFiles stores the files of a form, one after the other, as they come: none is ever
// kept here. To scripts it answers with JSON.
func uploadFiles(v *visit) error {
	stored, err := v.storeAll()
	if err != nil {
		// Browsers read an answer once they have sent everything.
		_, _ = io.Copy(io.Discard, v.r.Body)
	}
	if v.r.Header.Get("Accept") == "application/json" {
		return v.uploaded(stored, err)
	}
	if err == nil {
		return v.to(filesPath, storedText(stored))
	}
	if api.StatusOf(err) >= http.StatusInternalServerError {
		return err
	}
	v.standAt(filesPath)
	shown, pageErr := filesPage(v)
	if pageErr != nil {
		return pageErr
	}
	data, _ := shown.Data.(filesData)
	data.Problem = messageOf(err)
	if stored > 0 {
		data.Problem += ". " + storedText(stored)
	}
	shown.Data, shown.Status = data, http.StatusUnprocessableEntity
	return v.render(shown)
}

func storedText(n int) string {
	if n == 1 {
		return "1 file is stored."
	}
	return plural(n, "file") + " are stored."
}

// uploaded tells a script. With the last of several files it says how many those were, for
// the next page to repeat.
func (v *visit) uploaded(stored int, err error) error {
	said := struct {
		Problem string `json:"problem,omitempty"`
	}{}
	status := http.StatusOK
	if err != nil {
		status, said.Problem = api.StatusOf(err), messageOf(err)
	} else if of, atoiErr := strconv.Atoi(v.asked("of")); atoiErr == nil && of > 0 {
		v.console.say(v.w, v.r, storedText(of))
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	return json.NewEncoder(v.w).Encode(said)
}

// storeAll counts the files that were stored; an error names the one that was not.
func (v *visit) storeAll() (stored int, err error) {
	form, err := v.r.MultipartReader()
	if err != nil {
		return 0, services.Errorf(services.Invalid, "This is no form with files").Because(err)
	}
	once := v.asked("once")
	if once == "" {
		once = rand.Text()
	}
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF) && stored == 0:
			return 0, services.Errorf(services.Invalid, "Choose a file first")
		case errors.Is(err, io.EOF):
			return stored, nil
		case err != nil:
			return stored, services.Errorf(services.Invalid, "The upload was cut short").Because(err)
		case part.FileName() == "": // no file was chosen, or it is another field
			continue
		}
		if err := v.store(part, once+"/"+strconv.Itoa(stored)); err != nil {
			if e, ok := services.AsError(err); ok {
				e.Message = part.FileName() + ": " + e.Message
				return stored, e
			}
			return stored, err
		}
		stored++
	}
}

// store sends one file of a form on to the API while it comes in.
func (v *visit) store(part *multipart.Part, key string) error {
	body, to := io.Pipe()
	form := multipart.NewWriter(to)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		out, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {multipart.FileContentDisposition("file", part.FileName())}, "Content-Type": part.Header["Content-Type"],
		})
		if err == nil {
			_, err = io.Copy(out, part)
		}
		if err == nil {
			err = form.Close()
		}
		_ = to.CloseWithError(err)
	}()
	header := http.Header{"Content-Type": {form.FormDataContentType()}, "Accept": {"application/json"}, api.KeyHeader: {key}}
	answer, err := v.request(v.ctx, http.MethodPost, "/storage/upload", body, header)
	_ = body.Close() // what the API did not want is not waited for
	<-copied         // the form's next part is read by nobody else meanwhile
	if err != nil {
		return unavailable(err)
	}
	_, err = read(answer)
	return err
}
