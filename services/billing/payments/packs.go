package payments

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Pack is an amount of credits for sale. Its price is an amount of money, or,
// when that is not known here, one of Stripe's.
type Pack struct {
	Name     string `json:"name"`
	Credits  int64  `json:"credits"`
	Amount   int64  `json:"amount,omitempty" doc:"in the currency's smallest unit"`
	Currency string `json:"currency,omitempty"`
	Price    string `json:"price,omitempty" doc:"id of a Stripe price, instead of an amount"`
}

const (
	mostCredits = 1_000_000_000_000 // of one pack
	mostMoney   = 99_999_999        // what Stripe takes at once
)

var (
	packForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)
	moneyForm = regexp.MustCompile(`^([0-9]{1,8})([A-Za-z]{3})$`)
)

// parsePacks reads name=credits@price,…; its errors say which part can't be read.
func parsePacks(text string) ([]Pack, error) {
	var packs []Pack
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		pack, err := parsePack(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", shorten(part), err)
		}
		for _, other := range packs {
			if other.Name == pack.Name {
				return nil, fmt.Errorf("%q is there twice", pack.Name)
			}
		}
		packs = append(packs, pack)
	}
	return packs, nil
}

func parsePack(text string) (Pack, error) {
	name, rest, ok := strings.Cut(text, "=")
	count, price, priced := strings.Cut(rest, "@")
	if !ok || !priced {
		return Pack{}, errors.New("is not name=credits@price")
	}
	if !packForm.MatchString(name) {
		return Pack{}, errors.New("the name must be of small letters, digits, _ and -, at most 40")
	}
	credits, err := strconv.ParseInt(count, 10, 64)
	if err != nil || credits < 1 || credits > mostCredits || count[0] == '+' {
		return Pack{}, fmt.Errorf("the credits must be a whole number from 1 to %d", int64(mostCredits))
	}
	pack := Pack{Name: name, Credits: credits}
	if priceForm.MatchString(price) {
		pack.Price = price
		return pack, nil
	}
	money := moneyForm.FindStringSubmatch(price)
	if money == nil {
		return Pack{}, errors.New("the price must be an amount with a currency, such as 500usd, or the id of a Stripe price")
	}
	pack.Amount, err = strconv.ParseInt(money[1], 10, 64)
	if err != nil || pack.Amount < 1 || pack.Amount > mostMoney {
		return Pack{}, fmt.Errorf("the amount must be from 1 to %d", int64(mostMoney))
	}
	pack.Currency = strings.ToLower(money[2])
	return pack, nil
}

func shorten(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}
