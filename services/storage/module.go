package storage

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"uaol/providers/api"
	"uaol/providers/blobs"
	"uaol/providers/blobs/s3"
	"uaol/providers/config"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/storage/conversations"
)

// Module runs storage in this process.
var Module = fx.Module("storage",
	logging.Named("storage"),
	config.For[Config](), config.For[s3.Config](),
	fx.Provide(fx.Private, newShelf, NewRepository, NewService, NewSweeper, NewHandler),
	fx.Provide(fx.Private, conversations.NewRepository, conversations.NewService, conversations.NewHandler, NewEverything),
	fx.Provide(book, routes, outbox, sweeper, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches storage in another process.
var Remote = fx.Module("storage-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(remoteBook, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func keeper(e *Everything) services.Custody {
	return services.Custody{Service: services.Storage, Keeper: e}
}

func book(s *conversations.Service) conversations.Book { return s }

func remoteBook(c *Client) conversations.Book { return c }

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Storage, Keeper: client, Missing: err}
}

func outbox(pool *pgxpool.Pool) workers.Out {
	return workers.Out{Worker: events.NewOutbox(services.Storage).Pruner(pool)}
}

func sweeper(w *Sweeper) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "storage-sweeper", Run: workers.Every(sweepEvery, w.Sweep)}}
}

// Names of stores, as contents remember them.
const (
	inDirectory = "directory"
	inS3        = "s3"
)

// bucketWithin is how long a bucket may take to answer at the start.
const bucketWithin = 10 * time.Second

// newShelf has the directory always and, if one is set, the bucket, which then takes
// what is new. One that can't be used stops production; in development files stay here.
func newShelf(process config.Process, cfg s3.Config, lifecycle fx.Lifecycle, log *zap.Logger) (*blobs.Shelf, error) {
	shelf := blobs.NewShelf(inDirectory, blobs.NewDirectory(process))
	lifecycle.Append(fx.StopHook(func(context.Context) error { return shelf.Close() }))
	if cfg.Bucket == "" {
		return shelf, nil
	}
	bucket, err := s3.New(context.Background(), cfg, process.DataDir) // it reads files, and asks nobody
	if err != nil {
		return nil, err
	}
	shelf.Add(inS3, bucket)
	lifecycle.Append(fx.StartHook(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, bucketWithin)
		defer cancel()
		err := bucket.Check(ctx)
		switch {
		case err == nil:
			shelf.Choose(inS3)
		case process.Production():
			return &config.Fault{Variable: "S3_BUCKET_NAME", Value: cfg.Bucket, Want: "a bucket that answers: " + err.Error()}
		default:
			log.Warn("files are kept in the data directory, because "+err.Error(), zap.String("bucket", cfg.Bucket))
		}
		return nil
	}))
	return shelf, nil
}

func routes(h *Handler, talks *conversations.Handler, book conversations.Book, e *Everything, pool *pgxpool.Pool) httpserver.Out {
	operations := append(h.operations(), talks.Operations()...)
	operations = append(operations,
		api.Internal("/internal/storage/recall", book.Recall),
		api.Internal("/internal/storage/add", func(ctx context.Context, in conversations.AddRequest) (struct{}, error) {
			return struct{}{}, book.Add(ctx, in)
		}),
		api.Internal("/internal/storage/export", e.Export),
		api.Internal("/internal/storage/erase", services.ErasedBy(e)))
	operations = append(operations, events.NewOutbox(services.Storage).Operations(services.Storage, pool)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Storage, Operations: operations}}
}
