package console

import (
	"slices"
	"strings"
)

// setting is one of the process that answers.
type setting struct {
	Variable string `json:"variable"`
	Part     string `json:"part"`
	Doc      string `json:"doc"`
	Wants    string `json:"wants"`
	Default  string `json:"default"`
	Set      bool   `json:"set"`
	Source   string `json:"source"`
	Secret   bool   `json:"secret"`
	Value    string `json:"value"`
}

// About reports whether a text is about it, in any case of letters.
func (s setting) About(text string) bool {
	for _, said := range []string{s.Variable, s.Part, s.Doc, s.Value} {
		if strings.Contains(strings.ToLower(said), strings.ToLower(text)) {
			return true
		}
	}
	return false
}

// settingsPart are the settings that one part of the program reads.
type settingsPart struct {
	Name     string
	Settings []setting
}

// byPart puts settings of the same part together, in the order of the parts' names.
func byPart(all []setting) (parts []settingsPart) {
	at := map[string]int{}
	for _, s := range all {
		i, known := at[s.Part]
		if !known {
			i = len(parts)
			at[s.Part], parts = i, append(parts, settingsPart{Name: s.Part})
		}
		parts[i].Settings = append(parts[i].Settings, s)
	}
	slices.SortFunc(parts, func(a, b settingsPart) int { return strings.Compare(a.Name, b.Name) })
	return parts
}

type adminConfigurationData struct {
	Query   string
	OnlySet bool
	All     int
	Set     int
	Found   int
	Parts   []settingsPart
}

func adminConfiguration(v *visit) (view, error) {
	data := adminConfigurationData{Query: strings.TrimSpace(v.asked("q")), OnlySet: v.asked("set") == "yes"}
	var all []setting
	if err := v.get("/configuration", &all); err != nil {
		return view{}, err
	}
	data.All = len(all)
	var found []setting
	for _, s := range all {
		if s.Set {
			data.Set++
		}
		if s.About(data.Query) && (s.Set || !data.OnlySet) {
			found = append(found, s)
		}
	}
	data.Found, data.Parts = len(found), byPart(found)
	return view{Template: "admin-configuration", Title: "Configuration", Section: "admin", Data: data}, nil
}
