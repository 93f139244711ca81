package mcpserver

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

func (h *Handler) profileOperations() []api.Operation {
	return []api.Operation{
		api.Get("/profiles", "Chosen sets of tools for MCP clients, newest first", h.profiles),
		api.Post("/profiles", "Choose tools for MCP clients; they are then at /mcp/p/{name}", h.addProfile, api.Status(http.StatusCreated)),
		api.Get("/profiles/{profile}", "One profile, by its id or name", h.profile),
		api.Put("/profiles/{profile}", "Change a profile: all of it is given anew", h.changeProfile),
		api.Delete("/profiles/{profile}", "Remove a profile", h.removeProfile),
	}
}

func (h *Handler) chosen(c *gin.Context, caller services.Caller) (shelf, error) {
	profile, err := h.endpoint.profiles.Find(c.Request.Context(), caller, c.Param("profile"))
	return chosen{h.endpoint.catalog, h.endpoint.workflows, profile}, err
}

type profileBody struct {
	Name        string   `json:"name" minLength:"1" maxLength:"64" doc:"a word of a to z, 0 to 9 and -; it stands in the address"`
	Description string   `json:"description,omitempty" maxLength:"1000"`
	Tools       []Choice `json:"tools" minItems:"1" maxItems:"500"`
}

type addProfileInput struct{ Body profileBody }

func (h *Handler) addProfile(ctx context.Context, caller services.Caller, in *addProfileInput) (api.Data[Profile], error) {
	saved, err := h.endpoint.profiles.Save(ctx, caller, Profile{Name: in.Body.Name, Description: in.Body.Description, Tools: in.Body.Tools})
	return api.OK(saved), err
}

type changeProfileInput struct {
	Name string `path:"profile" maxLength:"64"`
	Body profileBody
}

func (h *Handler) changeProfile(ctx context.Context, caller services.Caller, in *changeProfileInput) (api.Data[Profile], error) {
	was, err := h.endpoint.profiles.Find(ctx, caller, in.Name)
	if err != nil {
		return api.Data[Profile]{}, err
	}
	saved, err := h.endpoint.profiles.Save(ctx, caller, Profile{ID: was.ID, Name: in.Body.Name, Description: in.Body.Description, Tools: in.Body.Tools})
	return api.OK(saved), err
}

type profileInput struct {
	Name string `path:"profile" maxLength:"64"`
}

func (h *Handler) profile(ctx context.Context, caller services.Caller, in *profileInput) (api.Data[Profile], error) {
	found, err := h.endpoint.profiles.Find(ctx, caller, in.Name)
	return api.OK(found), err
}

func (h *Handler) profiles(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[Profile], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]Profile, error) {
		found, err := h.endpoint.repository.profiles(ctx, caller.Organization, before, beforeID, limit)
		for i := range found {
			if err == nil {
				found[i], err = found[i].read()
			}
		}
		return found, err
	}, func(p Profile) (time.Time, uuid.UUID) { return p.CreatedAt.Time, p.ID })
}

func (h *Handler) removeProfile(ctx context.Context, caller services.Caller, in *profileInput) (api.Message, error) {
	was, err := h.endpoint.profiles.Find(ctx, caller, in.Name)
	if err != nil {
		return api.Message{}, err
	}
	return api.Done("Profile removed"), h.endpoint.profiles.Remove(ctx, caller, was.ID)
}
