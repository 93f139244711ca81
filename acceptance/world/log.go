package world

import (
	"bytes"
	"sync"

	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Log is what a World's processes logged, as the lines that they would write.
type Log struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

// Write implements io.Writer for the processes' loggers.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

// keep lets a process log here instead of to standard error.
func (l *Log) keep(level string) fx.Option {
	least, err := zapcore.ParseLevel(level)
	if level == "" || err != nil {
		return fx.Options()
	}
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	return fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(l), least)) })
}
