package segment

import (
	"context"
	"fmt"
)

// Check reads the whole database and returns an error that wraps ErrCorrupt
// when its structure is damaged. Damage inside a chunk shows when it is read.
func (f *File) Check(ctx context.Context) error {
	var result string
	if err := f.r.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
		return f.readError("check", err)
	}
	if result != "ok" {
		return f.readError("check", fmt.Errorf("%w: %s", ErrCorrupt, result))
	}
	return nil
}

// Backup writes a copy as of now to path, which must not exist.
func (f *File) Backup(ctx context.Context, path string) error {
	conn, err := f.r.Conn(ctx)
	if err != nil {
		return f.readError("back up", err)
	}
	defer conn.Close()
	// The connection only reads this database; VACUUM INTO writes another.
	if _, err := conn.ExecContext(ctx, "PRAGMA query_only = 0"); err != nil {
		return f.readError("back up", err)
	}
	_, err = conn.ExecContext(ctx, "VACUUM INTO ?", path)
	if _, e := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA query_only = 1"); err == nil {
		err = e
	}
	if err != nil {
		return f.readError("back up", err)
	}
	return nil
}

// ResourceID returns the id of a resource by its header; 0 when there is none.
func (f *File) ResourceID(header []byte) int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if r := f.resources[string(header)]; r != nil {
		return r.ID
	}
	return 0
}

// ResourceByID returns a resource, or nil.
func (f *File) ResourceByID(id int64) *Resource {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.byID[id]
}
