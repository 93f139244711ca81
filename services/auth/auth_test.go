package auth

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"uaol/services"
	"uaol/services/billing"
	"uaol/services/billing/billingtest"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.do(t, "POST", "/auth/register", `{"email":" Ada@Example.com ","password":"correct horse"}`)
	require.Equal(t, http.StatusCreated, got.Status, got.Text)
	user := got.Body.Data.User
	require.Equal(t, "ada@example.com", user.Email)
	require.Equal(t, "10000", user.Credits)
	require.Equal(t, "Free", user.SubscriptionTier)
	require.Regexp(t, `^uaol_[A-Za-z2-7]{34}$`, user.APIKey)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.outbox WHERE type = 'user.registered' AND subject = $1`, user.ID))
	require.Len(t, b.happened, 1)

	for name, test := range map[string]struct {
		body, message, path string
	}{
		"taken":             {`{"email":"ada@example.com"}`, "User with this email already exists", ""},
		"taken, other case": {`{"email":"ADA@EXAMPLE.COM"}`, "User with this email already exists", ""},
		"none":              {`{}`, "Email is required", "body.email"},
		"no body":           {``, "Email is required", "body.email"},
		"empty":             {`{"email":""}`, "Email is required", "body.email"},
		"no address":        {`{"email":"ada"}`, "body.email: is not an e-mail address", "body.email"},
		"a name with it":    {`{"email":"Ada <ada2@example.com>"}`, "body.email: is not an e-mail address", "body.email"},
		"two":               {`{"email":"a@b.c, d@e.f"}`, "body.email: is not an e-mail address", "body.email"},
		"a NUL":             {`{"email":"a\u0000@b.c"}`, "body.email: is not an e-mail address", "body.email"},
		"a line break":      {`{"email":"a@b.c\nBcc: d@e.f"}`, "body.email: is not an e-mail address", "body.email"},
		"short password":    {`{"email":"b@example.com","password":"1234567"}`, "body.password: must have 8 to 1024 characters", "body.password"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(t, "POST", "/register", test.body)
			require.Equal(t, http.StatusBadRequest, got.Status, got.Text)
			require.Equal(t, "VALIDATION_ERROR", got.Body.Error.Code)
			require.Equal(t, test.message, got.Body.Error.Message)
			require.Contains(t, string(got.Body.Error.Details), test.path)
		})
	}
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`), "a refusal leaves nothing behind")
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.organizations`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.outbox`))
}

func TestRegisterAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var mu sync.Mutex
	made := 0
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			email := "ada@example.com"
			if i%2 == 0 {
				email = "ADA@example.com"
			}
			_, err := b.service.Register(t.Context(), RegisterRequest{Email: email})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				made++
			} else if err.Error() != "User with this email already exists" {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, 1, made)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.organizations`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.api_keys`))
}

// TestGuestBecomesUser: registering changes the guest's row and moves nothing.
func TestGuestBecomesUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	guest, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "mine"})
	require.NoError(t, err)
	got := b.do(t, "POST", "/register", `{"email":"guest@example.com"}`, "X-Guest-Id", "mine")
	require.Equal(t, http.StatusCreated, got.Status, got.Text)
	require.Equal(t, guest.Caller.Account.String(), got.Body.Data.User.ID)
	now, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: got.Body.Data.Token})
	require.NoError(t, err)
	require.Equal(t, guest.Caller.Account, now.Caller.Account)
	require.Equal(t, guest.Caller.Organization, now.Caller.Organization)
	require.Equal(t, services.RoleUser, now.Caller.Role)
	require.Equal(t, "guest@example.com", b.text(t, `SELECT name FROM uaol_auth.organizations`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.organizations`))

	// The session's name no longer opens the account.
	other, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "mine"})
	require.NoError(t, err)
	require.NotEqual(t, guest.Caller.Account, other.Caller.Account)
	require.Equal(t, services.RoleGuest, other.Caller.Role)

	// One whose session is over, or that never was, brings nothing along.
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET guest_expires_at = now() WHERE guest_id = 'mine'`)
	require.NoError(t, err)
	for _, id := range []string{"mine", "never was"} {
		made, err := b.service.Register(t.Context(), RegisterRequest{Email: uuid.NewString() + "@example.com", GuestID: id})
		require.NoError(t, err)
		require.NotEqual(t, other.Caller.Account, made.Account.ID)
		require.NotEqual(t, other.Caller.Organization, made.Account.Organization)
	}

	// A taken e-mail leaves the guest a guest.
	third, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "third"})
	require.NoError(t, err)
	_, err = b.service.Register(t.Context(), RegisterRequest{Email: "Guest@example.com", GuestID: "third"})
	require.EqualError(t, err, "User with this email already exists")
	again, err := b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "third"})
	require.NoError(t, err)
	require.Equal(t, third, again)
}

