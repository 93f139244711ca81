package console

import (
	"io"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"

	"uaol/providers/api"
	"uaol/services"
)

// attachment is a file that a message is about, or may be.
type attachment struct {
	ID       string   `json:"fileId"`
	Name     string   `json:"filename"`
	Size     int64    `json:"size"`
	Status   string   `json:"status"` // waiting, reading, read or failed; "" when it is not known
	Pages    int      `json:"pages"`
	Warnings []string `json:"warnings"`
	Progress struct {
		Done  int `json:"done"`
		Total int `json:"total"`
	} `json:"progress"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Reading reports whether more will be known of it by itself.
func (a attachment) Reading() bool { return a.Status == "waiting" || a.Status == "reading" }

// Called is its name, as far as that is known.
func (a attachment) Called() string {
	if a.Name == "" {
		return "a file that is gone"
	}
	return a.Name
}

const (
	// mostAttached is how many files a message may be about.
	mostAttached = 20
	// atOnce is how many files are asked about at the same time.
	atOnce = 8
)

// attachments says what is known of files. What is not there, or has no text, has its
// place all the same: the API tells what becomes of it.
func (v *visit) attachments(ids []string) ([]attachment, error) {
	files := make([]attachment, min(len(ids), mostAttached))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range files {
		files[i].ID = ids[i]
		group.Go(func() error { return v.known(&files[i]) })
	}
	return files, group.Wait()
}

// known finds out about a file: as a document, or else as a file that no text is read from.
func (v *visit) known(file *attachment) error {
	id := file.ID
	err := v.get(path(nil, "documents", id), file)
	if isKind(err, services.NotFound) && !v.who.Guest {
		err = v.get(path(nil, "storage", "files", id), file)
	}
	if file.ID = id; isKind(err, services.NotFound, services.Invalid) {
		return nil
	}
	return err
}

// nameFiles finds the names of the files that turns are about.
func (v *visit) nameFiles(turns []turn) error {
	found := map[string]*attachment{}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range turns {
		for _, f := range turns[i].Files {
			if found[f.ID] != nil || len(found) == mostShown {
				continue
			}
			file := &attachment{ID: f.ID}
			found[f.ID] = file
			group.Go(func() error { return v.known(file) })
		}
	}
	err := group.Wait()
	for i := range turns {
		for j, f := range turns[i].Files {
			if file := found[f.ID]; file != nil {
				turns[i].Files[j] = *file
			}
		}
	}
	return err
}

// chatFiles says how far files are read.
func chatFiles(v *visit) (view, error) {
	files, err := v.attachments(v.r.URL.Query()["file"])
	if err != nil {
		return view{}, err
	}
	shown := view{Template: "chat-files", Title: "Attached files", Section: "chat", Data: files, Every: chatEvery, Over: true}
	for _, f := range files {
		if f.Reading() {
			shown.Follow, shown.Over = path(nil, "documents", f.ID, "events"), false
			break
		}
	}
	return shown, nil
}

// attachToChat stores documents as they come. The script wants to know at once what they
// are, and then sees them being read; without it one waits until they are.
func attachToChat(v *visit) error {
	header := http.Header{"Content-Type": v.r.Header["Content-Type"], "Accept": {"application/json"}}
	scripted := v.r.Header.Get("HX-Request") != ""
	if scripted {
		header.Set("Prefer", "wait=0")
	}
	if once := v.asked("once"); once != "" {
		header.Set(api.KeyHeader, once)
	}
	answer, err := v.request(v.ctx, http.MethodPost, "/chat/upload", io.NopCloser(v.r.Body), header)
	if err != nil {
		return unavailable(err)
	}
	said, err := read(answer)
	if err != nil {
		_, _ = io.Copy(io.Discard, v.r.Body) // browsers read an answer once they have sent everything
		return err
	}
	var stored struct {
		Files []struct {
			ID string `json:"fileId"`
		} `json:"files"`
	}
	if err := decode(said.Data, &stored); err != nil {
		return err
	}
	var ids []string
	for _, f := range stored.Files {
		ids = append(ids, f.ID)
	}
	if scripted {
		files, err := v.attachments(ids)
		if err != nil {
			return err
		}
		return v.render(view{Template: "chat-files", Data: files})
	}
	query := v.r.URL.Query()
	set := settingsOf(query)
	set.Files = append(set.Files, ids...)
	return v.to(chatPath(query.Get("conversation"), set.query()), plural(len(ids), "file")+" attached.")
}

// uploadPath is where files are sent from a page, and brought back to.
func (d chatData) uploadPath(organization, once string) string {
	query := d.Set.query()
	for name, value := range map[string]string{"for": organization, "once": once, "conversation": d.ID} {
		query.Set(name, value)
	}
	return path(query, "console", "chat", "files")
}

// Upload is where a form with files goes; the page is that of p.
func (p page) Upload() string {
	data, _ := p.Data.(chatData)
	return data.uploadPath(p.Who.Organization.ID, p.Once())
}

// all are the values of a name that say something.
func all(query url.Values, name string) (values []string) {
	for _, value := range query[name] {
		if value != "" {
			values = append(values, value)
		}
	}
	return values
}
