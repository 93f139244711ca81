package retrieval_test

import "strings"

// The function words of the four languages of the corpus. Only words without
// a topic of their own stand here: each one more would let a paraphrased
// question share a word with its passage unseen.
var stopWords = func() map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(fold(english + german + spanish + french)) {
		set[w] = true
	}
	return set
}()

const english = `
a an the and or nor but if then than so as that this these those there here
of in on at to from by for with without within into onto through during before
after above below between until while because since against about up down out
off over under per again once
i me my we us our you your he him his she her it its they them their
who whom whose which what when where why how
is are was were be been being am do does did have has had having
can could may might must shall should will would
not no any some all each every both other another such own same
many much more most few less least too very just only also
someone somebody something anyone everybody everyone nobody nothing
`

const german = `
der die das den dem des ein eine einen einem einer eines und oder aber wenn als
wie was wer wen wem wo wann warum welche welcher welches welchem welchen
ist sind war waren sein wird werden wurde hat haben hatte
kann können darf dürfen muss müssen soll sollen
ich du er sie es wir ihr man mich mir sich mein meine
im in am an auf aus bei bis durch für gegen nach mit ohne um unter über von vom
vor zu zum zur zwischen ab je nicht kein keine keinen nur auch noch schon sehr
viel viele so dass
`

const spanish = `
el la los las un una unos unas de del al en con por para sin que
qué cuál cuáles cuánto cuánta cuántos cuántas cuándo dónde cómo quién quiénes
se su sus le les lo me mi te tu es son está están ser fue ha han hay
no si ya más muy pero este esta ese desde hasta entre sobre
`

const french = `
le la les un une des de du au aux et ou où que qui quoi quel quelle quels
quelles combien quand comment pourquoi dans en sur sous par pour avec sans
ce cet cette ces se sa son ses il elle on nous vous ils elles je me mon ma mes
te est sont être été ont avoir ne pas plus si tout tous toute très aussi peut
peuvent chez depuis après avant entre dont donc mais qu
`
