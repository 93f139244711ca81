package console

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// heard is a digest of what the API has said to a visit, in whatever order.
type heard struct{ sum atomic.Uint64 }

var heardSeed = maphash.MakeSeed()

// note takes an answer in; there is nothing to do for pages that are shown just once.
func (h *heard) note(path string, said reply, err error) {
	if h == nil {
		return
	}
	path, _, _ = strings.Cut(path, "?") // which may say what time it is
	var hash maphash.Hash
	hash.SetSeed(heardSeed)
	fmt.Fprintf(&hash, "%d %s %d %s %s %v", len(path), path, len(said.Data), said.Data, said.Next, err)
	h.sum.Add(hash.Sum64())
}

// end gives the digest of all that was said, and begins another.
func (h *heard) end() uint64 { return h.sum.Swap(0) }

// same reports whether as much has been said since as before.
func (h *heard) same(before uint64) bool { return h.sum.Load() == before }
