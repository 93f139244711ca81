package chat

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"uaol/providers/llm"
	"uaol/services/registry"
	"uaol/services/storage/retrieval"
)

const (
	mostTools      = 24   // whose methods are looked at
	mostMethods    = 64   // that a model is given; providers take 128
	mostAbout      = 1000 // characters of a method's description
	proposeMethod  = "propose_workflow"
	proposeAbout   = "Proposes a workflow of several tool calls that the user can start with one click. Use it when the user asks for something that takes several steps or is to be repeated. It starts nothing."
	proposeFormats = `{"type":"object","required":["name","steps"],"properties":{"name":{"type":"string"},"steps":{"type":"array","items":{"type":"object","required":["id","tool","parameters"],"properties":{"id":{"type":"string","description":"letters, digits, _ and -"},"tool":{"type":"string","description":"the name of one of your tools"},"parameters":{"type":"object","description":"its arguments; {{id.result.content.0.text}} inserts the result of another step"},"depends_on":{"type":"array","items":{"type":"string"}}}}}}}`
)

// method is one that the model may call.
type method struct {
	offer registry.Offer
	registry.Method
}

// readOnly reports whether it may be called without asking the user.
func (m method) readOnly() bool { return m.Annotations != nil && m.Annotations.ReadOnly }

// toolbox is what a model may call, by the names that it calls it by.
type toolbox struct {
	methods map[string]method
	offered []llm.Tool
}

func (b *toolbox) any() bool { return len(b.methods) > 0 }

func (b *toolbox) tools() []llm.Tool { return b.offered }

// open puts the caller's tools into a box. Those of calls that wait for a decision are
// called by their ids and need not be there.
func (t *turn) open(ctx context.Context) (*toolbox, error) {
	b := &toolbox{methods: map[string]method{}}
	if t.in.Tools == nil || t.in.Tools.Off {
		return b, nil
	}
	offers, err := t.s.catalog.Callable(ctx, registry.CallableRequest{Caller: t.caller, Named: t.in.Tools.Named, Text: t.in.Message, Limit: mostTools})
	if err != nil {
		return nil, err
	}
	var all []method
	for _, o := range offers {
		for _, m := range o.Methods {
			if m.Difference == "" { // else it is in quarantine
				all = append(all, method{o, m})
			}
		}
	}
	for _, m := range fitting(all, t.in.Message) {
		name := registry.MethodName(m.offer.Slug, m.Name)
		b.methods[name] = m
		b.offered = append(b.offered, llm.Tool{Name: name, Description: about(m), Schema: m.InputSchema})
	}
	if b.any() {
		b.offered = append(b.offered, llm.Tool{Name: proposeMethod, Description: proposeAbout, Schema: json.RawMessage(proposeFormats)})
	}
	return b, nil
}

// fitting are methods that a message is most likely about, as many as a model is given.
func fitting(all []method, message string) []method {
	if len(all) <= mostMethods {
		return all
	}
	corpus := retrieval.Corpus{Passages: int64(len(all)), Having: map[string]int64{}}
	candidates := make([]retrieval.Candidate, len(all))
	for i, m := range all {
		c := retrieval.Candidate{ID: int64(i), Terms: retrieval.Terms(m.Description), Above: retrieval.Terms(strings.NewReplacer("_", " ", "-", " ").Replace(m.Name + " " + m.offer.Name))}
		candidates[i] = c
		corpus.Terms += int64(len(c.Terms))
		seen := slices.Concat(c.Terms, c.Above)
		slices.Sort(seen)
		for _, term := range slices.Compact(seen) {
			corpus.Having[term]++
		}
	}
	chosen := map[int64]bool{}
	var fit []method
	for _, id := range retrieval.ByWords(retrieval.Asked(message), candidates, corpus) {
		if len(fit) < mostMethods {
			chosen[id], fit = true, append(fit, all[id])
		}
	}
	for i, m := range all {
		if len(fit) < mostMethods && !chosen[int64(i)] {
			fit = append(fit, m)
		}
	}
	return fit
}

func about(m method) string {
	text := m.offer.Name + ": " + strings.TrimSpace(m.Title+" "+m.Description)
	if runes := []rune(text); len(runes) > mostAbout {
		text = string(runes[:mostAbout]) + "…"
	}
	return text
}
