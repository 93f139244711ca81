package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"uaol/services/billing/chain"
)

// unguard does what an administrator of the database can: nothing but the books
// themselves then says what they should be.
func (b *bench) unguard(t testing.TB) {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', conrelid::regclass, conname) FROM pg_constraint
		WHERE connamespace = 'uaol_billing'::regnamespace AND contype IN ('c', 'f', 'u', 'p')
		UNION ALL SELECT 'DROP INDEX uaol_billing.seal_ranges_number, uaol_billing.spenders_once'`)
	require.NoError(t, err)
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, sql := range statements {
		b.exec(t, sql)
	}
}

// backup keeps the tables as they are and gives what brings them back.
func (b *bench) backup(t testing.TB) (restore func()) {
	t.Helper()
	tables := []string{"accounts", "journal", "holds", "spenders", "seals", "seal_ranges"}
	for _, table := range tables {
		b.exec(t, "CREATE TABLE uaol_billing.kept_"+table+" AS TABLE uaol_billing."+table)
	}
	return func() {
		t.Helper()
		for _, table := range tables {
			b.exec(t, "DELETE FROM uaol_billing."+table)
			b.exec(t, "INSERT INTO uaol_billing."+table+" SELECT * FROM uaol_billing.kept_"+table)
		}
	}
}

// bookless are the columns that say nothing of the books.
var bookless = map[string]string{
	"accounts": "tier created_at caps_set closed_at holder renews_at paid_from paid_until calls_left organization_id",
	"holds":    "hold_id owner expires_at created_at memo job_id calls",
}

// changed is a value, written as text, with as little as possible changed about it.
func changed(column, kind string, old *string) string {
	switch {
	case old == nil:
		return uuid.Nil.String()
	case column == "state":
		return map[string]string{"open": "closed", "closed": "open"}[*old]
	case column == "kind":
		if *old == "grant" {
			return "purchase"
		}
		return "grant"
	case kind == "text":
		return *old + "1"
	}
	text := []byte(*old)
	for i := len(text) - 1; i >= 0; i-- { // a digit, but not of a time zone
		if c := text[i]; c >= '0' && c <= '9' && !strings.Contains(string(text[i:]), "+") || kind == "timestamp with time zone" && i < 19 && c >= '0' && c <= '9' {
			text[i] = '0' + (c-'0'+1)%10
			if kind == "timestamp with time zone" {
				text[i] = '0' + (c-'0'+1)%6
			}
			return string(text)
		}
	}
	return string(append(text[:len(text)-1], '0'))
}

// TestEveryDigitCounts: whatever is changed in whatever column, it is found, in
// the database and in a copy of it.
func TestEveryDigitCounts(t *testing.T) {
	t.Parallel()
	b := filled(t)
	b.unguard(t)
	b.clean(t)
	seen := 0
	for _, table := range []string{"journal", "accounts", "holds", "spenders", "seals", "seal_ranges"} {
		rows, err := b.pool.Query(t.Context(), `
			SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'uaol_billing' AND table_name = $1`, table)
		require.NoError(t, err)
		type column struct{ Name, Kind string }
		columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
		require.NoError(t, err)
		for _, c := range columns {
			if strings.Contains(" "+bookless[table]+" ", " "+c.Name+" ") {
				continue
			}
			seen++
			where := "true"
			if c.Name == "state" { // a hold of which nothing is left may be open or closed
				where = "settled < amount"
			}
			for _, order := range []string{"", " DESC"} { // the first row and the last
				var place string
				var old *string
				require.NoError(t, b.pool.QueryRow(t.Context(),
					fmt.Sprintf("SELECT ctid::text, %s::text FROM uaol_billing.%s WHERE %s ORDER BY 2%s, 1 LIMIT 1", c.Name, table, where, order)).Scan(&place, &old))
				set := func(where string, value *string) (now string) {
					require.NoError(t, b.pool.QueryRow(t.Context(),
						fmt.Sprintf("UPDATE uaol_billing.%s SET %s = $1::text::%s WHERE ctid = $2::text::tid RETURNING ctid::text", table, c.Name, c.Kind),
						value, where).Scan(&now))
					return now
				}
				value := changed(c.Name, c.Kind, old)
				place = set(place, &value)
				report := b.verify(t)
				require.False(t, report.OK(), "%s.%s: %v became %s", table, c.Name, old, value)
				require.NotContains(t, report.String(), "Nothing is wrong.")
				set(place, old)
			}
		}
		b.clean(t)
	}
	require.Equal(t, 12+11+5+5+7+5, seen, "columns of the books")
}

// TestRowsGoneAddedAndSwapped are found, each with where it is.
func TestRowsGoneAddedAndSwapped(t *testing.T) {
	t.Parallel()
	b := filled(t)
	b.unguard(t)
	restore := b.backup(t)
	for what, want := range map[string]string{
		`DELETE FROM uaol_billing.journal WHERE seq = 3`: "entry 4 follows entry 2",
		`DELETE FROM uaol_billing.journal j WHERE seq = (SELECT max(seq) FROM uaol_billing.journal x WHERE x.organization_id = j.organization_id)`: "are not those that were sealed",
		`DELETE FROM uaol_billing.journal`: "by the journal 0",
		`DELETE FROM uaol_billing.accounts WHERE organization_id = (SELECT min(organization_id::text)::uuid FROM uaol_billing.journal)`: "it has no account",
		`DELETE FROM uaol_billing.holds WHERE hold_id = (SELECT min(hold_id::text)::uuid FROM uaol_billing.holds)`:                      "the journal has it, but it is not there",
		`DELETE FROM uaol_billing.seals WHERE number = 2`:                                                                               "seal 3: it follows seal 1",
		`DELETE FROM uaol_billing.seals`:                        "are not sealed",
		`DELETE FROM uaol_billing.seal_ranges WHERE number = 2`: "seal 2: it has no ranges",
		`DELETE FROM uaol_billing.seal_ranges`:                  "it has no ranges",
		`INSERT INTO uaol_billing.holds (hold_id, organization_id, owner, amount, expires_at)
			SELECT gen_random_uuid(), organization_id, 'job', 5, now() FROM uaol_billing.accounts LIMIT 1`: "the journal does not have it",
		`INSERT INTO uaol_billing.holds (hold_id, organization_id, owner, amount, expires_at) VALUES (gen_random_uuid(), gen_random_uuid(), 'job', 5, now())`:               "it has no account",
		`INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at) VALUES (gen_random_uuid(), 1, 'x', 'grant', 5, 5, now())`: "it has no account",
		`INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at)
			SELECT organization_id, last_seq + 1, 'x', 'grant', 5, available + 5, now() FROM uaol_billing.accounts LIMIT 1`: "by the journal",
		`INSERT INTO uaol_billing.journal (organization_id, seq, operation_id, kind, amount, balance, created_at)
			SELECT organization_id, 0, 'x', 'grant', 5, 5, now() FROM uaol_billing.accounts LIMIT 1`: "entry 0 follows entry 0",
		`INSERT INTO uaol_billing.seals SELECT max(number) + 1, ''::bytea, ''::bytea, 1, now(), ''::bytea, ''::bytea FROM uaol_billing.seals`:         "it was made for another seal before it",
		`INSERT INTO uaol_billing.seals SELECT 0, ''::bytea, ''::bytea, 1, now(), ''::bytea, ''::bytea`:                                               "seal 1: it was made for another seal before it",
		`INSERT INTO uaol_billing.seal_ranges SELECT organization_id, last_seq + 100, last_seq + 50, 2, ''::bytea FROM uaol_billing.accounts LIMIT 1`: "follows entry",
		`UPDATE uaol_billing.journal SET amount = amount + CASE seq WHEN 1 THEN 1 ELSE -1 END, balance = balance + CASE seq WHEN 1 THEN 1 ELSE 0 END
			WHERE seq IN (1, 2)`: "are not those that were sealed",
		`UPDATE uaol_billing.holds h SET organization_id = (SELECT a.organization_id FROM uaol_billing.accounts a WHERE a.organization_id <> h.organization_id LIMIT 1)`:           "the journal does not have it",
		`UPDATE uaol_billing.seal_ranges r SET number = 5 - number WHERE number IN (2, 3)`:                                                                                         "its ranges are not those that were sealed",
		`UPDATE uaol_billing.journal SET operation_id = 'renamed' WHERE kind = 'send' AND operation_id = (SELECT min(operation_id) FROM uaol_billing.journal WHERE kind = 'send')`: "was received, but not sent so by anybody",
	} {
		b.exec(t, what)
		report := b.verify(t)
		require.Contains(t, report.String(), want, what)
		restore()
	}
	// Two entries in each other's place.
	for _, sql := range []string{
		`UPDATE uaol_billing.journal SET seq = -seq WHERE seq IN (2, 3)`, `UPDATE uaol_billing.journal SET seq = 5 + seq WHERE seq < 0`,
	} {
		b.exec(t, sql)
	}
	require.Contains(t, b.verify(t).String(), "are not those that were sealed")
	restore()
	b.clean(t)
}

// reseal makes all seals anew, over what the journal says now.
func (b *bench) reseal(t testing.TB, key *chain.Key) {
	t.Helper()
	k := &keeper{}
	require.NoError(t, Database(b.pool).Read(t.Context(), k))
	leaves := map[int64][][32]byte{}
	for _, r := range k.ranges {
		var entries [][32]byte
		for _, e := range k.entries {
			if e.Organization == r.Organization && e.Seq >= r.First && e.Seq <= r.Last {
				entries = append(entries, e.Leaf())
			}
		}
		digest := chain.Root(entries)
		r.Digest = digest[:]
		leaves[r.Number] = append(leaves[r.Number], r.Leaf())
		b.exec(t, `UPDATE uaol_billing.seal_ranges SET digest = $3 WHERE organization_id = $1 AND last_seq = $2`, r.Organization, r.Last, digest[:])
	}
	previous := chain.Genesis()
	for _, s := range k.seals {
		root := chain.Root(leaves[s.Number])
		s.Previous, s.Root = previous, root[:]
		s = key.Sign(s)
		previous = s.Head().Digest
		b.exec(t, `UPDATE uaol_billing.seals SET previous = $2, root = $3, key_id = $4, signature = $5 WHERE number = $1`,
			s.Number, []byte(s.Previous), []byte(s.Root), []byte(s.KeyID), []byte(s.Signature))
	}
}

// keeper remembers what it reads.
type keeper struct {
	ranges  []Range
	entries []chain.Entry
	seals   []chain.Seal
}

func (k *keeper) Begin(Beginning) error           { return nil }
func (k *keeper) Organization(Organization) error { return nil }
func (k *keeper) Range(r Range) error             { k.ranges = append(k.ranges, r); return nil }
func (k *keeper) Spender(Spender) error           { return nil }
func (k *keeper) Entry(e chain.Entry) error       { k.entries = append(k.entries, e); return nil }
func (k *keeper) Hold(Hold) error                 { return nil }
func (k *keeper) Seal(s chain.Seal) error         { k.seals = append(k.seals, s); return nil }

// TestWrittenAnew: somebody with all rights in the database changes what was paid,
// and everything that follows from it. Without the key the signatures tell; with
// it, what was published before.
func TestWrittenAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.library.do(100)
	b.library.store(t, b.pool)
	require.NoError(t, b.sealer(60).SealAll(t.Context()))
	published := b.head(t)
	b.library.do(200)
	b.library.store(t, b.pool)
	require.NoError(t, b.sealer(60).SealAll(t.Context()))
	b.clean(t, published, b.head(t))

	var organization uuid.UUID
	var seq int64
	require.NoError(t, b.pool.QueryRow(t.Context(), `
		SELECT organization_id, seq FROM uaol_billing.journal WHERE kind = 'purchase' ORDER BY seq LIMIT 1`).Scan(&organization, &seq))
	b.exec(t, `UPDATE uaol_billing.journal SET amount = amount + 777 WHERE organization_id = $1 AND seq = $2`, organization, seq)
	b.exec(t, `UPDATE uaol_billing.journal SET balance = balance + 777 WHERE organization_id = $1 AND seq >= $2`, organization, seq)
	b.exec(t, `UPDATE uaol_billing.accounts SET available = available + 777, purchases = purchases + 777 WHERE organization_id = $1`, organization)
	report := b.verify(t)
	require.Contains(t, report.String(), "are not those that were sealed")
	require.Equal(t, organization, report.Findings[0].Organization)

	b.reseal(t, testKey(t, 2))
	report = b.verify(t)
	require.Len(t, report.Findings, int(report.Seals), report.String())
	require.Contains(t, report.String(), "which is not trusted")

	b.reseal(t, b.key)
	b.clean(t)
	report = b.verify(t, published)
	require.Len(t, report.Findings, 1)
	require.Equal(t, published.Number, report.Findings[0].Seal)
	require.Contains(t, report.String(), "another one was published under this number")
}

// TestCutChain: its last part is missing, with all that it sealed. Only what was
// published tells.
func TestCutChain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.library.do(150)
	b.library.store(t, b.pool)
	require.NoError(t, b.sealer(60).SealAll(t.Context()))
	before := b.library.entries
	short := b.head(t)
	restore := b.backup(t)
	b.library.do(50)
	b.library.store(t, b.pool)
	require.NoError(t, b.sealer(60).SealAll(t.Context()))
	published := b.head(t)
	b.clean(t, short, published)
	require.Greater(t, len(b.library.entries), len(before))
	b.exec(t, `DELETE FROM uaol_billing.seal_ranges WHERE number > $1`, short.Number)
	restoreInOrder(t, b, restore)
	b.clean(t, short)
	report := b.verify(t, published)
	require.Len(t, report.Findings, 1)
	require.Equal(t, published.Number, report.Findings[0].Seal)
	require.Contains(t, report.String(), "it was published, but the chain")
}

// restoreInOrder restores where rows still refer to each other.
func restoreInOrder(t testing.TB, b *bench, restore func()) {
	t.Helper()
	b.exec(t, `DELETE FROM uaol_billing.seal_ranges`)
	restore()
}

// TestUnsealed entries are told of, and a finding once they are old.
func TestUnsealed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.library.do(30)
	b.library.store(t, b.pool)
	require.NoError(t, b.sealer(60).SealAll(t.Context()))
	b.library.do(30)
	b.library.store(t, b.pool)
	newest := b.library.at
	for _, test := range []struct {
		now   time.Time
		found bool
	}{{newest.Add(time.Minute), false}, {newest.Add(6 * time.Minute), true}, {time.Time{}, true}} {
		report, err := Verify(t.Context(), Database(b.pool), Options{Trusted: b.trusted, Now: test.now})
		require.NoError(t, err)
		require.Equal(t, !test.found, report.OK(), report.String())
		require.Greater(t, report.Unsealed.Entries, int64(10))
		require.Contains(t, report.String(), "not sealed yet")
		if test.found {
			require.Contains(t, report.String(), "entries from here on are not sealed")
		}
	}
}

// TestManyFindings are counted, not listed.
func TestManyFindings(t *testing.T) {
	t.Parallel()
	var r Report
	for range mostFindings + 5 {
		r.find(Finding{Seq: 1}, "wrong")
	}
	require.Len(t, r.Findings, mostFindings)
	require.Equal(t, int64(5), r.More)
	require.Contains(t, r.String(), "1005 findings")
	require.Contains(t, r.String(), "- and 5 more")
}
