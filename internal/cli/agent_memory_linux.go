package cli

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// pages are ranges of addresses.
type pages [][2]uintptr

// programPages returns where the program's text and constants are mapped,
// without what was changed since it was read: that the file cannot give again.
func programPages() (out pages) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer f.Close()
	mine := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) > 1 && strings.Contains(fields[0], "-"): // the head of a mapping
			from, to, _ := strings.Cut(fields[0], "-")
			a, errA := strconv.ParseUint(from, 16, 64)
			b, errB := strconv.ParseUint(to, 16, 64)
			mine = errA == nil && errB == nil && len(fields) == 6 && fields[5] == exe && !strings.Contains(fields[1], "w") && strings.HasSuffix(fields[1], "p")
			if mine {
				out = append(out, [2]uintptr{uintptr(a), uintptr(b)})
			}
		case mine && len(fields) > 1 && fields[0] == "Anonymous:" && fields[1] != "0":
			out, mine = out[:len(out)-1], false
		}
	}
	return out
}

// giveBack gives the pages back to the system; what is used again comes from the
// file, as a rule without a read of the disk.
func (p pages) giveBack() {
	for _, r := range p {
		// An error leaves them where they are.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r[0], r[1]-r[0], syscall.MADV_DONTNEED)
	}
}
