package otlp

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	_ "modernc.org/sqlite" // the driver
)

// Queue is the disk behind the sending queues: the Collector's storage
// extension on an SQLite file, with one key space per upstream and signal.
type Queue struct {
	component.StartFunc
	component.ShutdownFunc
	db *sql.DB
}

var _ storage.Extension = (*Queue)(nil)

// OpenQueue opens or creates the file at path. Use [Queue.Close] after the
// last forwarder has stopped.
func OpenQueue(path string) (*Queue, error) {
	// What is committed survives the end of the process; a power cut may take
	// the last moments, which the stores' copies do not share.
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)&_pragma=auto_vacuum(INCREMENTAL)&_pragma=cache_size(-512)")
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", path, err)
	}
	// One writer: SQLite has one anyway, and waiting here is fair.
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(context.Background(), "CREATE TABLE IF NOT EXISTS queue (space TEXT, key TEXT, value BLOB, PRIMARY KEY (space, key)) WITHOUT ROWID"); err != nil {
		return nil, errors.Join(fmt.Errorf("open queue %s: %w", path, err), db.Close())
	}
	return &Queue{db: db}, nil
}

// Close closes the file.
func (q *Queue) Close() error { return q.db.Close() }

// GetClient implements storage.Extension.
func (q *Queue) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	return &queueClient{db: q.db, space: fmt.Sprintf("%s/%s/%s", kind, id, name)}, nil
}

type queueClient struct {
	db    *sql.DB
	space string
}

// Get implements storage.Client.
func (c *queueClient) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.do(ctx, c.db, op)
	return op.Value, err
}

// Set implements storage.Client.
func (c *queueClient) Set(ctx context.Context, key string, value []byte) error {
	return c.do(ctx, c.db, storage.SetOperation(key, value))
}

// Delete implements storage.Client.
func (c *queueClient) Delete(ctx context.Context, key string) error {
	return c.do(ctx, c.db, storage.DeleteOperation(key))
}

// Batch implements storage.Client: all operations or none.
func (c *queueClient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("queue %s: %w", c.space, err)
	}
	for _, op := range ops {
		if err := c.do(ctx, tx, op); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("queue %s: %w", c.space, err)
	}
	return nil
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (c *queueClient) do(ctx context.Context, db execer, op *storage.Operation) error {
	var err error
	switch op.Type {
	case storage.Get:
		err = db.QueryRowContext(ctx, "SELECT value FROM queue WHERE space = ? AND key = ?", c.space, op.Key).Scan(&op.Value)
		if errors.Is(err, sql.ErrNoRows) {
			op.Value, err = nil, nil
		}
	case storage.Set:
		value := op.Value
		if value == nil {
			value = []byte{}
		}
		_, err = db.ExecContext(ctx, "INSERT OR REPLACE INTO queue (space, key, value) VALUES (?, ?, ?)", c.space, op.Key, value)
	case storage.Delete:
		_, err = db.ExecContext(ctx, "DELETE FROM queue WHERE space = ? AND key = ?", c.space, op.Key)
	}
	if err != nil {
		return fmt.Errorf("queue %s: %w", c.space, err)
	}
	return nil
}

// Close implements storage.Client; the file stays open for the others.
func (c *queueClient) Close(context.Context) error { return nil }
