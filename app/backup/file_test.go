package backup

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/providers/config"
	"uaol/services"
)

// written is a small file, made by f.
func written(t testing.TB, h Header, f func(w *writer)) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := newWriter(&file, password, h)
	require.NoError(t, err)
	f(w)
	_, err = w.close()
	require.NoError(t, err)
	return file.Bytes()
}

func rows(text string) func(io.Writer) (End, error) {
	return func(to io.Writer) (End, error) {
		_, err := io.WriteString(to, text)
		return End{Rows: int64(strings.Count(text, "\n"))}, err
	}
}

func verifyFile(file []byte, word string) (Manifest, error) {
	r, err := NewReader(bytes.NewReader(file), word)
	if err != nil {
		return Manifest{}, err
	}
	defer r.Close()
	return Verify(r)
}

// TestDamage: no byte can be changed, left out or added unnoticed, and a wrong passphrase
// is called that.
func TestDamage(t *testing.T) {
	t.Parallel()
	file := written(t, Header{Version: "1"}, func(w *writer) {
		_, err := w.part(Part{Table: "uaol_x.y"}, rows(strings.Repeat("one\n", 50_000)))
		require.NoError(t, err)
	})
	m, err := verifyFile(file, password)
	require.NoError(t, err)
	require.EqualValues(t, 50_000, m.Rows())
	_, err = verifyFile(file, password+"!")
	require.ErrorIs(t, err, ErrPassphrase)
	_, err = verifyFile(nil, password)
	require.ErrorContains(t, err, "not a backup")
	_, err = verifyFile([]byte(strings.Repeat("x", 1000)), password)
	require.ErrorContains(t, err, "not a backup")
	for _, n := range []int{len(magic) + 10, len(magic) + saltSize + checkSize, len(file) / 2, len(file) - 1} {
		_, err := verifyFile(file[:n], password)
		require.Error(t, err, "cut to %d", n)
	}
	start := len(magic) + saltSize + checkSize
	for _, at := range []int{start, start + 4, start + 20, (start + len(file)) / 2, len(file) - 1} {
		changed := bytes.Clone(file)
		changed[at] ^= 1
		_, err := verifyFile(changed, password)
		require.ErrorIs(t, err, ErrDamaged, "byte %d", at)
	}
	_, err = verifyFile(append(bytes.Clone(file), 0), password)
	require.ErrorIs(t, err, ErrDamaged, "more")
}

// plain reads frames that are neither packed nor encrypted.
func plain(frames []byte) (*Reader, error) {
	r := &Reader{frames: frameReader{from: bufio.NewReader(bytes.NewReader(frames))}, seen: newAccount(), closed: func() {}}
	return r, r.frames.take(header, &r.Header)
}

func frame(kind byte, text string) string {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(text)))
	return string(kind) + string(size[:]) + text
}

const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of it

// TestHostileFrames: what somebody writes who has the passphrase is refused all the same
// unless it is a backup.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	head := frame(header, `{"version":"1"}`)
	last := frame(manifest, `{"tables":{},"digest":"`+nothing+`"}`)
	table := func(rows int, text string) string {
		return frame(begin, `{"table":"a.b"}`) + text + frame(end, fmt.Sprintf(`{"bytes":0,"sha256":"%s","rows":%d}`, nothing, rows))
	}
	listed := func(rows int) string {
		return frame(manifest, fmt.Sprintf(`{"tables":{"a.b":{"bytes":0,"sha256":"%[1]s","rows":%[2]d}},"digest":"%[1]s"}`, nothing, rows))
	}
	for _, good := range []string{head + last, head + table(0, "") + listed(0)} {
		r, err := plain([]byte(good))
		require.NoError(t, err)
		_, err = Verify(r)
		require.NoError(t, err)
	}
	for name, frames := range map[string]string{
		"nothing":                  "",
		"no header":                last,
		"header again":             head + head,
		"no manifest":              head,
		"a huge frame":             head + "D\xff\xff\xff\xff",
		"a cut frame":              head + "P\x00\x00\x00\x09{",
		"data outside":             head + frame(data, "x") + last,
		"an end outside":           head + frame(end, "{}") + last,
		"no JSON":                  head + frame(begin, "x") + last,
		"of nothing":               head + frame(begin, "{}") + last,
		"both":                     head + frame(begin, `{"table":"a","content":"`+uuid.NewString()+`"}`) + last,
		"another sum":              head + table(0, frame(data, "x")) + listed(0),
		"rows that are not":        head + table(1, "") + listed(1),
		"not in the manifest":      head + table(0, "") + last,
		"twice":                    head + table(0, "") + table(0, "") + last,
		"a manifest inside":        head + frame(begin, `{"table":"a.b"}`) + last,
		"more after it":            head + last + "x",
		"a manifest that has more": head + frame(manifest, `{"tables":{"a.b":{"bytes":0,"sha256":"","rows":1}},"digest":"`+nothing+`"}`),
		"contents that are not":    head + frame(manifest, `{"tables":{},"contents":1,"digest":"`+nothing+`"}`),
	} {
		r, err := plain([]byte(frames))
		if err == nil {
			_, err = Verify(r)
		}
		require.ErrorIs(t, err, ErrDamaged, name)
		require.LessOrEqual(t, len(r.frames.buffer), frameMost, name)
	}
}

