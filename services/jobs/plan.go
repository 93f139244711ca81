package jobs

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/maypok86/otter/v2"

	"uaol/services/jobs/workflow"
)

// frozen is what was looked up about a step's tool when the job was made, and
// counts for the job whatever the tool becomes.
type frozen struct {
	Version int64
	Price   int64
	Safe    bool // the method may be called again when nobody knows whether it was called
}

// plan has a frozen for every step, by position; those that call no tool have
// an empty one. In the database it is [[version,price,safe],…].
type plan []frozen

func (p plan) text() string {
	rows := make([][3]int64, len(p))
	for i, f := range p {
		rows[i] = [3]int64{f.Version, f.Price, 0}
		if f.Safe {
			rows[i][2] = 1
		}
	}
	text, _ := json.Marshal(rows) // numbers can be written
	return string(text)
}

// planOf reads a plan; who reads it leaves it as it is.
func (d *definitions) planOf(text string) (plan, error) {
	if known, ok := d.plans.GetIfPresent(text); ok {
		return known, nil
	}
	p, err := planOf(text)
	if err == nil {
		d.plans.Set(text, p)
	}
	return p, err
}

func planOf(text string) (plan, error) {
	var rows [][3]int64
	err := json.Unmarshal([]byte(text), &rows)
	p := make(plan, len(rows))
	for i, row := range rows {
		p[i] = frozen{Version: row[0], Price: row[1], Safe: row[2] != 0}
	}
	return p, err
}

// cost is what the steps cost together whose number and price are known now,
// and how many of them cost something.
func (p plan) cost(d *workflow.Definition) (cost, calls int64) {
	for i, f := range p {
		if f.Price > 0 && d.Steps[i].ForEach == nil {
			cost += f.Price
			calls++
		}
	}
	return cost, calls
}

// definitions keeps parsed definitions: thousands of jobs have the same one.
type definitions struct {
	parsed *otter.Cache[[sha256.Size]byte, parsed]
	plans  *otter.Cache[string, plan] // likewise
}

type parsed struct {
	*workflow.Definition
	bytes uint32 // of its text
}

// definitionsKept bounds them by the bytes of their texts.
const (
	definitionsKept = 32 << 20
	plansKept       = 8 << 20
)

func newDefinitions() *definitions {
	return &definitions{
		parsed: otter.Must(&otter.Options[[sha256.Size]byte, parsed]{
			MaximumWeight: definitionsKept,
			Weigher:       func(_ [sha256.Size]byte, p parsed) uint32 { return p.bytes },
		}),
		plans: otter.Must(&otter.Options[string, plan]{
			MaximumWeight: plansKept,
			Weigher:       func(text string, _ plan) uint32 { return uint32(2 * len(text)) },
		}),
	}
}

func (d *definitions) close() {
	d.parsed.StopAllGoroutines()
	d.plans.StopAllGoroutines()
}

// fresh gives a definition that was not accepted yet; kind Invalid with all its
// faults.
func (d *definitions) fresh(text string) (*workflow.Definition, error) {
	if len(text) > definitionMost {
		return workflow.Parse(json.RawMessage(text)) // says so
	}
	definition, err := d.of(text)
	if err != nil || definition.Outdated() {
		return workflow.Parse(json.RawMessage(text)) // says all
	}
	return definition, nil
}

const definitionMost = 1 << 20 // bytes

// of gives a definition that a job has, in the form of its database.
func (d *definitions) of(text string) (*workflow.Definition, error) {
	key := sha256.Sum256([]byte(text))
	if known, ok := d.parsed.GetIfPresent(key); ok {
		return known.Definition, nil
	}
	definition, err := workflow.Stored(json.RawMessage(text))
	if err == nil {
		d.parsed.Set(key, parsed{definition, uint32(len(text))})
	}
	return definition, err
}
