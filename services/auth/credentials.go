package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"net/mail"
	"strings"
	"time"
	"unicode"

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

// invitationHash is all that is stored of an invitation's secret.
func invitationHash(secret string) []byte {
	if secret == "" {
		return nil
	}
	return keyHash(secret)
}

const (
	issuer   = "uaol"
	audience = "uaol"
)

// signer makes and reads sign-in tokens. Whether a token still counts is the
// database's word: it needs its session.
type signer struct {
	keys     jwt.VerificationKeySet // the first signs; an older one still counts
	lifetime time.Duration
}

// newSigner takes the secret and the one it replaced, if any.
func newSigner(secret, previous string, lifetime time.Duration) signer {
	s := signer{keys: jwt.VerificationKeySet{Keys: []jwt.VerificationKey{[]byte(secret)}}, lifetime: lifetime}
	if previous != "" {
		s.keys.Keys = append(s.keys.Keys, []byte(previous))
	}
	return s
}

type token struct {
	ID      uuid.UUID // the session
	Account uuid.UUID
}

func (s signer) sign(session, account uuid.UUID) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		ID: session.String(), Subject: account.String(), Issuer: issuer, Audience: jwt.ClaimStrings{audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(s.lifetime)),
	}).SignedString(s.keys.Keys[0])
}

func (s signer) read(text string) (token, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return s.keys, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	if err != nil {
		return token{}, err
	}
	account, err := uuid.Parse(claims.Subject)
	if err != nil {
		return token{}, err
	}
	id, err := uuid.Parse(claims.ID)
	return token{ID: id, Account: account}, err
}

// looksLikeJWT tells tokens from API keys.
func looksLikeJWT(text string) bool {
	return strings.HasPrefix(text, "ey") && strings.Count(text, ".") == 2
}
