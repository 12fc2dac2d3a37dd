package helm

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func ptsName(fd int) (string, error) {
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/dev/pts/%d", n), unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
}

func pipeSize(fd uintptr) int {
	n, _ := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0)
	return n
}
