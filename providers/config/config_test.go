package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes a directory with a .env file.
func write(t testing.TB, name, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	return dir
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	dir := write(t, ".env", "A=file\nB=file\nC=file\nEMPTY=\n")
	e, err := ReadFrom([]string{"A=real", "B=", "D=real", "=::=windows", "nothing"}, dir)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, ".env"), e.File)
	for name, want := range map[string]struct {
		value, source string
		set           bool
	}{
		"A": {"real", "environment", true}, "B": {"file", ".env", true}, "C": {"file", ".env", true},
		"D": {"real", "environment", true}, "EMPTY": {"", ".env", false}, "E": {"", "", false},
	} {
		value, set := e.Lookup(name)
		require.Equal(t, want.value, value, name)
		require.Equal(t, want.set, set, name)
		require.Equal(t, want.source, e.Source(name), name)
	}
	with := e.With(map[string]string{"A": "flag"})
	value, _ := with.Lookup("A")
	require.Equal(t, "flag", value)
	require.Equal(t, "command line", with.Source("A"))
	value, _ = e.Lookup("A")
	require.Equal(t, "real", value, "With makes a copy")
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := write(t, "other.env", "A=other\n")
	e, err := ReadFrom([]string{"UAOL_ENV_FILE=other.env"}, dir)
	require.NoError(t, err)
	value, _ := e.Lookup("A")
	require.Equal(t, "other", value)
	require.Equal(t, 1, e.Count())
	e, err = ReadFrom([]string{"UAOL_ENV_FILE=" + filepath.Join(dir, "other.env")}, "/")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "other.env"), e.File)

	e, err = ReadFrom(nil, dir)
	require.NoError(t, err, "./.env need not exist")
	require.Empty(t, e.File)
	_, err = ReadFrom([]string{"UAOL_ENV_FILE=missing.env"}, dir)
	require.ErrorContains(t, err, `UAOL_ENV_FILE holds "`+dir)
	require.ErrorContains(t, err, "want the path of an existing file")
	_, err = ReadFrom([]string{"UAOL_ENV_FILE=" + dir}, dir)
	require.ErrorContains(t, err, "UAOL_ENV_FILE")
}

func TestQuoting(t *testing.T) {
	t.Parallel()
	dir := write(t, ".env", strings.Join([]string{
		`PLAIN=a b`, `DOUBLE="a b # c"`, `SINGLE='a $PLAIN "b"'`, `COMMENT=a # b`, `export EXPORTED=x`, `# a comment`, ``,
		`HASH=a#b`, `NEWLINE="a\nb"`, `URL=postgres://u:p%40ss@h:5432/db?sslmode=disable`, `EQUALS=a=b=c`, `SPACED = x`, `WINDOWS=x` + "\r",
	}, "\n"))
	e, err := ReadFrom(nil, dir)
	require.NoError(t, err)
	for name, want := range map[string]string{
		"PLAIN": "a b", "DOUBLE": "a b # c", "SINGLE": `a $PLAIN "b"`, "COMMENT": "a", "EXPORTED": "x", "HASH": "a#b", "NEWLINE": "a\nb",
		"URL": "postgres://u:p%40ss@h:5432/db?sslmode=disable", "EQUALS": "a=b=c", "SPACED": "x", "WINDOWS": "x",
	} {
		got, _ := e.Lookup(name)
		require.Equal(t, want, got, name)
	}
}

const marker = "s3cretMARKER"

var sample = "# settings\nDATABASE_URL=\"postgres://u:" + marker + "@h/db\"\nexport JWT_SECRET='" + marker + marker + "'\r\nMULTI=\"a\n" + marker + "\nb\"\nX: " + marker + "\nLAST=${JWT_SECRET}" + marker

// TestCutInHalf cuts a file at every byte: it is read or refused in one line
// that says where, and never shows what stands there.
func TestCutInHalf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	refused := 0
	for i := range len(sample) + 1 {
		for _, text := range []string{sample[:i], sample[i:], sample[:i] + sample[min(i+1, len(sample)):]} {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := ReadFrom(nil, dir)
			if err != nil {
				refused++
				require.NotContains(t, err.Error(), "MARK")
				require.Contains(t, err.Error(), path)
				require.Regexp(t, `line \d+ is not NAME=value`, err.Error())
			}
		}
	}
	require.Positive(t, refused)
	require.NoError(t, os.WriteFile(path, []byte("A=1\n\nB=2\nno equals sign "+marker+"\nC=3\n"), 0o600))
	_, err := ReadFrom(nil, dir)
	require.ErrorContains(t, err, "line 4 ")
}

