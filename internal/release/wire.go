package release

import (
	"fmt"
	"strconv"
	"time"
)

// Attributes returns the operation as the flat attributes of its log record and
// root span. Values are string, int64 or bool. What is not known is left out.
// TraceID and SpanID are not among them: the record carries them itself.
func (o Operation) Attributes() map[string]any {
	m := make(map[string]any, 24+len(o.Extra))
	for k, v := range o.Extra {
		m[k] = v
	}
	str := func(k, v string) {
		if v != "" {
			m[k] = v
		}
	}
	str(AttrID, o.ID)
	str(AttrCommand, o.Command)
	str(AttrOperation, string(o.Kind))
	str(AttrState, string(o.State))
	if len(o.Observers) > 0 {
		str(AttrObserver, string(o.Observers[0]))
	}
	str(AttrCluster, o.Cluster)
	str(AttrNamespace, o.Namespace)
	str(AttrRelease, o.Release)
	if o.PreviousRevision != nil {
		m[AttrPreviousRevision] = int64(*o.PreviousRevision)
	}
	if o.Revision > 0 {
		m[AttrRevision] = int64(o.Revision)
	}
	if o.RollbackTo > 0 {
		m[AttrRollbackTo] = int64(o.RollbackTo)
	}
	str(AttrChartName, o.ChartName)
	str(AttrChartVersion, o.ChartVersion)
	str(AttrAppVersion, o.AppVersion)
	if o.ExitCode != nil {
		m[AttrExitCode] = int64(*o.ExitCode)
	}
	str(AttrWait, o.Wait)
	if !o.Start.IsZero() {
		m[AttrStart] = strconv.FormatInt(o.Start.UnixNano(), 10)
	}
	if !o.End.IsZero() {
		m[AttrEnd] = strconv.FormatInt(o.End.UnixNano(), 10)
	}
	str(AttrErrorType, string(o.ErrorType))
	str(AttrCause, o.Cause)
	if o.Automatic {
		m[AttrAutomatic] = true
	}
	str(AttrParentID, o.ParentID)
	if o.Historic {
		m[AttrHistoric] = true
	}
	return m
}

// FromAttributes reads what [Operation.Attributes] wrote. Unknown attributes go
// to Extra as text. Numbers are accepted as int64, float64 or text, so that
// records from other programs count too. It returns an error that names the
// attribute and value when one cannot be read, or when release or namespace,
// without which there is no operation, is missing.
func FromAttributes(traceID, spanID string, attrs map[string]any) (Operation, error) {
	o := Operation{TraceID: traceID, SpanID: spanID}
	for k, v := range attrs {
		if err := o.set(k, v); err != nil {
			return Operation{}, err
		}
	}
	if o.Release == "" {
		return Operation{}, fmt.Errorf("attribute %s is missing", AttrRelease)
	}
	if o.Namespace == "" {
		return Operation{}, fmt.Errorf("attribute %s is missing", AttrNamespace)
	}
	return o, nil
}

func (o *Operation) set(key string, value any) error {
	text := fmt.Sprint(value)
	var err error
	number := func() int {
		var n int
		if n, err = integer(value); err != nil {
			err = fmt.Errorf("attribute %s = %q: %w", key, text, err)
		}
		return n
	}
	instant := func() time.Time {
		ns, perr := strconv.ParseInt(text, 10, 64)
		if perr != nil {
			err = fmt.Errorf("attribute %s = %q: want nanoseconds since 1970", key, text)
			return time.Time{}
		}
		return time.Unix(0, ns).UTC()
	}
	switch key {
	case AttrID:
		o.ID = text
	case AttrCommand:
		o.Command = text
	case AttrOperation:
		o.Kind = Kind(text)
	case AttrState:
		o.State = State(text)
	case AttrObserver:
		o.Observers = []Observer{Observer(text)}
	case AttrCluster:
		o.Cluster = text
	case AttrNamespace:
		o.Namespace = text
	case AttrRelease:
		o.Release = text
	case AttrPreviousRevision:
		n := number()
		o.PreviousRevision = &n
	case AttrRevision:
		o.Revision = number()
	case AttrRollbackTo:
		o.RollbackTo = number()
	case AttrChartName:
		o.ChartName = text
	case AttrChartVersion:
		o.ChartVersion = text
	case AttrAppVersion:
		o.AppVersion = text
	case AttrExitCode:
		n := number()
		o.ExitCode = &n
	case AttrWait:
		o.Wait = text
	case AttrStart:
		o.Start = instant()
	case AttrEnd:
		o.End = instant()
	case AttrErrorType:
		o.ErrorType = ErrorType(text)
	case AttrCause:
		o.Cause = text
	case AttrAutomatic:
		o.Automatic = text == "true"
	case AttrParentID:
		o.ParentID = text
	case AttrHistoric:
		o.Historic = text == "true"
	default:
		if o.Extra == nil {
			o.Extra = make(map[string]string)
		}
		o.Extra[key] = text
	}
	return err
}

func integer(v any) (int, error) {
	switch n := v.(type) {
	case int64:
		return int(n), nil
	case int:
		return n, nil
	case float64:
		return int(n), nil
	default:
		i, err := strconv.Atoi(fmt.Sprint(v))
		if err != nil {
			return 0, fmt.Errorf("want a whole number")
		}
		return i, nil
	}
}
