package credentials

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"go.uber.org/zap"

	"uaol/providers/amazon"
	"uaol/services"
)

// secretsManager keeps values in AWS Secrets Manager, each as a secret of its own, at
// <prefix>/<place>. Of what places are made, names take everything: letters,
// digits, - and _.
type secretsManager struct {
	client *secretsmanager.Client
	prefix string
	pause  time.Duration // before a second try, while a removal is under way; it doubles
}

const (
	awsRequest   = 5 * time.Second  // of one HTTP exchange
	awsOperation = 15 * time.Second // of all of them, with the SDK's pauses when it is throttled
	awsTries     = 6                // of a put that meets a removal
	awsPause     = 100 * time.Millisecond
)

// newAmazon makes a client, which asks nobody before it is used.
func newAmazon(ctx context.Context, cfg Config) (*secretsManager, error) {
	found, err := cfg.Load(ctx, awsRequest)
	if err != nil {
		return nil, err
	}
	return &secretsManager{client: secretsmanager.NewFromConfig(found), prefix: cfg.AWSPrefix, pause: awsPause}, nil
}

// check asks for a secret that is not there: that much can be learned with the
// permissions that are needed anyway.
func (a *secretsManager) check(ctx context.Context) error {
	_, err := a.read(ctx, a.prefix+"/is-anybody-there")
	if err == nil || errors.Is(err, errNoValue) {
		return nil
	}
	return fmt.Errorf("AWS Secrets Manager can't be used (%w); set AWS_REGION and credentials that may create, put, get, restore and delete secrets named %s/*, or SECRETS_MANAGER_TYPE=database", amazon.Says(err), a.prefix)
}

// keep has nothing to do: the SDK renews what it was let in with.
func (a *secretsManager) keep(ctx context.Context, _ *zap.Logger) error {
	<-ctx.Done()
	return nil
}

func (a *secretsManager) name(at place) *string { return aws.String(a.prefix + "/" + at.path()) }

// put makes the secret or, where there is one, gives it another value. A removal
// goes on for a moment after AWS has confirmed it; a secret in that state is
// brought back first. The SDK repeats each request under one token.
func (a *secretsManager) put(ctx context.Context, at place, value string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, awsOperation)
	defer cancel()
	pause := a.pause
	for try := 1; ; try++ {
		err := a.write(ctx, at, value)
		if err == nil {
			return []byte{}, nil
		}
		if !inBetween(err) || try == awsTries {
			return nil, awsFailed(err)
		}
		select {
		case <-ctx.Done():
			return nil, awsFailed(ctx.Err())
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (a *secretsManager) write(ctx context.Context, at place, value string) error {
	name := a.name(at)
	_, err := a.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name, SecretString: &value})
	var exists *types.ResourceExistsException
	var leaving *types.InvalidRequestException
	if errors.As(err, &leaving) {
		if _, err := a.client.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: name}); err != nil {
			return err
		}
	} else if !errors.As(err, &exists) {
		return err
	}
	_, err = a.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: name, SecretString: &value})
	return err
}

// inBetween reports a secret that is being removed: it is there for one request
// and not for the next.
func inBetween(err error) bool {
	var leaving *types.InvalidRequestException
	var gone *types.ResourceNotFoundException
	return errors.As(err, &leaving) || errors.As(err, &gone)
}

func (a *secretsManager) get(ctx context.Context, at place, _ []byte) (string, error) {
	value, err := a.read(ctx, *a.name(at))
	if errors.Is(err, errNoValue) {
		return "", err
	}
	return value, awsFailed(err)
}

// read gives a secret's value; errNoValue also for one that is being removed.
func (a *secretsManager) read(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, awsOperation)
	defer cancel()
	kept, err := a.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	switch {
	case err != nil && inBetween(err), err == nil && kept.SecretString == nil:
		return "", errNoValue
	case err != nil:
		return "", err
	}
	return *kept.SecretString, nil
}

// remove drops the value for good: nobody shall bring back what its giver
// withdrew.
func (a *secretsManager) remove(ctx context.Context, at place) error {
	ctx, cancel := context.WithTimeout(ctx, awsOperation)
	defer cancel()
	_, err := a.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: a.name(at), ForceDeleteWithoutRecovery: aws.Bool(true)})
	if err != nil && inBetween(err) { // it is gone, or on its way
		return nil
	}
	return awsFailed(err)
}

// awsFailed is an error for callers; what AWS says is for the log.
func awsFailed(err error) error {
	if err == nil {
		return nil
	}
	return services.Errorf(services.Unavailable, "Tools' secrets can't be reached just now; try again").Because(amazon.Says(err))
}
