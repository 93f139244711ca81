package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"uaol/services"
	"uaol/services/gateway/console/lines"
)

//go:embed templates
var templateFiles embed.FS

// templates are the pages' own, each with the frame and the parts that all share.
// They are read when the console is made, and not by commands that show no pages.
var templates = sync.OnceValue(func() map[string]*template.Template { return parse(templateFiles) })

// parse reads templates/page/*.html, each together with all of templates/*.html.
func parse(files fs.FS) map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/*.html"))
	names, err := fs.Glob(files, "templates/page/*.html")
	if err != nil {
		panic(err)
	}
	pages := make(map[string]*template.Template, len(names))
	for _, name := range names {
		one := template.Must(template.Must(shared.Clone()).ParseFS(files, name))
		pages[strings.TrimSuffix(strings.TrimPrefix(name, "templates/page/"), ".html")] = one
	}
	return pages
}

// view is a page to be shown.
type view struct {
	Template string // templates/page/<it>.html, which defines "main"
	Title    string
	Section  string // of the navigation
	Data     any
	Status   int // 200 if it is 0
	// A page with a block "live" may keep itself up to date: every so often, and whenever
	// an event comes from this stream of the API.
	Every  time.Duration
	Follow string
	Over   bool // nothing will change any more
	// Follows says that the live part follows from what the API says alone: as long as that
	// is the same, the part is, and need not be rendered to know it.
	Follows bool
	// Again, unless it is 0, is after how many seconds the browser opens the page anew.
	// What the page was to say of the deed before is said then.
	Again int
}

// page is what templates see.
type page struct {
	view
	Who     who
	Theme   string
	Said    string
	Here    string // the page's own address
	Base    string // the address that the browser knows us by
	Version string
	Mark    string // of whom the page is for

	seed  string
	forms *int
}

// Once is the key of the next form: the API takes what is sent with it twice for one
// thing. A part that is rendered again for the same visit has the same ones.
func (p page) Once() string {
	*p.forms++
	return p.seed + strconv.Itoa(*p.forms)
}

// page completes a view.
func (v *visit) page(shown view) page {
	return page{
		view: shown, Who: v.who, Theme: v.session.theme, Here: v.r.URL.RequestURI(),
		Base: v.console.base(v.r), Version: v.console.version, Mark: v.who.mark(v.session), seed: v.seed, forms: new(int),
	}
}

// render writes a page, or, to htmx, that part of it which is called like the place that
// it is for. A place without a part of its own gets the whole.
func (v *visit) render(shown view) error {
	one, known := templates()[shown.Template]
	if !known {
		return services.Errorf(services.Internal, "There is no template %s", shown.Template)
	}
	p := v.page(shown)
	name := "frame"
	if target := v.r.Header.Get("HX-Target"); target != "" && v.r.Header.Get("HX-Request") != "" {
		switch {
		case shown.Template == "error": // whatever the place is called
			name = "problem"
		case one.Lookup(target) != nil:
			name = target
		}
	}
	switch {
	case shown.Again > 0:
		v.w.Header().Set("Refresh", strconv.Itoa(shown.Again))
	case name == "frame":
		p.Said = v.console.said(v.w, v.r)
	}
	var out bytes.Buffer
	if err := one.ExecuteTemplate(&out, name, p); err != nil {
		return services.Errorf(services.Internal, "This page can't be shown").Because(err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Add("Vary", "HX-Request, HX-Target")
	if shown.Status != 0 {
		v.w.WriteHeader(shown.Status)
	}
	_, _ = v.w.Write(out.Bytes()) // whoever left does not mind
	return nil
}

// functions are what templates can use. Texts are escaped by html/template alone.
var functions = template.FuncMap{
	"asset":     assetPath,
	"credits":   creditsText,
	"thousands": thousandsOf,
	"plural":    plural,
	"tone":      tone,
	"json":      indented,
	"compact":   compacted,
	"text":      textOf,
	"says":      says,
	"price":     priceText,
	"callPrice": callPrice,
	"reveal":    lines.Reveal,
	"scope":     scopeText,
	"duration":  durationText,
	"took":      tookText,
	"bytes":     bytesText,
	"short":     shortened,
	"join":      strings.Join,
	"lower":     strings.ToLower,
	"stamp":     func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"when":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"besides":   besides,
	"field":     func(name string) string { return "body." + name },
	"dict":      pairs,
	"list":      func(items ...any) []any { return items },
}

// pairs makes a map of names and values, for parts that need several.
func pairs(items ...any) (map[string]any, error) {
	made := map[string]any{}
	for i := 0; i+1 < len(items); i += 2 {
		name, ok := items[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", items[i])
		}
		made[name] = items[i+1]
	}
	return made, nil
}
