package batch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestWhoComesAloneWaitsForNobody, and who comes while a batch is written is in
// the next one together with the others.
func TestWhoComesAloneWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		open := make(chan struct{})
		g := &Group[int, int]{Write: func(_ context.Context, batch []int) (map[int]int, error) {
			batches = append(batches, batch)
			<-open
			done := map[int]int{}
			for i, n := range batch {
				if n%2 == 1 {
					done[i] = 10 * n
				}
			}
			return done, nil
		}}
		var callers sync.WaitGroup
		for n := range 6 {
			callers.Go(func() {
				out, done, err := g.Do(context.Background(), n)
				if err != nil || done != (n%2 == 1) || done && out != 10*n {
					t.Errorf("%d: %d %t %v", n, out, done, err)
				}
			})
			synctest.Wait()
		}
		require.Equal(t, [][]int{{0}}, batches, "the first one did not wait")
		close(open)
		callers.Wait()
		require.Equal(t, [][]int{{0}, {1, 2, 3, 4, 5}}, batches)
		synctest.Wait()
		require.Zero(t, g.writing)
	})
}

// TestWhoLeavesEarlyIsInNoBatch; who leaves while one is written hears what came
// of it.
func TestWhoLeavesEarlyIsInNoBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		var written []string
		g := &Group[string, string]{Write: func(_ context.Context, batch []string) (map[int]string, error) {
			written = append(written, batch...)
			<-open
			return map[int]string{0: "done"}, nil
		}}
		ctx, leave := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() {
			out, done, err := g.Do(ctx, "under way")
			if err != nil || !done || out != "done" {
				t.Errorf("%q %t %v", out, done, err)
			}
		})
		synctest.Wait()
		callers.Go(func() {
			if _, _, err := g.Do(ctx, "waiting"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(open)
		callers.Wait()
		require.Equal(t, []string{"under way"}, written)
	})
}

func TestABatchHasAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		var sizes []int
		g := &Group[int, int]{Write: func(_ context.Context, batch []int) (map[int]int, error) {
			sizes = append(sizes, len(batch))
			<-open
			return nil, errors.New("no")
		}}
		var callers sync.WaitGroup
		for n := range 2*most + 11 {
			callers.Go(func() {
				if _, done, err := g.Do(context.Background(), n); done || err == nil {
					t.Error(done, err)
				}
			})
			synctest.Wait()
		}
		close(open)
		callers.Wait()
		require.Equal(t, []int{1, most, most, 10}, sizes)
	})
}

// TestSeveralWriters write a batch each at a time, and no more than they are.
func TestSeveralWriters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		var mu sync.Mutex
		now, most := 0, 0
		g := &Group[int, int]{Writers: 2, Write: func(_ context.Context, batch []int) (map[int]int, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-open
			mu.Lock()
			now--
			mu.Unlock()
			return map[int]int{0: batch[0]}, nil
		}}
		var callers sync.WaitGroup
		for n := range 5 {
			callers.Go(func() { _, _, _ = g.Do(context.Background(), n) })
			synctest.Wait()
		}
		require.Equal(t, 2, now)
		close(open)
		callers.Wait()
		synctest.Wait()
		require.Equal(t, 2, most)
		require.Zero(t, g.writing)
	})
}

// TestAnotherWriterIsWorthIt only for so many; the others wait for the first.
func TestAnotherWriterIsWorthIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		var mu sync.Mutex
		var sizes []int
		g := &Group[int, int]{Writers: 2, Worth: 3, Write: func(_ context.Context, batch []int) (map[int]int, error) {
			mu.Lock()
			sizes = append(sizes, len(batch))
			mu.Unlock()
			<-open
			done := map[int]int{}
			for i := range batch {
				done[i] = batch[i]
			}
			return done, nil
		}}
		var callers sync.WaitGroup
		come := func(n int) {
			for range n {
				callers.Go(func() {
					if _, done, err := g.Do(context.Background(), 1); !done || err != nil {
						t.Error(done, err)
					}
				})
				synctest.Wait()
			}
		}
		come(3)
		require.Equal(t, []int{1}, sizes, "two wait for the first")
		come(1)
		require.Equal(t, []int{1, 3}, sizes)
		come(2)
		close(open)
		callers.Wait()
		synctest.Wait()
		require.Equal(t, []int{1, 3, 2}, sizes)
		require.Zero(t, g.writing)
	})
}
