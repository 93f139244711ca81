package tlsfiles

import "time"

// SetPace is how often a Pair looks at its files.
func (p *Pair) SetPace(every time.Duration) { p.every = every }
