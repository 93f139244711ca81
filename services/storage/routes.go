package storage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/services"
)

// Handler is storage over HTTP.
type Handler struct{ service *Service }

// NewHandler makes a Handler.
func NewHandler(service *Service) *Handler { return &Handler{service: service} }

// Operations is storage's part of the API, as data.
func Operations() []api.Operation { return (*Handler)(nil).operations() }

// maxUpload is the most bytes of a JSON upload, base64 included.
const maxUpload = 15 << 20

func (h *Handler) operations() []api.Operation {
	const required = "Filename and data are required"
	return []api.Operation{
		api.Post("/storage/upload", "Store a file", h.upload, api.MaxBody(maxUpload),
			api.Says("body.filename", required), api.Says("body.data", required)),
		api.Get("/storage/files", "The caller's files, newest first", h.list),
		api.Get("/storage/files/{fileId}", "What is known of a file", h.get),
		api.Delete("/storage/files/{fileId}", "Remove a file", h.delete),
	}
}

type uploadInput struct {
	Body struct {
		Filename    string `json:"filename" minLength:"1" maxLength:"255"`
		ContentType string `json:"contentType,omitempty" maxLength:"255" default:"application/octet-stream"`
		Data        []byte `json:"data" doc:"base64"`
	}
}

type uploadBody struct {
	ID  uuid.UUID `json:"fileId"`
	URL string    `json:"url" doc:"a path on this host"`
}

func (h *Handler) upload(ctx context.Context, caller services.Caller, in *uploadInput) (api.Data[uploadBody], error) {
	f, err := h.service.Upload(ctx, caller, in.Body.Filename, in.Body.ContentType, in.Body.Data)
	return api.OK(uploadBody{ID: f.ID, URL: "/storage/files/" + f.ID.String()}), err
}

func (h *Handler) list(ctx context.Context, caller services.Caller, in *struct{ api.Paging }) (api.Page[File], error) {
	return api.NewestFirst(in.Paging, func(before time.Time, beforeID uuid.UUID, limit int) ([]File, error) {
		return h.service.List(ctx, caller, before, beforeID, limit)
	}, func(row File) (time.Time, uuid.UUID) { return row.CreatedAt.Time, row.ID })
}

type fileInput struct {
	ID uuid.UUID `path:"fileId" format:"uuid"`
}

func (h *Handler) get(ctx context.Context, caller services.Caller, in *fileInput) (api.Data[File], error) {
	f, err := h.service.Get(ctx, caller, in.ID)
	return api.OK(f), err
}

func (h *Handler) delete(ctx context.Context, caller services.Caller, in *fileInput) (api.Message, error) {
	return api.Done("File deleted"), h.service.Delete(ctx, caller, in.ID)
}
