package documents

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/enums"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/text/unicode/norm"

	"uaol/services"
)

const (
	// fewLetters is how many letters a scanned page may have of its own: a stamp, a number.
	fewLetters = 32
	// covered is the least part of a scanned page that its images take.
	covered = 0.4
	// scanDPI is what tesseract is made for; an A4 page is 8.7 million pixels.
	scanDPI = 300
	// mostPixels of a rendered page or an image that is recognised, a byte each.
	mostPixels = 24 << 20
	wasmPage   = 64 << 10
)

// pdfEngine is PDFium in WebAssembly: whatever a file does to it stays in a memory
// that is thrown away after the file. It has no files and no clock to look at.
type pdfEngine struct {
	pool  pdfium.Pool
	cache wazero.CompilationCache
}

// newPDFEngine compiles PDFium, which takes seconds and 290 MB without a directory
// that holds what came of it the last time, and a seventh of a second with it.
func newPDFEngine(cacheDir string, memory int64) (*pdfEngine, error) {
	runtime := wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesThreads | experimental.CoreFeaturesExceptionHandling).
		WithMemoryLimitPages(uint32(min(memory/wasmPage, 1<<16)))
	e := &pdfEngine{}
	if cacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(cacheDir)
		if err == nil { // without it everything works, but slowly
			e.cache = cache
			runtime = runtime.WithCompilationCache(cache)
		}
	}
	pool, err := webassembly.Init(webassembly.Config{
		MaxTotal: 1, MaxIdle: 1, RuntimeConfig: runtime, FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		e.close()
		return nil, fmt.Errorf("PDFium: %w", err)
	}
	e.pool = pool
	return e, nil
}

func (e *pdfEngine) close() {
	if e.pool != nil {
		_ = e.pool.Close()
	}
	if e.cache != nil {
		_ = e.cache.Close(context.Background())
	}
}

// pdfFile is an open PDF.
type pdfFile struct {
	pdfium pdfium.Pdfium
	doc    references.FPDF_DOCUMENT
}

func (x *extraction) pdf() (Document, error) {
	engine, err := x.engine()
	if err != nil {
		return Document{}, services.Errorf(services.Internal, "PDFs can't be read here").Because(err)
	}
	instance, err := engine.pool.GetInstance(time.Minute)
	if err != nil {
		return Document{}, services.Errorf(services.Internal, "PDFs can't be read here").Because(err)
	}
	defer instance.Close()
	opened, err := instance.OpenDocument(&requests.OpenDocument{FileReader: io.NewSectionReader(x.file, 0, x.size), FileReaderSize: x.size})
	switch {
	case errors.Is(err, pdferrors.ErrPassword):
		return Document{}, encrypted("PDF")
	case errors.Is(err, pdferrors.ErrSecurity):
		return Document{}, broken("This PDF is encrypted in a way that is not known here; save it without encryption and upload that")
	case err != nil:
		return Document{}, damaged("PDF", err)
	}
	count, err := instance.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: opened.Document})
	switch {
	case err != nil || count.PageCount == 0:
		return Document{}, damaged("PDF", err)
	case count.PageCount > x.limits.Pages:
		return Document{}, tooLarge("This PDF has %d pages, more than the %d that are read; split it and upload its parts", count.PageCount, x.limits.Pages)
	}
	return x.pages(pdfFile{instance, opened.Document}, count.PageCount)
}

func (x *extraction) pages(f pdfFile, count int) (Document, error) {
	w := x.writer("pdf")
	w.doc.Pages = count
	var unread pageSet
	var cause error
	for i := range count {
		text, scanned, err := f.page(i)
		if err != nil {
			unread, cause = append(unread, i+1), err
			continue
		}
		if scanned {
			text = x.recognizePage(f, i, text)
		}
		w.part(Part{Page: i + 1})
		if err := w.write(text); err != nil {
			return Document{}, err
		}
		x.progress(i+1, count)
	}
	if len(unread) == count {
		return Document{}, damaged("PDF", cause)
	}
	if len(unread) > 0 {
		w.warn(unread.say("is damaged and missing here", "are damaged and missing here"))
	}
	x.tellOCR(w)
	return w.finish(), nil
}

// page reads a page's text, and whether a picture is most of what is on it.
func (f pdfFile) page(index int) (text string, scanned bool, err error) {
	loaded, err := f.pdfium.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: f.doc, Index: index})
	if err != nil {
		return "", false, err
	}
	defer f.pdfium.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: loaded.Page}) //nolint:errcheck // nothing can be done about it
	page := requests.Page{ByReference: &loaded.Page}
	if text, err = f.words(page, true); err != nil {
		return "", false, err
	}
	if letters(text) < fewLetters {
		scanned, err = f.pictured(page)
	}
	return text, scanned, err
}

