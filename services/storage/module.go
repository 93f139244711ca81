package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"uaol/providers/api"
	"uaol/providers/blobs"
	"uaol/providers/blobs/s3"
	"uaol/providers/config"
	"uaol/providers/egress"
	"uaol/providers/embeddings"
	"uaol/providers/events"
	"uaol/providers/httpserver"
	"uaol/providers/logging"
	"uaol/providers/peers"
	"uaol/providers/workers"
	"uaol/services"
	"uaol/services/storage/conversations"
	"uaol/services/storage/documents"
	"uaol/services/storage/library"
	"uaol/services/storage/ocr"
)

// Module runs storage in this process.
var Module = fx.Module("storage",
	logging.Named("storage"),
	events.Owner(services.Storage),
	config.For[Config](), config.For[s3.Config](), config.For[documents.Config](), config.For[ocr.Config](), embeddings.Module,
	fx.Provide(fx.Private, newShelf, newExtractor, repository, NewService, NewSweeper, NewHandler),
	fx.Provide(fx.Private, library.NewRepository, library.NewBell, library.NewService, library.NewReader, library.NewEmbedder, library.NewHandler, findable, openable, vectors),
	fx.Provide(fx.Private, conversations.NewRepository, conversations.NewService, conversations.NewHandler, NewEverything),
	fx.Provide(book, consulted, routes, sweeper, readers, embedder, fx.Annotate(keeper, fx.ResultTags(`group:"keepers"`))),
)

// Remote reaches storage in another process.
var Remote = fx.Module("storage-remote",
	config.WhenNeeded[ClientConfig](),
	fx.Provide(fx.Private, NewClient),
	fx.Provide(remoteBook, remoteLibrary, fx.Annotate(remoteKeeper, fx.ResultTags(`group:"keepers"`))),
)

func keeper(e *Everything) services.Custody {
	return services.Custody{Service: services.Storage, Keeper: e}
}

func findable(s *Service) library.Files { return s }

func openable(s *Service) library.Contents { return s }

func consulted(s *library.Service) library.Library { return s }

func remoteLibrary(c *Client) library.Library { return c }

func book(s *conversations.Service) conversations.Book { return s }

func remoteBook(c *Client) conversations.Book { return c }

// remoteKeeper is there without an address too: then auth says what it can't do.
func remoteKeeper(cfg ClientConfig, tokens *peers.Tokens) services.Custody {
	client, err := NewClient(cfg, tokens)
	return services.Custody{Service: services.Storage, Keeper: client, Missing: err}
}

func repository(pool *pgxpool.Pool, outlet events.Outlet) *Repository {
	return NewRepository(pool).Telling(outlet.Open())
}

func sweeper(w *Sweeper) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "storage-sweeper", Run: workers.Every(sweepEvery, w.Sweep)}}
}

// readers read as many documents at once as there may be processes for it.
func readers(r *library.Reader, cfg documents.Config) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "storage-readers", Run: func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for range cfg.Processes {
			group.Go(func() error { return r.Run(ctx) })
		}
		return group.Wait()
	}}}
}

func embedder(e *library.Embedder) workers.Out {
	return workers.Out{Worker: workers.Worker{Name: "storage-embedder", Run: e.Run}}
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
		err := choose(ctx, shelf, bucket)
		switch {
		case err == nil:
		case process.Production():
			return unusable(cfg, err)
		default:
			log.Warn("files are kept in the data directory, because "+err.Error(), zap.String("bucket", cfg.Bucket))
		}
		return nil
	}))
	return shelf, nil
}

// choose lets the bucket take what is new, if it answers.
func choose(ctx context.Context, shelf *blobs.Shelf, bucket *s3.Bucket) error {
	ctx, cancel := context.WithTimeout(ctx, bucketWithin)
	defer cancel()
	err := bucket.Check(ctx)
	if err == nil {
		shelf.Choose(inS3)
	}
	return err
}

func unusable(cfg s3.Config, err error) error {
	return &config.Fault{Variable: "S3_BUCKET_NAME", Value: cfg.Bucket, Want: "a bucket that answers: " + err.Error()}
}

// OpenShelf gives a command the stores of this machine's settings; the caller closes them.
func OpenShelf(ctx context.Context, process config.Process, cfg s3.Config) (*blobs.Shelf, error) {
	shelf := blobs.NewShelf(inDirectory, blobs.NewDirectory(process))
	if cfg.Bucket == "" {
		return shelf, nil
	}
	bucket, err := s3.New(ctx, cfg, process.DataDir)
	if err != nil {
		return nil, err
	}
	shelf.Add(inS3, bucket)
	if err := choose(ctx, shelf, bucket); err != nil {
		return nil, errors.Join(unusable(cfg, err), shelf.Close())
	}
	return shelf, nil
}

func routes(h *Handler, texts *library.Handler, talks *conversations.Handler, book conversations.Book, consult library.Library, e *Everything, pool *pgxpool.Pool, outlet events.Outlet) httpserver.Out {
	operations := slices.Concat(h.operations(), texts.Operations(), talks.Operations())
	operations = append(operations,
		api.Internal("/internal/storage/begin", book.Begin),
		api.Internal("/internal/storage/renew", func(ctx context.Context, in conversations.Claim) (struct{}, error) {
			return struct{}{}, book.Renew(ctx, in)
		}),
		api.Internal("/internal/storage/finish", func(ctx context.Context, in conversations.FinishRequest) (struct{}, error) {
			return struct{}{}, book.Finish(ctx, in)
		}),
		api.Internal("/internal/storage/consult", consult.Consult),
		api.Internal("/internal/storage/export", e.Export),
		api.Internal("/internal/storage/erase", services.ErasedBy(e)))
	operations = append(operations, events.NewOutbox(services.Storage).Operations(services.Storage, pool)...)
	operations = append(operations, events.NewOutbox(services.Storage).Administration(pool, outlet)...)
	return httpserver.Out{Routes: httpserver.Routes{Service: services.Storage, Operations: operations}}
}

// newExtractor ends its processes with this one; none runs before there is a file.
func newExtractor(cfg documents.Config, images ocr.Config, policy *egress.Policy, process config.Process, metrics *prometheus.Registry, lifecycle fx.Lifecycle, log *zap.Logger) (*documents.Extractor, error) {
	reader, err := ocr.New(images, policy)
	if err != nil {
		return nil, err
	}
	extractor := documents.New(cfg, process.DataDir, log)
	extractor.Count(metrics)
	lifecycle.Append(fx.StopHook(extractor.Close))
	if reader != nil {
		extractor.Use(reader)
		lifecycle.Append(fx.StopHook(reader.Close))
	}
	return extractor, nil
}

func vectors(c *embeddings.Client) library.Vectors { return c }
