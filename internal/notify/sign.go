package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed body.
const (
	// HeaderTimestamp is when the body was signed, in seconds since 1970.
	HeaderTimestamp = "X-Fairlead-Timestamp"
	// HeaderSignature is "v1=" and, in hex, the HMAC-SHA256 of the timestamp, a
	// full stop and the body.
	HeaderSignature = "X-Fairlead-Signature"
)

// Sign puts timestamp and signature of body into h.
func Sign(h http.Header, key, body []byte, now time.Time) {
	stamp := strconv.FormatInt(now.Unix(), 10)
	h.Set(HeaderTimestamp, stamp)
	h.Set(HeaderSignature, "v1="+hex.EncodeToString(mac(key, stamp, body)))
}

// ErrSignature is returned for a body that was not signed with the key, or not
// lately.
var ErrSignature = errors.New("the signature is wrong or too old")

// Verify checks what [Sign] made. A timestamp further than tolerance from now
// is refused, so that a request that was overheard is of no use later.
func Verify(h http.Header, key, body []byte, now time.Time, tolerance time.Duration) error {
	stamp := h.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return ErrSignature
	}
	text, _ := strings.CutPrefix(h.Get(HeaderSignature), "v1=")
	got, err := hex.DecodeString(text)
	if err != nil || !hmac.Equal(got, mac(key, stamp, body)) {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return ErrSignature
	}
	return nil
}

func mac(key []byte, stamp string, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(stamp + "."))
	h.Write(body)
	return h.Sum(nil)
}
