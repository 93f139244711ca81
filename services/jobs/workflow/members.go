package workflow

import (
	"slices"
	"strings"
)

// The members of objects, for telling misspelt ones.
var (
	ofDefinition = members("steps", "output", "timeout", "metadata")
	ofForEach    = members("items", "limit", "parallel")
	ofRetry      = members("attempts", "backoff", "maximum", "factor", "jitter")
	ofOnError    = members("compensate")
	ofEveryStep  = []string{"id", "kind", "depends_on", "when", "for_each", "retry", "timeout", "on_error"}
	ofStep       = func() map[Kind][]spelling {
		all := map[Kind][]spelling{"": members(ofEveryStep...)}
		for _, kind := range []Kind{Tool, LLM, Approval, Sleep, Child} {
			names := slices.Clone(ofEveryStep)
			for _, b := range belongs {
				if slices.Contains(b.to, kind) {
					names = append(names, b.member)
				}
			}
			all[kind] = members(names...)
		}
		return all
	}()
)

// spelling is a member's name, as it is and as it is compared.
type spelling struct{ name, plain string }

func members(names ...string) []spelling {
	all := make([]spelling, len(names))
	for i, name := range names {
		all[i] = spelling{name, withoutCase(name)}
	}
	return all
}

// misspelt tells of members that are none and look like one that is not there in
// their stead. Others are left alone: clients keep what they like beside a step.
func (o object) misspelt(known []spelling) (found bool) {
	var strange []string
	for name, value := range o.members {
		if value != nil && !slices.ContainsFunc(known, func(s spelling) bool { return s.name == name }) {
			strange = append(strange, name)
		}
	}
	slices.Sort(strange)
	for _, name := range strange {
		plain := withoutCase(name)
		if i := slices.IndexFunc(known, func(s spelling) bool { return like(plain, s.plain) }); i >= 0 {
			o.p.doubt(o.path(name), "is no member; did you mean %s?", known[i].name)
			found = true
		}
	}
	return found
}

func withoutCase(name string) string {
	if len(name) > 2*longestMember {
		return name
	}
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

// like reports whether a name is a member's but for a slip. The shorter a member's
// name is, the more words are near it: of kind only another way of writing it, of model
// not mode, but of provider two letters may be wrong.
func like(name, member string) bool {
	switch n := len(member); {
	case name == member:
		return true
	case n < 5:
		return false
	case singular(name) == singular(member):
		return true
	case n == 5: // a letter that is left out or put in between, or two that have changed places
		return slips(name, member) == 1 && name[0] == member[0] && (sorted(name) == sorted(member) ||
			len(name) != n && name[len(name)-1] == member[n-1])
	case n < 8:
		return slips(name, member) == 1
	default:
		return slips(name, member) <= 2
	}
}

func singular(name string) string {
	if stem, ok := strings.CutSuffix(name, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(name, "s")
}

func sorted(name string) string {
	letters := []byte(name)
	slices.Sort(letters)
	return string(letters)
}

const longestMember = 16

// slips counts how many letters have to be put in, left out, changed, or changed with
// the next one, to make the one of the other; many is enough.
func slips(a, b string) int {
	const many = 3
	if len(a)-len(b) >= many || len(b)-len(a) >= many || len(a) > 2*longestMember || len(b) > longestMember {
		return many
	}
	var rows [3][longestMember + 1]int // of b's beginnings: two letters of a ago, one, and now
	before, last, now := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		now[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, now = last, now, before
		now[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			now[j] = min(change, last[j]+1, now[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
	}
	return min(now[len(b)], many)
}
