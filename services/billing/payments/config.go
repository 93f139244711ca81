package payments

import (
	"net/url"
	"regexp"
	"strings"

	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/services"
)

// Config says where Stripe is and what is sold.
type Config struct {
	egress.Proxies
	SecretKey       string `env:"STRIPE_SECRET_KEY" secret:"true" want:"a secret key, which begins with sk_, or a restricted one (rk_)" doc:"Stripe's secret key; without it nothing can be bought. A restricted key needs to write customers, payment methods, checkout sessions, subscriptions and portal sessions, and to read payment intents, charges, disputes and invoices"`
	WebhookSecret   string `env:"STRIPE_WEBHOOK_SECRET" secret:"true" want:"a signing secret, which begins with whsec_" doc:"signing secret of the webhook that Stripe calls at /billing/webhook/stripe; it needs the events checkout.session.completed, checkout.session.async_payment_succeeded, payment_intent.succeeded, charge.refunded, refund.*, charge.dispute.*, invoice.paid, invoice.payment_failed and customer.subscription.*"`
	URL             string `env:"UAOL_STRIPE_URL" envDefault:"https://api.stripe.com" want:"an http or https URL without path and query" doc:"where Stripe's API is; another only for tests and proxies"`
	PricePro        string `env:"UAOL_STRIPE_PRICE_PRO" want:"the id of a Stripe price, which begins with price_" doc:"Stripe's price of a month of the tier Pro; without it that can't be subscribed to"`
	PriceEnterprise string `env:"UAOL_STRIPE_PRICE_ENTERPRISE" want:"the id of a Stripe price other than UAOL_STRIPE_PRICE_PRO, which begins with price_" doc:"Stripe's price of a month of the tier Enterprise; without it that can't be subscribed to"`
	CreditPacks     string `env:"UAOL_CREDIT_PACKS" envDefault:"starter=10000@500usd,team=100000@4000usd,bulk=1000000@30000usd" want:"name=credits@price, separated by commas" doc:"credits for sale, name=credits@price: the price is an amount in the currency's smallest unit, such as 500usd for 5 dollars, or the id of a Stripe price, price_…"`

	packs []Pack
}

var (
	keyForm    = regexp.MustCompile(`^(sk|rk)_[A-Za-z0-9_]+$`)
	secretForm = regexp.MustCompile(`^whsec_[!-~]+$`)
	priceForm  = regexp.MustCompile(`^price_[A-Za-z0-9_]+$`)
)

// Check judges every setting and reads the packs.
func (c *Config) Check() (err error) {
	c.URL = strings.TrimRight(c.URL, "/")
	u, urlErr := url.Parse(c.URL)
	switch {
	case c.SecretKey != "" && !keyForm.MatchString(c.SecretKey):
		return &config.Fault{Variable: "STRIPE_SECRET_KEY", Value: c.SecretKey, Secret: true, Want: "a secret key, which begins with sk_, or a restricted one (rk_)"}
	case c.WebhookSecret != "" && !secretForm.MatchString(c.WebhookSecret):
		return &config.Fault{Variable: "STRIPE_WEBHOOK_SECRET", Value: c.WebhookSecret, Secret: true, Want: "a signing secret, which begins with whsec_"}
	case urlErr != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Path != "", u.RawQuery != "", u.User != nil:
		return &config.Fault{Variable: "UAOL_STRIPE_URL", Value: c.URL, Want: "an http or https URL without path and query"}
	case c.PricePro != "" && !priceForm.MatchString(c.PricePro):
		return &config.Fault{Variable: "UAOL_STRIPE_PRICE_PRO", Value: c.PricePro, Want: "the id of a Stripe price, which begins with price_"}
	case c.PriceEnterprise != "" && (!priceForm.MatchString(c.PriceEnterprise) || c.PriceEnterprise == c.PricePro):
		return &config.Fault{Variable: "UAOL_STRIPE_PRICE_ENTERPRISE", Value: c.PriceEnterprise, Want: "the id of a Stripe price other than UAOL_STRIPE_PRICE_PRO, which begins with price_"}
	}
	if c.packs, err = parsePacks(c.CreditPacks); err != nil {
		return &config.Fault{Variable: "UAOL_CREDIT_PACKS", Value: c.CreditPacks, Want: "name=credits@price, separated by commas (" + err.Error() + ")"}
	}
	return nil
}

// priceOf is Stripe's price of a tier and the variable that names it; "" for a
// tier that is not for sale.
func (c *Config) priceOf(tier string) (price, variable string) {
	switch tier {
	case Pro:
		return c.PricePro, "UAOL_STRIPE_PRICE_PRO"
	case Enterprise:
		return c.PriceEnterprise, "UAOL_STRIPE_PRICE_ENTERPRISE"
	}
	return "", ""
}

// tierOf is the tier that a price of Stripe's pays for; "" when it is none of ours.
func (c *Config) tierOf(price string) string {
	switch price {
	case "": // and so are prices that are not set
		return ""
	case c.PricePro:
		return Pro
	case c.PriceEnterprise:
		return Enterprise
	}
	return ""
}

// unset is the answer while an operator has to set something. It is Unavailable,
// not Unconfigured, because to callers it is a part of the API that is not there
// (503); the rest works.
func unset(variable string) *services.Error {
	return services.Errorf(services.Unavailable, "Payments are not configured; set %s", variable).WithCode("BILLING_NOT_CONFIGURED")
}
