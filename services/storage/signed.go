package storage

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"uaol/providers/keyring"
	"uaol/services"
)

// signer makes and checks URLs that are good for one file, one method and a while.
type signer struct{ keys [][]byte }

func newSigner(ring *keyring.Ring) signer {
	s := signer{keys: [][]byte{ring.Key("file urls")}}
	if old := ring.PreviousKey("file urls"); old != nil { // or a change of the secret ends them all
		s.keys = append(s.keys, old)
	}
	return s
}

// path is where a request of that method may be made until then, without credentials.
func (s signer) path(method string, id uuid.UUID, until time.Time) string {
	expires := strconv.FormatInt(until.Unix(), 10)
	query := url.Values{"expires": {expires}, "signature": {signature(s.keys[0], method, id, expires)}}
	return pathOf(id) + "?" + query.Encode()
}

func signature(key []byte, method string, id uuid.UUID, expires string) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s %s %s", method, id, expires)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// check judges a signed request; a HEAD is as good as its GET. Kind Forbidden.
func (s signer) check(method string, id uuid.UUID, query url.Values, now time.Time) error {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	given, expires := query.Get("signature"), query.Get("expires")
	good := false
	for _, key := range s.keys {
		good = good || hmac.Equal([]byte(given), []byte(signature(key, method, id, expires)))
	}
	until, err := strconv.ParseInt(expires, 10, 64)
	switch {
	case !good || err != nil:
		return services.Errorf(services.Forbidden, "The URL's signature is wrong; ask for another URL")
	case now.Unix() >= until:
		return services.Errorf(services.Forbidden, "The URL has expired; ask for another URL")
	}
	return nil
}
