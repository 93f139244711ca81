package credentials

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
)

// awsServer speaks as much of AWS Secrets Manager's JSON 1.1 protocol as is
// needed: https://docs.aws.amazon.com/secretsmanager/latest/apireference. The
// address is the SDK's own setting, one for all tests; the access key says whose
// secrets are meant.
type awsServer struct {
	key string

	mu      sync.Mutex
	kept    map[string]*awsSecret
	asked   map[string]int // by operation
	fail    string         // an error's code to answer everything with
	busy    int            // requests to throttle first
	lose    string         // an operation that is done once and answered with a failure
	lingers int            // requests that still meet a secret after its removal
	keeps   bool           // such a secret can be restored
}

type awsSecret struct {
	value, token string
	leaving      int // requests until it is gone
}

const (
	awsRegion    = "eu-test-1"
	awsKeySecret = "the-secret-of-an-access-key"
	awsPrefix    = "team-a/uaol"
)

var awsServers sync.Map // by access key

// listenForAWS leads the SDK, for the whole test process, to the servers here.
func listenForAWS() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := awsSigned.FindStringSubmatch(r.Header.Get("Authorization"))
		if m == nil || r.Header.Get("X-Amz-Date") == "" || !strings.Contains(m[2], "x-amz-target") || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
			awsRefuse(w, "IncompleteSignatureException")
			return
		}
		if a, ok := awsServers.Load(m[1]); ok {
			a.(*awsServer).serve(w, r)
			return
		}
		awsRefuse(w, "UnrecognizedClientException")
	}))
	server.Config.SetKeepAlivesEnabled(false) // tests leave no connections
	_ = os.Setenv("AWS_ENDPOINT_URL", server.URL)
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// awsSigned is a request's signature, version 4.
var awsSigned = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/` + awsRegion + `/secretsmanager/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)

func startAWS(t testing.TB) *awsServer {
	t.Helper()
	a := &awsServer{key: "AKIA" + strings.ToUpper(strings.ReplaceAll(uuid.NewString(), "-", "")[:16]), kept: map[string]*awsSecret{}, asked: map[string]int{}}
	awsServers.Store(a.key, a)
	t.Cleanup(func() { awsServers.Delete(a.key) })
	return a
}

func (a *awsServer) config(c *Config) {
	c.Manager, c.Region, c.Key, c.Secret, c.AWSPrefix = inAWS, awsRegion, a.key, awsKeySecret, awsPrefix
}

var awsName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)

func (a *awsServer) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var in struct {
		Name, SecretId, SecretString, ClientRequestToken string
		ForceDeleteWithoutRecovery                       bool
	}
	operation, _ := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	a.asked[operation]++
	code := ""
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		code = "SerializationException"
	}
	name := in.Name + in.SecretId
	secret := a.kept[name]
	switch {
	case code != "":
	case a.fail != "":
		code = a.fail
	case a.busy > 0:
		a.busy--
		code = "ThrottlingException"
	case !awsName.MatchString(name):
		code = "InvalidParameterException"
	default:
		code = a.do(operation, name, in.SecretString, in.ClientRequestToken, in.ForceDeleteWithoutRecovery, secret)
	}
	if a.lose == operation && code == "" {
		a.lose, code = "", "InternalServiceError"
	}
	if code != "" {
		awsRefuse(w, code)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	answer := map[string]any{"Name": name}
	if operation == "GetSecretValue" {
		answer["SecretString"] = secret.value
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *awsServer) do(operation, name, value, token string, force bool, secret *awsSecret) (code string) {
	if secret != nil && secret.leaving > 0 {
		if secret.leaving--; operation == "RestoreSecret" && a.keeps {
			secret.leaving = 0
			return ""
		}
		if secret.leaving == 0 && !a.keeps {
			delete(a.kept, name)
		}
		if operation == "RestoreSecret" {
			return "ResourceNotFoundException"
		}
		return "InvalidRequestException" // scheduled for deletion
	}
	switch operation {
	case "CreateSecret", "PutSecretValue":
		switch {
		case value == "" || len(value) > 65536 || len(token) < 32:
			return "InvalidParameterException"
		case operation == "CreateSecret" && secret != nil && secret.token == token && secret.value == value:
			return ""
		case operation == "CreateSecret" && secret != nil:
			return "ResourceExistsException"
		case operation == "PutSecretValue" && secret == nil:
			return "ResourceNotFoundException"
		}
		a.kept[name] = &awsSecret{value: value, token: token}
	case "GetSecretValue", "RestoreSecret":
		if secret == nil {
			return "ResourceNotFoundException"
		}
	case "DeleteSecret":
		switch {
		case !force:
			return "InvalidParameterException" // it would stay for weeks
		case secret != nil && a.lingers > 0:
			secret.leaving = a.lingers
		default:
			delete(a.kept, name)
		}
	default:
		return "AccessDeniedException" // the permissions that the settings name are enough
	}
	return ""
}

func awsRefuse(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Errortype", code)
	status := http.StatusBadRequest
	if code == "InternalServiceError" {
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "said of the account 123456789012"})
}

