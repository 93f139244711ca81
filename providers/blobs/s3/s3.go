package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"uaol/providers/amazon"
	"uaol/providers/blobs"
	"uaol/services"
)

// Bucket is a blobs.Store.
type Bucket struct {
	cfg    Config
	client *s3.Client
	urls   *s3.PresignClient
	dir    string // where contents wait until they are whole
}

// New makes a Bucket, which asks nobody before it is used. Contents wait in the
// directory while they come in.
func New(ctx context.Context, cfg Config, dir string) (*Bucket, error) {
	found, err := cfg.Load(ctx, 0)
	if err != nil {
		return nil, err
	}
	if found.Region == "" && cfg.Endpoint != "" {
		found.Region = "auto" // R2's name for it; MinIO takes any
	}
	client := s3.NewFromConfig(found, func(o *s3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = &cfg.Endpoint, true
		}
		// Others than Amazon refuse the checksums that the SDK adds by itself
		// (https://github.com/aws/aws-sdk-go-v2/discussions/2960).
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return &Bucket{cfg: cfg, client: client, urls: s3.NewPresignClient(client), dir: dir}, nil
}

// Check reports whether the bucket is there and ours to use, in words for an operator.
func (b *Bucket) Check(ctx context.Context) error {
	_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.cfg.Bucket})
	if err == nil {
		return nil
	}
	return fmt.Errorf("the bucket %s can't be used (%w); check S3_BUCKET_NAME, S3_ENDPOINT, AWS_REGION and AWS_ACCESS_KEY_ID", b.cfg.Bucket, amazon.Says(err))
}

func (b *Bucket) key(key string) *string { return aws.String(b.cfg.Prefix + key) }

func (b *Bucket) encryption() types.ServerSideEncryption {
	if b.cfg.Encryption == "none" {
		return ""
	}
	return types.ServerSideEncryption(b.cfg.Encryption)
}

// Put implements blobs.Store. An object has to be announced with its size, and a
// request that is repeated reads its content again: so the content waits in a file,
// which has no name and is gone with the process.
func (b *Bucket) Put(ctx context.Context, key string, _ []byte, content io.Reader) (int64, error) {
	f, err := b.spool()
	if err != nil {
		return 0, failed(err)
	}
	defer f.Close()
	size, err := io.Copy(f, content)
	if err != nil {
		return 0, failed(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, failed(err)
	}
	_, err = b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.cfg.Bucket, Key: b.key(key), Body: f, ContentLength: &size, ServerSideEncryption: b.encryption()})
	if err != nil {
		return 0, failed(err)
	}
	return size, nil
}

func (b *Bucket) spool() (*os.File, error) {
	dir := filepath.Join(b.dir, "incoming")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil { // what reads it has it open
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Open implements blobs.Store. Each stretch is a request of its own.
func (b *Bucket) Open(ctx context.Context, key string, _ []byte, size int64) (*blobs.Content, error) {
	there, err := b.Size(ctx, key)
	if err != nil {
		return nil, err
	}
	if there != size {
		return nil, fmt.Errorf("blob: it is %d bytes long and should be %d", there, size)
	}
	return blobs.NewContent(size, func(from int64) (io.ReadCloser, error) {
		object, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.cfg.Bucket, Key: b.key(key), Range: aws.String(fmt.Sprintf("bytes=%d-", from))})
		if err != nil {
			return nil, failed(err)
		}
		return object.Body, nil
	}, nil), nil
}

// Delete implements blobs.Store.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.cfg.Bucket, Key: b.key(key)})
	if err != nil && !missing(err) {
		return failed(err)
	}
	return nil
}

// Direct implements blobs.Store.
func (b *Bucket) Direct() blobs.Direct { return b }

// PutURL implements blobs.Direct. Type and size are among the signed headers.
func (b *Bucket) PutURL(ctx context.Context, key, contentType string, size int64, lifetime time.Duration) (string, http.Header, error) {
	signed, err := b.urls.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &b.cfg.Bucket, Key: b.key(key), ContentType: &contentType, ContentLength: &size, ServerSideEncryption: b.encryption()},
		s3.WithPresignExpires(lifetime))
	if err != nil {
		return "", nil, failed(err)
	}
	signed.SignedHeader.Del("Host")
	signed.SignedHeader.Del("Content-Length") // every client sets it by itself
	return signed.URL, signed.SignedHeader, nil
}

// GetURL implements blobs.Direct.
func (b *Bucket) GetURL(ctx context.Context, key, contentType, disposition string, lifetime time.Duration) (string, error) {
	signed, err := b.urls.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.cfg.Bucket, Key: b.key(key), ResponseContentType: &contentType, ResponseContentDisposition: &disposition},
		s3.WithPresignExpires(lifetime))
	if err != nil {
		return "", failed(err)
	}
	return signed.URL, nil
}

// Size implements blobs.Direct.
func (b *Bucket) Size(ctx context.Context, key string) (int64, error) {
	head, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.cfg.Bucket, Key: b.key(key)})
	switch {
	case missing(err):
		return 0, services.Errorf(services.NotFound, "The file's content is not there")
	case err != nil:
		return 0, failed(err)
	}
	return aws.ToInt64(head.ContentLength), nil
}

// Close implements blobs.Store.
func (b *Bucket) Close() error { return nil }

func missing(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "NotFound" || api.ErrorCode() == "NoSuchKey")
}

// failed is an error for callers; what the other side says is for the log.
func failed(err error) error {
	var own *services.Error
	var answered smithy.APIError
	var sent *smithy.OperationError
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return services.Errorf(services.Full, "There is no room for the file; the operator must make some").Because(err)
	case errors.As(err, &answered) && answered.ErrorCode() == "QuotaExceeded":
		return services.Errorf(services.Full, "There is no room for the file; the operator must make some").Because(amazon.Says(err))
	case errors.As(err, &answered), errors.As(err, &sent):
		return services.Errorf(services.Unavailable, "The file store can't be reached just now; try again").Because(amazon.Says(err))
	}
	return fmt.Errorf("blob: %w", err)
}
