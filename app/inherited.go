package app

import (
	"reflect"

	"go.uber.org/fx"
	"go.uber.org/zap"
)

// Inherited are settings of the original that stay valid in .env files and
// that this version does not act on yet: it uses what it has built in.
type Inherited struct {
	MQType       string `env:"MQ_TYPE" doc:"kafka or sqs for events; not used yet: events stay in the database"`
	KafkaBrokers string `env:"KAFKA_BROKERS" built:"events stay in the database" doc:"Kafka for events; not used yet"`
	SQSRegion    string `env:"SQS_REGION" doc:"region of the SQS queue; not used yet"`
	SQSQueue     string `env:"SQS_QUEUE_URL" built:"events stay in the database" doc:"SQS for events; not used yet"`
	S3Bucket     string `env:"S3_BUCKET_NAME" built:"files are kept in UAOL_DATA_DIR" doc:"S3 bucket for files; not used yet"`
	VisionKey    string `env:"GOOGLE_CLOUD_VISION_API_KEY" secret:"true" doc:"text recognition in images; not used yet"`
	EnableOCR    string `env:"ENABLE_OCR" doc:"text recognition in images; not used yet"`
	MaxOCRPages  string `env:"MAX_PDF_PAGES_FOR_OCR" doc:"text recognition in PDFs; not used yet"`
	PDFImages    string `env:"ENABLE_PDF_IMAGE_EXTRACTION" doc:"images in PDFs; not used yet"`
	MaxPDFImages string `env:"MAX_PDF_IMAGES" doc:"images in PDFs; not used yet"`
	MinPDFImage  string `env:"MIN_PDF_IMAGE_SIZE" doc:"images in PDFs; not used yet"`
}

// warnings logs one line for each engine that is named and not used.
var warnings = fx.Invoke(func(inherited Inherited, log *zap.Logger) {
	value := reflect.ValueOf(inherited)
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if built := field.Tag.Get("built"); built != "" && value.Field(i).String() != "" {
			log.Warn(field.Tag.Get("env")+" is set, but this version does not use it", zap.String("instead", built))
		}
	}
})
