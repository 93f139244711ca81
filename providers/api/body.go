package api

// Data is the contract's answer with one thing in it.
type Data[T any] struct {
	Success bool   `json:"success"`
	Data    T      `json:"data"`
	Message string `json:"message,omitempty"`
}

// OK makes a Data.
func OK[T any](data T) Data[T] { return Data[T]{Success: true, Data: data} }

// Page is the contract's answer with a list in it. NextCursor asks for what
// follows; it is absent at the end.
type Page[T any] struct {
	Success    bool   `json:"success"`
	Data       []T    `json:"data"`
	NextCursor string `json:"nextCursor,omitempty"`
}

// List makes a Page; data is an array on the wire also when it is empty.
func List[T any](data []T, next string) Page[T] {
	if data == nil {
		data = []T{}
	}
	return Page[T]{Success: true, Data: data, NextCursor: next}
}

// Message is the contract's answer without data.
type Message struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// Done makes a Message.
func Done(message string) Message { return Message{Success: true, Message: message} }

// Paging is what every list takes.
type Paging struct {
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"at most so many"`
	Cursor string `query:"cursor" doc:"nextCursor of the page before" maxLength:"500"`
}
