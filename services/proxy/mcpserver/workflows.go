package mcpserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"go.uber.org/zap"

	"uaol/providers/upstream"
	"uaol/services"
	"uaol/services/jobs"
	"uaol/services/registry"
)

// workflows are the saved workflows that callers can run, laid out as the methods of one
// more tool: registry.Workflows is its short name, which no real one has.
type workflows struct {
	runner jobs.Runner
	log    *zap.Logger
	kept   *otter.Cache[whose, runnables]
}

// whose are the saved workflows: what somebody may run depends on the tools that they
// may call.
type whose struct{ organization, account uuid.UUID }

// runnables are a caller's workflows, by the names of their methods.
type runnables struct {
	offer registry.Offer
	by    map[string]jobs.Runnable
	alike map[string][]string // names that several come to: what these are called instead
}

// workflowsFor is how long a change of a workflow, or of its price, may go unnoticed in
// lists. A call is made by what holds then.
const workflowsFor = 2 * time.Second

func newWorkflows(runner jobs.Runner, log *zap.Logger) *workflows {
	return &workflows{runner, log, otter.Must(&otter.Options[whose, runnables]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[whose, runnables](workflowsFor),
	})}
}

func (w *workflows) close() { w.kept.StopAllGoroutines() }

// of gives the caller's workflows.
func (w *workflows) of(ctx context.Context, caller services.Caller) (runnables, error) {
	key := whose{caller.Organization, caller.Account}
	if known, ok := w.kept.GetIfPresent(key); ok {
		return known, nil
	}
	found, err := w.runner.Runnable(ctx, jobs.RunnableRequest{Caller: caller})
	if err != nil {
		return runnables{}, err
	}
	made := laidOut(found, caller.Organization)
	w.kept.Set(key, made)
	return made, nil
}

// lay adds them to the tools on a shelf. While they can't be asked for, the tools are
// what the client came for.
func (w *workflows) lay(ctx context.Context, caller services.Caller, all []laid, as func(registry.Offer) laid) []laid {
	mine, err := w.of(ctx, caller)
	if err != nil {
		w.log.Info("the saved workflows are not listed", zap.Error(err))
		return all
	}
	if len(mine.by) == 0 {
		return all
	}
	return append(all, as(mine.offer))
}

// find gives the workflow behind a method's name; kind NotFound.
func (w *workflows) find(ctx context.Context, caller services.Caller, method string) (jobs.Runnable, error) {
	mine, err := w.of(ctx, caller)
	if err != nil {
		return jobs.Runnable{}, err
	}
	found, ok := mine.by[method]
	if several := mine.alike[method]; !ok && several != nil {
		return jobs.Runnable{}, services.Errorf(services.NotFound, "Several workflows have names that come to %s; they are called %s", method, strings.Join(several, ", "))
	}
	if !ok {
		return jobs.Runnable{}, unknownMethod(registry.MethodName(registry.Workflows, method))
	}
	return found, nil
}

// areWorkflows reports whether the tool stands for the saved workflows.
func (l laid) areWorkflows() bool { return l.Slug == registry.Workflows }

// laidOut makes methods of workflows. Of several whose names come to the same all have a
// part of their ids in it: so none is ever called for another.
func laidOut(found []jobs.Runnable, organization uuid.UUID) runnables {
	mine := runnables{
		offer: registry.Offer{Slug: registry.Workflows, Name: "Workflows", Organization: organization, Pinned: true},
		by:    make(map[string]jobs.Runnable, len(found)),
		alike: map[string][]string{},
	}
	mine.offer.Prices = make(map[string]int64, len(found))
	times := map[string]int{}
	for _, w := range found {
		times[wordsOf(w.Name)]++
	}
	sum := sha256.New()
	for _, w := range found {
		name := wordsOf(w.Name)
		if words := name; times[words] > 1 || words == "" {
			id := w.ID.String()[idsOwn:]
			name = strings.Trim(words[:min(len(words), mostWords-len(id)-1)]+"-"+id, "-")
			mine.alike[words] = append(mine.alike[words], name)
		}
		mine.by[name] = w
		mine.offer.Prices[name] = w.Cost
		mine.offer.Methods = append(mine.offer.Methods, registry.Method{Method: upstream.Method{
			Name: name, Title: w.Name, Description: described(w), InputSchema: w.Input,
		}})
		sum.Write(mustJSON(w))
	}
	mine.offer.Digest = hex.EncodeToString(sum.Sum(nil))
	return mine
}

// idsOwn is where 48 bits of an id begin that are chance alone: at its front are its shard
// and the time, which ids of one day share.
const idsOwn = 24

// mostWords is what a method's name may have with the short name before it.
const mostWords = 64 - len(registry.Workflows) - len("__")

// wordsOf is a workflow's name as a method's: a to z, 0 to 9 and single dashes.
func wordsOf(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	words := b.String()
	return strings.Trim(words[:min(len(words), mostWords)], "-")
}

// described is what a client is told of a workflow.
func described(w jobs.Runnable) string {
	text := w.Description
	if text == "" {
		text = "Runs the saved workflow " + w.Name + "."
	}
	if w.Open {
		text += " Some of its steps cost credits that are known only when they are reached."
	}
	return text
}
