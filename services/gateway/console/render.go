package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"uaol/providers/api"
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
		Base: v.console.base(v.r), Version: v.console.version, seed: v.seed, forms: new(int),
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
	if name == "frame" {
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

// problem is what an error page says.
type problem struct {
	Message string
	Code    string
	Faults  map[string]string
	Next    advice
}

func problemOf(err error) problem {
	return problem{Message: api.MessageOf(err), Code: api.CodeOf(err), Faults: faultsOf(err), Next: adviceFor(err)}
}

// advice is what to do next.
type advice struct {
	Text string
	Page string // that helps; "" for none
	Name string // of that page
}

func adviceFor(err error) advice {
	var e *services.Error
	code := api.CodeOf(err)
	if about, known := modelAdvice[code]; known {
		return about
	}
	switch {
	case code == "ALREADY_MADE":
		return advice{"This form was sent twice, and done once. What is shown only once can't be shown again: revoke it where it is listed, and make another.", "", ""}
	case code == "WITH_KEY":
		return advice{"Sign out, and in again with a password, with a provider, or by a link that an operator makes with `uaol admin link`.", "", ""}
	case code == "OTHERS_TOOL":
		return advice{"Switch to that organisation if you are in it.", Prefix + "/tools", "See all tools"}
	case code == "ADMIN_ONLY":
		return advice{"An admin of the platform can make you one.", Prefix, "Go to the overview"}
	case code == "SPEND_CAP_EXCEEDED":
		return advice{"Who manages the organisation can raise or remove the cap.", capsPath, "See the caps"}
	case code == "QUOTA_EXCEEDED":
		return advice{"That is as much as the plan brings.", plansPath, "See the plans"}
	case code == notSelling:
		return advice{"Who runs this server has not set payments up.", plansPath, "See the plans"}
	case code == "SUBSCRIBED":
		return advice{"Another plan is chosen on Stripe's page: press “Cards and invoices”.", plansPath, "Back to the plans"}
	case code == "SIGN_IN_AGAIN":
		return advice{"Sign out, sign in again, and repeat it within ten minutes.", "", ""}
	case isKind(err, services.Unauthenticated):
		return advice{"Sign in again in another tab; what you have written here stays.", Prefix + "/sign-in", "Sign in"}
	case code == "OTHER_ORGANIZATION":
		return advice{"Switch back to that organisation, or open this page again in the one you are in.", Prefix, "Go to the overview"}
	case isKind(err, services.Insufficient):
		return advice{"There are not enough credits for this.", Prefix + "/credits", "See credits, caps and how to get more"}
	case isKind(err, services.Forbidden):
		return advice{"Who manages the organisation can change your role or a key's scopes.", Prefix + "/members", "See who that is"}
	case isKind(err, services.Limited):
		return advice{"Requests are limited per minute: try again in " + plural(api.RetryAfter(err), "second") + ".", "", ""}
	case isKind(err, services.NotFound):
		return advice{"It may have been removed, or belong to another organisation: switch at the top left.", Prefix, "Go to the overview"}
	case isKind(err, services.Unavailable, services.Timeout):
		return advice{"A part of the server can't be reached just now. What was sent may be sent again.", Prefix, "See what runs"}
	case isKind(err, services.Unconfigured):
		return advice{"An operator has to set this up first; `uaol config` lists all settings.", "", ""}
	case errors.As(err, &e) && e.Kind == services.Internal:
		return advice{"This is a fault of the server. The request's id helps whoever looks into it.", "", ""}
	}
	return advice{"Go back, correct what is named here, and try again.", "", ""}
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