// TestThousandFirstRequests of one guest make one guest.
func TestThousandFirstRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	callers := make([]Verified, 1_000)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			var err error
			if callers[i], err = b.service.Verify(t.Context(), VerifyRequest{Guest: true, GuestID: "one"}); err != nil {
				t.Error(err)
			}
			if _, err = b.service.Me(t.Context(), callers[i].Caller); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, c := range callers {
		require.Equal(t, callers[0], c)
	}
	balance, err := b.service.Me(t.Context(), callers[0].Caller)
	require.NoError(t, err)
	require.Equal(t, int64(1_000), balance.Available)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_billing.journal`), "granted once")
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.accounts`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.organizations`), "the losers' organisations are rolled back")
}

func TestLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	registered := b.do(t, "POST", "/auth/register", `{"email":"ada@example.com","password":"correct horse"}`).Body.Data.User
	b.do(t, "POST", "/auth/register", `{"email":"keyonly@example.com"}`)
	for name, test := range map[string]struct {
		body    string
		status  int
		message string
	}{
		"key":                     {`{"apiKey":"` + registered.APIKey + `"}`, 200, ""},
		"password":                {`{"email":"ADA@example.com","password":"correct horse"}`, 200, ""},
		"nothing":                 {`{}`, 401, "Email or API key required"},
		"e-mail only":             {`{"email":"ada@example.com"}`, 401, "Invalid email or password"},
		"e-mail only, no passwrd": {`{"email":"keyonly@example.com"}`, 401, "Invalid email or password"},
		"wrong password":          {`{"email":"ada@example.com","password":"correct horsf"}`, 401, "Invalid email or password"},
		"no such account":         {`{"email":"bob@example.com","password":"correct horse"}`, 401, "Invalid email or password"},
		"not an e-mail":           {`{"email":"\u0000","password":"correct horse"}`, 401, "Invalid email or password"},
		"wrong key":               {`{"apiKey":"uaol_wrong"}`, 401, "Invalid API key"},
		"key counts first":        {`{"apiKey":"uaol_wrong","email":"ada@example.com","password":"correct horse"}`, 401, "Invalid API key"},
		"key of a wrong type":     {`{"apiKey":7}`, 400, "body.apiKey: expected string"},
		"password too long":       {`{"email":"ada@example.com","password":"` + strings.Repeat("x", 1025) + `"}`, 400, "body.password: expected length <= 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(t, "POST", "/auth/login", test.body)
			require.Equal(t, test.status, got.Status, got.Text)
			require.Equal(t, test.message, got.Body.Error.Message)
			if test.status != 200 {
				return
			}
			me := b.do(t, "GET", "/auth/me", "", "Authorization", "Bearer "+got.Body.Data.Token)
			require.Equal(t, 200, me.Status, me.Text)
			require.Equal(t, registered.ID, me.Body.Data.ID)
			require.Empty(t, me.Body.Data.APIKey, "a key is shown once")
		})
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com"})
	require.NoError(t, err)
	other, err := b.service.signIn(t.Context(), made.Account, "password", nil)
	require.NoError(t, err)
	bearer := []string{"Authorization", "bearer  " + made.Token} // scheme and space as RFC 9110 lets them be
	require.Equal(t, 200, b.do(t, "GET", "/me", "", bearer...).Status)
	got := b.do(t, "POST", "/logout", "", bearer...)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, "Logged out successfully", got.Body.Message)
	got = b.do(t, "GET", "/me", "", bearer...)
	require.Equal(t, 401, got.Status, "at once: the process that was asked forgets what it knew")
	require.Equal(t, "Invalid token", got.Body.Error.Message)
	require.Equal(t, 200, b.do(t, "GET", "/me", "", "Authorization", "Bearer "+other).Status, "only that token")
	require.NoError(t, b.service.Logout(t.Context(), made.Account.Caller()), "it may be repeated")

	got = b.do(t, "POST", "/logout", "", "X-API-Key", made.Key)
	require.Equal(t, 200, got.Status, got.Text)
	require.Equal(t, 200, b.do(t, "GET", "/me", "", "X-API-Key", made.Key).Status, "a key is revoked elsewhere")
}

// TestKeysAreHashed looks for the key's and the password's text in all of
// auth's tables.
func TestKeysAreHashed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const password = "correct horse battery"
	made, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com", Password: password})
	require.NoError(t, err)
	_, err = b.service.EnsureAdmin(t.Context(), "root@example.com", "an operator's own key of 32 or more")
	require.NoError(t, err)
	rows, err := b.pool.Query(t.Context(), `SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'uaol_auth'`)
	require.NoError(t, err)
	var tables []string
	for rows.Next() {
		var table string
		require.NoError(t, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(t, rows.Err())
	require.Contains(t, tables, "api_keys")
	for _, table := range tables {
		for _, secret := range []string{made.Key, made.Key[9:], password, made.Token, "operator's own key", jwtSecret} {
			found := b.count(t, `SELECT count(*) FROM uaol_auth.`+table+` r WHERE position($1 IN r::text) > 0
				OR position(encode(convert_to($1, 'UTF8'), 'hex') IN r::text) > 0`, secret)
			require.Zero(t, found, "%s holds a secret", table)
		}
	}
}

// TestForgedTokens: everything but our own HS256 tokens, complete and in time,
// is refused.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com"})
	require.NoError(t, err)
	session, err := b.service.signer.read(made.Token)
	require.NoError(t, err)
	good := func() jwt.MapClaims {
		now := time.Now().Unix()
		return jwt.MapClaims{"jti": session.ID.String(), "sub": made.Account.ID.String(), "iss": "uaol", "aud": "uaol", "iat": now, "exp": now + 3600}
	}
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		claims := good()
		change(claims)
		text, err := jwt.NewWithClaims(method, claims).SignedString(key)
		require.NoError(t, err)
		return text
	}
	same := func(jwt.MapClaims) {}
	hs := []byte(jwtSecret)
	_, err = b.service.Verify(t.Context(), VerifyRequest{Bearer: sign(jwt.SigningMethodHS256, hs, same)})
	require.NoError(t, err, "the tests below change one thing of this")
	for name, text := range map[string]string{
		"none":           sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"HS512":          sign(jwt.SigningMethodHS512, hs, same),
		"HS384":          sign(jwt.SigningMethodHS384, hs, same),
		"another key":    sign(jwt.SigningMethodHS256, []byte("another secret of 32 characters or so"), same),
		"empty key":      sign(jwt.SigningMethodHS256, []byte{}, same),
		"issuer":         sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { c["iss"] = "other" }),
		"no issuer":      sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { delete(c, "iss") }),
		"audience":       sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { c["aud"] = "billing" }),
		"no audience":    sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { delete(c, "aud") }),
		"expired":        sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { c["exp"] = time.Now().Unix() - 1 }),
		"no expiry":      sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":        sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { c["nbf"] = time.Now().Unix() + 600 }),
		"no id":          sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { delete(c, "jti") }),
		"another id":     sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { c["jti"] = uuid.NewString() }),
		"a bad id":       sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { c["jti"] = "x" }),
		"no account":     sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { delete(c, "sub") }),
		"unknown":        sign(jwt.SigningMethodHS256, hs, func(c jwt.MapClaims) { c["sub"] = uuid.NewString() }),
		"cut":            made.Token[:len(made.Token)-1],
		"header changed": "ey" + made.Token[3:],
		"dots":           "ey..",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: text})
			require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
			var e *services.Error
			require.True(t, errors.As(err, &e))
			require.Equal(t, "Invalid token", e.Message, "no word on what was wrong")
		})
	}
}

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com", Password: "correct horse"})
	require.NoError(t, err)
	b.pool.Close()
	for _, request := range [][]string{
		{"GET", "/auth/me", "", "Authorization", "Bearer " + made.Token},
		{"GET", "/auth/me", "", "X-API-Key", made.Key},
		{"POST", "/auth/login", `{"email":"ada@example.com","password":"correct horse"}`},
		{"POST", "/auth/login", `{"apiKey":"` + made.Key + `"}`},
		{"POST", "/auth/register", `{"email":"bob@example.com"}`},
	} {
		got := b.do(t, request[0], request[1], request[2], request[3:]...)
		require.Equal(t, 503, got.Status, got.Text)
		require.Equal(t, "UNAVAILABLE", got.Body.Error.Code)
	}
}

func TestMe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com"})
	require.NoError(t, err)
	_, err = billingtest.New(t, b.pool).Hold(t.Context(), billing.HoldRequest{
		ID: uuid.New(), Caller: made.Account.Caller(), Owner: billing.OwnerCall, Amount: 100, Lifetime: time.Minute})
	require.NoError(t, err)
	got := b.do(t, "GET", "/auth/me", "", "Authorization", "Bearer "+made.Token)
	require.JSONEq(t, `{"success":true,"data":{"id":"`+made.Account.ID.String()+
		`","email":"ada@example.com","subscriptionTier":"Free","credits":"9900"}}`, got.Text)
	for name, headers := range map[string][]string{
		"nobody":        nil,
		"a guest":       {"X-Guest-Id", "g"},
		"basic":         {"Authorization", "Basic abc"},
		"no token":      {"Authorization", "Bearer "},
		"only a scheme": {"Authorization", "Bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(t, "GET", "/auth/me", "", headers...)
			require.Equal(t, 401, got.Status, got.Text)
			require.Equal(t, "No token provided", got.Body.Error.Message)
		})
	}
}

func TestEnsureAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const key = "an operator's own key of 32 or more"
	var group sync.WaitGroup
	for range 10 { // replicas that start together
		group.Go(func() {
			if _, err := b.service.EnsureAdmin(t.Context(), "Root@example.com", key); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.accounts WHERE admin`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.api_keys`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM uaol_auth.organizations`))
	got, err := b.service.Verify(t.Context(), VerifyRequest{APIKey: key})
	require.NoError(t, err)
	require.Equal(t, services.RoleAdmin, got.Caller.Role)

	made, err := b.service.EnsureAdmin(t.Context(), "root@example.com", "")
	require.NoError(t, err)
	also, err := b.service.Verify(t.Context(), VerifyRequest{APIKey: made})
	require.NoError(t, err)
	require.Equal(t, got.Caller.Account, also.Caller.Account, "a further key of the same admin")
	require.NotEqual(t, got.Caller.Key, also.Caller.Key)

	user, err := b.service.Register(t.Context(), RegisterRequest{Email: "ada@example.com"})
	require.NoError(t, err)
	_, err = b.service.EnsureAdmin(t.Context(), "ada@example.com", key)
	require.ErrorIs(t, err, errTaken)
	_, err = b.service.EnsureAdmin(t.Context(), "ada@example.com", "another key of 32 characters or more")
	require.NoError(t, err)
	promoted, err := b.service.Verify(t.Context(), VerifyRequest{APIKey: "another key of 32 characters or more"})
	require.NoError(t, err)
	require.Equal(t, services.RoleAdmin, promoted.Caller.Role)
	require.Equal(t, user.Account.ID, promoted.Caller.Account)
	_, err = b.service.EnsureAdmin(t.Context(), "no address", "")
	require.EqualError(t, err, "that is not an e-mail address")
}

// TestAPreRegisteredAdmin: whoever registers the future admin's address first has
// nothing of it afterwards.
func TestAPreRegisteredAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	attacker := b.made(t, "ops@example.com")
	proved := b.made(t, "proved@example.com")
	_, err := b.pool.Exec(t.Context(), `UPDATE uaol_auth.accounts SET email_verified_at = now() WHERE account_id = $1`, proved.Account.ID)
	require.NoError(t, err)
	for _, email := range []string{"ops@example.com", "proved@example.com"} {
		_, err = b.service.EnsureAdmin(t.Context(), email, "")
		require.NoError(t, err)
	}
	for _, in := range []VerifyRequest{{APIKey: attacker.Key}, {Bearer: attacker.Token}} {
		_, err = b.service.Verify(t.Context(), in)
		require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
	}
	_, err = b.service.Login(t.Context(), "", "ops@example.com", "correct horse")
	require.Equal(t, services.Unauthenticated, services.KindOf(err), err)
	kept, err := b.service.Verify(t.Context(), VerifyRequest{Bearer: proved.Token})
	require.NoError(t, err, "who proved the address keeps what is theirs")
	require.Equal(t, services.RoleAdmin, kept.Caller.Role)
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'admin.create' AND outcome = 'done'`))
	_, err = b.service.EnsureAdmin(t.Context(), "ops@example.com", "")
	require.NoError(t, err)
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM uaol_auth.audit WHERE action = 'admin.create'`), "made once")
}

// TestARevokedAdminKey stays revoked, and says so.
func TestARevokedAdminKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const key = "an operator's own key of 32 or more"
	_, err := b.service.EnsureAdmin(t.Context(), "root@example.com", key)
	require.NoError(t, err)
	admin, err := b.service.Verify(t.Context(), VerifyRequest{APIKey: key})
	require.NoError(t, err)
	require.NoError(t, b.service.RevokeKey(t.Context(), admin.Caller, admin.Caller.Key))
	_, err = b.service.EnsureAdmin(t.Context(), "root@example.com", key)
	require.ErrorIs(t, err, errRevoked)
	_, err = b.service.Verify(t.Context(), VerifyRequest{APIKey: key})
	require.Equal(t, services.Unauthenticated, services.KindOf(err))
	const next = "the operator's next key of 32 or more"
	_, err = b.service.EnsureAdmin(t.Context(), "root@example.com", next)
	require.NoError(t, err)

	// One that was given another secret does not come back either, however long ago.
	admin, err = b.service.Verify(t.Context(), VerifyRequest{APIKey: next})
	require.NoError(t, err)
	_, fresh, err := b.service.RegenerateKey(t.Context(), admin.Caller, admin.Caller.Key)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `UPDATE uaol_auth.api_keys SET revoked_at = now() - interval '91 days' WHERE revoked_at IS NOT NULL`)
	require.NoError(t, err)
	require.NoError(t, NewHousekeeper(Config{AuditDays: 1}, b.repository).Sweep(t.Context()))
	for _, old := range []string{key, next} {
		_, err = b.service.EnsureAdmin(t.Context(), "root@example.com", old)
		require.ErrorIs(t, err, errRevoked)
		_, err = b.service.Verify(t.Context(), VerifyRequest{APIKey: old})
		require.Equal(t, services.Unauthenticated, services.KindOf(err))
	}
	_, err = b.service.Verify(t.Context(), VerifyRequest{APIKey: fresh})
	require.NoError(t, err)
}
