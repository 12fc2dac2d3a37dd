//go:build !linux

package cli

// pages are ranges of addresses; outside of Linux none are known.
type pages struct{}

func programPages() pages { return pages{} }

func (pages) giveBack() {}
