package storage

import (
	"fmt"
	"strconv"
	"strings"

	"uaol/providers/config"
)

// Config is what uploads may be.
type Config struct {
	Largest string `env:"UAOL_UPLOAD_MAX" envDefault:"1GB" want:"a size such as 500MB, of at most 5GB" doc:"the largest file that may be uploaded (of /chat/upload 50MB each)"`

	largest int64 // bytes
}

// mostUpload is what S3 takes in one request, in bytes.
const mostUpload = 5 << 30

// Check reads the sizes.
func (c *Config) Check() error {
	size, err := bytesOf(c.Largest)
	if err != nil || size < 1 || size > mostUpload {
		return &config.Fault{Variable: "UAOL_UPLOAD_MAX", Value: c.Largest, Want: "a size such as 500MB, of at most 5GB"}
	}
	c.largest = size
	return nil
}

var units = []string{"KB", "MB", "GB"}

func bytesOf(text string) (int64, error) {
	factor := int64(1)
	for i, unit := range units {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, factor = number, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return n * factor, err
}

// humanBytes is a number of bytes as people say it.
func humanBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n), ""
	for _, unit = range append(units, "TB") {
		if value /= 1 << 10; value < 1<<10 {
			break
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + unit
}
