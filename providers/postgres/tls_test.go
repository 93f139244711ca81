package postgres_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"uaol/providers/postgres"
	"uaol/providers/postgres/pgtest"
)

// loopback is an address that nobody else uses: the tests' PostgreSQL has but one port.
func loopback(t *testing.T, test byte) net.IP {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs addresses of its own, which 127.0.0.0/8 has on Linux only")
	}
	return net.IPv4(127, test, byte(os.Getpid()>>8), byte(os.Getpid()%254+1))
}

// certificate makes an authority and, signed by it, a server's for that address.
func certificate(t *testing.T, ip net.IP) (authority, server, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{ip}}
	encode := func(kind string, der []byte, err error) string {
		require.NoError(t, err)
		var text bytes.Buffer
		require.NoError(t, pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}))
		return text.String()
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, secret.Public(), secret)
	authority = encode("CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, root, secret.Public(), secret)
	server = encode("CERTIFICATE", der, err)
	der, err = x509.MarshalECPrivateKey(secret)
	return authority, server, encode("EC PRIVATE KEY", der, err)
}

// TestModesOfTLS: every sslmode of libpq's, against a PostgreSQL that only speaks TLS,
// with a certificate of the authority that one trusts, or of another, or of another host.
func TestModesOfTLS(t *testing.T) {
	t.Parallel()
	address := loopback(t, 77)
	server := pgtest.Start(t, map[string]string{"listen_addresses": address.String()})
	dir := t.TempDir()
	authority, own, key := certificate(t, address)
	others, foreign, foreignKey := certificate(t, net.IPv4(127, 0, 0, 9))
	for name, text := range map[string]string{"ours.pem": authority, "others.pem": others} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	server.Rules("hostssl all all 127.0.0.0/8 trust")
	serve := func(certificate, key string) {
		server.Write("server.crt", certificate)
		server.Write("server.key", key)
		server.Do("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
	}
	try := func(mode, root string) error {
		url := fmt.Sprintf("postgres://postgres@%s:5432/postgres?sslmode=%s&connect_timeout=5", address, mode)
		if root != "" {
			url += "&sslrootcert=" + filepath.Join(dir, root)
		}
		cfg, err := pgxpool.ParseConfig(url)
		require.NoError(t, err)
		postgres.Equip(cfg)
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		require.NoError(t, err)
		defer pool.Close()
		return pool.Ping(t.Context())
	}
	serve(own, key)
	require.Eventually(t, func() bool { return try("require", "") == nil }, 20*time.Second, 10*time.Millisecond)
	for _, c := range []struct{ mode, root, fault string }{
		{"disable", "", "no pg_hba.conf entry"},
		{"allow", "", ""}, {"prefer", "", ""}, {"require", "", ""},
		{"require", "ours.pem", ""}, {"require", "others.pem", "certificate"}, // as libpq has it
		{"verify-ca", "ours.pem", ""}, {"verify-ca", "others.pem", "certificate"},
		{"verify-full", "ours.pem", ""}, {"verify-full", "others.pem", "certificate"}, {"verify-full", "", "certificate"},
	} {
		err := try(c.mode, c.root)
		if c.fault == "" {
			require.NoError(t, err, c)
		} else {
			require.ErrorContains(t, err, c.fault, c)
		}
	}
	serve(foreign, foreignKey)
	require.Eventually(t, func() bool { return try("verify-ca", "others.pem") == nil }, 20*time.Second, 10*time.Millisecond)
	require.ErrorContains(t, try("verify-full", "others.pem"), "certificate is valid for 127.0.0.9")
}
