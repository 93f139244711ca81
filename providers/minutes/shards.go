package minutes

import (
	"math/rand/v2"
	"sync"
)

// shards is how many rows one count of one minute may have.
const shards = 16

// Shards deals out numbers for the rows that a process writes. A row stays locked until
// the transaction that adds to it has reached the disk, and everybody counts in the
// minute that it is: without shards of their own all would wait for each other. A process
// begins at a number by chance, so that replicas seldom meet; statements that run at the
// same time get different ones; and one after the other the same, so that rows stay few.
// Those who meet all the same wait, and count right.
type Shards struct {
	first int

	mu    sync.Mutex
	users [shards]int
}

// NewShards makes a process's Shards, for one table or several.
func NewShards() *Shards { return &Shards{first: rand.N(shards)} }

// Take gives a number from 0 to 15, the next one that the fewest use. It has to be given
// back when what is written under it has been committed, or was not.
func (s *Shards) Take() int16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := s.first
	for i := range shards {
		if at := (s.first + i) % shards; s.users[at] < s.users[best] {
			best = at
		}
	}
	s.users[best]++
	return int16(best)
}

// Give takes a number back.
func (s *Shards) Give(shard int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[shard]--
}
