package documents

import (
	"strconv"
	"time"

	"uaol/providers/config"
)

// Config bounds what reading a file may cost.
type Config struct {
	OCR        bool          `env:"ENABLE_OCR" envDefault:"true" doc:"whether text in images and scanned pages is recognised, where the program tesseract is installed"`
	OCRPages   int           `env:"MAX_PDF_PAGES_FOR_OCR" envDefault:"20" want:"a whole number of pages, 0 or more" doc:"the most scanned pages of one PDF whose text is recognised"`
	Languages  string        `env:"UAOL_OCR_LANGUAGES" envDefault:"eng" want:"tesseract's names of languages such as eng or eng+deu" doc:"languages that text in images is recognised in; tesseract needs their data"`
	Processes  int           `env:"UAOL_DOCUMENT_PROCESSES" envDefault:"1" want:"a whole number of processes, 1 to 64" doc:"how many files are read at the same time, by a process each; none runs before there is a file"`
	Timeout    time.Duration `env:"UAOL_DOCUMENT_TIMEOUT" envDefault:"2m" want:"a duration of 1s or more such as 2m" doc:"how long reading one file may take"`
	MemoryMB   int           `env:"UAOL_DOCUMENT_MEMORY_MB" envDefault:"512" want:"a whole number of MB, 64 or more" doc:"the most memory that reading one file may take"`
	Pages      int           `env:"UAOL_DOCUMENT_PAGES" envDefault:"2000" want:"a whole number of pages, 1 or more" doc:"the most pages of one PDF or slides of one presentation"`
	UnpackedMB int           `env:"UAOL_DOCUMENT_UNPACKED_MB" envDefault:"200" want:"a whole number of MB, 1 or more" doc:"the most that one office file may unpack to"`
	TextMB     int           `env:"UAOL_DOCUMENT_TEXT_MB" envDefault:"20" want:"a whole number of MB, 1 to 512" doc:"the most text that is taken out of one file"`
}

// Check refuses bounds that mean nothing.
func (c *Config) Check() error {
	for _, n := range []struct {
		variable        string
		value, from, to int
		want            string
	}{
		{"MAX_PDF_PAGES_FOR_OCR", c.OCRPages, 0, most, "a whole number of pages, 0 or more"},
		{"UAOL_DOCUMENT_PROCESSES", c.Processes, 1, 64, "a whole number of processes, 1 to 64"},
		{"UAOL_DOCUMENT_MEMORY_MB", c.MemoryMB, 64, most, "a whole number of MB, 64 or more"},
		{"UAOL_DOCUMENT_PAGES", c.Pages, 1, most, "a whole number of pages, 1 or more"},
		{"UAOL_DOCUMENT_UNPACKED_MB", c.UnpackedMB, 1, most, "a whole number of MB, 1 or more"},
		{"UAOL_DOCUMENT_TEXT_MB", c.TextMB, 1, 512, "a whole number of MB, 1 to 512"},
	} {
		if n.value < n.from || n.value > n.to {
			return &config.Fault{Variable: n.variable, Value: strconv.Itoa(n.value), Want: n.want}
		}
	}
	if c.Timeout < time.Second {
		return &config.Fault{Variable: "UAOL_DOCUMENT_TIMEOUT", Value: c.Timeout.String(), Want: "a duration of 1s or more such as 2m"}
	}
	if !languageForm.MatchString(c.Languages) {
		return &config.Fault{Variable: "UAOL_OCR_LANGUAGES", Value: c.Languages, Want: "tesseract's names of languages such as eng or eng+deu"}
	}
	return nil
}

// most is more than any of the numbers may sensibly be, and far from overflowing.
const most = 1 << 20

// limits are the bounds that the reading process keeps itself.
type limits struct {
	Pages    int           `json:"pages"`
	OCRPages int           `json:"ocr_pages"`
	Memory   int64         `json:"memory"`   // bytes
	Unpacked int64         `json:"unpacked"` // bytes
	Text     int           `json:"text"`     // bytes
	OCRTime  time.Duration `json:"ocr_time"` // from a file's beginning; after it no more images are sent
}

func (c *Config) limits() limits {
	return limits{
		Pages: c.Pages, OCRPages: c.OCRPages, Memory: int64(c.MemoryMB) << 20,
		Unpacked: int64(c.UnpackedMB) << 20, Text: c.TextMB << 20,
		OCRTime: c.Timeout / 4 * 3,
	}
}