// TestHostileNames: a file's names are looked for among the tables there are, and contents
// are named by ids alone; nothing of it becomes a path or SQL.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	to := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	for name, p := range map[string]Part{
		"another schema": {Table: "pg_catalog.pg_authid", Columns: []string{"rolname"}},
		"SQL":            {Table: `uaol_auth.accounts"; DROP SCHEMA uaol_auth CASCADE; --`},
		"of one's own":   {Table: "uaol_auth.schema_migrations", Columns: []string{"version"}},
		"a column":       {Table: "uaol_auth.outbox", Columns: []string{"event_id) FROM PROGRAM 'id' --"}},
		"no such row":    {Content: uuid.New(), SHA256: nothing},
	} {
		_, err := to.restore(t, written(t, Header{Schemas: schemasHere(t, to)}, func(w *writer) {
			_, err := w.part(p, rows(""))
			require.NoError(t, err)
		}))
		if p.Table == "" {
			require.True(t, services.Is(err, services.NotFound), "%s: %v", name, err)
		} else {
			require.ErrorIs(t, err, ErrDamaged, name) // said by us, and not by the database
		}
	}
	entries, err := os.ReadDir(filepath.Join(to.dir, "files"))
	require.True(t, err != nil || len(entries) == 0)
	_, err = filled(t.Context(), to.pool)
	require.NoError(t, err, "the tables are there")
	path := frame(header, `{}`) + frame(begin, `{"content":"../../etc/passwd"}`)
	r, err := plain([]byte(path))
	require.NoError(t, err)
	_, err = Verify(r)
	require.ErrorIs(t, err, ErrDamaged)
}

func schemasHere(t testing.TB, s *site) map[string]uint {
	t.Helper()
	versions, err := schemasOf(t.Context(), s.pool)
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	return versions
}

func TestNewerBackup(t *testing.T) {
	t.Parallel()
	to := newSite(t, map[string]string{"ENCRYPTION_SECRET": first})
	for _, schemas := range []map[string]uint{{"uaol_jobs": 1_000}, {"uaol_unheard_of": 1}} {
		_, err := to.restore(t, written(t, Header{Version: "99", Schemas: schemas}, func(*writer) {}))
		require.ErrorContains(t, err, "the backup was made by uaol 99, which is newer (uaol_")
		require.ErrorContains(t, err, "restore it with that release or a later one")
	}
}

