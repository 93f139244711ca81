package payments

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"uaol/providers/config"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ variable, value, want string }{
		"nothing":        {"", "", ""},
		"key":            {"STRIPE_SECRET_KEY", "rk_live_x", ""},
		"no key":         {"STRIPE_SECRET_KEY", "pk_live_MARKER", "STRIPE_SECRET_KEY holds a text of 14 characters; want a secret key, which begins with sk_, or a restricted one (rk_)"},
		"key in lines":   {"STRIPE_SECRET_KEY", "sk_live\nMARKER", "STRIPE_SECRET_KEY holds a text of 14 characters"},
		"webhook":        {"STRIPE_WEBHOOK_SECRET", "MARKER", "STRIPE_WEBHOOK_SECRET holds a text of 6 characters; want a signing secret, which begins with whsec_"},
		"url":            {"UAOL_STRIPE_URL", "http://localhost:12111/", ""},
		"url's path":     {"UAOL_STRIPE_URL", "http://localhost/v1", `UAOL_STRIPE_URL holds "http://localhost/v1"; want an http or https URL without path and query`},
		"url's scheme":   {"UAOL_STRIPE_URL", "localhost:80", "UAOL_STRIPE_URL holds"},
		"price":          {"UAOL_STRIPE_PRICE_PRO", "prod_x", "UAOL_STRIPE_PRICE_PRO holds"},
		"same price":     {"UAOL_STRIPE_PRICE_ENTERPRISE", "price_same", "UAOL_STRIPE_PRICE_ENTERPRISE holds"},
		"pack":           {"UAOL_CREDIT_PACKS", "a=1@1EUR, b=2@price_x", ""},
		"pack, no price": {"UAOL_CREDIT_PACKS", "a=1@1eur,b=2", `UAOL_CREDIT_PACKS holds "a=1@1eur,b=2"; want name=credits@price, separated by commas ("b=2": is not name=credits@price)`},
		"pack's credits": {"UAOL_CREDIT_PACKS", "a=+1@1eur", `("a=+1@1eur": the credits must be a whole number from 1 to 1000000000000)`},
		"pack's name":    {"UAOL_CREDIT_PACKS", "A=1@1eur", "the name must be of small letters"},
		"pack's money":   {"UAOL_CREDIT_PACKS", "a=1@1.50eur", "the price must be an amount with a currency, such as 500usd, or the id of a Stripe price"},
		"pack for none":  {"UAOL_CREDIT_PACKS", "a=1@0eur", "the amount must be from 1 to 99999999"},
		"packs twice":    {"UAOL_CREDIT_PACKS", "a=1@1eur,a=2@1eur", `"a" is there twice`},
		"packs' comma":   {"UAOL_CREDIT_PACKS", "a=1@1eur,", `("": is not name=credits@price)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse[Config](config.Of(map[string]string{"UAOL_STRIPE_PRICE_PRO": "price_same", test.variable: test.value}))
			if test.want == "" {
				require.NoError(t, err)
				require.False(t, strings.HasSuffix(cfg.URL, "/"))
				return
			}
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "MARKER")
		})
	}
	cfg, err := config.Parse[Config](config.Of(nil))
	require.NoError(t, err)
	require.Equal(t, []Pack{
		{Name: "starter", Credits: 10000, Amount: 500, Currency: "usd"}, {Name: "team", Credits: 100000, Amount: 4000, Currency: "usd"},
		{Name: "bulk", Credits: 1000000, Amount: 30000, Currency: "usd"},
	}, cfg.packs)
}

func FuzzPacks(f *testing.F) {
	for _, seed := range []string{"", "a", "a=1", "a=1@1usd", "a=1@price_x,b=2@2eur", "=@", "a=1@@", "a==1@1usd", "a=9223372036854775808@1usd", ",", "a=1@99999999usd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		packs, err := parsePacks(text)
		if err != nil {
			return
		}
		if len(packs) == 0 {
			t.Fatal("nothing is for sale")
		}
		names := map[string]bool{}
		for _, p := range packs {
			if names[p.Name] || p.Name == "" || p.Credits < 1 || p.Credits > mostCredits || (p.Price == "") != (p.Amount > 0) || (p.Price == "") != (len(p.Currency) == 3) {
				t.Fatalf("%q: %+v", text, p)
			}
			names[p.Name] = true
		}
	})
}
