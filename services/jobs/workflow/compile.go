package workflow

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// What a condition may take.
const (
	maxCondition  = 4 << 10  // bytes of text
	maxConditions = 64 << 10 // of all in a definition: some cost ten microseconds a byte to compile
	maxNesting    = 32       // of its parts in each other
	maxNodes      = 5_000    // of its tree, macros written out

	stringsVersion = 0 // of CEL's strings library, whose functions allowed and costs know

	// maxTime is for what no cost tells, as input[input.name] with a name that is
	// megabytes long.
	maxTime    = 5 * time.Second
	checkEvery = 100 // rounds of a loop: whether the context has ended
)

// environment is what conditions are written in: CEL with its macros and the
// strings library. There is nothing in it that reads a clock, and what would
// read the machine's time zones or make much of little is refused by allowed.
func environment(more ...cel.EnvOption) (*cel.Env, error) {
	return cel.NewEnv(append([]cel.EnvOption{
		cel.Variable("input", cel.DynType),
		cel.Variable("steps", cel.MapType(cel.StringType, cel.DynType)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ParserRecursionLimit(maxNesting),
		cel.ExpressionNodeLimit(maxNodes),
		// The cost of comparing two values is of all that is in them.
		cel.CostSizingStrategy(sizes),
		cel.RegexProgramSizeLimit(maxPattern),
		ext.Strings(ext.StringsVersion(stringsVersion)),
	}, more...)...)
}

var (
	plain   = sync.OnceValues(func() (*cel.Env, error) { return environment() })
	forItem = sync.OnceValues(func() (*cel.Env, error) {
		return environment(cel.Variable("item", cel.DynType), cel.Variable("index", cel.IntType))
	})
)

// condition compiles the text of a step's when; nil after a fault.
func (r *stepReader) condition(text string) *Condition {
	if len(text) > maxCondition {
		r.fault("when", "has more than %d bytes", maxCondition)
		return nil
	}
	if r.p.conditions += len(text); r.p.conditions > maxConditions {
		r.fault("when", "makes more than %d bytes of all conditions together", maxConditions)
		return nil
	}
	c, faults := r.compileCondition(text)
	for _, fault := range faults {
		r.fault("when", "%s", fault)
	}
	if len(faults) > 0 {
		return nil
	}
	for _, i := range c.steps {
		r.p.needs[r.i] = append(r.p.needs[r.i], i)
	}
	return c
}

func (r *stepReader) compileCondition(text string) (c *Condition, faults []string) {
	of := plain
	if r.items {
		of = forItem
	}
	env, err := of()
	if err != nil {
		return nil, []string{"cannot be compiled: " + err.Error()}
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			message := strings.ReplaceAll(e.Message, " (in container '')", "")
			if column := e.Location.Column(); column >= 0 { // else it is about the whole
				message = fmt.Sprintf("column %d: %s", column+1, message)
			}
			faults = append(faults, message)
		}
		return nil, faults
	}
	if kind := checked.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, []string{fmt.Sprintf("must be true or false, and is of the type %s", kind)}
	}
	c = &Condition{steps: map[string]int{}}
	for _, node := range ast.MatchDescendants(ast.NavigateAST(checked.NativeRep()), ast.AllMatcher()) {
		if fault := r.read(c, node); fault != "" {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	c.program, err = env.Program(checked,
		cel.CostTracking(costs{}), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(checkEvery),
		cel.CustomDecoratorV2(boundedCall), cel.OptimizeRegex(patterns))
	if err != nil {
		return nil, []string{"cannot be compiled: " + err.Error()}
	}
	return c, nil
}

// read looks at one node of a condition: which step it reads, and whether it
// may be there.
func (r *stepReader) read(c *Condition, node ast.NavigableExpr) (fault string) {
	switch node.Kind() {
	case ast.IdentKind:
		switch strings.TrimPrefix(node.AsIdent(), ".") {
		case "steps":
			return r.readStep(c, node)
		case "input":
			r.readInput(node)
		case "item", "index":
			c.perItem = r.items
		}
	case ast.ComprehensionKind:
		loop := node.AsComprehension()
		for _, name := range []string{loop.IterVar(), loop.IterVar2()} {
			switch name {
			case "steps", "input", "item", "index":
				return fmt.Sprintf("%s cannot be the name of a loop's variable", name)
			}
		}
	case ast.MapKind: // of a long key much is read for the price of one
		for _, entry := range node.AsMap().Entries() {
			if entry.AsMapEntry().Key().Kind() != ast.LiteralKind {
				return "the keys of a map have to be written out"
			}
		}
	case ast.CallKind:
		return allowed(node.AsCall())
	}
	return ""
}

// readInput notes the member of the input that a condition reads. What it does when
// there is none is the condition's own to say.
func (r *stepReader) readInput(input ast.NavigableExpr) {
	var path []string
	for node := input; ; {
		parent, ok := node.Parent()
		if !ok || parent.Kind() != ast.SelectKind {
			break
		}
		path, node = append(path, parent.AsSelect().FieldName()), parent
	}
	if len(path) > 0 && len(r.p.reads) < mostReads {
		r.p.reads = append(r.p.reads, inputRead{step: r.i, at: StepPath(r.i) + ".when", path: path, perhaps: true})
	}
}

// readStep notes the step that follows the variable steps, which means nothing
// without one: what a condition reads has to be known before it runs.
func (r *stepReader) readStep(c *Condition, steps ast.NavigableExpr) (fault string) {
	const whole = `steps has to be followed by a step's id: steps.a or steps["a"]`
	parent, ok := steps.Parent()
	if !ok {
		return whole
	}
	var id string
	switch parent.Kind() {
	case ast.SelectKind:
		id = parent.AsSelect().FieldName()
	case ast.CallKind:
		call := parent.AsCall()
		if call.FunctionName() != operators.Index || call.Args()[0].ID() != steps.ID() || call.Args()[1].Kind() != ast.LiteralKind {
			return whole
		}
		literal, ok := call.Args()[1].AsLiteral().(types.String)
		if !ok {
			return whole
		}
		id = string(literal)
	default:
		return whole
	}
	step := reference{id: id}
	if reason := r.p.resolve(&step, true); reason != "" {
		return fmt.Sprintf("steps[%q] %s", id, reason)
	}
	if above, ok := parent.Parent(); ok && above.Kind() == ast.SelectKind {
		switch name := above.AsSelect().FieldName(); name {
		case "status", "result", "error":
		default:
			return fmt.Sprintf("steps[%q] has a status, a result and an error, and no %s", id, name)
		}
	}
	c.steps[id] = step.step
	return ""
}

// allowed refuses calls whose time or memory the cost, which is counted after a
// call, would not bound, and those that look at the machine.
func allowed(call ast.CallExpr) (fault string) {
	switch name := call.FunctionName(); name {
	case "indexOf", "lastIndexOf", "replace", "split":
		return fmt.Sprintf("the function %s is not there", name)
	case "matches":
		if args := call.Args(); args[len(args)-1].Kind() != ast.LiteralKind {
			return "the pattern of matches has to be written out"
		}
	case "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
		"getHours", "getMinutes", "getSeconds", "getMilliseconds":
		if len(call.Args()) > 0 {
			return fmt.Sprintf("%s has no argument: times are in UTC", name)
		}
	}
	return ""
}
