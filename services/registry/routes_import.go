package registry

import "uaol/providers/api"

func (h *Handler) importOperations() []api.Operation { return nil }
