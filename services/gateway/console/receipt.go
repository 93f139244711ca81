package console

import (
	"encoding/json"
	"time"
)

// receipt is what a call or a job cost, signed.
type receipt struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Held      int64     `json:"held"`
	Charged   int64     `json:"charged"`
	Released  int64     `json:"released"`
	Refunded  int64     `json:"refunded"`
	Open      bool      `json:"open"`
	Sealed    bool      `json:"sealed"`
	Issued    time.Time `json:"issuedAt"`
	PublicKey string    `json:"publicKey"`
	Signature string    `json:"signature"`
	Account   *string   `json:"accountId"`
	Key       *string   `json:"keyId"`
	Charges   []struct {
		Operation string    `json:"operationId"`
		Tool      *string   `json:"toolId"`
		Credits   int64     `json:"credits"`
		At        time.Time `json:"at"`
		Facts     struct {
			Version int64  `json:"version"`
			Method  string `json:"method"`
			Step    string `json:"step"`
			Outcome string `json:"outcome"`
		} `json:"facts"`
	} `json:"charges"`
	Entries []receiptEntry `json:"entries"`
}

type receiptEntry struct {
	Seq       int64           `json:"seq"`
	Kind      string          `json:"kind"`
	Amount    int64           `json:"amount"`
	Balance   int64           `json:"balance"`
	At        time.Time       `json:"createdAt"`
	Inclusion json.RawMessage `json:"inclusion"`
}

// Seal is the number of the seal that the entry is under; 0 for none yet.
func (e receiptEntry) Seal() int64 {
	var inclusion struct {
		Seal struct {
			Number int64 `json:"number"`
		} `json:"seal"`
	}
	_ = json.Unmarshal(e.Inclusion, &inclusion) // null while it is not sealed
	return inclusion.Seal.Number
}

type receiptData struct {
	Receipt  receipt
	Whole    json.RawMessage
	Snippets []snippet
}

const receiptEvery = 2 * time.Second // so often books are sealed

func receiptPage(v *visit) (view, error) {
	var data receiptData
	id := v.r.PathValue("receipt")
	if err := v.get(path(nil, "receipts", id), &data.Whole); err != nil {
		return view{}, err
	}
	if err := decode(data.Whole, &data.Receipt); err != nil {
		return view{}, err
	}
	data.Snippets = []snippet{{"Check it", "curl -s " + v.console.base(v.r) + "/receipts/" + id + " -H \"X-API-Key: $KEY\" > receipt.json\nuaol receipt verify receipt.json --key " + shellWord(data.Receipt.PublicKey)}}
	r := data.Receipt
	return view{
		Template: "receipt", Title: "Receipt", Section: "credits", Data: data,
		Every: receiptEvery, Over: r.Sealed && !r.Open,
	}, nil
}
