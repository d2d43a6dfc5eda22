package pickle

import "unicode/utf8"

// validText reports whether Python reads a string's bytes as text: UTF-8, in which its pickles also write lone
// surrogates.
func validText(s string) bool {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			if !surrogate(s) {
				return false
			}
			n = 3
		}
		s = s[n:]
	}
	return true
}

// surrogate reports whether a string begins with one of U+D800 to U+DFFF, as if they were characters.
func surrogate(s string) bool {
	return len(s) >= 3 && s[0] == 0xed && s[1] >= 0xa0 && s[1] <= 0xbf && s[2] >= 0x80 && s[2] <= 0xbf
}
