package console

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"uaol/providers/api"
)

const adminLedgerPath = adminPath + "/ledger"

// verifying is how far a check of the books has come.
type verifying struct {
	Organizations int64 `json:"organizations"`
	Entries       int64 `json:"entries"`
	Of            int64 `json:"of"` // organisations
}

// verified is what came of one.
type verified struct {
	At       time.Time        `json:"at"`
	Entries  int64            `json:"entries"`
	Accounts int64            `json:"accounts"`
	Holds    int64            `json:"holds"`
	Seals    int64            `json:"seals"`
	Heads    int64            `json:"heads"`
	Credits  map[string]int64 `json:"credits"`
	Unsealed struct {
		Entries int64      `json:"entries"`
		Oldest  *time.Time `json:"oldest"`
	} `json:"unsealed"`
	Faults []struct {
		Says string `json:"message"`
	} `json:"faults"`
	More int64 `json:"moreFaults"`
}

// Number is how many faults there are.
func (v verified) Number() int64 { return int64(len(v.Faults)) + v.More }

// creditPlaces are the ledger accounts in the order in which they are shown.
var creditPlaces = []struct{ Name, Says string }{
	{"available", "To spend"}, {"held", "Set aside"}, {"revenue", "Charged"}, {"grants", "Given"}, {"purchases", "Bought"},
	{"transfers", "Moved"}, {"expired", "Ended unused"}, {"debt", "Owed"},
}

// creditPlace is what there is of credits in one of them, of all organisations together.
type creditPlace struct {
	Says    string
	Credits int64
}

// Places are those in which there is anything.
func (v verified) Places() (all []creditPlace) {
	for _, p := range creditPlaces {
		if credits := v.Credits[p.Name]; credits != 0 {
			all = append(all, creditPlace{p.Says, credits})
		}
	}
	return all
}

type adminLedgerData struct {
	books
	Going    *verifying
	Verified *verified
	Problem  *problem
}

func adminLedger(v *visit) (view, error) { return v.ledgerView(adminLedgerData{}) }

func (v *visit) ledgerView(data adminLedgerData) (view, error) {
	err := v.get("/ledger", &data.books)
	shown := view{Template: "admin-ledger", Title: "Ledger", Section: "admin", Data: data}
	if data.Problem != nil {
		shown.Status = http.StatusUnprocessableEntity
	}
	return shown, err
}

var errNoReport = unavailable(errors.New("the check has no end"))

// verifyLedger lets the books be checked. Who asks for events gets a part of the page for
// each word of how far it has come, and one at the end; others wait for the end.
func verifyLedger(v *visit) error {
	answer, err := v.request(v.ctx, http.MethodPost, "/ledger/verify", nil, http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		return unavailable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		_, err := read(answer)
		return err
	}
	if strings.HasPrefix(v.r.Header.Get("Accept"), "text/event-stream") {
		return v.streamVerification(answer.Body)
	}
	v.standAt(adminLedgerPath)
	var data adminLedgerData
	if err := eachVerification(answer.Body, func(now adminLedgerData) error { data = now; return nil }); err != nil {
		return err
	}
	shown, err := v.ledgerView(data)
	if err != nil {
		return err
	}
	return v.render(shown)
}

// streamVerification passes on what a check tells. Whoever leaves ends it.
func (v *visit) streamVerification(from io.Reader) error {
	out := api.NewStream(v.w, v.r)
	defer out.Close()
	tell := func(now adminLedgerData) error {
		kind := "progress"
		if now.Going == nil {
			kind = "over"
		}
		part, err := v.block("verified", view{Template: "admin-ledger", Data: now})
		if err != nil {
			return err
		}
		return out.Write(append([]byte("event: "+kind+"\n"), event(part)...))
	}
	if err := eachVerification(from, tell); err != nil {
		said := problemOf(err)
		_ = tell(adminLedgerData{Problem: &said}) // whoever left does not mind
	}
	return nil
}

// eachVerification reads what a check tells; the last that it gives is the report, or what
// went wrong.
func eachVerification(from io.Reader, take func(adminLedgerData) error) error {
	over := false
	err := eachEvent(from, func(kind string, data []byte) error {
		var now adminLedgerData
		switch kind {
		case "progress":
			now.Going = &verifying{}
			if err := decode(data, now.Going); err != nil {
				return err
			}
		case "done":
			over, now.Verified = true, &verified{}
			if err := decode(data, now.Verified); err != nil {
				return err
			}
		case "error":
			over = true
			said := problemOf(eventError(data))
			now.Problem = &said
		default:
			return nil // of a later version
		}
		return take(now)
	})
	if err == nil && !over {
		err = errNoReport
	}
	return err
}
