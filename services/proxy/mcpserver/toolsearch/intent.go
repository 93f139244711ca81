package toolsearch

// intent is whether somebody wants to know something or to have something done, and
// which of the two a method is for, as far as words tell.
type intent int8

const (
	unclear intent = iota
	reads
	writes
)

var (
	asking  = set(`what which who whom whose where when why how is are am was were does did do has`)
	reading = set(`get list show find search read fetch view retrieve check describe query look see display count tell
		export download verify validate analyze inspect explain monitor explore lookup preview`)
	writing = set(`create add new make insert register delete remove erase clear update edit change modify set rename send post write publish
		unpublish move copy upload attach assign unassign archive unarchive enable disable start stop cancel close complete finish merge approve fork
		push commit reply answer invoke execute run rerun retry trigger import connect disconnect star patch put drop drag fill enter type press click
		forward reset transfer convert mark take bring keep save store turn switch refund pay bill invite schedule book remind reorder sort resize
		deploy redeploy restore rollback revert undo lock unlock protect unprotect block unblock pause resume snooze dismiss decline accept reject
		follow watch unwatch vote react rank record remember forget repeat replace fix repair correct install uninstall clone duplicate generate`)
)

// intentOf a method's name: its first verb says it. Of a query it is the first word that
// says something.
func intentOf(text string, name bool) (found intent) {
	n := 0
	eachWord(text, func(word string, parts []string) bool {
		if len(parts) == 0 || !name {
			parts = []string{word}
		}
		for _, word := range parts {
			switch {
			case !name && asking[word]:
				found = reads
			case reading[word]:
				found = reads
			case writing[word]:
				found = writes
			default:
				n++
				continue
			}
			return false
		}
		return n < 8
	})
	return found
}
