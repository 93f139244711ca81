package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const filesPath = Prefix + "/files"

func fileRoutes() []route {
	return []route{
		see("/files", filesPage),
		do("/files", uploadFiles),
		see("/files/search", searchFiles),
		see("/files/{file}", unfilled(filePage)),
		see("/files/{file}/content", fileContent),
		see("/files/{file}/text", fileText),
		do("/files/{file}/rename", renameFile),
		do("/files/{file}/remove", removeFile),
		do("/files/{file}/read", readFileAgain),
		do("/files/{file}/url", signFileURL),
	}
}

// storedFile is what is known of a file.
type storedFile struct {
	ID          string      `json:"fileId"`
	Name        string      `json:"filename"`
	ContentType string      `json:"contentType"`
	Size        int64       `json:"size"`
	SHA256      string      `json:"sha256"`
	Created     time.Time   `json:"createdAt"`
	Reading     fileReading `json:"-"`
}

// Type is the file's type without its parameters.
func (f storedFile) Type() string {
	name, _, _ := strings.Cut(f.ContentType, ";")
	return name
}

// kinds are what people call types, by a part of their names; the first that fits counts.
var kinds = [][2]string{
	{"pdf", "PDF"}, {"wordprocessingml", "Word"}, {"msword", "Word"}, {"spreadsheetml", "Excel"}, {"ms-excel", "Excel"},
	{"presentationml", "PowerPoint"}, {"ms-powerpoint", "PowerPoint"}, {"opendocument", "OpenDocument"}, {"epub", "e-book"}, {"rtf", "RTF"},
	{"rfc822", "mail"}, {"markdown", "Markdown"}, {"csv", "CSV"}, {"html", "web page"}, {"json", "JSON"}, {"xml", "XML"}, {"text/plain", "text"},
}

// Kind is what people call the file's type.
func (f storedFile) Kind() string {
	for _, k := range kinds {
		if strings.Contains(f.Type(), k[0]) {
			return k[1]
		}
	}
	if name, is := strings.CutPrefix(f.Type(), "image/"); is {
		return strings.ToUpper(name) + " image"
	}
	return f.Type()
}

// Shows reports whether the browser can show the file by itself.
func (f storedFile) Shows() bool { return showable[f.Type()] }

// Picture reports whether it is an image that can be shown.
func (f storedFile) Picture() bool { return f.Shows() && strings.HasPrefix(f.Type(), "image/") }

