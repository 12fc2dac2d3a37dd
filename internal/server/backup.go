package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// backupRoute makes a backup when it is asked to.
func (s *Server) backupRoute() Route {
	return Route{Pattern: "POST /api/v1/backup", Access: AccessWrite, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		dir, err := s.Backup(r.Context(), time.Now())
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
			return
		}
		s.logger.Info("backup written", "dir", dir)
		_ = json.NewEncoder(w).Encode(map[string]string{"dir": dir})
	})}
}

// Backup writes a copy of all stores below the data directory and returns where.
// `fairlead server --data` opens the copy. What is written while it runs may be
// in one store's copy and not in another's; each is consistent by itself.
func (s *Server) Backup(ctx context.Context, now time.Time) (string, error) {
	if !s.backingUp.CompareAndSwap(false, true) {
		return "", errors.New("a backup is being written: wait for it to end")
	}
	defer s.backingUp.Store(false)
	if err := s.space.low(); err != nil {
		return "", err
	}
	dir := filepath.Join(s.cfg.Store.Dir, "backups", now.UTC().Format("20060102T150405.000Z"))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("create backup directory: %w", err)
	}
	for _, p := range s.parts {
		if p.Backup == nil {
			continue
		}
		if err := p.Backup(ctx, dir); err != nil {
			// Half a backup is none.
			return "", errors.Join(fmt.Errorf("%s: %w", p.Name, err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}
