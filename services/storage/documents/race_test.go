//go:build race

package documents

// underRace: the race detector takes several times the memory.
const underRace = 8
