package toolsearch

import (
	"math"
	"sync"
)

// Method is one that may be looked for.
type Method struct {
	Names           []string // what it is called: by its tool first, and where it is shown
	Title           string
	Description     string
	Tool            string // its tool's name
	ToolDescription string
	Schema          []byte // of its arguments, as JSON
}

// Hit is a method that was found.
type Hit struct {
	Index int // among the methods of the index
	Score float64
}

// Index finds methods. It is not changed once it is made, and may be asked by many at
// once.
type Index struct {
	methods  int
	terms    map[string]int32   // by stem
	stems    []string           // by term
	families map[string][]int32 // terms by how they begin
	postings [][]posting        // by term
	rareness []float64          // by term
	named    map[string][]int32 // methods by all words of a name
	intents  []intent           // by method
	toolOf   []int32            // by method
	ofTool   [][]int32          // methods by tool
	called   map[string][]share // tools by a word of their names
	scratch  sync.Pool
}

// posting is what a method has of a term.
type posting struct {
	method int32
	gain   float32 // how much it is about that
	name   float32 // how much of its name that is
}

// share is how much of a tool's name a word is.
type share struct {
	tool int32
	part float64
}

// rare is how much a word tells that so many of all methods have.
func rare(all, having float64) float64 { return math.Log(1 + (all-having+0.5)/(having+0.5)) }

// field is where a word stands.
type field uint8

const (
	inName field = iota
	inTitle
	inSummary // the first sentence of the description
	inDescription
	inArguments // names of arguments
	inSchema    // what else is said of them
	inToolDescription
	fields
)

// weights are how much a word counts that stands there, and lengths how much less where
// there are more others beside it (BM25F; Robertson, Zaragoza and Taylor, 2004).
// docs/architecture.md says where these numbers come from.
var (
	weights = [fields]float64{inName: 1.4, inTitle: 2, inSummary: 2.8, inDescription: 0.6, inArguments: 0.5, inSchema: 0.4, inToolDescription: 0.2}
	lengths = [fields]float64{inName: 0.75, inTitle: 0.75, inSummary: 0.95, inDescription: 0.95, inArguments: 0.95, inSchema: 0.95, inToolDescription: 0.95}
)

const (
	saturation = 1.8  // how soon more of a word counts no more (BM25's k1)
	akin       = 0.65 // what counts a word that people use for the one that was asked
	related    = 0.6  // what counts a word of its family
	part       = 0.5  // what counts a part of a word that is not known whole
	covering   = 0.5  // how much more a method scores whose whole name was asked for
	against    = 0.4  // what a method that does something scores where somebody asks something, and the other way round
	meant      = 0.6  // how much of its name has to be said for a tool to be meant
	elsewhere  = 0.05 // what the methods of other tools score then
)

// Bounds of a method and of a query.
const (
	longestText = 32 << 10 // bytes of a text
	longestName = 4 << 10  // bytes of a name
	mostWords   = 600      // of a text, and of a schema
	mostAsked   = 64       // words of a query
)