// TestSecrets: what is restored can be opened, or nothing is restored.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const third = "m3Kd8Vt1Qx6Zb0Hs5Yc9Rf2Wg7Ja4LnP"
	all := map[string]string{"ENCRYPTION_SECRET": first, "JWT_SECRET": second, "UAOL_SERVICE_SECRET": third}
	salted := map[string]string{"ENCRYPTION_SECRET": first, "ENCRYPTION_SALT": "salt"}
	for name, test := range map[string]struct {
		of      map[string]string
		without bool
		here    map[string]string
		want    string // of an error, "" for none
		kept    map[string]string
	}{
		"an empty directory":            {of: all, kept: map[string]string{"encryption": first, "jwt": second}},
		"all set":                       {of: all, here: map[string]string{"ENCRYPTION_SECRET": first, "JWT_SECRET": second}},
		"replaced since":                {of: all, here: map[string]string{"ENCRYPTION_SECRET": third, "ENCRYPTION_SECRET_PREVIOUS": first, "JWT_SECRET": second}},
		"another one":                   {of: all, here: map[string]string{"ENCRYPTION_SECRET": third}, want: "ENCRYPTION_SECRET is not set here to what the backup was made with; `uaol backup secrets FILE` prints what to set"},
		"production":                    {of: all, here: map[string]string{"UAOL_ENV": "production", "ENCRYPTION_SECRET": first}, want: "JWT_SECRET is not set here"},
		"a salt":                        {of: salted, want: "ENCRYPTION_SALT is not set here"},
		"a salt that is set":            {of: salted, here: map[string]string{"ENCRYPTION_SALT": "salt"}, kept: map[string]string{"encryption": first}},
		"one of several":                {of: map[string]string{"UAOL_LEDGER_SECRET": first}, here: map[string]string{"UAOL_LEDGER_SECRET": second, "UAOL_LEDGER_SECRET_PREVIOUS": third + "," + first}},
		"without secrets":               {of: all, without: true, want: "the backup was made without secrets: set it as it was there"},
		"without secrets, but they are": {of: all, without: true, here: map[string]string{"ENCRYPTION_SECRET": first, "JWT_SECRET": second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			set := map[string]string{"UAOL_DATA_DIR": dir}
			for name, value := range test.here {
				set[name] = value
			}
			h := Header{Fingerprints: fingerprints(test.of), Secrets: test.of}
			if test.without {
				h.Secrets = nil
			}
			err := settle(config.Of(set), h)
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
				require.NoDirExists(t, filepath.Join(dir, "secrets"), "nothing half")
				for _, secret := range test.of {
					require.NotContains(t, err.Error(), secret)
				}
			}
			for name, value := range test.kept {
				require.Equal(t, value, string(load(t, filepath.Join(dir, "secrets", name))))
			}
			if test.want != "" || test.kept == nil {
				return
			}
			other := Header{Fingerprints: fingerprints(map[string]string{"ENCRYPTION_SECRET": third}), Secrets: map[string]string{"ENCRYPTION_SECRET": third}}
			require.ErrorContains(t, settle(config.Of(set), other), filepath.Join(dir, "secrets", "encryption")+" is another secret than the backup's")
		})
	}
}

// TestEnvFile is read back as it was.
func TestEnvFile(t *testing.T) {
	t.Parallel()
	want := map[string]string{"ENCRYPTION_SECRET": `it's "quoted" $HOME \n # no`, "JWT_SECRET": `plain "$HOME" \ # no`}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(Header{Secrets: want}.EnvFile()), 0o600))
	env, err := config.ReadFrom(nil, dir)
	require.NoError(t, err)
	for name, value := range want {
		got, _ := env.Lookup(name)
		require.Equal(t, value, got)
	}
}

func FuzzFrames(f *testing.F) {
	head := frame(header, `{"version":"1"}`)
	f.Add([]byte(head + frame(begin, `{"table":"a.b"}`) + frame(data, "x\n") + frame(end, `{"bytes":2,"rows":1}`) + frame(manifest, `{}`)))
	f.Add([]byte(head + frame(manifest, `{"tables":{},"digest":"`+nothing+`"}`)))
	f.Fuzz(func(t *testing.T, frames []byte) {
		r, err := plain(frames)
		if err != nil {
			return
		}
		var rows, contents int64
		m, err := r.Each(func(p Part, from io.Reader) error {
			text, err := io.ReadAll(from)
			if p.Table != "" {
				rows += int64(bytes.Count(text, []byte{'\n'}))
			} else if err == nil {
				contents++
			}
			return nil
		})
		if len(r.frames.buffer) > frameMost || len(r.seen.Tables) > tablesMost {
			t.Fatal("it takes more memory than it may")
		}
		if err == nil && (m.Rows() != rows || m.Contents != contents) {
			t.Fatalf("%d rows and %d contents are called %d and %d", rows, contents, m.Rows(), m.Contents)
		}
	})
}
