package embedded

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
)

const (
	logName  = "postgres.log"
	logLimit = 8 << 20 // bytes; then the file starts anew
	tailSize = 2 << 10 // bytes of it that an error quotes at most
)

// logFile is postgres's own log: emptied at each start and when it is full.
type logFile struct {
	mu   sync.Mutex
	file *os.File
	size int64
	max  int64
}

func openLog(path string) (*logFile, error) {
	// NOFOLLOW: root may write into a directory that another user owns.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL's log: %w", err)
	}
	likeParent(path)
	return &logFile{file: f, max: logLimit}, nil
}

// Write never fails: postgres must not suffer from a full disk twice.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(p)) > l.max {
		if l.file.Truncate(0) == nil {
			_, _ = l.file.Seek(0, io.SeekStart)
			l.size = 0
		}
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	return len(p), nil
}

// tail is the end of the log as one line, complaints only when there are any.
func (l *logFile) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := max(0, l.size-tailSize)
	buf := make([]byte, l.size-start)
	n, _ := l.file.ReadAt(buf, start)
	var all, bad []string
	for line := range strings.Lines(string(buf[:n])) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		all = append(all, line)
		for _, word := range []string{"FATAL:", "PANIC:", "ERROR:", "HINT:", "DETAIL:", "error:"} {
			if strings.Contains(line, word) {
				bad = append(bad, line)
				break
			}
		}
	}
	if len(bad) == 0 {
		bad = all[max(0, len(all)-5):]
	}
	if len(bad) == 0 {
		return "its log is empty"
	}
	return strings.Join(bad, "; ")
}

func (l *logFile) Close() error { return l.file.Close() }
