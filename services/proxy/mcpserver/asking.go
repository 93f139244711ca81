package mcpserver

import (
	"sync"

	"github.com/google/uuid"

	"uaol/services"
)

// asking counts the questions that wait for an account's answer in this process. Each
// keeps a place among the calls that its tool may have under way, for as long as its
// client likes: without a bound one client could keep a tool from everybody else.
type asking struct {
	mu   sync.Mutex
	open map[uuid.UUID]int
}

// mostOpen questions may wait for one account.
const mostOpen = 8

func newAsking() *asking { return &asking{open: map[uuid.UUID]int{}} }

// begin counts a question until done is called. Kind Limited.
func (a *asking) begin(caller services.Caller) (done func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[caller.Account] >= mostOpen {
		return nil, services.Errorf(services.Limited, "%d questions of tools wait for your answer already; answer them first", mostOpen)
	}
	a.open[caller.Account]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.open[caller.Account]--; a.open[caller.Account] == 0 {
			delete(a.open, caller.Account)
		}
	}, nil
}
