// Package instance lets a command tell the server of its data directory from
// whatever else listens on this machine, before it sends a key there.
package instance

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"regexp"

	"github.com/gin-gonic/gin"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/providers/httpserver"
	"uaol/providers/secrets"
	"uaol/services"
)

// Path is where a server proves which data directory is its own.
const Path = "/instance"

// proof shows that a server can read the secret of its data directory, as its
// owner alone can. It counts for one question and for the address at which the
// server itself was asked: who listens elsewhere and passes the question on gets
// a proof for another address.
func proof(secret, nonce, address string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("uaol instance\n" + nonce + "\n" + address))
	return hex.EncodeToString(mac.Sum(nil))
}

var nonceForm = regexp.MustCompile(`^[A-Z2-7]{26}$`) // of rand.Text

type answer struct {
	Proof string `json:"proof"`
}

// New is the server's half. A server that keeps nothing in its data directory
// proves nothing.
func New(process config.Process) httpserver.Extra {
	return httpserver.Extra{Mount: func(engine *gin.Engine) {
		engine.GET(Path, func(c *gin.Context) {
			nonce := c.Query("nonce")
			if !nonceForm.MatchString(nonce) {
				api.Fail(c, services.Faults(services.Fault{Path: "query.nonce", Message: "must be 26 random characters of A to Z and 2 to 7"}))
				return
			}
			secret, err := secrets.Kept(process.DataDir, "instance")
			at, known := c.Request.Context().Value(http.LocalAddrContextKey).(net.Addr)
			if err != nil || !known {
				api.Fail(c, services.Errorf(services.NotFound, "This server keeps no data directory").Because(err))
				return
			}
			c.JSON(http.StatusOK, api.OK(answer{proof(secret, nonce, at.String())}))
		})
	}}
}
