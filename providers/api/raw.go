package api

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"uaol/services"
)

// PathID reads an id out of a raw operation's path, as typed operations do. Kind Invalid.
func PathID(c *gin.Context, name string) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Param(name))
	if err != nil {
		return id, services.Faults(services.Fault{Path: "path." + name, Message: "must be a UUID"})
	}
	return id, nil
}

// WriteJSON answers with a body that is JSON already.
func WriteJSON(c *gin.Context, body []byte) {
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(http.StatusOK, "application/json; charset=utf-8", body)
}
