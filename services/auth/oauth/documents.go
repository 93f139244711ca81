package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
)

// documents fetches and keeps what programs say of themselves at the URL that they are
// named by (draft-ietf-oauth-client-id-metadata-document-00).
type documents struct {
	http    *http.Client
	idle    func()
	kept    *otter.Cache[string, document]
	fetches singleflight.Group
}

// document is what was fetched and for how long it counts.
type document struct {
	Client
	life time.Duration
}

const (
	documentTime = 5 * time.Second // to fetch one
	documentSize = 32 << 10        // bytes; the draft recommends that nobody needs more than 5 KB
	documentLife = 5 * time.Minute // where its server does not say
	documentMost = 24 * time.Hour  // whatever its server says
	documentsMax = 1000            // kept at once
)

func newDocuments(transport *http.Transport) *documents {
	return &documents{
		http: &http.Client{
			Timeout: documentTime, Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		idle: transport.CloseIdleConnections,
		kept: otter.Must(&otter.Options[string, document]{
			MaximumSize:      documentsMax,
			ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, document]) time.Duration { return e.Value.life }),
		}),
	}
}

func (d *documents) close() {
	d.kept.StopAllGoroutines()
	d.idle()
}

// client is the program that a URL names. Whatever is wrong is said as its author
// needs it: the page that says so shows nothing that was fetched.
func (d *documents) client(ctx context.Context, id string) (Client, error) {
	if fault := documentFault(id); fault != "" {
		return Client{}, refuse(codeInvalidClient, "client_id %s", fault)
	}
	if kept, ok := d.kept.GetIfPresent(id); ok {
		return kept.Client, nil
	}
	fetched := d.fetches.DoChan(id, func() (any, error) {
		// It is for all who wait: one who leaves must not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), documentTime)
		defer cancel()
		found, err := d.fetch(ctx, id)
		if err == nil && found.life > 0 {
			d.kept.Set(id, found)
		}
		return found.Client, err
	})
	select {
	case <-ctx.Done():
		return Client{}, ctx.Err()
	case answer := <-fetched:
		client, _ := answer.Val.(Client)
		return client, answer.Err
	}
}

// documentFault says what is wrong with a URL that names a program; "" for nothing. It
// is compared as a text, so it has one spelling only.
func documentFault(id string) string {
	u, err := url.Parse(id)
	switch {
	case err != nil || len(id) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" ||
		strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }):
		return "is not an https URL"
	case u.User != nil || strings.Contains(id, "#"):
		return "must have neither a user nor a fragment"
	case strings.Trim(u.Path, "/") == "":
		return "must have a path"
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(part string) bool { return part == "." || part == ".." }):
		return "must not have . or .. in its path"
	}
	return ""
}

func (d *documents) fetch(ctx context.Context, id string) (document, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return document{}, refuse(codeInvalidClient, "client_id is not an https URL")
	}
	request.Header.Set("Accept", "application/json")
	response, err := d.http.Do(request)
	if err != nil {
		return document{}, refuse(codeInvalidClient, "The client's metadata document could not be fetched: %s", fetchFault(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return document{}, refuse(codeInvalidClient, "The client's metadata document was answered with status %d, not 200", response.StatusCode)
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind != "application/json" && (!strings.HasPrefix(kind, "application/") || !strings.HasSuffix(kind, "+json")) {
		return document{}, refuse(codeInvalidClient, "The client's metadata document is not application/json")
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, documentSize+1))
	switch {
	case err != nil:
		return document{}, refuse(codeInvalidClient, "The client's metadata document could not be read: %s", fetchFault(err))
	case len(text) > documentSize:
		return document{}, refuse(codeInvalidClient, "The client's metadata document is larger than %d bytes", documentSize)
	}
	client, err := readDocument(id, text)
	return document{client, lifeOf(response.Header)}, err
}

// fetchFault says why nothing came, as far as it is the asker's business: not what is
// at which address of ours.
func fetchFault(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "it took too long"
	}
	return "its server can't be reached from here"
}

// readDocument reads what was fetched.
func readDocument(id string, text []byte) (Client, error) {
	var said struct {
		ID        string          `json:"client_id"`
		Secret    json.RawMessage `json:"client_secret"`
		SecretEnd json.RawMessage `json:"client_secret_expires_at"`
		metadata
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return Client{}, refuse(codeInvalidClient, "The client's metadata document is not a JSON object of the expected form")
	}
	switch {
	case said.ID != id:
		return Client{}, refuse(codeInvalidClient, "client_id in the client's metadata document is not the URL that it was fetched from")
	case said.Secret != nil || said.SecretEnd != nil:
		return Client{}, refuse(codeInvalidClient, "A metadata document that everybody can read must not have a client_secret")
	}
	if said.Method == "" {
		said.Method = methodNone
	}
	if said.Method != methodNone {
		return Client{}, refuse(codeInvalidClient, "token_endpoint_auth_method must be none for a client that is named by a URL")
	}
	client, refusal := said.client()
	if refusal != nil {
		return Client{}, refuse(codeInvalidClient, "The client's metadata document: %s", refusal.Description)
	}
	client.ID = id
	return client, nil
}

// lifeOf is how long an answer may be kept, by its Cache-Control; 0 for not at all.
func lifeOf(header http.Header) time.Duration {
	life := documentLife
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil && seconds >= 0 {
				life = min(time.Duration(seconds)*time.Second, documentMost)
			}
		}
	}
	return life
}
