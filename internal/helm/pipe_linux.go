package helm

import "golang.org/x/sys/unix"

// growPipe gives the pipe room for what Helm still has to say after we were
// killed. 1 MiB is what an unprivileged process may have; with less it works
// too, so a refusal is of no interest.
func growPipe(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) }