// pictured tells whether images cover much of a page.
func (f pdfFile) pictured(page requests.Page) (bool, error) {
	size, err := f.pdfium.GetPageSize(&requests.GetPageSize{Page: page})
	if err != nil {
		return false, err
	}
	objects, err := f.pdfium.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: page})
	if err != nil {
		return false, err
	}
	area := 0.0
	for i := range min(objects.Count, 1000) {
		object, err := f.pdfium.FPDFPage_GetObject(&requests.FPDFPage_GetObject{Page: page, Index: i})
		if err != nil {
			return false, err
		}
		kind, err := f.pdfium.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: object.PageObject})
		if err != nil {
			return false, err
		}
		// A form is a drawing of its own, into which scanners' software likes to put the image.
		if kind.Type != enums.FPDF_PAGEOBJ_IMAGE && kind.Type != enums.FPDF_PAGEOBJ_FORM {
			continue
		}
		bounds, err := f.pdfium.FPDFPageObj_GetBounds(&requests.FPDFPageObj_GetBounds{PageObject: object.PageObject})
		if err != nil {
			continue
		}
		area += math.Abs(float64(bounds.Right-bounds.Left) * float64(bounds.Top-bounds.Bottom))
	}
	return area > 0 && area >= covered*size.Width*size.Height, nil
}

// render draws a page in grey.
func (f pdfFile) render(index int) (image.Image, func(), error) {
	page := requests.Page{ByIndex: &requests.PageByIndex{Document: f.doc, Index: index}}
	size, err := f.pdfium.GetPageSize(&requests.GetPageSize{Page: page})
	if err != nil {
		return nil, nil, err
	}
	inches := size.Width * size.Height / (72 * 72)
	dpi := int(min(scanDPI, math.Sqrt(mostPixels/max(inches, 0.01))))
	drawn, err := f.pdfium.RenderPageInDPI(&requests.RenderPageInDPI{Page: page, DPI: max(dpi, 1), ImageFormat: requests.RenderImageFormatGrayscale})
	if err != nil {
		return nil, nil, err
	}
	return drawn.Result.RenderedImage, drawn.Cleanup, nil
}

// words reads the text of a page. Where it stands upright only on a page that is
// turned otherwise, the page is turned, once: PDFium would take its lines for columns.
func (f pdfFile) words(page requests.Page, turn bool) (string, error) {
	loaded, err := f.pdfium.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: page})
	if err != nil {
		return "", err
	}
	defer f.pdfium.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: loaded.TextPage}) //nolint:errcheck // nothing can be done about it
	chars, err := f.pdfium.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: loaded.TextPage})
	if err != nil || chars.Count == 0 {
		return "", err
	}
	if turn {
		if turned, err := f.turn(page, loaded.TextPage, chars.Count); err != nil {
			return "", err
		} else if turned {
			return f.words(page, false)
		}
	}
	got, err := f.pdfium.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: loaded.TextPage, Count: chars.Count})
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(got.Text, rightToLeft) {
		text, err := f.logical(loaded.TextPage, chars.Count)
		return pdfText(text), err
	}
	return pdfText(got.Text), nil
}

// turn turns a page so that most of its text is upright.
func (f pdfFile) turn(page requests.Page, text references.FPDF_TEXTPAGE, count int) (bool, error) {
	const looks = 5
	var votes [4]int
	for i := range looks {
		angle, err := f.pdfium.FPDFText_GetCharAngle(&requests.FPDFText_GetCharAngle{TextPage: text, Index: count * i / looks})
		if err != nil {
			continue // a space that PDFium has put there
		}
		quarters := int(math.Round(float64(angle.CharAngle) / (math.Pi / 2)))
		votes[(quarters%4+4)%4]++
	}
	now, err := f.pdfium.FPDFPage_GetRotation(&requests.FPDFPage_GetRotation{Page: page})
	if err != nil {
		return false, err
	}
	for quarters, n := range votes {
		if n*2 > looks && quarters != int(now.PageRotation) {
			_, err := f.pdfium.FPDFPage_SetRotation(&requests.FPDFPage_SetRotation{Page: page, Rotate: enums.FPDF_PAGE_ROTATION(quarters)})
			return err == nil, err
		}
	}
	return false, nil
}

// pdfText mends what PDFium says: line ends, the marks it puts for hyphens at line
// ends, and ligatures, which are characters of their own.
func pdfText(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\x02", "-\n", "\ufffe", "-\n").Replace(text)
	if !strings.ContainsFunc(text, ligature) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if ligature(r) {
			b.WriteString(norm.NFKC.String(string(r)))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ligature is true for Unicode's alphabetic presentation forms and for Arabic letters
// in the form that their place in a word gives them.
func ligature(r rune) bool {
	return r >= 0xfb00 && r <= 0xfdff || r >= 0xfe70 && r <= 0xfefc
}

// letters counts what is no space.
func letters(text string) (n int) {
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}
