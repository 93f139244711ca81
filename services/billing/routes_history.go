package billing

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

type historyInput struct {
	api.Paging
	Kind    Kind      `query:"kind" enum:"grant,purchase,hold,settle,release,deduct,refund,send,receive,expire,return,owe,repay"`
	From    time.Time `query:"from" doc:"at or after this time"`
	To      time.Time `query:"to" doc:"before this time"`
	Tool    uuid.UUID `query:"toolId" format:"uuid"`
	Job     uuid.UUID `query:"jobId" format:"uuid"`
	Account uuid.UUID `query:"accountId" format:"uuid" doc:"the member who spent"`
	Key     uuid.UUID `query:"keyId" format:"uuid"`
}

// entryBody is an Entry with its credits as the contract writes them.
type entryBody struct {
	Entry
	Amount  string `json:"amount" doc:"credits that moved"`
	Change  string `json:"change" doc:"by how much what is available changed"`
	Balance string `json:"balance" doc:"what was available afterwards"`
}

func (h *Handler) history(ctx context.Context, caller services.Caller, in *historyInput) (api.Page[entryBody], error) {
	before, err := api.ReadCursor[int64](in.Cursor)
	if err != nil {
		return api.Page[entryBody]{}, err
	}
	entries, err := h.service.History(ctx, caller, HistoryFilter{
		Kind: in.Kind, From: in.From, To: in.To, Tool: in.Tool, Job: in.Job, Account: in.Account, Key: in.Key, Before: before,
	}, in.Limit+1)
	bodies := make([]entryBody, len(entries))
	for i, e := range entries {
		if e.Facts == nil {
			e.Facts = json.RawMessage("{}")
		}
		bodies[i] = entryBody{Entry: e, Amount: strconv.FormatInt(e.Amount, 10),
			Change: strconv.FormatInt(e.Amount*change(e.Kind), 10), Balance: strconv.FormatInt(e.Balance, 10)}
	}
	return api.Cut(bodies, in.Limit, func(e entryBody) any { return e.Seq }), err
}

// UsageRange is what usage is asked by.
type UsageRange struct {
	By   Grouping  `query:"by" enum:"day,tool,job,member,key" default:"day"`
	From time.Time `query:"from" doc:"at or after this time; 30 days ago if it is left out"`
	To   time.Time `query:"to" doc:"before this time"`
}

type usageInput struct {
	api.Paging
	UsageRange
}

// usageBody is Usage with its credits as the contract writes them.
type usageBody struct {
	Usage
	Credits string `json:"credits" doc:"charged, less what was given back"`
}

func (h *Handler) usage(ctx context.Context, caller services.Caller, in *usageInput) (api.Page[usageBody], error) {
	after, err := api.ReadCursor[UsageKey](in.Cursor)
	if err != nil {
		return api.Page[usageBody]{}, err
	}
	usage, err := h.service.Usage(ctx, caller, UsageFilter{By: in.By, From: in.From, To: in.To, After: after}, in.Limit+1)
	bodies := make([]usageBody, len(usage))
	for i, u := range usage {
		bodies[i] = usageBody{Usage: u, Credits: strconv.FormatInt(u.Credits, 10)}
	}
	return api.Cut(bodies, in.Limit, func(u usageBody) any { return UsageKey{Credits: u.Usage.Credits, Key: u.Key, There: true} }), err
}

// csvMost is how many rows a CSV has at most.
const csvMost = 100_000

func (h *Handler) usageCSV(ctx context.Context, caller services.Caller, in *UsageRange) (func(huma.Context), error) {
	usage, err := h.service.Usage(ctx, caller, UsageFilter{By: in.By, From: in.From, To: in.To}, csvMost)
	if err != nil {
		return nil, err
	}
	return func(out huma.Context) {
		out.SetHeader("Content-Type", "text/csv; charset=utf-8")
		out.SetHeader("Content-Disposition", `attachment; filename="usage-by-`+string(in.By)+`.csv"`)
		w := csv.NewWriter(out.BodyWriter())
		_ = w.Write([]string{string(in.By), "credits", "charges"}) // whoever left does not mind
		for _, u := range usage {
			_ = w.Write([]string{u.Key, strconv.FormatInt(u.Credits, 10), strconv.FormatInt(u.Charges, 10)})
		}
		w.Flush()
	}, nil
}
