package documents

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"uaol/providers/config"
	"uaol/services"
)

// requireFault wants an error of a file's own.
func requireFault(t testing.TB, err error, kind services.Kind, code, says string) {
	t.Helper()
	var fault *services.Error
	require.ErrorAs(t, err, &fault)
	require.Equal(t, kind, fault.Kind, "%v", err)
	require.Equal(t, code, fault.Code, "%v", err)
	require.Contains(t, fault.Message, says)
}

func TestExtractorReads(t *testing.T) {
	t.Parallel()
	e := extractor(t, nil)
	content, err := os.ReadFile("testdata/files/show.pdf")
	require.NoError(t, err)
	var told []string
	doc, err := e.Extract(t.Context(), bytes.NewReader(content), "../../show.pdf", func(done, total int) {
		told = append(told, fmt.Sprintf("%d/%d", done, total))
	})
	require.NoError(t, err)
	require.Equal(t, 2, doc.Pages)
	require.Contains(t, doc.Text(), "Second point\n\nLes chiffres")
	require.Equal(t, "2/2", told[len(told)-1])
	first := e.pid(t)

	_, err = e.extract(t, "x.pdf", content[:len(content)/3])
	requireFault(t, err, services.Invalid, CodeBroken, "This PDF is cut off or damaged")
	doc, err = e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, "hello", doc.Text())
	require.Equal(t, first, e.pid(t), "one process reads them all")
	require.Empty(t, e.leftovers(t))
}

// pid is the process that waits.
func (e *Extractor) pid(t testing.TB) int {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Len(t, e.idle, 1)
	return e.idle[0].command.Process.Pid
}

func (e *Extractor) running() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.live)
}

// leftovers are files that the waiting process still has.
func (e *Extractor) leftovers(t testing.TB) []os.DirEntry {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Len(t, e.idle, 1)
	files, err := os.ReadDir(e.idle[0].dir)
	require.NoError(t, err)
	return files
}

// TestNothingRunsBeforeAFile: an extractor costs nothing until it is used.
func TestNothingRunsBeforeAFile(t *testing.T) {
	t.Parallel()
	e := extractor(t, nil)
	require.Zero(t, e.running())
	e.Close()
	_, err := e.extract(t, "a.txt", []byte("hello"))
	requireFault(t, err, services.Unavailable, "", "try again later")
}

// TestEnvironmentIsEmpty: what the server was given as secrets is not in the process.
func TestEnvironmentIsEmpty(t *testing.T) {
	t.Parallel()
	e := extractor(t, nil)
	_, err := e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", e.pid(t)))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this system has no /proc")
	}
	require.NoError(t, err)
	for entry := range strings.SplitSeq(strings.Trim(string(environ), "\x00"), "\x00") {
		name, _, _ := strings.Cut(entry, "=")
		require.Contains(t, []string{"GOMEMLIMIT", "TMPDIR", "TMP"}, name)
	}
}

// slowFile takes ten seconds to read, and memory within the limits.
var slowFile = sync.OnceValue(func() []byte { return manyRows(1_500_000) })

// TestTimeLimit: what takes too long is ended, and the next file is read.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_TIMEOUT": "1s", "UAOL_DOCUMENT_TEXT_MB": "200", "UAOL_DOCUMENT_UNPACKED_MB": "2000"})
	slow := slowFile()
	began := time.Now()
	_, err := e.extract(t, "slow.docx", slow)
	requireFault(t, err, services.Invalid, CodeTimeout, "takes longer than 1s")
	require.Less(t, time.Since(began), 10*time.Second)
	doc, err := e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, "hello", doc.Text())
}

// TestMemoryLimit: a file that takes more memory than it may has an error of its own.
// The same file is read where there is more.
func TestMemoryLimit(t *testing.T) {
	if _, ok := resident(os.Getpid()); !ok {
		t.Skip("a process's memory can't be seen on this system")
	}
	t.Parallel()
	page := []byte(strings.Repeat("<p><b>x</b>", 1_000_000))
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_MEMORY_MB": "150"})
	_, err := e.extract(t, "big.html", page)
	requireFault(t, err, services.Invalid, CodeTooLarge, "more than 150 MB of memory")
	doc, err := e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, "hello", doc.Text())

	e = extractor(t, map[string]string{"UAOL_DOCUMENT_MEMORY_MB": "4096"})
	doc, err = e.extract(t, "big.html", page)
	require.NoError(t, err)
	require.Len(t, doc.Text(), 2_000_000-1)
}

