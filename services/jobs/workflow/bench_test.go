package workflow

import (
	"context"
	"encoding/json"
	"testing"
)

// What a job costs here: its definition is read once, then each step is filled.
const (
	oneStep = `{"steps":[{"id":"a","tool_id":"` + aTool + `","action":"echo","parameters":{"message":"hello","n":3}}]}`
	answer  = `{"content":[{"type":"text","text":"hello"}],"isError":false}`
)

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(json.RawMessage(oneStep)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	scope := Scope{Results: func(int) Result { return Result{Status: "Success", Result: json.RawMessage(answer)} }}
	for name, parameters := range map[string]string{
		"constant":  `{"message":"hello","n":3}`,
		"result":    `{"message":"{{a.result}}"}`,
		"member":    `{"message":"{{a.result.content.0.text}}"}`,
		"in a text": `{"message":"it said {{a.result.content.0.text}}"}`,
		"two":       `{"message":"it said {{a.result.content.0.text}}","failed":"{{a.result.isError}}"}`,
	} {
		t := template(b, parameters)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := t.Fill(scope); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCondition(b *testing.B) {
	c := condition(b, `steps.a.status == "Success" && input.n > 3`)
	scope := Scope{Input: json.RawMessage(`{"n":4}`), Results: func(int) Result { return Result{Status: "Success", Result: json.RawMessage(answer)} }}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := c.True(context.Background(), scope); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
