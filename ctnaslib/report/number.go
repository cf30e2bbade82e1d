package report

import (
	"strconv"
	"strings"
)

// grouped returns a written number as readers know it: with a minus sign, and a comma between thousands.
func grouped(number string) string {
	digits, negative := strings.CutPrefix(number, "-")
	whole := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || '9' < r })
	if whole < 0 {
		whole = len(digits)
	}
	for at := whole - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	if negative {
		return "−" + digits
	}
	return digits
}

// fixed returns a number with so many digits after the decimal point, and the first two that are not zero where those
// would say that it is zero.
func fixed(x float64, digits int) string {
	text := strconv.FormatFloat(x, 'f', digits, 64)
	if strings.Trim(text, "-0.") == "" {
		if x == 0 {
			return strings.TrimPrefix(text, "-")
		}
		text = strconv.FormatFloat(x, 'g', 2, 64)
	}
	return grouped(text)
}
