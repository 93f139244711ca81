package billing

// lows are below what balance an organisation is told that its credits end, by
// tier: a tenth of a month's.
type lows struct {
	tiers   []string
	credits []int64
}

const lowPart = 10

func lowsOf(plans Plans) (l lows) {
	for _, tier := range Tiers() {
		if below := plans[tier].Credits / lowPart; below > 0 {
			l.tiers, l.credits = append(l.tiers, string(tier)), append(l.credits, below)
		}
	}
	return l
}
