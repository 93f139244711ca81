package documents

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/net/html/charset"
)

const (
	// mostEntries of an archive; the largest presentations have some thousands.
	mostEntries = 20000
	// mostRatio is how often larger an entry may be than what it is packed in, once it
	// is larger than freeRatio bytes. XML of tables reaches 30, deflate ends at 1,032.
	mostRatio = 200
	freeRatio = 8 << 20
	// mostPart is the most bytes of a part that is read as a whole (styles, relations).
	mostPart = 32 << 20
)

// errMissing is an entry that is not there.
var errMissing = errors.New("it has no such part")

// archive is a zip file that unpacks to so much at most. Archives in it are never opened.
type archive struct {
	files map[string]*zip.File
	all   []*zip.File
	most  int64
	left  int64 // bytes that may still be unpacked
}

func (x *extraction) archive() (*archive, error) {
	r, err := zip.NewReader(x.file, x.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, err
	}
	if len(r.File) > mostEntries {
		return nil, tooLarge("This file holds %d files, more than the %d that are read", len(r.File), mostEntries)
	}
	a := &archive{files: map[string]*zip.File{}, all: r.File, most: x.limits.Unpacked, left: x.limits.Unpacked}
	for _, f := range r.File {
		name := strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/")
		if _, twice := a.files[name]; !twice {
			a.files[name] = f
		}
	}
	return a, nil
}

// check looks at all that an archive says of its size, for readers that unpack it
// themselves. The zip package refuses an entry that is larger than it says.
func (a *archive) check() error {
	var sum uint64
	for _, f := range a.all {
		if sum += f.UncompressedSize64; sum > uint64(a.most) || f.UncompressedSize64 > uint64(a.most) {
			return a.bomb()
		}
		if f.UncompressedSize64 > freeRatio && f.UncompressedSize64/mostRatio > f.CompressedSize64 {
			return a.bomb()
		}
	}
	return nil
}

func (a *archive) bomb() error {
	return tooLarge("This file unpacks to more than %d MB, or out of next to nothing; split it and upload its parts", a.most>>20)
}

// open reads an entry; its bytes count.
func (a *archive) open(name string) (io.ReadCloser, error) {
	f, ok := a.files[strings.TrimPrefix(path.Clean("/"+name), "/")]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errMissing)
	}
	if f.Flags&1 != 0 {
		return nil, encrypted("file")
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	return &entry{ReadCloser: r, archive: a, packed: int64(f.CompressedSize64)}, nil
}

// entry is an open entry of an archive.
type entry struct {
	io.ReadCloser
	archive *archive
	packed  int64
	read    int64
}

func (e *entry) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	e.read += int64(n)
	e.archive.left -= int64(n)
	if e.archive.left < 0 || e.read > freeRatio && e.read/mostRatio > e.packed {
		return 0, e.archive.bomb()
	}
	return n, err
}

// whole is an entry that is needed as a whole.
func (a *archive) whole(name string) ([]byte, error) {
	r, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, mostPart+1))
	if len(content) > mostPart {
		return nil, a.bomb()
	}
	return content, err
}

// head is the beginning of an entry.
func (a *archive) head(name string, most int64) (string, error) {
	r, err := a.open(name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, most))
	return string(content), err
}

// unmarshal reads an XML part; one that is not there leaves into as it is.
func (a *archive) unmarshal(name string, into any) error {
	content, err := a.whole(name)
	if errors.Is(err, errMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	return decoderOf(strings.NewReader(string(content))).Decode(into)
}

// each goes through the XML of an entry. Document types declare nothing here: an
// entity of its own makes a file a broken one.
func (a *archive) each(name string, see func(xml.Token) error) error {
	r, err := a.open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	decoder := decoderOf(r)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := see(token); err != nil {
			return err
		}
	}
}

func decoderOf(r io.Reader) *xml.Decoder {
	decoder := xml.NewDecoder(r)
	decoder.CharsetReader = charset.NewReaderLabel
	return decoder
}

// relation is a part's reference to another.
type relation struct {
	ID     string `xml:"Id,attr"`
	Type   string `xml:"Type,attr"`
	Target string `xml:"Target,attr"`
	Mode   string `xml:"TargetMode,attr"`
}

// is tells a relation's kind, which has one name in each of two namespaces.
func (r relation) is(kind string) bool { return strings.HasSuffix(r.Type, "/"+kind) }

// relations of a part, with targets from the archive's root; "" is the archive itself.
func (a *archive) relations(part string) ([]relation, error) {
	var list struct {
		Relations []relation `xml:"Relationship"`
	}
	dir, file := path.Split(part)
	if err := a.unmarshal(path.Join(dir, "_rels", file+".rels"), &list); err != nil {
		return nil, err
	}
	var inside []relation
	for _, r := range list.Relations {
		if r.Mode == "External" {
			continue
		}
		if !strings.HasPrefix(r.Target, "/") {
			r.Target = path.Join("/", dir, r.Target)
		}
		r.Target = strings.TrimPrefix(path.Clean(r.Target), "/")
		inside = append(inside, r)
	}
	return inside, nil
}

// mainPart is what an office file is about, and its content type; both are empty for
// other archives.
func (a *archive) mainPart() (name, kind string, err error) {
	relations, err := a.relations("")
	if err != nil {
		return "", "", err
	}
	for _, r := range relations {
		if r.is("officeDocument") {
			name = r.Target
		}
	}
	if name == "" {
		return "", "", nil
	}
	var types struct {
		Overrides []struct {
			Part string `xml:"PartName,attr"`
			Type string `xml:"ContentType,attr"`
		} `xml:"Override"`
		Defaults []struct {
			Extension string `xml:"Extension,attr"`
			Type      string `xml:"ContentType,attr"`
		} `xml:"Default"`
	}
	if err := a.unmarshal("[Content_Types].xml", &types); err != nil {
		return "", "", err
	}
	for _, d := range types.Defaults {
		if strings.EqualFold("."+d.Extension, path.Ext(name)) {
			kind = d.Type
		}
	}
	for _, o := range types.Overrides {
		if strings.EqualFold(strings.TrimPrefix(o.Part, "/"), name) {
			kind = o.Type
		}
	}
	return name, kind, nil
}

// attr is an element's attribute by its local name.
func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
