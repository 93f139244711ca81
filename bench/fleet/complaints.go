package fleet

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// mostComplaints is how many lines of each process are told.
const mostComplaints = 20

// complain tells the last lines of the processes' logs in a directory that are more
// than information: what is no line of JSON (a crash writes such), warnings and errors.
func complain(out io.Writer, dir string) {
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, name := range logs {
		log, err := os.Open(name)
		if err != nil {
			continue
		}
		var last [][]byte
		lines := bufio.NewScanner(log)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line := lines.Bytes()
			if bytes.HasPrefix(line, []byte("{")) && !bytes.Contains(line, []byte(`"level":"warn"`)) && !bytes.Contains(line, []byte(`"level":"error"`)) {
				continue
			}
			if last = append(last, bytes.Clone(line)); len(last) > mostComplaints {
				last = last[1:]
			}
		}
		_ = log.Close()
		for _, line := range last {
			fmt.Fprintf(out, "%s: %s\n", filepath.Base(name), line)
		}
	}
}
