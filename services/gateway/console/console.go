package console

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/services"
)

// Prefix is where the console is.
const Prefix = "/console"

// Console is the pages.
type Console struct {
	api     *http.Client
	public  string // the URL under which clients reach us; "" for what each calls us
	version string
	log     *zap.Logger
	streams *streams
	handler http.Handler
}

// New makes the console of what handler answers: the process's router.
func New(handler http.Handler, public, version string, log *zap.Logger) *Console {
	c := &Console{api: client(handler), public: public, version: version, log: log, streams: newStreams()}
	_, _ = templates(), assets() // here and not at the first visit
	mux := http.NewServeMux()
	pages := map[string]bool{} // by their patterns
	none := func(w http.ResponseWriter, r *http.Request) {
		v := c.visit(w, r)
		_ = v.enter(guests) // so that who has signed in finds a way on
		v.nearest = nearest(mux, pages, r)
		v.failed(services.Errorf(services.NotFound, "There is no page at %s", r.URL.Path))
	}
	all := routes()
	for _, one := range all {
		mux.Handle(one.pattern, c.serve(one))
		pages[one.pattern] = one.page != nil
	}
	for _, one := range all { // what is only done is no page, and not one of a thing that is called so
		if _, path, _ := strings.Cut(one.pattern, " "); one.act != nil && !pages[http.MethodGet+" "+path] {
			mux.HandleFunc(http.MethodGet+" "+path, none)
		}
	}
	mux.HandleFunc("GET "+assetPrefix, serveAsset)
	mux.HandleFunc(Prefix+"/", none)
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.visit(w, r).failed(services.Errorf(services.Forbidden, "This came from a page of another site, and was not done").WithCode("CROSS_ORIGIN"))
	}))
	c.handler = guarded(cross.Handler(compress(mux)))
	return c
}

// nearest is the page above an address that is none, such as one that only takes forms.
func nearest(mux *http.ServeMux, pages map[string]bool, r *http.Request) string {
	for at := above(r.URL.Path); strings.HasPrefix(at, Prefix+"/"); at = above(at) {
		_, pattern := mux.Handler(&http.Request{Method: http.MethodGet, Host: r.Host, URL: &url.URL{Path: at}})
		if pages[pattern] {
			return at
		}
	}
	return Prefix
}

func above(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

// compress leaves streams as they are: each would keep a compressor of its own.
var compress = compressing("text/html", "text/css", "text/javascript", "image/svg+xml")

func compressing(types ...string) func(http.Handler) http.HandlerFunc {
	wrap, err := gzhttp.NewWrapper(gzhttp.ContentTypes(types))
	if err != nil {
		panic(err) // types that are none
	}
	return wrap
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// policy lets a page use what comes from its own origin, and no inline code or style at
// all: whatever text got into it would be just text.
var policy = strings.Join([]string{
	"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
	"media-src 'self'", "frame-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
}, "; ")

func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin") // with none at all, browsers would not say where forms come from
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), payment=()")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// access says who may see a page.
type access int

const (
	members access = iota // who has signed in
	guests                // guests too
	anybody
)

// route is one page, or one thing that a form does.
type route struct {
	pattern string // of http.ServeMux
	access  access
	page    func(*visit) (view, error) // GET
	act     func(*visit) error         // POST
	// wherever says that a form does the same whatever organisation is looked at by now.
	wherever bool
}

func see(path string, page func(*visit) (view, error)) route {
	return route{pattern: "GET " + Prefix + path, page: page}
}

func do(path string, act func(*visit) error) route {
	return route{pattern: "POST " + Prefix + path, act: act}
}

func (r route) forGuests() route {
	r.access = guests
	return r
}

func (r route) fromWherever() route {
	r.wherever = true
	return r
}

func (r route) forAnybody() route {
	r.access = anybody
	return r
}

func (c *Console) visit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{console: c, w: w, r: r, ctx: counted(r), session: c.session(r), seed: rand.Text()}
}

// maxForm is how much a form may hold that has no files, in bytes.
const maxForm = api.MaxJSON

func (c *Console) serve(one route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := c.visit(w, r)
		if err := v.readForm(); err != nil {
			v.failed(err)
			return
		}
		streams := one.act == nil && strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream")
		if err := v.enter(one.access); err != nil {
			if streams {
				v.liveFailed(err)
			} else {
				v.failed(err)
			}
			return
		}
		if one.act != nil {
			if err := v.sameOrganization(one); err != nil {
				v.failed(err)
			} else if err := one.act(v); err != nil {
				v.failed(err)
			}
			return
		}
		if streams {
			v.live(one.page)
			return
		}
		shown, err := one.page(v)
		if err == nil {
			err = v.render(shown)
		}
		if err != nil && !errors.Is(err, errAnswered) {
			v.failed(err)
		}
	})
}

// readForm reads the form that was sent, here and once: what a page asks of the API at the
// same time looks at it. Of files nothing is read; who takes those does that.
func (v *visit) readForm() error {
	if v.r.Method != http.MethodPost || v.sendsFiles() {
		return nil
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	err := v.r.ParseForm()
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return services.Errorf(services.TooLarge, "A form may hold %s at most", bytesText(maxForm))
	}
	if err != nil {
		return badForm(err)
	}
	return nil
}

func (v *visit) sendsFiles() bool {
	return strings.HasPrefix(v.r.Header.Get("Content-Type"), "multipart/")
}

// errAnswered is from pages that have answered by themselves, such as by a redirect.
var errAnswered = errors.New("answered")
