package api

import (
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