// TestCompilingIsNoFile reads with a PDFium that has not been compiled here before.
func TestCompilingIsNoFile(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_MEMORY_MB": strconv.Itoa(200 * underRace)})
	e.cache = t.TempDir()
	doc, err := e.extract(t, "a.pdf", makePDF(pdfPage{content: pdfLine(72, 700, "Hello")}))
	require.NoError(t, err)
	require.Contains(t, doc.Parts[0].Text, "Hello")
	require.Equal(t, e.limits.Memory, e.idle[0].memory.Load(), "what may be had for compiling is gone")
}

func TestPageLimit(t *testing.T) {
	t.Parallel()
	four := makePDF(pdfPage{content: pdfLine(72, 700, "one")}, pdfPage{}, pdfPage{}, pdfPage{content: pdfLine(72, 700, "four")})
	_, err := extractor(t, map[string]string{"UAOL_DOCUMENT_PAGES": "3"}).extract(t, "", four)
	requireFault(t, err, services.Invalid, CodeTooLarge, "has 4 pages, more than the 3")
	doc, err := extractor(t, map[string]string{"UAOL_DOCUMENT_PAGES": "4"}).extract(t, "", four)
	require.NoError(t, err)
	require.Equal(t, "one\n\nfour", doc.Text())
}

// TestUnpackedLimit: a bomb is one whether it is flat, lies in another archive, or
// hides in what only a workbook's reader unpacks.
func TestUnpackedLimit(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_UNPACKED_MB": "20"})
	more := extractor(t, map[string]string{"UAOL_DOCUMENT_UNPACKED_MB": "400"})
	// 30 MB that pack to a tenth: no ratio tells, only the sum.
	honest := manyRows(200_000)
	_, err := e.extract(t, "", honest)
	requireFault(t, err, services.Invalid, CodeTooLarge, "unpacks to more than 20 MB")
	_, err = more.extract(t, "", honest)
	require.NoError(t, err)

	bomb := zipOf(t, docxWith("<w:p><w:r><w:t>"+strings.Repeat("0", 100<<20)+"</w:t></w:r></w:p>"))
	require.Less(t, len(bomb), 200<<10)
	_, err = more.extract(t, "", bomb)
	requireFault(t, err, services.Invalid, CodeTooLarge, "out of next to nothing")

	noise := make([]byte, 30<<20) // that packs to nothing smaller
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	sheet := makeXLSX(t, func(*excelize.File) {}, map[string]string{"xl/media/image1.png": string(noise)})
	_, err = e.extract(t, "", sheet)
	requireFault(t, err, services.Invalid, CodeTooLarge, "unpacks to more than 20 MB")

	nested := docxWith("<w:p><w:r><w:t>calm</w:t></w:r></w:p>")
	nested["word/embeddings/inner.zip"] = string(zipOf(t, map[string]string{"a": strings.Repeat("0", 100<<20)}))
	doc, err := e.extract(t, "", zipOf(t, nested))
	require.NoError(t, err, "what lies in it is never opened")
	require.Equal(t, "calm", doc.Text())

	var many bytes.Buffer
	z := zip.NewWriter(&many)
	for i := range mostEntries + 1 {
		_, err := z.Create(fmt.Sprint(i))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	_, err = e.extract(t, "", many.Bytes())
	requireFault(t, err, services.Invalid, CodeTooLarge, "holds 20001 files")
}

func TestTextLimit(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_TEXT_MB": "1"})
	for name, content := range map[string]string{
		"a.txt": strings.Repeat("a line of text\n", 80_000), "a.csv": strings.Repeat("a,b,c,d,e,f,g,h\n", 80_000),
		"huge.txt": strings.Repeat("a line of text\n", 500_000), "a.html": "<html>" + strings.Repeat("<p>a line of text", 80_000),
	} {
		_, err := e.extract(t, name, []byte(content))
		requireFault(t, err, services.Invalid, CodeTooLarge, "more than 1 MB of text")
	}
	_, err := extractor(t, map[string]string{"UAOL_DOCUMENT_TEXT_MB": "2"}).extract(t, "a.txt", []byte(strings.Repeat("a line of text\n", 80_000)))
	require.NoError(t, err)
}

// TestCancelled: who no longer waits holds up nobody.
func TestCancelled(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_TEXT_MB": "200", "UAOL_DOCUMENT_UNPACKED_MB": "2000"})
	slow := slowFile()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	began := time.Now()
	_, err := e.Extract(ctx, bytes.NewReader(slow), "", nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(began), 5*time.Second)
	_, err = e.Extract(ctx, bytes.NewReader(slow), "", nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
}

// TestProcessDies: a file that takes its process with it is a broken file, and nothing else.
func TestProcessDies(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_TEXT_MB": "200", "UAOL_DOCUMENT_UNPACKED_MB": "2000"})
	_, err := e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
	e.mu.Lock()
	p := e.idle[0]
	e.mu.Unlock()
	slow := slowFile()
	time.AfterFunc(300*time.Millisecond, func() { _ = p.command.Process.Kill() })
	_, err = e.extract(t, "", slow)
	requireFault(t, err, services.Invalid, CodeBroken, "can't be read")
	require.NoDirExists(t, p.dir)

	_, err = e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
	e.mu.Lock()
	p = e.idle[0]
	e.mu.Unlock()
	require.NoError(t, p.command.Process.Kill()) // one that dies while it waits is not noticed
	<-p.ended
	_, err = e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
}

// TestIdleEnds: a process that nobody needs goes, with its directory.
func TestIdleEnds(t *testing.T) {
	t.Parallel()
	e := extractor(t, nil)
	e.idleFor = 50 * time.Millisecond
	_, err := e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return e.running() == 0 }, 10*time.Second, 10*time.Millisecond)
	_, err = e.extract(t, "a.txt", []byte("hello"))
	require.NoError(t, err)
}

