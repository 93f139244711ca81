// Package backup writes all that a deployment keeps into one file, while it works, and
// makes a deployment of such a file.
//
// A file is, from the outside in: a preamble with the salt of the passphrase's key, DARE
// 2.0 (github.com/minio/sio), zstd, and frames (frames.go): a Header, the tables of one
// snapshot as COPY writes them, the contents of the files that these tables name, and a
// Manifest that counts all that. Nothing of it has to be in memory as a whole, neither
// when it is written nor when it is read.
package backup
