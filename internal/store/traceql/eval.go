package traceql

// Known is what can be said of a condition.
type Known uint8

// A condition holds, does not, or can't be told from what is known.
const (
	False Known = iota
	True
	Unknown
)

// Env gives the values of fields at some level of knowledge.
type Env interface {
	// Values calls visit with each value that the field has (several for
	// events, none when it is absent) until visit returns false. It returns
	// false, without a call, when the field can't be told.
	Values(f Field, visit func(Value) bool) (known bool)
}

func boolKnown(b bool) Known {
	if b {
		return True
	}
	return False
}

func evaluate(e expr, env Env) Known {
	switch e := e.(type) {
	case constant:
		return boolKnown(bool(e))
	case not:
		switch evaluate(e.e, env) {
		case False:
			return True
		case True:
			return False
		}
		return Unknown
	case *logical:
		a := evaluate(e.a, env)
		if e.and && a == False || !e.and && a == True {
			return a
		}
		b := evaluate(e.b, env)
		if e.and && b == False || !e.and && b == True || a != Unknown {
			return b
		}
		return Unknown
	case *comparison:
		return e.evaluate(env)
	}
	return Unknown
}

// evaluate is true when some value of the one side and some value of the other
// compare so. An absent field equals nil and nothing else, and differs from
// nothing, as in Tempo.
func (c *comparison) evaluate(env Env) Known {
	result := False
	known := c.a.each(env, func(a Value) bool {
		known := c.b.each(env, func(b Value) bool {
			if c.holds(a, b) {
				result = True
			}
			return result != True
		})
		if !known {
			result = Unknown
		}
		return result == False
	})
	if !known {
		return Unknown
	}
	return result
}

// each calls visit with nil for an absent field.
func (o operand) each(env Env, visit func(Value) bool) bool {
	if !o.isField {
		visit(o.value)
		return true
	}
	absent := true
	known := env.Values(o.field, func(v Value) bool {
		absent = false
		return visit(v)
	})
	if known && absent {
		visit(Value{})
	}
	return known
}

func (c *comparison) holds(a, b Value) bool {
	if c.re != nil {
		return a.Type == TypeString && c.re.MatchString(a.Str) == (c.op == "=~")
	}
	if a.Type == TypeNil || b.Type == TypeNil {
		// Only a literal nil asks for absence.
		if !c.a.isNil() && !c.b.isNil() {
			return false
		}
		return (a.Type == b.Type) == (c.op == "=") && (c.op == "=" || c.op == "!=")
	}
	order, ok := compare(a, b)
	return ok && holds(c.op, order)
}

func (o operand) isNil() bool { return !o.isField && o.value.Type == TypeNil }

func holds(op string, order int) bool {
	switch op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	}
	return false
}
