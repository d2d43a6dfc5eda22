package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// maxHosts bounds what a node list may expand to: a typing error such as n[1-99999999] must not fill the memory.
const maxHosts = 1 << 16

// FirstHost returns the first host of a SLURM node list, such as node5 of "node[5-9,1],login".
func FirstHost(list string) (string, error) {
	hosts, err := expand(list, 1)
	if err != nil {
		return "", err
	}
	return hosts[0], nil
}

// Hosts expands a SLURM node list: host names separated by commas or spaces, in which brackets hold numbers and ranges
// of numbers. "a[08-10,3]-ib,b" is a08-ib, a09-ib, a10-ib, a3-ib, b. Leading zeros are kept. A list of more than 65,536
// hosts is refused.
func Hosts(list string) ([]string, error) { return expand(list, 0) }

// expand returns all hosts, or at least the first where limit is 1.
func expand(list string, limit int) ([]string, error) {
	names, err := splitList(list)
	if err != nil {
		return nil, fmt.Errorf("node list %q: %w", list, err)
	}
	var hosts []string
	for _, name := range names {
		more, err := expandName(name, limit)
		if err == nil && len(hosts)+len(more) > maxHosts {
			err = fmt.Errorf("more than %d hosts", maxHosts)
		}
		if err != nil {
			return nil, fmt.Errorf("node list %q: %w", list, err)
		}
		if hosts = append(hosts, more...); limit > 0 {
			break
		}
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("node list %q: no host in it", list)
	}
	return hosts, nil
}

// splitList cuts at the commas and spaces that are not in brackets.
func splitList(list string) ([]string, error) {
	var names []string
	depth, start := 0, 0
	cut := func(end int) {
		if name := strings.TrimSpace(list[start:end]); name != "" {
			names = append(names, name)
		}
		start = end + 1
	}
	for i := range len(list) {
		switch c := list[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case (c == ',' || c == ' ') && depth == 0:
			cut(i)
		}
		if depth < 0 || depth > 1 {
			return nil, fmt.Errorf("brackets don't match at character %d", i+1)
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("a bracket is not closed")
	}
	cut(len(list))
	return names, nil
}

// expandName expands the brackets of one name, the last ones varying fastest.
func expandName(name string, limit int) ([]string, error) {
	hosts := []string{""}
	for name != "" {
		literal, rest, found := strings.Cut(name, "[")
		var items []string
		if found {
			inside, after, _ := strings.Cut(rest, "]")
			var err error
			if items, err = numbers(inside, limit); err != nil {
				return nil, err
			}
			rest = after
		} else {
			items = []string{""}
		}
		if len(hosts)*len(items) > maxHosts {
			return nil, fmt.Errorf("more than %d hosts", maxHosts)
		}
		next := make([]string, 0, len(hosts)*len(items))
		for _, h := range hosts {
			for _, item := range items {
				next = append(next, h+literal+item)
			}
		}
		hosts, name = next, rest
	}
	return hosts, nil
}

// numbers expands "08-10,3" to 08, 09, 10, 3; with a limit only the first is made.
func numbers(text string, limit int) ([]string, error) {
	var items []string
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 32)
		to, err2 := strconv.ParseUint(high, 10, 32)
		if err1 != nil || err2 != nil || to < from {
			return nil, fmt.Errorf("%q in brackets is neither a number nor a range such as 5-9", part)
		}
		if limit > 0 && len(items) == 0 {
			items = append(items, low)
		}
		if limit > 0 {
			continue
		}
		if uint64(len(items))+to-from+1 > maxHosts {
			return nil, fmt.Errorf("more than %d hosts", maxHosts)
		}
		for n := from; n <= to; n++ {
			items = append(items, fmt.Sprintf("%0*d", len(low), n))
		}
	}
	return items, nil
}
