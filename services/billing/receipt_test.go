package billing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"uaol/services"
	"uaol/services/billing/chain"
	"uaol/services/billing/ledger"
	"uaol/services/billing/receipts"
)

// testSigner is the key of handler's receipts.
func testSigner(t testing.TB) *chain.Key {
	t.Helper()
	key, err := chain.NewKey(make([]byte, 32))
	require.NoError(t, err)
	return key
}

func (b *bench) seal(t testing.TB) {
	t.Helper()
	require.NoError(t, ledger.NewSealer(b.pool, testSigner(t), ledger.NewPublisher(ledger.Config{}, zap.NewNop()), zap.NewNop()).SealAll(t.Context()))
}

// receipt asks for a receipt as a client does, and reads the answer as it came.
func (s *site) receipt(t testing.TB, caller services.Caller, id uuid.UUID) ([]byte, receipts.Receipt) {
	t.Helper()
	answer := s.raw(t, caller, "/receipts/"+id.String())
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	receipt, err := receipts.Parse(answer.Body.Bytes())
	require.NoError(t, err)
	require.NoError(t, receipt.Verify(chain.NewTrusted(testSigner(t).Public())))
	return answer.Body.Bytes(), receipt
}

// aJob is a job with two steps, a call within it and something given back.
func (b *bench) aJob(t testing.TB, caller services.Caller) (job, tool uuid.UUID) {
	t.Helper()
	job, tool = b.hold(t, caller, OwnerJob, 100), uuid.New()
	_, err := b.service.Settle(t.Context(), SettleRequest{HoldID: job, Charges: []Charge{
		{Operation: job.String() + "/a", Amount: 30, Tool: tool, Facts: Facts{Version: 3, Method: "search", Pin: "p<&>\u2028", Step: "a", Trace: "t"}},
		{Operation: job.String() + "/b", Amount: 12, Facts: Facts{Step: "b", Outcome: "unknown"}},
	}})
	require.NoError(t, err)
	b.release(t, job)
	b.spends(t, caller, job, tool, 9, 5)
	_, err = b.service.Refund(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 7, Job: job, Reason: `"it" failed`})
	require.NoError(t, err)
	return job, tool
}

func TestReceiptOfACall(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	caller.Key = uuid.New()
	s, tool := b.site(t), uuid.New()
	in := callOf(caller, 8)
	_, err := b.service.Hold(t.Context(), in)
	require.NoError(t, err)
	_, receipt := s.receipt(t, caller, in.ID)
	require.Equal(t, "call", receipt.Kind)
	require.True(t, receipt.Open)
	require.False(t, receipt.Sealed)
	require.Empty(t, receipt.Charges)

	_, err = b.service.Settle(t.Context(), SettleRequest{HoldID: in.ID, Charges: []Charge{{Operation: in.ID.String(), Amount: 6, Tool: tool, Facts: Facts{Method: "m", Version: 2}}}})
	require.NoError(t, err)
	b.release(t, in.ID)
	_, receipt = s.receipt(t, caller, in.ID)
	require.False(t, receipt.Open)
	require.False(t, receipt.Sealed)
	require.Equal(t, [4]int64{8, 6, 2, 0}, [4]int64{receipt.Held, receipt.Charged, receipt.Released, receipt.Refunded})
	require.Equal(t, [3]uuid.UUID{in.ID, caller.Account, caller.Key}, [3]uuid.UUID{receipt.ID, *receipt.Account, *receipt.Key})
	require.True(t, receipt.Committed())
	require.Len(t, receipt.Charges, 1)
	require.Equal(t, tool, *receipt.Charges[0].Tool)
	require.JSONEq(t, `{"method":"m","version":2}`, string(receipt.Charges[0].Facts))
	require.Len(t, receipt.Entries, 3)
	for _, e := range receipt.Entries {
		require.Nil(t, e.Inclusion)
	}
	b.seal(t)
	_, receipt = s.receipt(t, caller, in.ID)
	require.True(t, receipt.Sealed)
	for _, e := range receipt.Entries {
		require.NotNil(t, e.Inclusion)
	}

	// Whoever is forgotten is in no receipt; the entries are what they were.
	require.NoError(t, b.service.Erase(t.Context(), services.Person{Account: caller.Account}))
	_, receipt = s.receipt(t, caller, in.ID)
	require.Nil(t, receipt.Account)
	require.Nil(t, receipt.Key)
	require.Empty(t, receipt.Salt)
	require.False(t, receipt.Committed())
	b.audit(t)
}

