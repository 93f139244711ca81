// Package logging makes the process's logger: JSON for machines, a console
// form for people.
package logging

import (
	"os"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"uaol/providers/config"
)

// Config is how this process logs.
type Config struct {
	Level  zapcore.Level `env:"LOG_LEVEL" envDefault:"info" want:"debug, info, warn or error" doc:"least severe level that is logged: debug, info, warn or error"`
	Format string        `env:"LOG_FORMAT" want:"json or console" doc:"json or console; default: console on a terminal, else json"`
}

// Check refuses unknown formats.
func (c *Config) Check() error {
	switch c.Format {
	case "", "json", "console", "pretty", "simple": // the last two: the original's words
		return nil
	}
	return &config.Fault{Variable: "LOG_FORMAT", Value: c.Format, Want: "json or console"}
}

// Module provides *zap.Logger.
var Module = fx.Module("logging",
	config.For[Config](),
	fx.Provide(New),
)

// Quiet keeps the container's own events out of the log. They tell of the
// graph, which `uaol graph` shows better, and a logger made from our config
// would not be there yet when the config is what fails; main prints the error.
var Quiet = fx.WithLogger(func() fxevent.Logger { return fxevent.NopLogger })

// New makes the logger; it writes to standard error.
func New(cfg Config) *zap.Logger { return newTo(cfg, zapcore.Lock(os.Stderr), isTerminal(os.Stderr)) }

func newTo(cfg Config, out zapcore.WriteSyncer, terminal bool) *zap.Logger {
	ec := zap.NewProductionEncoderConfig()
	ec.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000Z07:00")
	ec.TimeKey, ec.MessageKey = "time", "message"
	encoder := zapcore.NewJSONEncoder(ec)
	if cfg.Format == "console" || cfg.Format == "pretty" || cfg.Format == "simple" || (cfg.Format == "" && terminal) {
		ec.EncodeLevel = zapcore.CapitalLevelEncoder
		ec.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		ec.EncodeCaller = nil
		ec.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(ec)
	}
	return zap.New(zapcore.NewCore(encoder, out, cfg.Level))
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Named gives a module's constructors a logger that carries its name.
func Named(name string) fx.Option {
	return fx.Decorate(func(log *zap.Logger) *zap.Logger { return log.Named(name) })
}
