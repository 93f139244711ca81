package jobs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// newID makes a job's id: a UUID of version 8 that begins with one of sixteen
// shards, then the milliseconds since 1970, then chance. Within a shard ids grow
// with time, so that PostgreSQL's indexes are filled page after page (ids of
// chance alone cost it half of its speed); over the shards, sixteen ranges of
// CockroachDB take turns, where ids of the time alone would all go to the last.
func newID() uuid.UUID {
	var id uuid.UUID
	_, _ = rand.Read(id[6:]) // it does not fail
	binary.BigEndian.PutUint64(id[:8], uint64(id[8]>>4)<<60|uint64(time.Now().UnixMilli())<<12|uint64(binary.BigEndian.Uint16(id[6:8])&0xfff))
	return marked(id)
}

// derivedID makes an id of texts: the same of the same.
func derivedID(parts ...string) uuid.UUID {
	hash := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write([]byte(part))
	}
	var id uuid.UUID
	copy(id[:], hash.Sum(nil))
	return marked(id)
}

// marked sets the version, 8, and the variant of RFC 9562.
func marked(id uuid.UUID) uuid.UUID {
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
