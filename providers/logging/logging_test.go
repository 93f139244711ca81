package logging

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"uaol/providers/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		format   string
		terminal bool
		json     bool
	}{
		{"json", true, true}, {"json", false, true}, {"", false, true}, {"", true, false},
		{"console", false, false}, {"pretty", false, false}, {"simple", false, false},
	} {
		var out bytes.Buffer
		cfg, err := config.Parse[Config](config.Of(map[string]string{"LOG_FORMAT": test.format}))
		require.NoError(t, err)
		log := newTo(cfg, zapcore.AddSync(&out), test.terminal).Named("part")
		log.Debug("hidden")
		log.Info("a line\nbreak", zap.String("field", "value"))
		require.NotContains(t, out.String(), "hidden")
		require.Equal(t, test.json, json.Valid(out.Bytes()), out.String())
		if !test.json {
			require.Contains(t, out.String(), "INFO  part  a line")
			continue
		}
		var line map[string]string
		require.NoError(t, json.Unmarshal(out.Bytes(), &line))
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$`, line["time"])
		delete(line, "time")
		require.Equal(t, map[string]string{"level": "info", "logger": "part", "message": "a line\nbreak", "field": "value"}, line)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set  map[string]string
		want string
	}{
		"level":  {map[string]string{"LOG_LEVEL": "loud"}, `LOG_LEVEL holds "loud"; want debug, info, warn or error`},
		"format": {map[string]string{"LOG_FORMAT": "xml"}, `LOG_FORMAT holds "xml"; want json or console`},
		"good":   {map[string]string{"LOG_LEVEL": "debug", "LOG_FORMAT": "console"}, ""},
	} {
		cfg, err := config.Parse[Config](config.Of(test.set))
		if test.want != "" {
			require.EqualError(t, err, test.want, name)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, zapcore.DebugLevel, cfg.Level)
	}
}