// TestAsManyAsMayBe: files wait for each other, and each gets its own text.
func TestAsManyAsMayBe(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_PROCESSES": "2"})
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			text := fmt.Sprintf("file %d", i)
			doc, err := e.extract(t, "a.txt", []byte(text))
			if err != nil || doc.Text() != text {
				t.Errorf("%q, %v", doc.Text(), err)
			}
		})
	}
	wait.Wait()
	require.LessOrEqual(t, e.running(), 2)
}

// TestCloseEndsWhatRuns: a server that ends waits for no file.
func TestCloseEndsWhatRuns(t *testing.T) {
	t.Parallel()
	e := extractor(t, map[string]string{"UAOL_DOCUMENT_TEXT_MB": "200", "UAOL_DOCUMENT_UNPACKED_MB": "2000"})
	slow := slowFile()
	ended := make(chan error, 1)
	go func() {
		_, err := e.Extract(context.Background(), bytes.NewReader(slow), "", nil)
		ended <- err
	}()
	time.Sleep(500 * time.Millisecond)
	e.Close()
	requireFault(t, <-ended, services.Unavailable, "", "The server is ending")
	require.Zero(t, e.running())
}

// TestEndsWithItsInput is how a process ends where nothing kills it with its parent.
func TestEndsWithItsInput(t *testing.T) {
	t.Parallel()
	e := extractor(t, nil)
	for _, file := range [][]byte{nil, slowFile()} {
		p, err := e.start()
		require.NoError(t, err)
		if file != nil { // it reads one meanwhile
			path, err := p.store(bytes.NewReader(file))
			require.NoError(t, err)
			require.NoError(t, p.wire.say(frameFile, request{Path: path, Limits: e.limits}))
		}
		require.NoError(t, p.in.Close())
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
			t.Fatal("it still runs")
		}
		require.NoDirExists(t, p.dir)
	}
}

// TestUnknownProgram: a program that can't be a reading process is no reason to wait long.
func TestUnknownProgram(t *testing.T) {
	t.Parallel()
	e := extractor(t, nil)
	e.program = filepath.Join(t.TempDir(), "missing")
	_, err := e.extract(t, "a.txt", []byte("hello"))
	requireFault(t, err, services.Unavailable, "", "Files can't be read just now")
	if e.program, err = exec.LookPath("false"); err == nil {
		_, err = e.extract(t, "a.txt", []byte("hello"))
		requireFault(t, err, services.Unavailable, "", "Files can't be read just now")
	}
}

// fake is a Reader.
type fake struct {
	calls atomic.Int32
	err   error
}

