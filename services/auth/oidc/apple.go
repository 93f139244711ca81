package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// appleSecretLife is how long a client secret made here is valid; Apple allows
// half a year, one request needs a moment.
const appleSecretLife = 5 * time.Minute

// appleSecret makes the client secret that Apple wants for each request: a JWT
// signed with the team's key.
// https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
func appleSecret(c Config) func() (string, error) {
	if !holdsKey(c.AppleSecret) {
		return fixed(c.AppleSecret)
	}
	return func() (string, error) {
		key, err := readKey(c.AppleSecret)
		if err != nil {
			return "", err
		}
		now := time.Now()
		made := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
			Issuer: c.AppleTeam, Subject: c.AppleID, Audience: jwt.ClaimStrings{c.AppleIssuer},
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(appleSecretLife)),
		})
		made.Header["kid"] = c.AppleKey
		return made.SignedString(key)
	}
}

// holdsKey tells a private key from a client secret made elsewhere.
func holdsKey(secret string) bool { return strings.Contains(secret, "-----BEGIN") }

// readKey reads Apple's private key; line breaks may be written \n.
func readKey(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n")))
	if block == nil {
		return nil, errors.New("not PEM")
	}
	read, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a private key")
	}
	key, ok := read.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not a key for ES256")
	}
	return key, nil
}
