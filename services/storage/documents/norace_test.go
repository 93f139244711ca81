//go:build !race

package documents

const underRace = 1
