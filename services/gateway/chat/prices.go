package chat

import (
	"fmt"
	"strconv"
	"strings"

	"uaol/providers/llm"
)

// price is credits for 1,000 tokens.
type price struct{ in, out int64 }

// prices are those of models, by their names or, with a * at their end, beginnings of
// names.
type prices map[string]price

// mostPrice is more than anybody asks for, and far from overflowing.
const mostPrice = 1_000_000

func readPrices(text string) (prices, error) {
	all := prices{}
	for _, word := range strings.Fields(text) {
		model, both, ok := strings.Cut(word, "=")
		in, out, both2 := strings.Cut(both, "/")
		if !ok || !both2 || model == "" || strings.Contains(strings.TrimSuffix(model, "*"), "*") {
			return nil, fmt.Errorf("%.40q is no model=in/out", word)
		}
		var p price
		for _, part := range []struct {
			text string
			to   *int64
		}{{in, &p.in}, {out, &p.out}} {
			n, err := strconv.ParseInt(part.text, 10, 64)
			if err != nil || n < 0 || n > mostPrice {
				return nil, fmt.Errorf("%.40q has no price from 0 to %d", word, mostPrice)
			}
			*part.to = n
		}
		if _, twice := all[model]; twice {
			return nil, fmt.Errorf("%.40q stands twice", model)
		}
		all[model] = p
	}
	return all, nil
}

// of is a model's price; named says that it is meant by more than a lone *.
func (all prices) of(model string) (p price, named, ok bool) {
	if p, ok = all[model]; ok {
		return p, true, true
	}
	longest := -1
	for name, of := range all {
		begin, open := strings.CutSuffix(name, "*")
		if open && strings.HasPrefix(model, begin) && len(begin) > longest {
			longest, p = len(begin), of
		}
	}
	return p, longest > 0, longest >= 0
}

// credits are what tokens cost, rounded up.
func (p price) credits(used llm.Usage) int64 {
	return (int64(used.Input)*p.in + int64(used.Output)*p.out + 999) / 1000
}
