// Package s3 keeps files' contents in Amazon S3 or whatever speaks its protocol.
package s3

import (
	"net/url"
	"regexp"

	"uaol/providers/amazon"
	"uaol/providers/config"
)

// Config says which bucket.
type Config struct {
	amazon.Account
	Bucket     string `env:"S3_BUCKET_NAME" want:"a bucket's name" doc:"bucket that keeps files' contents; without one they are kept below UAOL_DATA_DIR, encrypted"`
	Endpoint   string `env:"S3_ENDPOINT" want:"an http or https URL such as http://localhost:9000" doc:"where S3's protocol is spoken, if not by Amazon: MinIO, Cloudflare R2 and others"`
	Prefix     string `env:"UAOL_S3_PREFIX" envDefault:"uaol/" want:"letters, digits and _.-/" doc:"what the keys of objects begin with"`
	Encryption string `env:"UAOL_S3_ENCRYPTION" want:"AES256, aws:kms or none" doc:"how the bucket is asked to encrypt what it keeps: AES256 (default at Amazon), aws:kms, or none (default elsewhere, where few can)"`
}

var (
	bucketForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$`)
	prefixForm = regexp.MustCompile(`^([A-Za-z0-9_.-]+/)*$`)
)

// Check judges every setting.
func (c *Config) Check() error {
	if c.Bucket == "" {
		return nil
	}
	if !bucketForm.MatchString(c.Bucket) {
		return &config.Fault{Variable: "S3_BUCKET_NAME", Value: c.Bucket, Want: "a bucket's name"}
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return &config.Fault{Variable: "S3_ENDPOINT", Value: c.Endpoint, Want: "an http or https URL such as http://localhost:9000"}
		}
	}
	if !prefixForm.MatchString(c.Prefix) {
		return &config.Fault{Variable: "UAOL_S3_PREFIX", Value: c.Prefix, Want: "nothing, or letters, digits and _.- in parts that end with /"}
	}
	switch c.Encryption {
	case "AES256", "aws:kms", "none":
	case "":
		c.Encryption = "AES256"
		if c.Endpoint != "" {
			c.Encryption = "none"
		}
	default:
		return &config.Fault{Variable: "UAOL_S3_ENCRYPTION", Value: c.Encryption, Want: "AES256, aws:kms or none"}
	}
	return c.CheckKeys()
}
