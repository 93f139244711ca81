package toolsearch

import (
	"slices"
	"strings"
)

// Words that people use for each other when they ask for a method, for those that names
// of methods are made of. In a line each stands for each other.
const alike = `
create add new make insert register
delete remove erase discard clear rid
list show get find fetch read view retrieve see display query
update edit change modify set rename correct fix patch repair
send post write message
reply answer respond response
search find query look
run execute invoke start launch trigger evaluate
stop end cancel close abort
complete finish done finalize
move transfer
copy duplicate clone fork
upload attach
download export save
import load
verify check validate confirm test lint
log history activity audit trace
assign give
select choose switch
press hit click
fill enter type write input
watch follow subscribe
approve accept agree
decline reject
analyze inspect
issue ticket bug
task todo item card
comment note remark
user person people member colleague
client customer buyer
organization company
group team
folder directory
file document
document paper spec
picture image photo asset media
screenshot picture image
reaction emoji thumb like
email mail message
chat conversation thread discussion forum
row record entry
column field property
article entry post page
website site url link page
label tag category
invoice bill
payment charge money
product item
notification alert inbox
event meeting appointment
cost price
template form
version release
pipeline build job workflow
status state progress
permission access role share right
error failure problem fail break
code script
content text
detail info information about
place location city town
secret token password credential key
statistics stats count number total
option setting configuration preference
rule automatic
performance speed slow fast
size large big
environment stage staging
difference diff
reminder alarm
bulk batch multiple several
recent latest last
navigate open visit
whoami current account profile
schema structure
filter view
statistics metric insight analytics figure report
health status
relation association link connection dependency depend
time hour minute date
undo revert rollback restore reset
schedule cron calendar agenda
limit quota
web internet online
excel spreadsheet sheet workbook
crawl scrape extract
summary overview summarize
block ban
invite member
initiative goal objective
deployment deploy rollout
range cell
cycle iteration sprint
application app program
worklog timesheet hour work
section segment stretch
blob object file
payroll salary wage
oauth authorization login
dashboard overview
roadmap plan
stage phase milestone
bucket column
athlete runner rider
domain host hostname
firewall security
leave absence vacation holiday
child sub nested
override exception
order purchase
route path way direction
employee staff worker colleague
publish live online
unpublish offline hide
namespace group
engagement activity call
watcher follower subscriber
vote like
rotate renew refresh
favorite star bookmark
storage disk
quote offer estimate
ledger journal
checklist list tick
aged overdue
alert warning
argument parameter
artifact output file
autocomplete suggest
blame author
chart graph diagram
clean tidy
club group
component part
connect link join
convert transform
coupon discount voucher
criteria requirement
debug diagnose
dialog popup
disconnect unlink
discover explore find
dispute chargeback
distance far
effort attempt try
elevation height altitude
emulate simulate
enable activate
feedback opinion complaint
flaky unstable
forecast prediction weather
geocode coordinate latitude longitude
gzip compress zip
install setup
instruction guide help manual
monitor observe
network traffic
observation fact
optimize improve
pause suspend
policy rule
priority urgent important
profit earn revenue income
protect lock
rank sort reorder
receivable owed
refund reimburse
research study
resume continue
screencast recording video
snooze postpone reschedule
spending expense spend cost
tab window page
tax vat
transition status
tree hierarchy
uptime availability
`

// People say the word on the left of anything: it is asked with these.
const everyday = `
arrange: create schedule
ask: search query request
belong: list member
book: create schedule log
bring: move add merge
collect: list get
compare: diff
contain: list
cut: remove
decide: resolve
explain: describe get
forget: delete
happen: log history event activity
hide: archive unpublish
hold: pause
include: add
know: get
mark: set update
measure: statistics metric
name: rename
offer: create quote
organize: move sort
pick: select
place: add location
plan: create schedule
prepare: create draft
prove: verify
put: add upload move set update
react: reaction
receive: list get
record: log create
refuse: reject decline
remember: create add save
remind: reminder
repeat: run
replace: update
sell: order
sign: login auth
store: save create set
submit: create post
talk: message comment
throw: delete
track: log
travel: direction distance
warn: alert
work: member assign task
take: remove get
give: assign add list get
tell: get list
say: add comment
keep: save create store
look: get read search
show: list get
open: get read
who: user member list permission
whom: user member
everybody: user member list
somebody: user member
what: get list
which: list get
where: search find location
when: date time
why: log error analyze
many: count number stats
much: total amount
am: get current account auth
today: date
yesterday: date
tomorrow: date
week: date
month: date
year: date
make: create
see: view read get
near: local nearby
away: remove archive
off: remove
under: comment
below: comment
owe: payable debt due
`

// Short forms, as people write them.
const shortened = `
pr: pull request
mr: merge request
repo: repository
db: database
org: organization
doc: document
docs: document
config: configuration
env: environment variable
auth: authorization authentication login
login: auth
logged: auth login
`

// Irregular verbs have forms that no stemmer brings together.
const irregular = `
wrote: write
written: write
made: make
sent: send
gave: give
given: give
took: take
taken: take
found: find
got: get
ran: run
kept: keep
said: say
saw: see
seen: see
built: build
paid: pay
spent: spend
bought: buy
chose: choose
chosen: choose
broke: break
broken: break
began: begin
begun: begin
told: tell
`

// thesaurus says with which stems a word is asked too, by its own.
type thesaurus struct {
	base   map[string]string // of irregular forms
	others map[string][]string
}

var known = func() thesaurus {
	all := thesaurus{map[string]string{}, map[string][]string{}}
	pairs := func(table string, visit func(word string, with []string)) {
		for line := range strings.Lines(strings.TrimSpace(table)) {
			word, with, _ := strings.Cut(line, ":")
			visit(stem(word), strings.Fields(with))
		}
	}
	join := func(root string, with []string) {
		for _, other := range with {
			if other = stem(other); other != root && !slices.Contains(all.others[root], other) {
				all.others[root] = append(all.others[root], other)
			}
		}
	}
	for line := range strings.Lines(strings.TrimSpace(alike)) {
		words := strings.Fields(line)
		for _, word := range words {
			join(stem(word), words)
		}
	}
	pairs(shortened, join)
	pairs(everyday, join)
	pairs(irregular, func(root string, with []string) { all.base[root] = stem(with[0]) })
	return all
}()

// root is a query's word as the thesaurus and the index have it.
func (t thesaurus) root(word string) string {
	root := stem(word)
	if base, ok := t.base[root]; ok {
		return base
	}
	return root
}