func TestReceiptOfAJob(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	s := b.site(t)
	job, tool := b.aJob(t, caller)
	for _, sealed := range []bool{false, true} {
		if sealed {
			b.seal(t)
		}
		_, receipt := s.receipt(t, caller, job)
		require.Equal(t, "job", receipt.Kind)
		require.Equal(t, sealed, receipt.Sealed)
		require.False(t, receipt.Open)
		require.Equal(t, [4]int64{109, 47, 62, 7}, [4]int64{receipt.Held, receipt.Charged, receipt.Released, receipt.Refunded})
		require.Nil(t, receipt.Key)
		require.Len(t, receipt.Charges, 3)
		require.Equal(t, tool, *receipt.Charges[0].Tool)
		require.Nil(t, receipt.Charges[1].Tool)
		require.JSONEq(t, `{"version":3,"method":"search","pin":"p<&>\u2028","step":"a","trace":"t"}`, string(receipt.Charges[0].Facts))
	}
	// What comes later is not sealed yet, and says so.
	_, err := b.service.Refund(t.Context(), Correction{Organization: caller.Organization, Operation: uuid.New(), Amount: 1, Job: job})
	require.NoError(t, err)
	_, receipt := s.receipt(t, caller, job)
	require.False(t, receipt.Sealed)
	require.NotNil(t, receipt.Entries[0].Inclusion)
	require.Nil(t, receipt.Entries[len(receipt.Entries)-1].Inclusion)
	b.audit(t)
}

