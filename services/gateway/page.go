package gateway

import (
	_ "embed"
	"mime"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	pages "uaol/providers/page"
)

//go:embed page.html
var pageFrame string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

var thePage = pages.New(pageFrame, pageStyle, pageScript)

// servePage answers browsers; for everybody else / is an unknown path.
func servePage(c *gin.Context) {
	c.Writer.Header().Add("Vary", "Accept")
	if !wantsHTML(c.Request.Header.Values("Accept")) {
		refuse(c)
		return
	}
	thePage.ServeHTTP(c.Writer, c.Request)
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
