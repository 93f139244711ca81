package jobs

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"uaol/providers/egress"
	"uaol/services"
)

const (
	mostTold     = 1 << 20  // bytes of a job's output in what is told of it
	mostAnswered = 64 << 10 // bytes of an answer that are read, for the connection's sake
	mostExcused  = 300      // runes of an error that is kept
)

// jobEnd is what a receiver is told.
type jobEnd struct {
	Type         string          `json:"type"`
	ID           uuid.UUID       `json:"job_id"`
	Status       Status          `json:"status"`
	EndTime      services.Time   `json:"end_time"`
	FinalOutput  json.RawMessage `json:"final_output"`
	Truncated    bool            `json:"truncated,omitempty"`
	ErrorMessage *string         `json:"error_message"`
	Metadata     json.RawMessage `json:"metadata"`
}

// body is the same at each attempt: what it is put together from does not change
// once a job has succeeded, and of others it is kept in the callback's own row.
func (c *Callbacks) body(ctx context.Context, t *telling) ([]byte, error) {
	said := jobEnd{Type: "job.ended", ID: t.Job, Status: t.Status, EndTime: t.EndedAt, ErrorMessage: t.Error, Metadata: rawOf(t.Metadata)}
	switch {
	case t.Status != Success:
	case t.Size > mostTold:
		said.Truncated = true
	default:
		row, err := c.repository.byID(ctx, t.Job)
		if err != nil {
			return nil, err
		}
		shown, err := c.service.shown(ctx, row)
		if err != nil {
			return nil, err
		}
		if said.FinalOutput = shown[0].FinalOutput; len(said.FinalOutput) > mostTold {
			said.FinalOutput, said.Truncated = nil, true
		}
	}
	return encode(said)
}

// post sends the body, signed, and gives the answer's status.
func (c *Callbacks) post(ctx context.Context, t *telling, body []byte) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.answerIn)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the address can't be used")
	}
	team, _ := partsOf(t.Lane)
	id, sent := webhookID(t.Event), strconv.FormatInt(time.Now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "UAOL")
	request.Header["webhook-id"] = []string{id} // in the specification's spelling
	request.Header["webhook-timestamp"] = []string{sent}
	request.Header["webhook-signature"] = []string{c.signatures(team, id, sent, body)}
	response, err := c.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, mostAnswered)
	return response.StatusCode, nil
}

// webhookID names a job's end to its receiver.
func webhookID(event uuid.UUID) string { return "msg_" + event.String() }

// signatures signs with the current key and, while ENCRYPTION_SECRET is being
// replaced, with the one before too: a receiver takes either.
func (c *Callbacks) signatures(organization, id, sent string, body []byte) string {
	signature := signed(c.ring.Key(purposeOf(organization)), id, sent, body)
	if previous := c.ring.PreviousKey(purposeOf(organization)); previous != nil {
		signature += " " + signed(previous, id, sent, body)
	}
	return signature
}

func signed(key []byte, id, sent string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + sent + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// givesUp reports whether a receiver says that it wants no more of this.
func givesUp(status int) bool { return status == http.StatusGone }

// failureOfCallback says in one line why an attempt failed; "" when it did not. It
// never quotes the address, which may hold a secret of the receiver's.
func failureOfCallback(status int, err error, within time.Duration) string {
	var refused *egress.RefusedError
	var sent *url.Error
	switch {
	case err == nil && status >= 200 && status < 300:
		return ""
	case err == nil && givesUp(status):
		return "the receiver answered 410 Gone: it is not told again"
	case err == nil && status >= 300 && status < 400:
		return fmt.Sprintf("the receiver answered with status %d: redirects are not followed", status)
	case err == nil:
		return fmt.Sprintf("the receiver answered with status %d", status)
	case errors.As(err, &refused):
		return plainer(refused.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s", within)
	case errors.As(err, &sent):
		err = sent.Err
	}
	return plainer(err.Error())
}

func plainer(text string) string {
	runes := []rune(plain(text))
	return string(runes[:min(len(runes), mostExcused)])
}