func FuzzEnvFile(f *testing.F) {
	f.Add([]byte(sample))
	for _, seed := range []string{"", "A", "A=", "=", "\"", "A=\"", "A='", "A=\"\\", "export ", "A=$", "A=${", "A=\"${A\"", "\xef\xbb\xbfA=1", "\x00", "A=1\\", "#", "A:", "export\n=", "\rA=1\rB=2"} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), ".env")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadFrom(nil, filepath.Dir(path))
		if err == nil {
			return
		}
		// All that may differ between two such errors is the line's number.
		var line int
		rest := strings.TrimPrefix(err.Error(), path+" cannot be read: line ")
		if _, scan := fmt.Sscanf(rest, "%d is not NAME=value", &line); scan != nil || line < 1 || line > strings.Count(string(text), "\n")+1 ||
			rest != fmt.Sprintf("%d is not NAME=value; mend it or name another file with UAOL_ENV_FILE", line) {
			t.Fatal(err)
		}
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	type nested struct {
		Inner int `env:"INNER" envDefault:"3" doc:"inner"`
	}
	type cfg struct {
		Process
		Nested nested
		Number int      `env:"NUMBER" want:"a whole number, for a test"`
		Secret int      `env:"SECRET" secret:"true"`
		On     bool     `env:"ON"`
		List   []string `env:"LIST"`
	}
	for name, test := range map[string]struct {
		set  map[string]string
		want string
	}{
		"good":         {map[string]string{"NUMBER": "7", "INNER": "8", "LIST": "a,b"}, ""},
		"empty":        {map[string]string{"NUMBER": "", "ON": ""}, ""},
		"number":       {map[string]string{"NUMBER": "many"}, `NUMBER holds "many"; want a whole number, for a test`},
		"default want": {map[string]string{"INNER": "x"}, `INNER holds "x"; want a whole number`},
		"bool":         {map[string]string{"ON": "perhaps"}, `ON holds "perhaps"; want true or false`},
		"secret":       {map[string]string{"SECRET": "hunter2"}, `SECRET holds a text of 7 characters; want a whole number`},
		"long":         {map[string]string{"NUMBER": strings.Repeat("x", 100)}, `NUMBER holds "` + strings.Repeat("x", 80) + `…"; want a whole number, for a test`},
		"lines":        {map[string]string{"NUMBER": "a\nb\x1b[0m"}, `NUMBER holds "a b [0m"; want a whole number, for a test`},
		"mode":         {map[string]string{"UAOL_ENV": "staging"}, `UAOL_ENV holds "staging"; want development or production`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse[cfg](Of(test.set))
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, test.want)
		})
	}
	all := Describe(cfg{})
	var names []string
	for _, s := range all {
		names = append(names, s.Variable)
	}
	require.Equal(t, []string{"INNER", "LIST", "NODE_ENV", "NUMBER", "ON", "SECRET", "UAOL_DATA_DIR", "UAOL_ENV", "UAOL_ENV_FILE"}, names)
	e := Of(map[string]string{"SECRET": "hunter2", "LIST": "postgres://u:hunter2@h/db"})
	for _, s := range all {
		require.NotContains(t, s.Shown(e), "hunter2")
	}
}

