// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// The format is that of java.util.Properties, load and store: ISO-8859-1, one
// entry a line, with UTF-16 units behind \u.
//
// github.com/magiconair/properties, which is in the build through dubbo-go,
// cannot be used for it: v1.8.5 writes in quadratic time (2.4 MB take more
// than two minutes), turns characters outside the basic plane into "?" and
// reads them as two replacement characters, and leaves a goroutine behind,
// with the file's content, for each file that has a line without a key.

var (
	errCutShort = errors.New("it was cut short: the last line has no end")
	errUnicode  = errors.New(`\u without four hexadecimal digits`)
)

const (
	blanks = " \t\f"
	// urlSpace is what Java splits the URLs at, \s.
	urlSpace = " \t\n\v\f\r"
)

// encode writes entries as Properties.store does, sorted by key.
func encode(entries map[string]string, at time.Time) []byte {
	var b bytes.Buffer
	b.WriteString("#Dubbo Registry Cache\n#" + at.Format("Mon Jan 02 15:04:05 MST 2006") + "\n")
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		escape(&b, key, true)
		b.WriteByte('=')
		escape(&b, entries[key], false)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func escape(b *bytes.Buffer, s string, isKey bool) {
	for i, r := range s {
		switch r {
		case ' ':
			if isKey || i == 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(' ')
		case '\\', '=', ':', '#', '!':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\f':
			b.WriteString(`\f`)
		case '\r':
			b.WriteString(`\r`)
		default:
			if ' ' < r && r <= '~' {
				b.WriteByte(byte(r))
				continue
			}
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(b, `\u%04X`, unit)
			}
		}
	}
}

// parse reads what Properties.load reads. Unlike Java it wants the last line
// to be ended, as store does: Java writes in place, and a URL that was cut
// short may still look like one.
func parse(data []byte) (map[string]string, error) {
	entries := map[string]string{}
	if n := len(data); n > 0 && data[n-1] != '\n' && data[n-1] != '\r' {
		return nil, errCutShort
	}
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data = cutLogicalLine(data)
		rawKey, rawValue := cutKey(line)
		key, err := unescape(rawKey)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", n, err)
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", n, err)
		}
		if len(line) > 0 {
			entries[key] = value
		}
	}
	return entries, nil
}

// cutLogicalLine returns the first entry of data with its escapes; empty for a
// blank line or a comment. A backslash before the line's end joins the next
// line to it.
func cutLogicalLine(data []byte) (entry, rest []byte) {
	line, rest := cutLine(data)
	if len(line) == 0 || line[0] == '#' || line[0] == '!' {
		return nil, rest
	}
	entry = line
	if goesOn(line) {
		entry = slices.Clone(line) // appended to
	}
	for goesOn(line) {
		line, rest = cutLine(rest)
		entry = append(entry[:len(entry)-1], line...)
	}
	return entry, rest
}

// cutLine returns the first line of data without the blanks that it begins
// with.
func cutLine(data []byte) (line, rest []byte) {
	end := bytes.IndexAny(data, "\r\n")
	if end < 0 {
		return nil, nil
	}
	line, rest = data[:end], data[end+1:]
	if data[end] == '\r' {
		rest = bytes.TrimPrefix(rest, []byte("\n"))
	}
	return bytes.TrimLeft(line, blanks), rest
}

// goesOn reports whether a line ends with a backslash that is not escaped.
func goesOn(line []byte) bool {
	return (len(line)-len(bytes.TrimRight(line, `\`)))%2 == 1
}

// cutKey splits an entry at the first "=", ":" or blank that is not escaped;
// blanks around it belong to neither side.
func cutKey(line []byte) (key, value []byte) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=:"+blanks, rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	value = bytes.TrimLeft(line[end:], blanks)
	if len(value) > 0 && (value[0] == '=' || value[0] == ':') {
		value = bytes.TrimLeft(value[1:], blanks)
	}
	return line[:end], value
}

func unescape(raw []byte) (string, error) {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' && i+1 < len(raw) {
			i++
			switch c = raw[i]; c {
			case 'u':
				r, size, err := unescapeUnicode(raw[i+1:])
				if err != nil {
					return "", err
				}
				b.WriteRune(r)
				i += size
				continue
			case 't':
				c = '\t'
			case 'n':
				c = '\n'
			case 'f':
				c = '\f'
			case 'r':
				c = '\r'
			}
		}
		b.WriteRune(rune(c)) // ISO-8859-1 is the beginning of Unicode
	}
	return b.String(), nil
}

// unescapeUnicode reads what follows a \u: four digits, or two surrogates as
// in XXXX\uXXXX. It returns the size of what it read.
func unescapeUnicode(raw []byte) (r rune, size int, err error) {
	r, err = unit(raw)
	if err != nil || !utf16.IsSurrogate(r) {
		return r, 4, err
	}
	if low, found := bytes.CutPrefix(raw[4:], []byte(`\u`)); found {
		r2, err := unit(low)
		if pair := utf16.DecodeRune(r, r2); err == nil && pair != '\uFFFD' {
			return pair, 10, nil
		}
	}
	return '\uFFFD', 4, nil
}

func unit(raw []byte) (rune, error) {
	if len(raw) < 4 {
		return 0, errUnicode
	}
	v, err := strconv.ParseUint(string(raw[:4]), 16, 16)
	if err != nil {
		return 0, errUnicode
	}
	return rune(v), nil
}

func joinURLs(urls []string) string { return strings.Join(urls, " ") }

func splitURLs(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(urlSpace, r) })
}
