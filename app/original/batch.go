package original

// batch gathers what is written together: so many, or so many bytes of it.
type batch[T any] struct {
	most  int
	bytes int
	held  []T
	write func([]T) error
}

func newBatch[T any](most int, write func([]T) error) *batch[T] {
	return &batch[T]{most: most, write: write}
}

func (b *batch[T]) add(one T, bytes int) error {
	b.held, b.bytes = append(b.held, one), b.bytes+bytes
	if len(b.held) < b.most && b.bytes < batchBytes {
		return nil
	}
	return b.flush()
}

func (b *batch[T]) flush() error {
	if len(b.held) == 0 {
		return nil
	}
	err := b.write(b.held)
	clear(b.held) // large texts go
	b.held, b.bytes = b.held[:0], 0
	return err
}
