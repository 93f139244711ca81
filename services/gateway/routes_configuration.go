package gateway

import (
	"context"

	"uaol/providers/api"
	"uaol/providers/config"
	"uaol/services"
)

// ConfigurationHandler shows the platform's admins what this process was set to.
type ConfigurationHandler struct {
	settings config.Settings
	env      *config.Environment
}

// NewConfigurationHandler makes a ConfigurationHandler.
func NewConfigurationHandler(settings config.Settings, env *config.Environment) *ConfigurationHandler {
	return &ConfigurationHandler{settings: settings, env: env}
}

// Operations is its part of the API.
func (h *ConfigurationHandler) Operations() []api.Operation {
	return []api.Operation{
		api.Get("/configuration", "Every setting of the process that answers, as `uaol config` lists them; of secrets only whether they are set", h.list,
			api.Allow(api.Admin), api.Needs("")),
	}
}

type settingBody struct {
	Variable string `json:"variable"`
	Part     string `json:"part" doc:"of the program that reads it"`
	Doc      string `json:"doc" doc:"what it is for"`
	Wants    string `json:"wants" doc:"what it may hold"`
	Default  string `json:"default"`
	Set      bool   `json:"set" doc:"it is not empty"`
	Source   string `json:"source,omitempty" doc:"where it was set: environment, .env or command line"`
	Secret   bool   `json:"secret"`
	Value    string `json:"value" doc:"what holds; of a secret \"set\" or \"not set\"; passwords in addresses are left out"`
}

func (h *ConfigurationHandler) list(context.Context, services.Caller, *struct{}) (api.Page[settingBody], error) {
	all := make([]settingBody, len(h.settings))
	for i, s := range h.settings {
		_, set := h.env.Lookup(s.Variable)
		all[i] = settingBody{
			Variable: s.Variable, Part: s.Part, Doc: s.Doc, Wants: s.Want, Default: s.Default, Set: set, Secret: s.Secret, Value: "not set",
		}
		if set {
			all[i].Source, all[i].Value = h.env.Source(s.Variable), "set"
		}
		if !s.Secret {
			all[i].Value = s.Shown(h.env)
		}
	}
	return api.List(all, ""), nil
}
