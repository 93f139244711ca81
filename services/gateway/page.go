package gateway

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"uaol/providers/httpserver"
	"uaol/services/gateway/console"
)

// pages mounts the console, and leads browsers there.
func pages(cfg httpserver.Config, identity httpserver.Identity, log *zap.Logger) httpserver.Extra {
	return httpserver.Extra{Mount: func(engine *gin.Engine) {
		serve := gin.WrapH(console.New(engine, cfg.Public, identity.Version, log))
		engine.Any(console.Prefix, serve)
		engine.Any(console.Prefix+"/*page", serve)
		engine.GET("/", lead)
		engine.HEAD("/", lead)
	}}
}

// lead sends browsers to the console; for everybody else / is an unknown path.
func lead(c *gin.Context) {
	c.Writer.Header().Add("Vary", "Accept")
	if !wantsHTML(c.Request.Header.Values("Accept")) {
		refuse(c)
		return
	}
	c.Redirect(http.StatusFound, console.Prefix)
}

// wantsHTML is true only for those who name HTML, as browsers do; */* is what
// programs say.
func wantsHTML(accept []string) bool {
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, parameters, _ := mime.ParseMediaType(part)
		weight, unsaid := strconv.ParseFloat(parameters["q"], 64)
		if kind == "text/html" && (unsaid != nil || weight > 0) {
			return true
		}
	}
	return false
}
