package app

// Inherited are settings of the original that stay valid in .env files and
// that this version does not act on yet: it uses what it has built in.
type Inherited struct {
	PDFImages    string `env:"ENABLE_PDF_IMAGE_EXTRACTION" doc:"images in PDFs; not used yet"`
	MaxPDFImages string `env:"MAX_PDF_IMAGES" doc:"images in PDFs; not used yet"`
	MinPDFImage  string `env:"MIN_PDF_IMAGE_SIZE" doc:"images in PDFs; not used yet"`
}
