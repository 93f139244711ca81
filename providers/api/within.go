package api

import (
	"context"
	"sync"

	"github.com/gin-gonic/gin"
)

// within is kept in the contexts of requests that the process makes of itself.
type within struct {
	once    sync.Once
	refused error
	after   string // how many seconds it may be tried again, as a header says it
}

type withinKey struct{}

// Within is for requests that this process makes of itself to answer one of a client's,
// as the console's pages do. Together they count as one against the caller's limit, and
// the access log tells of the client's alone.
func Within(ctx context.Context) context.Context {
	return context.WithValue(ctx, withinKey{}, &within{})
}

// IsWithin reports whether a request is part of answering another one.
func IsWithin(ctx context.Context) bool {
	_, is := ctx.Value(withinKey{}).(*within)
	return is
}

// countOnce counts a request unless it is part of one that was counted. What was said
// of the first is said of all.
func countOnce(c *gin.Context, count func() error) error {
	w, is := c.Request.Context().Value(withinKey{}).(*within)
	if !is {
		return count()
	}
	w.once.Do(func() { w.refused, w.after = count(), c.Writer.Header().Get(retryHeader) })
	if w.refused != nil {
		c.Header(retryHeader, w.after)
	}
	return w.refused
}

const retryHeader = "Retry-After"
