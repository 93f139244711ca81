//go:build race

package documents

// underRace: the race detector takes several times the memory and the time.
const underRace = 8
