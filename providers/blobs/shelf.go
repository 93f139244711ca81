package blobs

import (
	"errors"
	"sync"

	"uaol/services"
)

// Shelf is the stores of a process: the one that takes what is new, and all that may
// hold what is older.
type Shelf struct {
	mu      sync.RWMutex
	stores  map[string]Store
	current string
}

// NewShelf makes a Shelf of a store that takes what is new.
func NewShelf(name string, store Store) *Shelf {
	return &Shelf{stores: map[string]Store{name: store}, current: name}
}

// Add puts another store on the shelf.
func (s *Shelf) Add(name string, store Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stores[name] = store
}

// Choose lets a store take what is new from now on.
func (s *Shelf) Choose(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = name
}

// Current is the store that takes what is new.
func (s *Shelf) Current() (name string, store Store) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current, s.stores[s.current]
}

// Named gives a store; kind Unavailable when this process has none of that name.
func (s *Shelf) Named(name string) (Store, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if store, ok := s.stores[name]; ok {
		return store, nil
	}
	return nil, services.Errorf(services.Unavailable, "The file is kept in %s, which is not set up here; the operator must set it", name)
}

// Close closes all stores.
func (s *Shelf) Close() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, store := range s.stores {
		err = errors.Join(err, store.Close())
	}
	return err
}
