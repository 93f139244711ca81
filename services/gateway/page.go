package gateway

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

//go:embed page.html
var pageFrame string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// thePage is one document: style and script stand in it, known to its policy
// by their hashes, so that no other inline code runs.
var thePage = newPage(pageFrame, pageStyle, pageScript)

type htmlPage struct {
	body   []byte
	header http.Header
}

func newPage(frame, style, script string) htmlPage {
	body := strings.NewReplacer("/*style*/", style, "/*script*/", script).Replace(frame)
	policy := []string{
		"default-src 'none'", "connect-src 'self'", "img-src data:", // the icon
		"script-src '" + digest(script) + "'", "style-src '" + digest(style) + "'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		"require-trusted-types-for 'script'", "trusted-types 'none'", // no innerHTML, even by mistake
	}
	return htmlPage{body: []byte(body), header: http.Header{
		"Content-Type":                 {"text/html; charset=utf-8"},
		"Content-Security-Policy":      {strings.Join(policy, "; ")},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Cache-Control":                {"no-cache"}, // kept, but asked for each time
		"Etag":                         {`"` + digest(body) + `"`},
	}}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// servePage answers browsers; for everybody else / is an unknown path.
func servePage(c *gin.Context) {
	c.Writer.Header().Add("Vary", "Accept")
	if !wantsHTML(c.Request.Header.Values("Accept")) {
		refuse(c)
		return
	}
	for name, values := range thePage.header {
		c.Writer.Header()[name] = values
	}
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(thePage.body))
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
