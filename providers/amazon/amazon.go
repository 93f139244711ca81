// Package amazon is what all uses of AWS share: who we are there, and what may be
// said of its errors.
package amazon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"uaol/providers/config"
	"uaol/providers/egress"
)

// Account is a region and credentials, for configurations to embed. Who needs them
// calls CheckKeys.
type Account struct {
	egress.Proxies
	Region  string `env:"AWS_REGION" doc:"region of AWS services; with SECRETS_MANAGER_TYPE=aws and S3_BUCKET_NAME. What is not set here the AWS SDK looks for in its own places"`
	Key     string `env:"AWS_ACCESS_KEY_ID" secret:"true" want:"a key's id, because AWS_SECRET_ACCESS_KEY is set" doc:"credentials for AWS services; with SECRETS_MANAGER_TYPE=aws they need secretsmanager:CreateSecret, PutSecretValue, GetSecretValue, RestoreSecret and DeleteSecret on <AWS_SECRETS_PREFIX>/*, with S3_BUCKET_NAME s3:GetObject, PutObject and DeleteObject on the bucket's objects and ListBucket on the bucket"`
	Secret  string `env:"AWS_SECRET_ACCESS_KEY" secret:"true" want:"the key's secret, because AWS_ACCESS_KEY_ID is set" doc:"the secret of AWS_ACCESS_KEY_ID"`
	Session string `env:"AWS_SESSION_TOKEN" secret:"true" doc:"goes with an AWS_ACCESS_KEY_ID that counts for a while only"`
}

// CheckKeys refuses half a pair.
func (a *Account) CheckKeys() error {
	switch {
	case a.Key == "" && a.Secret != "":
		return &config.Fault{Variable: "AWS_ACCESS_KEY_ID", Secret: true, Want: "a key's id, because AWS_SECRET_ACCESS_KEY is set"}
	case a.Key != "" && a.Secret == "":
		return &config.Fault{Variable: "AWS_SECRET_ACCESS_KEY", Secret: true, Want: "the key's secret, because AWS_ACCESS_KEY_ID is set"}
	}
	return nil
}

// Load finds region and credentials as the SDK's own chain does (variables, shared
// files, roles of containers and machines). Ours come first: the SDK knows nothing
// of the .env file. It asks nobody. An HTTP exchange may take so long; 0 is no bound.
func (a *Account) Load(ctx context.Context, exchange time.Duration) (aws.Config, error) {
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(exchange).WithTransportOptions(func(t *http.Transport) { t.Proxy = a.Through() })),
		awsconfig.WithLogger(logging.Nop{}), // requests hold values
	}
	if a.Region != "" {
		options = append(options, awsconfig.WithRegion(a.Region))
	}
	if a.Key != "" {
		options = append(options, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(a.Key, a.Secret, a.Session)))
	}
	found, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS_REGION and AWS_ACCESS_KEY_ID: %w", Says(err))
	}
	return found, nil
}

// Says is an error as the log may have it: AWS's code alone, because its messages
// name secrets and accounts, or the beginning of the SDK's own words.
func Says(err error) error {
	var answered smithy.APIError
	if errors.As(err, &answered) {
		return errors.New("it answered " + answered.ErrorCode())
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	return errors.New(text[:min(len(text), 200)])
}