func TestNoReceipt(t *testing.T) {
	t.Parallel()
	b, caller, other := setup(t), user(), user()
	s := b.site(t)
	job, _ := b.aJob(t, caller)
	call := callOf(caller, 1)
	_, err := b.service.Hold(t.Context(), call)
	require.NoError(t, err)
	b.give(t, caller, 1)
	var grant string
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT operation_id FROM uaol_billing.journal WHERE organization_id = $1 ORDER BY seq DESC LIMIT 1`, caller.Organization).Scan(&grant))
	for name, of := range map[string]struct {
		caller services.Caller
		id     string
	}{
		"another's job": {other, job.String()}, "another's call": {other, call.ID.String()}, "what was free": {caller, uuid.NewString()},
		"a grant": {caller, grant}, "nothing": {caller, uuid.Nil.String()},
	} {
		require.Equal(t, http.StatusNotFound, s.raw(t, of.caller, "/receipts/"+of.id).Code, name)
	}
	require.Equal(t, http.StatusBadRequest, s.raw(t, caller, "/receipts/x").Code)
	require.Equal(t, http.StatusUnauthorized, s.raw(t, services.Caller{}, "/receipts/"+job.String()).Code)
	key := s.raw(t, services.Caller{}, "/receipts/key")
	require.Equal(t, http.StatusOK, key.Code)
	require.Contains(t, key.Body.String(), `"publicKey":"`+testSigner(t).Public().String()+`"`)
}

// believed says why a text is no receipt that counts; nil when it is.
func believed(text []byte, trusted chain.Trusted) (receipts.Receipt, error) {
	receipt, err := receipts.Parse(text)
	if err != nil {
		return receipt, err
	}
	return receipt, receipt.Verify(trusted)
}

// TestAChangedReceiptIsRefused: each digit, each value, each part.
func TestAChangedReceiptIsRefused(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	s := b.site(t)
	job, _ := b.aJob(t, caller)
	b.balance(t, user()) // the seal has another's range
	trusted := chain.NewTrusted(testSigner(t).Public())
	for _, sealed := range []bool{false, true} {
		if sealed {
			b.seal(t)
		}
		answer, original := s.receipt(t, caller, job)
		var envelope struct{ Data json.RawMessage }
		require.NoError(t, json.Unmarshal(answer, &envelope))
		text := []byte(envelope.Data)
		_, err := believed(text, trusted)
		require.NoError(t, err, "also without the envelope")
		same, err := json.Marshal(original)
		require.NoError(t, err)
		refused := func(changed []byte, what string) {
			t.Helper()
			receipt, err := believed(changed, trusted)
			if err != nil {
				return
			}
			// It may be the same in other words: digits of another case, a null left out.
			again, err := json.Marshal(receipt)
			require.NoError(t, err)
			require.JSONEq(t, string(same), string(again), what)
			require.NotContains(t, what, "digit")
		}
		for i, c := range text {
			if c < '0' || c > '9' {
				continue
			}
			changed := bytes.Clone(text)
			changed[i] = '0' + (c-'0'+1)%10
			refused(changed, fmt.Sprintf("the digit at %d: %s", i, text[max(0, i-40):min(len(text), i+10)]))
		}
		var tree any
		require.NoError(t, json.Unmarshal(text, &tree))
		n := 0
		changes(tree, "", func(what string) {
			changed, err := json.Marshal(tree)
			require.NoError(t, err)
			refused(changed, what)
			n++
		})
		require.Greater(t, n, 200)

		_, err = believed(append(bytes.Clone(text), " {}"...), trusted)
		require.Error(t, err, "more than a receipt")
		_, err = believed(append(bytes.Clone(answer), 'x'), trusted)
		require.Error(t, err, "more than a receipt")
		stranger, err := chain.NewKey(bytes.Repeat([]byte{1}, 32))
		require.NoError(t, err)
		require.Error(t, original.Verify(chain.NewTrusted(stranger.Public())), "a key that is not trusted")
		forged, err := original.Sign(stranger)
		require.NoError(t, err)
		require.Error(t, forged.Verify(trusted))
		// Even whoever has the key can't make a receipt that its entries do not bear out.
		for what, lie := range map[string]func(r *receipts.Receipt){
			"less held":                 func(r *receipts.Receipt) { r.Held-- },
			"less charged":              func(r *receipts.Receipt) { r.Charged-- },
			"more released":             func(r *receipts.Receipt) { r.Released++ },
			"more refunded":             func(r *receipts.Receipt) { r.Refunded++ },
			"a charge left out":         func(r *receipts.Receipt) { r.Charges = r.Charges[1:] },
			"a charge twice":            func(r *receipts.Receipt) { r.Charges = append(r.Charges, r.Charges[0]) },
			"a charge of another price": func(r *receipts.Receipt) { r.Charges[0].Credits++ },
			"another organisation":      func(r *receipts.Receipt) { r.Organization = uuid.New() },
			"sealed though it is not":   func(r *receipts.Receipt) { r.Sealed, r.Entries[0].Inclusion = true, nil },
			"an entry of another kind":  func(r *receipts.Receipt) { r.Entries[0].Kind = chain.Grant },
			"another account":           func(r *receipts.Receipt) { r.Account = new(uuid.New()) },
			"another key":               func(r *receipts.Receipt) { r.Key = new(uuid.New()) },
			"another salt":              func(r *receipts.Receipt) { r.Salt = append(slices.Clone(r.Salt[1:]), 1) },
			"no salt":                   func(r *receipts.Receipt) { r.Salt = nil },
			"a salt alone":              func(r *receipts.Receipt) { r.Account, r.Key = nil, nil },
			"a key alone":               func(r *receipts.Receipt) { r.Account, r.Key, r.Salt = nil, new(uuid.New()), nil },
			"nobody's entries": func(r *receipts.Receipt) {
				for i := range r.Entries {
					r.Entries[i].Spender, r.Entries[i].Inclusion = nil, nil
				}
				r.Sealed = false
			},
			"another spender's entry": func(r *receipts.Receipt) {
				r.Entries[1].Spender, r.Entries[1].Inclusion, r.Sealed = new(uuid.New()), nil, false
			},
		} {
			lying := original
			lying.Charges, lying.Entries = slices.Clone(original.Charges), slices.Clone(original.Entries)
			lie(&lying)
			lying, err := lying.Sign(testSigner(t))
			require.NoError(t, err)
			require.Error(t, lying.Verify(trusted), what)
		}
		if sealed {
			lying := original
			lying.Entries = slices.Clone(original.Entries)
			lying.Entries[1].CreatedAt = lying.Entries[1].CreatedAt.Add(time.Hour)
			lying, err := lying.Sign(testSigner(t))
			require.NoError(t, err)
			require.ErrorContains(t, lying.Verify(trusted), "the entry is not in its range")
		}
	}
	b.audit(t)
}

// TestAReceiptOfSomebodyElses: whoever has all of the database says that somebody
// else asked. The server knows no better and signs it; whoever checks it does.
func TestAReceiptOfSomebodyElses(t *testing.T) {
	t.Parallel()
	b, caller := setup(t), user()
	s, trusted := b.site(t), chain.NewTrusted(testSigner(t).Public())
	job, _ := b.aJob(t, caller)
	b.seal(t)
	s.receipt(t, caller, job)
	for _, what := range []string{"account_id = $2", "key_id = $2", "account_id = $2, salt = NULL"} {
		_, err := b.pool.Exec(t.Context(), `UPDATE uaol_billing.spenders SET `+what+` WHERE organization_id = $1`, caller.Organization, uuid.New())
		require.NoError(t, err)
		answer := s.raw(t, caller, "/receipts/"+job.String())
		require.Equal(t, http.StatusOK, answer.Code, answer.Body)
		_, err = believed(answer.Body.Bytes(), trusted)
		require.ErrorContains(t, err, "who asked", what)
	}
}

// changes changes one part of a tree of JSON after the other, tells, and takes it
// back.
func changes(tree any, path string, tell func(what string)) {
	other := func(value any) any {
		switch value := value.(type) {
		case string:
			return value + "x"
		case float64:
			return value + 1
		case bool:
			return !value
		case nil:
			return "00000000-0000-0000-0000-000000000001"
		}
		return nil
	}
	switch tree := tree.(type) {
	case map[string]any:
		tree["surplus"] = 1
		tell(path + " with more in it")
		delete(tree, "surplus")
		for key, value := range tree {
			delete(tree, key)
			tell(path + "/" + key + " left out")
			tree[key] = other(value)
			tell(path + "/" + key + " changed")
			tree[key] = value
			changes(value, path+"/"+key, tell)
		}
	case []any:
		for i, value := range tree {
			tree[i] = other(value)
			tell(fmt.Sprintf("%s/%d changed", path, i))
			tree[i] = tree[(i+1)%len(tree)]
			if len(tree) > 1 {
				tell(fmt.Sprintf("%s/%d as the next", path, i))
			}
			tree[i] = value
			changes(value, fmt.Sprintf("%s/%d", path, i), tell)
		}
	}
}

// FuzzReceipt: whatever is read can be written and read again, and nobody
// without the key makes one that counts.
func FuzzReceipt(f *testing.F) {
	key, err := chain.NewKey(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	who := chain.NewSpender(uuid.Nil, uuid.New(), uuid.New())
	spender := who.ID()
	receipt, err := receipts.Receipt{Kind: "call", Account: &who.Account, Key: &who.Key, Salt: who.Salt, Charges: []receipts.Charge{},
		Entries: []receipts.Entry{{Entry: chain.Entry{Kind: chain.Hold, Spender: &spender}}}}.Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	if err := receipt.Verify(chain.NewTrusted(key.Public())); err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(receipt)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(text), `{"success":true,"data":` + string(text) + `}`, `{"data":null}`, `{"data":{"data":{}}}`, `{}`, `[]`, ``, `{"form":"uaol receipt 1"}`,
		strings.Replace(string(text), `"held":0`, `"held":9007199254740993`, 1), `{"form":"uaol receipt 1","charges":[{"facts":{"a":1e400}}]}`, `{"form":"uaol receipt 1","entries":[{"inclusion":{}}]}`} {
		f.Add([]byte(seed))
	}
	stranger, err := chain.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		receipt, err := receipts.Parse(text)
		if err != nil {
			return
		}
		if receipt.Verify(chain.NewTrusted(stranger.Public())) == nil {
			t.Fatalf("a receipt that nobody signed: %s", text)
		}
		_ = receipt.Verify(chain.NewTrusted(key.Public())) // must not panic
		written, err := json.Marshal(receipt)
		if err != nil || len(receipt.PublicKey) == 0 {
			return // facts or times that are none, or no key
		}
		again, err := receipts.Parse(written)
		if err != nil {
			t.Fatalf("%s can't be read again: %v", written, err)
		}
		twice, err := json.Marshal(again)
		if err != nil || !bytes.Equal(written, twice) {
			t.Fatalf("%s\n%s\n%v", written, twice, err)
		}
	})
}
