package registry

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"uaol/providers/api"
	"uaol/services"
)

// Showcase keeps approved public tools as they are shown to callers who can't change them, in
// the bytes that are sent. What it shows is at most as old as the Cache's offers, a second,
// and health at most showFor. Owners and admins are shown what is stored.
type Showcase struct {
	cache *Cache
	pages *otter.Cache[uuid.UUID, page]
}

type page struct {
	tool  Tool
	body  []byte
	asked time.Time
}

const (
	showFor = 5 * time.Second
	showing = 64 << 20 // bytes of pages
)

// NewShowcase makes a Showcase that hears of changes as the cache does.
func NewShowcase(cache *Cache) *Showcase {
	return &Showcase{cache: cache, pages: otter.Must(&otter.Options[uuid.UUID, page]{
		MaximumWeight:    showing,
		Weigher:          func(_ uuid.UUID, p page) uint32 { return uint32(min(len(p.body), showing)) }, //nolint:gosec // at most showing
		ExpiryCalculator: otter.ExpiryWriting[uuid.UUID, page](showFor),
	})}
}

// find gives the page that a caller may be shown as it is.
func (s *Showcase) find(id uuid.UUID, caller services.Caller) ([]byte, bool) {
	p, ok := s.pages.GetIfPresent(id)
	if !ok || p.tool.insider(caller) || !s.cache.current(id, p.asked) {
		return nil, false
	}
	return p.body, true
}

// keep remembers what a caller was shown, if it is what all others are shown.
func (s *Showcase) keep(caller services.Caller, tool Tool, asked time.Time) error {
	if tool.Status != Approved || tool.Visibility != Public || tool.insider(caller) {
		return nil
	}
	body, err := encoded(api.OK(tool))
	if err == nil {
		s.pages.Set(tool.ID, page{tool, body, asked})
	}
	return err
}

// encoded is a body as the API's writer has it: HTML stays readable.
func encoded(body any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(body)
	return out.Bytes(), err
}

// Close ends the cache's own goroutines.
func (s *Showcase) Close() { s.pages.StopAllGoroutines() }
