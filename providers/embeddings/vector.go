package embeddings

import (
	"bytes"
	"math"
	"strconv"

	"uaol/services"
)

// vector is read strictly: null, which encoding/json would leave at zero, is no number.
type vector []float32

// UnmarshalJSON implements json.Unmarshaler.
func (v *vector) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) < 2 || raw[0] != '[' {
		return errNoVector
	}
	raw = raw[1 : len(raw)-1]
	n := bytes.Count(raw, []byte{','}) + 1
	if n > mostNumbers {
		return errNoVector
	}
	all := make(vector, 0, n)
	for part := range bytes.SplitSeq(raw, []byte{','}) {
		x, err := strconv.ParseFloat(string(bytes.TrimSpace(part)), 32)
		if err != nil { // too large a number among others
			return errNoVector
		}
		all = append(all, float32(x))
	}
	*v = all
	return nil
}

// check refuses what can't be compared: nothing, and zero, which has no direction.
func (v vector) check() error {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 || math.IsInf(sum, 0) || math.IsNaN(sum) {
		return errNoVector
	}
	return nil
}

var errNoVector = services.Errorf(services.Upstream, "The model gives no vectors that can be used: numbers are missing, too large or all zero")
