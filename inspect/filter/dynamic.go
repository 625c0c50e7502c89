package filter

import "strconv"

// get is a member of a JSON value, nil where there is none.
func get(args ...any) (any, error) {
	switch v := args[0].(type) {
	case map[string]any:
		if key, ok := args[1].(string); ok {
			return v[key], nil
		}
	case []any:
		if i, ok := args[1].(int); ok {
			if i < 0 {
				i += len(v)
			}
			if i >= 0 && i < len(v) {
				return v[i], nil
			}
		}
	}
	return nil, nil
}

// str is a JSON value as text: that of a string, a number, a boolean; else nothing.
func str(args ...any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	}
	return "", nil
}

// order compares two numbers or two texts; anything else is in no order.
func order(args ...any) (any, error) {
	var c int
	a, aNumber := number(args[0])
	b, bNumber := number(args[1])
	s, aText := args[0].(string)
	t, bText := args[1].(string)
	switch {
	case aNumber && bNumber && a < b, aText && bText && s < t:
		c = -1
	case aNumber && bNumber && a > b, aText && bText && s > t:
		c = 1
	case aNumber && bNumber, aText && bText:
	default:
		return false, nil
	}
	switch args[2] {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	}
	return c >= 0, nil
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	}
	return 0, false
}