// fileReading is how far a file is read; one without a status is not read at all.
type fileReading struct {
	Status   string   `json:"status"`
	Kind     string   `json:"kind"`
	Pages    int      `json:"pages"`
	Rows     int      `json:"rowCount"`
	Columns  int      `json:"columnCount"`
	Bytes    int64    `json:"textBytes"`
	Passages int      `json:"passages"`
	Vectors  bool     `json:"vectors"`
	Warnings []string `json:"warnings"`
	Progress struct {
		Done  int `json:"done"`
		Total int `json:"total"`
	} `json:"progress"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Goes reports whether it will change by itself.
func (r fileReading) Goes() bool { return r.Status == "waiting" || r.Status == "reading" }

// Says is what was found in it.
func (r fileReading) Says() string {
	switch {
	case r.Pages > 0:
		return plural(r.Pages, "page")
	case r.Rows > 0:
		return plural(r.Rows, "row")
	}
	return ""
}

// storageUsed is what the organisation has stored, and may; a limit of 0 is none.
type storageUsed struct {
	Bytes int64 `json:"bytes"`
	Files int64 `json:"files"`
	Limit int64 `json:"limit"`
}

// Share is how full it is, in per cent.
func (u storageUsed) Share() int64 {
	if u.Limit == 0 {
		return 0
	}
	return min(u.Bytes*100/u.Limit, 100)
}

type filesData struct {
	Files   []storedFile
	Used    storageUsed
	More    string
	Problem string // of an upload
}

const readingEvery = 2 * time.Second

func filesPage(v *visit) (view, error) {
	var data filesData
	var next string
	err := together(
		func() (err error) {
			next, err = v.list(path(some("cursor", v.asked("cursor")), "storage", "files"), &data.Files)
			return err
		},
		func() error { return v.get("/storage/usage", &data.Used) },
	)
	if err != nil {
		return view{}, err
	}
	asks := make([]func() error, len(data.Files))
	for i := range data.Files {
		asks[i] = func() (err error) { data.Files[i].Reading, err = v.readingOf(data.Files[i].ID); return err }
	}
	if err := together(asks...); err != nil {
		return view{}, err
	}
	if next != "" {
		data.More = filesPath + "?" + some("cursor", next).Encode()
	}
	shown := view{Template: "files", Title: "Files", Section: "files", Data: data, Every: readingEvery}
	shown.Over = !slices.ContainsFunc(data.Files, func(f storedFile) bool { return f.Reading.Goes() })
	return shown, nil
}

// readingOf asks how far a file is read; the zero one for a file that has no text.
func (v *visit) readingOf(id string) (fileReading, error) {
	var found fileReading
	err := v.get(path(nil, "documents", id), &found)
	if gone(err) {
		err = nil
	}
	return found, err
}

type fileData struct {
	File     storedFile
	Text     []pageText
	More     string // the address of what follows
	Begins   bool   // with the first passage
	Passages int    // that are shown
	Form     filled
	URL      string // that was signed just now
	Until    time.Time
}

func filePage(v *visit, form filled) (view, error) {
	id := v.r.PathValue("file")
	data := fileData{Form: form}
	err := together(
		func() error { return v.get(path(nil, "storage", "files", id), &data.File) },
		func() (err error) { data.File.Reading, err = v.readingOf(id); return err },
	)
	if err == nil && data.File.Reading.Status == "read" {
		err = v.textOf(&data)
	}
	return view{
		Template: "file", Title: data.File.Name, Section: "files", Data: data,
		Every: readingEvery, Follow: path(nil, "documents", id, "events"), Over: !data.File.Reading.Goes(),
	}, err
}

// passage is a place in a document and what stands there.
type passage struct {
	File     string   `json:"fileId"`
	Filename string   `json:"filename"`
	Ordinal  int      `json:"ordinal"`
	Page     int      `json:"page"`
	Sheet    string   `json:"sheet"`
	Heading  []string `json:"heading"`
	Text     string   `json:"text"`
}

// Where is the place in words.
func (p passage) Where() string {
	var parts []string
	if p.Page > 0 {
		parts = append(parts, "page "+strconv.Itoa(p.Page))
	}
	if p.Sheet != "" {
		parts = append(parts, "sheet "+p.Sheet)
	}
	return strings.Join(append(parts, p.Heading...), " › ")
}

// Link is the address of the place in the console.
func (p passage) Link() string {
	from, at, n := "from", "#passage-", strconv.Itoa(p.Ordinal)
	if p.Page > 0 {
		from, at, n = "page", "#page-", strconv.Itoa(p.Page)
	}
	return filesPath + path(some(from, n), p.File) + at + n
}

// pageText is what stands on one page or sheet, or all there is where a document has none.
type pageText struct {
	Page     int
	Sheet    string
	Passages []passage
}

// textAtOnce is how many passages are shown at once: of some 700 bytes each.
const textAtOnce = "100"

func (v *visit) textOf(data *fileData) error {
	var passages []passage
	query := some("page", v.asked("page"), "from", v.asked("from"), "limit", textAtOnce)
	if query.Get("page") != "" {
		query.Del("from")
	}
	next, err := v.list(path(query, "documents", data.File.ID, "passages"), &passages)
	data.Text = byPage(passages)
	data.Begins = len(passages) == 0 || passages[0].Ordinal == 0
	data.Passages = len(passages)
	if next != "" {
		data.More = filesPath + "/" + data.File.ID + "?" + some("from", strconv.Itoa(passages[len(passages)-1].Ordinal+1)).Encode() + "#text-title"
	}
	return err
}

// byPage puts passages together that stand on the same page or sheet.
func byPage(passages []passage) []pageText {
	var pages []pageText
	for _, p := range passages {
		if last := len(pages) - 1; last < 0 || pages[last].Page != p.Page || pages[last].Sheet != p.Sheet {
			pages = append(pages, pageText{Page: p.Page, Sheet: p.Sheet})
		}
		last := &pages[len(pages)-1]
		last.Passages = append(last.Passages, p)
	}
	return pages
}

func (v *visit) filePath() string { return filesPath + path(nil, v.r.PathValue("file")) }

func renameFile(v *visit) error {
	if err := v.send(http.MethodPut, path(nil, "storage", "files", v.r.PathValue("file")), map[string]string{"filename": v.form("filename")}, nil); err != nil {
		return v.refill(err, v.filePath(), "rename", filePage)
	}
	return v.to(v.filePath(), "The file is called "+v.form("filename")+" now.")
}

func removeFile(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "storage", "files", v.r.PathValue("file")), nil, nil); err != nil {
		return err
	}
	return v.to(filesPath, "The file is removed.")
}

func readFileAgain(v *visit) error {
	if err := v.send(http.MethodPost, path(nil, "documents", v.r.PathValue("file"), "read"), nil, nil); err != nil {
		return err
	}
	return v.to(v.filePath(), "The file is being read once more.")
}

// signFileURL shows a URL that opens the file to whoever has it.
func signFileURL(v *visit) error {
	var made struct {
		URL     string `json:"url"`
		Seconds int64  `json:"expiresIn"`
	}
	query := some("expiresIn", v.form("seconds"))
	if err := v.get(path(query, "storage", "files", v.r.PathValue("file"), "url"), &made); err != nil {
		return v.refill(err, v.filePath(), "url", filePage)
	}
	v.standAt(v.filePath())
	shown, err := filePage(v, filled{})
	if err != nil {
		return err
	}
	data, _ := shown.Data.(fileData)
	data.URL, data.Until = made.URL, time.Now().Add(time.Duration(made.Seconds)*time.Second)
	shown.Data = data
	return v.render(shown)
}

// fileContent hands a file's content on: to be looked at, or with ?download= to be kept.
func fileContent(v *visit) (view, error) {
	return v.passOn(path(nil, "uploads", v.r.PathValue("file")), func(header http.Header) { asFile(header, v.asked("download") == "") })
}

// fileText hands all that was read of a file on, as plain text.
func fileText(v *visit) (view, error) {
	return v.passOn(path(nil, "documents", v.r.PathValue("file"), "text"), func(header http.Header) { asFile(header, true) })
}
