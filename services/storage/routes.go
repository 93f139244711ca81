package storage

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"uaol/providers/api"
	"uaol/providers/events"
	"uaol/services"
	"uaol/services/storage/conversations"
	"uaol/services/storage/library"
)

// Handler is storage over HTTP.
type Handler struct {
	service *Service
	library *library.Service
}

// NewHandler makes a Handler.
func NewHandler(service *Service, library *library.Service) *Handler {
	return &Handler{service: service, library: library}
}

// Operations is storage's part of the API, as data.
func Operations() []api.Operation {
	return slices.Concat((*Handler)(nil).operations(), (*library.Handler)(nil).Operations(), (*conversations.Handler)(nil).Operations(),
		events.NewOutbox(services.Storage).Administration(nil, events.Outlet{}))
}

const (
	// maxJSON is the most bytes of an upload in JSON, base64 included.
	maxJSON = 15 << 20
	// maxUpload is what a request may bring that is an upload; what a file may have
	// is a setting.
	maxUpload = mostUpload + maxForm
	maxForm   = 1 << 20 // of a form beside its file, in bytes
)

func (h *Handler) operations() []api.Operation {
	return []api.Operation{
		api.Raw(http.MethodPost, "/storage/upload", "Store a file: JSON {filename, contentType, data (base64)}, or a form with the file as file", h.upload, api.MaxBody(maxUpload), api.Keyed()),
		api.Get("/storage/presigned-url", "A URL that a file can be uploaded by, with one PUT", h.presign, api.Needs(services.OrgMember)),
		api.Get("/storage/files", "The caller's files, newest first", h.list),
		api.Get("/storage/files/{fileId}", "What is known of a file", h.get),
		api.Put("/storage/files/{fileId}", "Give a file another name", h.rename),
		api.Get("/storage/files/{fileId}/url", "A URL that a file can be fetched by, without credentials", h.fetchable),
		api.Delete("/storage/files/{fileId}", "Remove a file", h.delete),
		api.Get("/storage/usage", "What is stored, and what the plan allows", h.usage),
		api.Raw(http.MethodPost, "/chat/upload", "Upload documents, and see what they say: a form with at most 10 files as files, of at most 50 MB each. With Prefer: wait=0 the answer does not wait until they are read", h.documents, api.Allow(api.Guest), api.MaxBody(mostDocuments*mostDocument+maxForm), api.Keyed()),
		api.Raw(http.MethodGet, "/uploads/{fileId}", "A file's content, for its owner or whoever has a signed URL; ranges too", h.download, api.Allow(api.Public), api.KnowsGuests()),
		api.Raw(http.MethodHead, "/uploads/{fileId}", "A file's size and type", h.download, api.Allow(api.Public), api.KnowsGuests()),
		api.Raw(http.MethodPut, "/uploads/{fileId}", "Upload a file by a signed URL", h.put, api.Allow(api.Public), api.MaxBody(mostUpload)),
	}
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

type renameInput struct {
	ID   uuid.UUID `path:"fileId" format:"uuid"`
	Body struct {
		Filename string `json:"filename" minLength:"1" maxLength:"255"`
	}
}

func (h *Handler) rename(ctx context.Context, caller services.Caller, in *renameInput) (api.Data[File], error) {
	if err := nameable("body.filename", in.Body.Filename); err != nil {
		return api.Data[File]{}, err
	}
	f, err := h.service.Rename(ctx, caller, in.ID, in.Body.Filename)
	return api.OK(f), err
}

func (h *Handler) delete(ctx context.Context, caller services.Caller, in *fileInput) (api.Message, error) {
	return api.Done("File deleted"), h.service.Delete(ctx, caller, in.ID)
}

func (h *Handler) usage(ctx context.Context, caller services.Caller, _ *struct{}) (api.Data[Usage], error) {
	used, err := h.service.Usage(ctx, caller)
	return api.OK(used), err
}

type presignInput struct {
	Filename    string `query:"filename" maxLength:"255"`
	ContentType string `query:"contentType" default:"application/octet-stream" maxLength:"255"`
	Size        int64  `query:"size" minimum:"-1" default:"-1" doc:"bytes; the URL takes exactly that many"`
	ExpiresIn   int64  `query:"expiresIn" minimum:"1" maximum:"604800" default:"3600" doc:"seconds"`
}

func (h *Handler) presign(ctx context.Context, caller services.Caller, in *presignInput) (api.Data[Presigned], error) {
	if in.Filename == "" {
		return api.Data[Presigned]{}, services.Errorf(services.Invalid, "Filename is required").WithDetails([]services.Fault{{Path: "query.filename", Message: "Filename is required"}})
	}
	if err := nameable("query.filename", in.Filename); err != nil {
		return api.Data[Presigned]{}, err
	}
	if !strings.Contains(in.ContentType, "/") || !sameType(in.ContentType, in.ContentType) {
		return api.Data[Presigned]{}, services.Faults(services.Fault{Path: "query.contentType", Message: "must be a content type such as image/png"})
	}
	size := &in.Size
	if in.Size < 0 {
		size = nil
	}
	made, err := h.service.Presign(ctx, caller, in.Filename, in.ContentType, size, time.Duration(in.ExpiresIn)*time.Second)
	made.URL = absolute(ctx, made.URL)
	return api.OK(made), err
}

// absolute is a URL that can be handed to somebody who does not know us.
func absolute(ctx context.Context, url string) string {
	if strings.HasPrefix(url, "/") {
		return services.OriginFrom(ctx).URL + url
	}
	return url
}

type fetchableInput struct {
	ID        uuid.UUID `path:"fileId" format:"uuid"`
	ExpiresIn int64     `query:"expiresIn" minimum:"1" maximum:"604800" default:"3600" doc:"seconds"`
}

type fetchableBody struct {
	URL       string `json:"url" doc:"whole, for whoever it is handed to"`
	ExpiresIn int64  `json:"expiresIn" doc:"seconds"`
}

func (h *Handler) fetchable(ctx context.Context, caller services.Caller, in *fetchableInput) (api.Data[fetchableBody], error) {
	url, err := h.service.Fetchable(ctx, caller, in.ID, time.Duration(in.ExpiresIn)*time.Second)
	return api.OK(fetchableBody{URL: absolute(ctx, url), ExpiresIn: in.ExpiresIn}), err
}
