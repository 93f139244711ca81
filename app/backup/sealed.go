package backup

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/minio/sio"
	"golang.org/x/crypto/argon2"
)

const (
	magic     = "uaol backup 1\n"
	saltSize  = 32
	checkSize = 16 // of what tells a wrong passphrase from a damaged file

	// Argon2id as RFC 9106 recommends where memory is scarce. The file does not name
	// them: nobody can make us take more.
	passes  = 3
	memory  = 64 << 10 // KiB
	threads = 4

	window = 4 << 20 // bytes that zstd looks back, and a reader has to keep
)

// MinPassphrase is the fewest characters a passphrase may have: the file holds the
// secrets, and whoever has it may guess at leisure.
const MinPassphrase = 12

// ErrPassphrase says that a file was made with another passphrase.
var ErrPassphrase = errors.New("the passphrase is not the one that the backup was made with")

// ErrDamaged says that a file is not what was written.
var ErrDamaged = errors.New("the backup is damaged or cut short: take another copy of it")

func derive(passphrase string, salt []byte) (key, check []byte) {
	raw := argon2.IDKey([]byte(passphrase), salt, passes, memory, threads, 32+checkSize)
	return raw[:32], raw[32:]
}

func suite(key []byte) sio.Config {
	return sio.Config{MinVersion: sio.Version20, MaxVersion: sio.Version20, CipherSuites: []byte{sio.AES_256_GCM}, Key: key}
}

// seal gives a writer whose Close ends the file, but does not close it.
func seal(to io.Writer, passphrase string) (io.WriteCloser, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	key, check := derive(passphrase, salt)
	if _, err := to.Write(append(append([]byte(magic), salt...), check...)); err != nil {
		return nil, err
	}
	encrypted, err := sio.EncryptWriter(struct{ io.Writer }{to}, suite(key)) // it would close a file
	if err != nil {
		return nil, err
	}
	packed, err := zstd.NewWriter(encrypted, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	return &sealer{Encoder: packed, encrypted: encrypted}, nil
}

type sealer struct {
	*zstd.Encoder
	encrypted io.Closer
}

// Close implements io.Closer.
func (s *sealer) Close() error {
	if err := s.Encoder.Close(); err != nil {
		return err // without the end that would make a whole of it
	}
	return s.encrypted.Close()
}

// open gives what was sealed; close lets go of what reading it takes.
func open(from io.Reader, passphrase string) (plain io.Reader, closed func(), err error) {
	preamble := make([]byte, len(magic)+saltSize+checkSize)
	if _, err := io.ReadFull(from, preamble); err != nil || !bytes.HasPrefix(preamble, []byte(magic)) {
		return nil, nil, errors.New("this is not a backup of uaol's, or one of a form that is not known here")
	}
	key, check := derive(passphrase, preamble[len(magic):len(magic)+saltSize])
	if subtle.ConstantTimeCompare(check, preamble[len(magic)+saltSize:]) != 1 {
		return nil, nil, ErrPassphrase
	}
	decrypted, err := sio.DecryptReader(bufio.NewReaderSize(from, 128<<10), suite(key))
	if err != nil {
		return nil, nil, err
	}
	unpacked, err := zstd.NewReader(decrypted, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, nil, err
	}
	return unpacked, unpacked.Close, nil
}
