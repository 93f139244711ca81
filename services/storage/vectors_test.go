package storage

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/services"
	"uaol/services/storage/library"
)

// senses is a model small enough to be seen through: words of one sense have one
// direction, all others one of their own.
type senses struct {
	mu    sync.Mutex
	model string
	err   error
	texts int // that were asked for
}

var sameSense = map[string]string{"vacation": "leave", "holiday": "leave", "holidays": "leave", "plane": "flights", "fly": "flights", "boss": "manager"}

func (m *senses) Model() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model
}

func (m *senses) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *senses) Embed(_ context.Context, texts []string) ([][]float32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	for _, text := range texts {
		if strings.Contains(text, "number 13 says") && strings.Contains(m.model, "strict") {
			return nil, services.Errorf(services.Invalid, "this is not for me")
		}
	}
	m.texts += len(texts)
	all := make([][]float32, len(texts))
	for i, text := range texts {
		all[i] = make([]float32, 64)
		for _, word := range strings.FieldsFunc(strings.ToLower(text+" "+m.model), func(r rune) bool { return r < 'a' || r > 'z' }) {
			if same, ok := sameSense[word]; ok {
				word = same
			}
			h := fnv.New32a()
			_, _ = h.Write([]byte(word))
			all[i][h.Sum32()%64] += 1 / float32(1+len(texts[i])/200)
		}
	}
	return all, nil
}

// embeds starts an embedder with a model, which searches use too.
func (b *bench) embeds(t testing.TB, m library.Vectors) (stop func()) {
	t.Helper()
	repository := library.NewRepository(b.pool)
	b.library = library.NewService(repository, b.service, m, b.service.bell, zap.NewNop())
	embedder := library.NewEmbedder(repository, m, b.service.bell, zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = embedder.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func (b *bench) search(t testing.TB, caller services.Caller, query string) []library.Passage {
	t.Helper()
	found, err := b.library.Search(t.Context(), caller, library.Question{Query: query, Limit: 3})
	require.NoError(t, err)
	return found
}

func (b *bench) embedded(t testing.TB, model string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_storage.documents WHERE status = 'read' AND model <> $1`, model) == 0
	}, 3*time.Minute, 5*time.Millisecond)
}

// TestMeaning: what shares no word with a question is found by its meaning, beside what
// does; when the model changes all vectors are made anew, and while it is out of reach
// words still find.
func TestMeaning(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	b.reads(t)
	book, _ := b.read(t, ada, "handbook.md", handbook+lengthy(80))
	require.Empty(t, b.search(t, ada, "vacation"), "without a model there are words alone")
	m := &senses{model: "one"}
	stop := b.embeds(t, m)
	b.embedded(t, "one")
	found := b.search(t, ada, "vacation")
	require.NotEmpty(t, found)
	require.Equal(t, []string{"Handbook", "Holidays"}, found[0].Heading)
	found = b.search(t, ada, "may I fly without asking my boss")
	require.Equal(t, []string{"Handbook", "Travel"}, found[0].Heading)
	d, err := b.library.Get(t.Context(), ada, book.ID)
	require.NoError(t, err)
	require.True(t, d.Vectors)

	bob := user()
	require.Empty(t, b.search(t, bob, "vacation"), "nobody else's")
	b.read(t, bob, "bobs.md", strings.ReplaceAll(lengthy(150), "Filler", "Vacation")) // nearer, and more than are ranked
	b.embedded(t, "one")
	require.Equal(t, []string{"Handbook", "Holidays"}, b.search(t, ada, "vacation")[0].Heading)
	m.set(func() { m.err = errors.New("out of reach") })
	require.Equal(t, []string{"Handbook", "Holidays"}, b.search(t, ada, "paid leave")[0].Heading)
	require.Empty(t, b.search(t, ada, "vacation"))

	stop()
	other := &senses{model: "two", err: errors.New("not yet")}
	b.embeds(t, other)
	require.Eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_storage.documents WHERE model <> 'one'`) == 2
	}, time.Minute, 5*time.Millisecond)
	other.set(func() { other.err = nil })
	require.Empty(t, b.search(t, ada, "vacation"), "vectors of another model are not compared")
	b.exec(t, `UPDATE uaol_storage.documents SET lease_until = now()`) // its embedder had given up
	b.service.bell.Ring()
	b.embedded(t, "two")
	require.Equal(t, []string{"Handbook", "Holidays"}, b.search(t, ada, "vacation")[0].Heading)
	require.EqualValues(t, b.number(t, `SELECT count(*) FROM uaol_storage.passages`), b.number(t, `SELECT count(*) FROM uaol_storage.passages WHERE cardinality(vector) = 64`))

	// A document that is read anew gets new vectors.
	require.Equal(t, 200, b.do(t, ada, "POST", "/documents/"+book.ID.String()+"/read", "").Status)
	require.Eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM uaol_storage.documents WHERE status = 'read' AND model = 'two'`) == 2
	}, time.Minute, 5*time.Millisecond)
	require.Equal(t, []string{"Handbook", "Holidays"}, b.search(t, ada, "vacation")[0].Heading)
}

// TestVectorsOnce: several embedders share the work, and none does another's.
func TestVectorsOnce(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	b.reads(t)
	for _, name := range []string{"a.md", "b.md", "c.md", "d.md", "e.md", "f.md"} {
		b.read(t, ada, name, lengthy(20)+name)
	}
	m := &senses{model: "one"}
	for range 4 {
		b.embeds(t, m)
	}
	b.embedded(t, "one")
	m.set(func() {})
	require.EqualValues(t, b.number(t, `SELECT count(*) FROM uaol_storage.passages`), m.texts)
}

// TestRefusedPassage: one that the model refuses is left to its words, and costs the others
// nothing; what was made before the model was out of reach is not made again.
func TestRefusedPassage(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	b.reads(t)
	f, _ := b.read(t, ada, "a.md", lengthy(200))
	m := &senses{model: "strict"}
	b.embeds(t, m)
	b.embedded(t, "strict")
	all := b.number(t, `SELECT count(*) FROM uaol_storage.passages`)
	require.EqualValues(t, all-1, b.number(t, `SELECT count(*) FROM uaol_storage.passages WHERE vector IS NOT NULL`))
	m.set(func() { require.EqualValues(t, all-1, m.texts) })
	require.NotEmpty(t, b.search(t, ada, "filler sentence number 13"))

	// As a process leaves it that died half way.
	b.exec(t, `UPDATE uaol_storage.passages SET vector = NULL WHERE ordinal >= 150`)
	b.exec(t, `UPDATE uaol_storage.documents SET model = '' WHERE content_id = $1`, f.Content)
	b.service.bell.Ring()
	b.embedded(t, "strict")
	m.set(func() { require.EqualValues(t, all-1+1+all-150, m.texts, "the question is one of them") })
}

// TestConsultByMeaning: chat finds by meaning too.
func TestConsultByMeaning(t *testing.T) {
	t.Parallel()
	b, ada := setup(t), user()
	b.reads(t)
	b.embeds(t, &senses{model: "one"})
	f, _ := b.read(t, ada, "handbook.md", lengthy(80)+handbook)
	b.embedded(t, "one")
	got, err := b.library.Consult(t.Context(), library.ConsultRequest{Caller: ada, Files: []uuid.UUID{f.ID}, Question: "vacation", Bytes: 4000})
	require.NoError(t, err)
	text, err := json.Marshal(got.Passages)
	require.NoError(t, err)
	require.Contains(t, string(text), "thirty days of paid leave")
}
