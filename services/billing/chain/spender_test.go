package chain

import (
	"reflect"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestSpenderIDCoversEverything: a spender with any part changed has another id.
func TestSpenderIDCoversEverything(t *testing.T) {
	t.Parallel()
	for _, s := range []Spender{{}, NewSpender(uuid.New(), uuid.New(), uuid.New()), NewSpender(uuid.New(), uuid.New(), uuid.Nil)} {
		seen := map[uuid.UUID]string{s.ID(): "itself"}
		for i := range reflect.TypeFor[Spender]().NumField() {
			changed, name := s, reflect.TypeFor[Spender]().Field(i).Name
			other(t, reflect.ValueOf(&changed).Elem().Field(i))
			require.Empty(t, seen[changed.ID()], name)
			require.Error(t, changed.Check(s.ID()), name)
			seen[changed.ID()] = name
		}
	}
}

// TestSpenderID is a UUID of version 8, and what it was: sealed entries have it.
func TestSpenderID(t *testing.T) {
	t.Parallel()
	s := Spender{Organization: uuid.UUID{1}, Account: uuid.UUID{2}, Key: uuid.UUID{3}, Salt: make(Bytes, saltSize)}
	require.Equal(t, "be4118be-bc0e-8374-9cb8-fc7d6c54c8bb", s.ID().String())
	s.Key = uuid.Nil
	require.Equal(t, "1702553d-14ce-8e4c-a369-a5c757e5b713", s.ID().String())
	require.NoError(t, s.Check(s.ID()))
	short := s
	short.Salt = s.Salt[1:]
	require.Error(t, short.Check(short.ID()), "too little salt to keep it from being guessed")
	for range 100 {
		id := NewSpender(s.Organization, s.Account, s.Key).ID()
		require.Equal(t, uuid.Version(8), id.Version())
		require.Equal(t, uuid.RFC4122, id.Variant())
		require.False(t, Uncommitted(id))
		require.NotEqual(t, s.ID(), id, "a salt of its own")
	}
	require.True(t, Uncommitted(uuid.New()))
}