func (f *fake) Read(_ context.Context, png []byte) (string, error) {
	f.calls.Add(1)
	if !bytes.HasPrefix(png, []byte("\x89PNG")) {
		return "", errors.New("no PNG")
	}
	return "what stands on the page", f.err
}

func TestScannedPages(t *testing.T) {
	t.Parallel()
	scan := pdfPage{image: picture(t, "")}
	file := makePDF(pdfPage{content: pdfLine(72, 700, "Text of the first page, which is one of words and not of pictures")}, scan, scan, scan, pdfPage{image: picture(t, ""), content: pdfLine(72, 30, "Page 5")})

	reader := &fake{}
	e := extractor(t, map[string]string{"MAX_PDF_PAGES_FOR_OCR": "2"})
	e.Use(reader)
	doc, err := e.extract(t, "", file)
	require.NoError(t, err)
	require.EqualValues(t, 2, reader.calls.Load())
	require.Equal(t, "what stands on the page", doc.Parts[1].Text)
	require.Equal(t, Part{Page: 5, Text: "Page 5"}, doc.Parts[3])
	require.Equal(t, []string{"pages 4-5 are scanned and beyond the 2 of a PDF that are recognised (MAX_PDF_PAGES_FOR_OCR)"}, doc.Warnings)

	broken := &fake{err: errors.New("no key")}
	e = extractor(t, nil)
	e.Use(broken)
	doc, err = e.extract(t, "", file)
	require.NoError(t, err)
	require.Equal(t, []string{"pages 2-5 are scanned and could not be recognised: no key"}, doc.Warnings)

	e = extractor(t, map[string]string{"ENABLE_OCR": "false"})
	e.Use(reader)
	doc, err = e.extract(t, "", file)
	require.NoError(t, err)
	require.Equal(t, []string{"pages 2-5 are scanned and OCR is off (ENABLE_OCR)"}, doc.Warnings)
	doc, err = e.extract(t, "", pngOf(t, picture(t, "")))
	require.NoError(t, err)
	require.Equal(t, []string{"this is an image and OCR is off (ENABLE_OCR)"}, doc.Warnings)
	require.EqualValues(t, 2, reader.calls.Load())
}

// TestTesseract recognises text for real, where the program is installed.
func TestTesseract(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tesseract"); err != nil {
		require.Empty(t, os.Getenv("CI"), "CI has tesseract")
		t.Skip("the program tesseract is not installed")
	}
	e := extractor(t, nil)
	doc, err := e.extract(t, "", makePDF(pdfPage{image: picture(t, "HELLO SCANNED WORLD")}))
	require.NoError(t, err)
	require.Empty(t, doc.Warnings)
	require.Equal(t, "HELLO SCANNED WORLD", doc.Text())
	doc, err = e.extract(t, "a.gif", pngOf(t, picture(t, "A PICTURE")))
	require.NoError(t, err)
	require.Equal(t, Document{Type: "image", Width: 612, Height: 792, Parts: []Part{{Text: "A PICTURE"}}}, doc)

	e = extractor(t, map[string]string{"UAOL_OCR_LANGUAGES": "xyz"})
	doc, err = e.extract(t, "", pngOf(t, picture(t, "A PICTURE")))
	require.NoError(t, err)
	require.Contains(t, doc.Warnings[0], "tesseract says:")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"MAX_PDF_PAGES_FOR_OCR": "-1", "UAOL_DOCUMENT_PROCESSES": "0", "UAOL_DOCUMENT_TIMEOUT": "1ms", "UAOL_DOCUMENT_MEMORY_MB": "1",
		"UAOL_DOCUMENT_PAGES": "0", "UAOL_DOCUMENT_UNPACKED_MB": "0", "UAOL_DOCUMENT_TEXT_MB": "0", "UAOL_OCR_LANGUAGES": "-c x", "ENABLE_OCR": "perhaps",
	} {
		_, err := config.Parse[Config](config.Of(map[string]string{variable: value}))
		var fault *config.Fault
		require.ErrorAs(t, err, &fault)
		require.Equal(t, variable, fault.Variable)
	}
	for _, s := range config.Describe(Config{}) {
		require.NotEmpty(t, s.Doc, s.Variable)
		require.NotEmpty(t, s.Want, s.Variable)
	}
}