func TestProduction(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode, node string
		want       bool
	}{
		{"", "", false}, {"production", "", true}, {"Production", "", true}, {"", "production", true},
		{"development", "production", false}, {"", "staging", false}, {"test", "", false},
	} {
		require.Equal(t, test.want, Process{Mode: test.mode, NodeEnv: test.node}.Production(), "%+v", test)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"":                                     "",
		"banana":                               "banana",
		"postgres://user:hunter2@host:5432/db": "postgres://user:***@host:5432/db",
		"postgres://user@host/db":              "postgres://user@host/db",
		"http://host:3001":                     "http://host:3001",
		"http://a:1,http://b:2":                "http://a:1,http://b:2",
		"10.0.0.0/8,tools.example.com:8443":    "10.0.0.0/8,tools.example.com:8443",
		"postgres://user:hunter2@a:1,b:2/db?sslmode=require": "postgres://user:***@a:1,b:2/db?sslmode=require",
		"user:hunter2@host/db":                               "user:***@host/db",
		"/var/lib/uaol":                                      "/var/lib/uaol",
	} {
		require.Equal(t, want, Redact(value), value)
	}
	for _, value := range []string{
		"postgres://u:hunter2", "postgres://u:hunter2/db", "postgres://u:hunter2#x@h/db", "postgres://u:hunter2?x@h/db", "postgres://u:a@hunter2@h/db",
		"postgres://u:a/hunter2@h/db", "postgres://u:5432/hunter2@h/db", "postgres://u:a://hunter2@h/db", "postgres://h/db?password=hunter2",
		"postgres://h/db?password=hunter2;x", "postgres://h/db?a=%zz&password=hunter2", "postgres://h:5432/db?password=p@hunter2", "postgres://h/db?sslpassword=hunter2",
		"postgres://h/db?PASSWORD=hunter2", "postgres://h/db?x=1?password=hunter2", "host=h password=hunter2 dbname=d", "host=h password='x hunter2' dbname=d", "password = hunter2",
		"u:hunter2@h", "postgres:/u:hunter2@h/db", "postgres//u:hunter2@h/db", "postgres:u:hunter2@h", "postgres://u:p@h/db,postgres://u:hunter2@h/db",
		"postgres://h/db?pass%77ord=hunter2", "http://h:1,postgres://u:hunter2",
	} {
		require.NotContains(t, Redact(value), "hunter2", value)
	}
}

// TestRedactProperty: whatever stands around it, a password in a URL's place
// for passwords does not survive.
func TestRedactProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		junk := rapid.StringMatching(`[a-zA-Z0-9:/?#@%&=;,+ '"\\.-]{0,6}`)
		password := junk.Draw(t, "before") + marker + junk.Draw(t, "after")
		user := rapid.StringMatching(`[a-z]{0,4}`).Draw(t, "user")
		host := rapid.SampledFrom([]string{"h", "h:5432", "[::1]:5432", "a:1,b:2", ""}).Draw(t, "host")
		form := rapid.SampledFrom([]string{
			"postgres://%[1]s:%[2]s@%[3]s/db", "postgresql://%[1]s:%[2]s@%[3]s/db?sslmode=disable", "%[1]s:%[2]s@%[3]s", "postgres://%[1]s@%[3]s/db?password=%[2]s",
			"postgres://%[3]s/db?sslmode=disable&password=%[2]s&x=y", "banana://%[1]s:%[2]s@%[3]s", "host=%[3]s user=%[1]s password=%[2]s",
		}).Draw(t, "form")
		if form == "%[1]s:%[2]s@%[3]s" && user != "" && strings.HasPrefix(password, "//") {
			return // then the user is a scheme
		}
		value := fmt.Sprintf(form, user, password, host)
		if shown := Redact(value); strings.Contains(shown, marker) {
			t.Fatalf("%s is shown as %s", value, shown)
		}
	})
}

func FuzzRedact(f *testing.F) {
	f.Add("postgres://u:", "@h/db")
	f.Add("postgres://h/db?password=", "")
	f.Add("host=h password=", " dbname=x")
	f.Fuzz(func(t *testing.T, before, after string) {
		_ = Redact(before + marker + after) // it must not panic
		if strings.ContainsAny(before+after, "\x00") {
			return
		}
		value := "postgres://u:" + before + marker + after + "@h/db"
		if shown := Redact(value); strings.Contains(shown, marker) {
			t.Fatalf("%q is shown as %q", value, shown)
		}
	})
}

// TestAgain: the file is read anew, what the process was started with stays.
func TestAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) { require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600)) }
	write("A=1\nB=1\n")
	env, err := ReadFrom([]string{"B=real"}, dir)
	require.NoError(t, err)
	write("A=2\nB=2\n")
	again, err := env.Again()
	require.NoError(t, err)
	for variable, want := range map[string][2]string{"A": {"1", "2"}, "B": {"real", "real"}} {
		before, _ := env.Lookup(variable)
		after, _ := again.Lookup(variable)
		require.Equal(t, want, [2]string{before, after}, variable)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, ".env")))
	_, err = env.Again()
	require.Error(t, err)
}
