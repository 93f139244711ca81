package workflow

import (
	"regexp"

	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// What one evaluation may take.
const (
	// maxCost is in CEL's units: one for each operation, variable and member that
	// is read, and for each ten bytes of text that are looked at. It is enough for
	// short loops over as many items as for_each may have, for texts of two
	// megabytes, and gone after some ten milliseconds.
	maxCost = 250_000

	readBytes    = 10  // of text cost one where they are read or written
	countedBytes = 100 // or where characters are only counted

	// A cost is counted after a call. These bound what a single one may do.
	maxCompared = readBytes * maxCost // values in the values that are compared, or bytes of text
	maxMatched  = 64 << 10            // bytes of a text that is held against a pattern
	maxPattern  = 500                 // instructions of a pattern's program
)

// sizes are of all that is in a value; beyond the limits a size is infinite.
var sizes = cost.AggregateSizingStrategy(
	types.SizeCalculatorMaxDepth(1000), types.SizeCalculatorMaxTraversal(2*maxCompared))

func size(value ref.Val) uint64 {
	size, _ := sizes.TrackSize(nil, value)
	return size
}

// costs counts what CEL's own model takes for one operation although it reads
// whole texts or lists: some of its functions, and every operator whose
// operands have no type before it runs, as nothing that comes from JSON has.
type costs struct{}

// CallCost gives nil where CEL's model is right.
func (costs) CallCost(function, overload string, args []ref.Val, _ ref.Val) *uint64 {
	total := uint64(1)
	switch function {
	case overloads.Size:
		total += length(args) / countedBytes
	case operators.In:
		if list, ok := args[1].(traits.Lister); ok {
			total += size(list)
		}
		total += length(args) / readBytes
	case operators.Add, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		overloads.TypeConvertBool, overloads.TypeConvertBytes, overloads.TypeConvertDouble, overloads.TypeConvertDuration,
		overloads.TypeConvertInt, overloads.TypeConvertString, overloads.TypeConvertTimestamp, overloads.TypeConvertUint,
		"charAt", "lowerAscii", "substring", "trim", "upperAscii":
		total += length(args) / readBytes
	default:
		if overload != "" {
			return nil
		}
		total += length(args) / readBytes
	}
	return &total
}

// length is that of the texts among values, in bytes.
func length(values []ref.Val) (bytes uint64) {
	for _, value := range values {
		switch v := value.(type) {
		case types.String:
			bytes += uint64(len(v))
		case types.Bytes:
			bytes += uint64(len(v))
		}
	}
	return bytes
}

// boundedCall puts a limit before calls that take long for one: of values that
// hold each other many times over, equality is exponential.
func boundedCall(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok {
		return i, nil
	}
	var impl func(a, b ref.Val) ref.Val
	switch call.Function() {
	case operators.Equals:
		impl = equal
	case operators.NotEquals:
		impl = func(a, b ref.Val) ref.Val {
			if result, ok := equal(a, b).(types.Bool); ok {
				return !result
			}
			return tooLarge
		}
	case operators.In:
		impl = contains
	default:
		return i, nil
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		return impl(args[0], args[1])
	}), nil
}

var tooLarge = types.NewErr("the values are too large to be compared")

func equal(a, b ref.Val) ref.Val {
	if min(size(a), size(b)) > maxCompared {
		return tooLarge
	}
	return types.Equal(a, b)
}

func contains(value, in ref.Val) ref.Val {
	container, ok := in.(traits.Container)
	if !ok {
		return types.NewErr("no such overload")
	}
	if _, ok := in.(traits.Lister); ok && size(in) > maxCompared {
		return tooLarge
	}
	return container.Contains(value)
}

// patterns are compiled with the condition, and held against short texts.
var patterns = &interpreter.RegexOptimization{
	Function:   overloads.Matches,
	RegexIndex: 1,
	Factory: func(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
			text, ok := args[0].(types.String)
			switch {
			case !ok:
				return types.NewErr("no such overload")
			case len(text) > maxMatched:
				return types.NewErr("the text is longer than %d bytes, too long for matches", maxMatched)
			}
			return types.Bool(compiled.MatchString(string(text)))
		}), nil
	},
}
