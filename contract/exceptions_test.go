package contract

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// exceptions are the differences that are meant.
type exceptions struct {
	mu     sync.Mutex
	items  map[int][]*item     // by recording
	like   map[int]int         // recordings whose answer shall be like another's
	extras map[string][]string // keys that ours adds, by the key that marks the resource
}

// item is one difference that is meant; it stands for all recordings of its line.
type item struct {
	line    string
	number  int
	path    string
	pattern *regexp.Regexp
	used    bool
}

// readExceptions reads lines of the forms
//
//	16, 55 | answer=400 VALIDATION_ERROR … && data.status="Success" | fault 9: why
//	52 | answer=201 like 51 | fault 1: why
//	tool_id | + slug version | decision HTTP: why
//
// where … stands for any text.
func readExceptions(t *testing.T) *exceptions {
	t.Helper()
	reasons := readReasons(t)
	e := &exceptions{items: map[int][]*item{}, like: map[int]int{}, extras: map[string][]string{}}
	for _, line := range lines(t, "exceptions.txt") {
		parts := strings.SplitN(line, " | ", 3)
		require.Len(t, parts, 3, "exceptions.txt: %s", line)
		reason, why, _ := strings.Cut(parts[2], ": ")
		require.Contains(t, reasons, reason, "exceptions.txt: this reason is not in reasons.txt: %s", line)
		require.NotEmpty(t, why, "exceptions.txt: say why: %s", line)
		if added, ok := strings.CutPrefix(parts[1], "+ "); ok {
			e.extras[parts[0]] = strings.Fields(added)
			continue
		}
		for number := range strings.SplitSeq(parts[0], ", ") {
			n, err := strconv.Atoi(number)
			require.NoError(t, err, "exceptions.txt: %s", line)
			for said := range strings.SplitSeq(parts[1], " && ") {
				e.add(t, n, said, line)
			}
		}
	}
	return e
}

func (e *exceptions) add(t *testing.T, number int, said, line string) {
	t.Helper()
	if before, other, ok := strings.Cut(said, " like "); ok && strings.HasPrefix(said, "answer=2") {
		n, err := strconv.Atoi(other)
		require.NoError(t, err, "exceptions.txt: %s", line)
		e.like[number], said = n, before
	}
	path, value, ok := strings.Cut(said, "=")
	require.True(t, ok, "exceptions.txt: %s", line)
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(value), "…", ".*") + "$"
	e.items[number] = append(e.items[number], &item{line: line, number: number, path: path, pattern: regexp.MustCompile(pattern)})
}

// excuse reports whether a difference is meant.
func (e *exceptions) excuse(number int, d difference) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, i := range e.items[number] {
		if i.path == d.path && i.pattern.MatchString(d.ours) {
			i.used = true
			return true
		}
	}
	return false
}

// unused lists what no replay needed.
func (e *exceptions) unused() []string {
	var left []string
	for _, items := range e.items {
		for _, i := range items {
			if !i.used {
				left = append(left, fmt.Sprintf("%d, %s: %s", i.number, i.path, i.line))
			}
		}
	}
	return left
}

// readReasons gives the names of reasons: "fault 3", "decision HTTP", "contract Tools".
func readReasons(t *testing.T) map[string]string {
	t.Helper()
	reasons := map[string]string{}
	for _, line := range lines(t, "reasons.txt") {
		name, words, ok := strings.Cut(line, ": ")
		require.True(t, ok, "reasons.txt: %s", line)
		reasons[name] = words
	}
	return reasons
}

// lines of a file, without empty ones and comments.
func lines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	var all []string
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	require.NoError(t, scanner.Err())
	return all
}
