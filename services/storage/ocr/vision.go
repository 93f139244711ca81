package ocr

import (
	"encoding/json"
	"strings"

	"uaol/services"
)

var (
	errNotUnderstood = services.Errorf(services.Upstream, "The answer of who recognises images is not understood")
	errTooMuch       = services.Errorf(services.Upstream, "The model's answer was cut off: there is more text than it writes at a time")
	errRefused       = services.Errorf(services.Upstream, "The model does not read this image")
)

// annotate is Google's images:annotate for one image.
func annotate(png string) any {
	return object{"requests": []any{object{
		"image":    object{"content": png},
		"features": []any{object{"type": "DOCUMENT_TEXT_DETECTION"}},
	}}}
}

// annotated reads its answer: an image without text has none of the members.
func annotated(raw json.RawMessage) (string, error) {
	var got struct {
		Responses []struct {
			Full struct {
				Text string `json:"text"`
			} `json:"fullTextAnnotation"`
			Error *struct {
				Message string `json:"message"`
			} `json:"error"`
		} `json:"responses"`
	}
	if err := json.Unmarshal(raw, &got); err != nil || len(got.Responses) != 1 {
		return "", errNotUnderstood
	}
	if e := got.Responses[0].Error; e != nil {
		return "", services.Errorf(services.Upstream, "Google Cloud Vision does not read this image: %.200s", strings.Join(strings.Fields(e.Message), " "))
	}
	return got.Responses[0].Full.Text, nil
}
