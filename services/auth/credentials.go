package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/alexedwards/argon2id"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"uaol/services"
)

// normalEmail is an address as accounts store it: one spelling for all cases.
func normalEmail(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	parsed, err := mail.ParseAddress(raw)
	if err != nil || parsed.Address != raw || len(raw) > 254 || strings.ContainsFunc(raw, unicode.IsControl) {
		return "", services.Faults(services.Fault{Path: "body.email", Message: "is not an e-mail address"})
	}
	return strings.ToLower(raw), nil
}

// newKey makes an API key: 160 random bits in the original's shape.
func newKey() string { return "uaol_" + rand.Text() + strings.ToLower(rand.Text()[:8]) }

// keyHash is all that is stored of a key. Keys are random, so a fast hash is
// enough; an admin's chosen one must be long.
func keyHash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// keyPrefix is what people tell keys apart by.
func keyPrefix(key string) string { return key[:min(len(key), 9)] }

// passwordCost follows OWASP's password storage cheat sheet for argon2id:
// 19 MiB, two passes, one lane.
var passwordCost = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// noPassword is compared with when an account does not exist, so that the
// answer takes as long.
const noPassword = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

const (
	issuer   = "uaol"
	audience = "uaol"
)

// signer makes and reads sign-in tokens. Whether a token still counts is the
// database's word.
type signer struct {
	key      []byte
	lifetime time.Duration
}

type token struct {
	ID      uuid.UUID
	Account uuid.UUID
	Expires time.Time
}

func (s signer) sign(account uuid.UUID) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		ID: uuid.NewString(), Subject: account.String(), Issuer: issuer, Audience: jwt.ClaimStrings{audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(s.lifetime)),
	}).SignedString(s.key)
}

func (s signer) read(text string) (token, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return s.key, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	if err != nil {
		return token{}, err
	}
	account, err := uuid.Parse(claims.Subject)
	if err != nil {
		return token{}, err
	}
	id, err := uuid.Parse(claims.ID)
	return token{ID: id, Account: account, Expires: claims.ExpiresAt.Time}, err
}

// looksLikeJWT tells tokens from API keys.
func looksLikeJWT(text string) bool {
	return strings.HasPrefix(text, "ey") && strings.Count(text, ".") == 2
}