func (a *awsServer) set(change func(*awsServer)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// paths are the names of what is kept.
func (a *awsServer) paths() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.kept))
}

func (a *awsServer) wipe() { a.set(func(a *awsServer) { clear(a.kept) }) }

func (a *awsServer) failures() map[string]func() {
	ways := map[string]func(){}
	for _, code := range []string{"AccessDeniedException", "DecryptionFailure", "InvalidParameterException", "UnrecognizedClientException"} {
		ways[code] = func() { a.set(func(a *awsServer) { a.fail = code }) }
	}
	return ways
}

func (a *awsServer) mend() { a.set(func(a *awsServer) { a.fail = "" }) }

// TestAWSGivesWhatItHas: requests that were lost, throttled, or met a removal come
// to the same as others.
func TestAWSGivesWhatItHas(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*awsServer){
		"throttled":                        func(a *awsServer) { a.busy = 1 },
		"a creation whose answer was lost": func(a *awsServer) { a.lose = "CreateSecret" },
		"a removal that takes a moment":    func(a *awsServer) { a.lingers = 3 },
		"a removal that can be undone":     func(a *awsServer) { a.lingers, a.keeps = 100, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startAWS(t)
			var cfg Config
			server.config(&cfg)
			b, err := newAmazon(t.Context(), cfg)
			require.NoError(t, err)
			b.pause = 0
			at := place{Tool: uuid.New(), Scope: ofTool, Holder: uuid.New(), Name: "KEY", Origin: "https://example.com:443"}
			for _, value := range []string{"first", "second", "third"} {
				server.set(change)
				_, err = b.put(t.Context(), at, value)
				require.NoError(t, err)
				got, err := b.get(t.Context(), at, nil)
				require.NoError(t, err)
				require.Equal(t, value, got)
				if value != "first" {
					require.NoError(t, b.remove(t.Context(), at))
					require.NoError(t, b.remove(t.Context(), at))
					_, err = b.get(t.Context(), at, nil)
					require.ErrorIs(t, err, errNoValue)
				}
			}
		})
	}
}

// TestAWSIsNotAskedForEver while a secret does not go.
func TestAWSIsNotAskedForEver(t *testing.T) {
	t.Parallel()
	server := startAWS(t)
	var cfg Config
	server.config(&cfg)
	b, err := newAmazon(t.Context(), cfg)
	require.NoError(t, err)
	b.pause = 0
	at := place{Name: "KEY"}
	_, err = b.put(t.Context(), at, "x")
	require.NoError(t, err)
	server.set(func(a *awsServer) { a.lingers = 1 << 30 })
	require.NoError(t, b.remove(t.Context(), at))
	_, err = b.put(t.Context(), at, "x")
	require.Equal(t, services.Unavailable, services.KindOf(err))
	require.Equal(t, 1+awsTries, server.asked["CreateSecret"])
}

// TestAWSAsTheSDKFindsIt: nothing in our settings, credentials nowhere.
func TestAWSAsTheSDKFindsIt(t *testing.T) {
	t.Parallel()
	cfg := Config{AWSPrefix: awsPrefix}
	cfg.Manager = inAWS
	b, err := newAmazon(t.Context(), cfg)
	require.NoError(t, err, "whoever does not use it need not have any")
	err = b.check(t.Context())
	require.ErrorContains(t, err, "set AWS_REGION and credentials")
	require.NotContains(t, err.Error(), "\n")
	require.Less(t, len(err.Error()), 500)
}
