package chat

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"uaol/providers/llm"
)

// TestTokensAreEstimatedFromAbove: the counts are those of OpenAI's o200k_base and
// cl100k_base, the larger one of both.
func TestTokensAreEstimatedFromAbove(t *testing.T) {
	t.Parallel()
	var estimated, counted int
	for name, c := range map[string]struct {
		text  string
		count int
		most  float64 // times the count
	}{
		"English":  {"The quick brown fox jumps over the lazy dog. People register MCP tools and price them in credits, chain them into durable workflows, and call them through one address; every call is authenticated, limited, charged exactly once and recorded.", 46, 1.5},
		"German":   {"Die Donaudampfschifffahrtsgesellschaft veröffentlichte gestern überraschend ihre Geschäftsergebnisse; die Aktionäre zeigten sich außergewöhnlich zufrieden.", 51, 1.5},
		"Russian":  {"Съешь же ещё этих мягких французских булок, да выпей чаю. Правительство опубликовало новое постановление.", 53, 1.8},
		"Chinese":  {"人工智能正在改变我们的生活方式,许多公司开始使用大型语言模型来处理日常工作。", 33, 1.8},
		"Japanese": {"吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", 39, 1.5},
		"Arabic":   {"الذكاء الاصطناعي يغير طريقة حياتنا، وقد بدأت العديد من الشركات في استخدام النماذج اللغوية الكبيرة.", 66, 1.5},
		"Hindi":    {"कृत्रिम बुद्धिमत्ता हमारे जीवन को बदल रही है और कई कंपनियां बड़े भाषा मॉडल का उपयोग कर रही हैं।", 99, 1.5},
		"pictures": {"Great job 👍🏽🎉 — see you 👩‍👩‍👧‍👦 tomorrow 🇩🇪!", 38, 2},
		"JSON":     {`{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"42"}],"isError":false,"structuredContent":{"rows":[[1,2.5,"a"],[3,4.75,"b"]]}}}`, 56, 2},
		"code":     {"func (c *Client) ask(ctx context.Context, in Request) (Answer, error) {\n\tdoor, err := c.check(in)\n\tif err != nil {\n\t\treturn Answer{}, err\n\t}\n\treturn door.send(ctx, in)\n}\n", 50, 1.8},
		"numbers":  {"3.14159265358979 2026-11-22T19:21:20.136Z 0199c0de-0000-7000-8000-000000000001 1,234,567.89", 51, 1.5},
		"base64":   {"QWxhZGRpbjpvcGVuIHNlc2FtZSBhbmQgbW9yZSByYW5kb20gYnl0ZXM6IDhmN2QyYzFiOWUwYTRkM2Y=", 59, 1.5},
		"spaces":   {"a          b\n\n\n\n      c\t\t\td          ", 9, 3},
		"capitals": {"THE QUARTERLY REPORT SHOWS THAT REVENUE HAS INCREASED SUBSTANTIALLY", 20, 2},
		"signs":    {strings.Repeat("=-+*/<>!?;:", 6), 42, 1.6},
	} {
		got := tokens(c.text)
		t.Logf("%s: %d for %d", name, got, c.count)
		assert.GreaterOrEqual(t, got, c.count, name)
		assert.LessOrEqual(t, float64(got), c.most*float64(c.count), name)
		estimated, counted = estimated+got, counted+c.count
	}
	require.LessOrEqual(t, float64(estimated), 1.6*float64(counted), "all together")
	require.Zero(t, tokens(""))
}

// TestShortened: what is left is no longer than asked for, begins as the whole does, and
// is text.
func TestShortened(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "short", strings.Repeat("word ", 5000), strings.Repeat("слово ", 5000), strings.Repeat("日本語", 5000), strings.Repeat("👩‍👩‍👧‍👦", 500), strings.Repeat("x", 100_000)} {
		for _, most := range []int{10, 100, 4000} {
			got := shortened(text, most)
			require.LessOrEqual(t, tokens(got), most)
			require.True(t, utf8.ValidString(got))
			if tokens(text) <= most {
				require.Equal(t, text, got)
				continue
			}
			begin, ok := strings.CutSuffix(got, "\n[…]")
			require.True(t, ok)
			require.True(t, strings.HasPrefix(text, begin))
		}
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	all, err := readPrices("*=1/4 gpt-4o=3/12 gpt-4o-mini=10/40 claude-*=4/20")
	require.NoError(t, err)
	for model, want := range map[string]struct {
		credits int64
		named   bool
	}{"gpt-4o": {15, true}, "gpt-4o-mini": {50, true}, "claude-x": {24, true}, "other": {5, false}} {
		p, named, ok := all.of(model)
		require.True(t, ok)
		require.Equal(t, want.named, named, model)
		require.Equal(t, want.credits, p.credits(llm.Usage{Input: 1000, Output: 1000}), model)
	}
	p, _, _ := all.of("other")
	require.EqualValues(t, 1, p.credits(llm.Usage{Input: 1}), "a part of a credit is one")
	require.Zero(t, p.credits(llm.Usage{}))
	for _, bad := range []string{"x", "x=1", "x=1/y", "=1/2", "a*b=1/2", "x=1.5/1", "x=-1/2", "x=/", "x=99999999/1", "x=1/1 x=2/2"} {
		_, err := readPrices(bad)
		require.Error(t, err, bad)
	}
	none, err := readPrices("")
	require.NoError(t, err)
	_, _, ok := none.of("x")
	require.False(t, ok)
}

// TestTrimmed: what is left begins with what a user said, and a call keeps its answers.
func TestTrimmed(t *testing.T) {
	t.Parallel()
	past := []llm.Message{{Role: llm.User, Content: "one"}, {Role: llm.Assistant, ToolCalls: []llm.ToolCall{{ID: "a", Name: "x"}}}, {Role: llm.ToolRole, ToolCallID: "a", Content: "answer"},
		{Role: llm.Assistant, Content: "done"}, {Role: llm.User, Content: "two"}, {Role: llm.Assistant, Content: "fine"}}
	require.Equal(t, past, trimmed(past, 10_000))
	require.Equal(t, past[4:], trimmed(past, tokensOfAll(past)-1))
	require.Equal(t, past[4:], trimmed(past, tokensOfAll(past[4:])))
	require.Empty(t, trimmed(past, tokensOfAll(past[5:])))
	require.Equal(t, 4, lastSaid(past))
}
