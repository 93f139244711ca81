package console

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"uaol/providers/api"
	"uaol/services"
)

func renameChat(v *visit) error {
	id := v.r.PathValue("conversation")
	err := v.send(http.MethodPut, path(nil, "chat", "conversations", id), map[string]string{"title": strings.TrimSpace(v.form("title"))}, nil)
	if err != nil {
		return err
	}
	return v.to(chatPath(id, nil), "The conversation has another name.")
}

func deleteChat(v *visit) error {
	if err := v.send(http.MethodDelete, path(nil, "chat", "conversations", v.r.PathValue("conversation")), nil, nil); err != nil {
		return err
	}
	return v.to(chatPath("", nil), "The conversation is deleted.")
}

// exportChat passes a conversation on as a file.
func exportChat(v *visit) (view, error) {
	answer, err := v.request(v.ctx, http.MethodGet, path(some("format", v.asked("format")), "chat", "conversations", v.r.PathValue("conversation"), "export"), nil, http.Header{})
	if err != nil {
		return view{}, unavailable(err)
	}
	if answer.StatusCode != http.StatusOK {
		_, err := read(answer)
		return view{}, err
	}
	defer answer.Body.Close()
	for _, name := range []string{"Content-Type", "Content-Disposition"} {
		v.w.Header().Set(name, answer.Header.Get(name))
	}
	if _, err := io.Copy(v.w, answer.Body); err != nil {
		panic(http.ErrAbortHandler) // or a part would look like the whole
	}
	return view{}, errAnswered
}

// startProposal makes a job of the workflow that a turn has proposed: of one turn one job,
// however often that is sent.
func startProposal(v *visit) error {
	data := chatData{conversation: conversation{ID: v.r.PathValue("conversation")}}
	if err := v.readChat(&data); err != nil {
		return err
	}
	for _, t := range data.Turns {
		if t.ID != v.form("turn") || t.Reply == nil || t.Reply.Workflow == nil {
			continue
		}
		begun, err := v.askOnce(t.Reply.Workflow.Start.Key, "/jobs", t.Reply.Workflow.Start.Body)
		if err != nil {
			return err
		}
		var made job
		if err := decode(begun.Data, &made); err != nil {
			return err
		}
		return v.to(path(nil, "console", "jobs", made.ID), "The proposed workflow has begun.")
	}
	return services.Errorf(services.NotFound, "This conversation proposes no such workflow")
}

// askOnce posts a body with a key of its own, and not the form's.
func (v *visit) askOnce(key, to string, body json.RawMessage) (reply, error) {
	header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}, api.KeyHeader: {key}}
	answer, err := v.request(v.ctx, http.MethodPost, to, bytes.NewReader(body), header)
	if err != nil {
		return reply{}, unavailable(err)
	}
	return read(answer)
}
