package documents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// pageTime is how long one image may take to be recognised.
const pageTime = time.Minute

var languageForm = regexp.MustCompile(`^[A-Za-z_]+(/[A-Za-z_]+)?(\+[A-Za-z_]+(/[A-Za-z_]+)?)*$`)

// findReader decides who reads images: whoever was given, or tesseract.
func (e *Extractor) findReader() {
	switch {
	case !e.cfg.OCR:
		e.noReader = "OCR is off (ENABLE_OCR)"
		return
	case e.reader != nil:
		return
	}
	program, err := exec.LookPath("tesseract")
	if err != nil {
		e.noReader = "no OCR is set up here (the program tesseract is not installed)"
		return
	}
	e.reader = &tesseract{program: program, languages: e.cfg.Languages}
}

// tesseract is a Reader that runs the program of that name, an image each. The image
// and the text go through pipes; nothing is written to a disk.
type tesseract struct{ program, languages string }

// Read implements Reader.
func (t *tesseract) Read(ctx context.Context, png []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	command := exec.Command(t.program, "stdin", "stdout", "-l", t.languages)
	command.Env = []string{"OMP_THREAD_LIMIT=1", "LC_ALL=C.UTF-8"} // the cores belong to others too
	command.Stdin = bytes.NewReader(png)
	text, said := &capped{most: mostImageText / 8}, &capped{most: 2 << 10}
	command.Stdout, command.Stderr = text, said
	command.WaitDelay = time.Second
	child(command)
	ended := make(chan error, 1)
	begun := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // see start
		defer runtime.UnlockOSThread()
		err := command.Start()
		if begun <- err; err == nil {
			ended <- command.Wait()
		}
	}()
	if err := <-begun; err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { killAll(command) })
	err := <-ended
	stop()
	switch {
	case ctx.Err() != nil:
		return "", errors.New("tesseract took too long")
	case err != nil:
		line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return "", fmt.Errorf("tesseract says: %s", line)
	}
	return strings.TrimSpace(text.String()), nil
}
